"""What every query stands on: the chain as a reader sees it, names and ids as people type them, pages of lists.

Queries are pure functions over one moment of a store. They answer with plain dictionaries in the shapes of
docs/protocol/rpc.md: ids as hex, amounts as strings of ubeat, accounts as addresses; no key is ever left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from concento.accounts import PREFIX, PREFIX_DEV, address, parse_address
from concento.encoding import Record
from concento.errors import Broken, Rejected
from concento.genesis import Genesis
from concento.hashing import Network
from concento.limits import PAGE_ITEMS, PAGE_ITEMS_MAX
from concento.statekeys import parse_id
from state.modules.identity import ACCOUNTS, PARTIES, PARTY_NAMES
from state.store.blockstore import find_transaction
from state.store.kept import find_base, find_header
from state.store.kv import HISTORY, STATE, KeyValueView
from state.store.opening import CommitRecord, committed
from state.store.tree import Tree
from state.view import Kind, View

R = TypeVar("R", bound=Record)

ID_DIGITS_MIN: Final = 8
"""The shortest beginning of an id that is looked up: below it most prefixes would be ambiguous anyway."""

CANDIDATES_MAX: Final = 10
"""Matches that are counted for an ambiguous beginning before the search stops."""

_HEX: Final = re.compile("[0-9a-f]+")
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@dataclass(frozen=True, slots=True)
class Chain:
    """One moment of one node's store, and the genesis that it grew from."""

    store: KeyValueView
    tree: Tree | None
    """The tree over the state, for proofs; None where the store is a snapshot, because the tree has gone on since."""
    genesis: Genesis

    @property
    def commit(self) -> CommitRecord:
        """What the store says of itself."""
        found = committed(self.store)
        if found is None:
            raise Broken("the store has no commit record")
        return found

    @property
    def height(self) -> int:
        """The latest committed height: all state is that after it."""
        return self.commit.height

    @property
    def oldest_height(self) -> int:
        """The oldest height whose block is kept."""
        return self.commit.oldest_height

    @property
    def time_ms(self) -> int:
        """Block time of the latest height: what expiries are compared with."""
        header = find_header(self.store, self.height)
        return self.genesis.time_ms if header is None else header.time_ms

    @property
    def dev(self) -> bool:
        return self.genesis.dev

    @property
    def network(self) -> Network:
        return self.genesis.network

    def view(self) -> View:
        """The state for the modules' read functions; whatever is written to it is dropped."""
        return View(self.read, self.is_included)

    def is_included(self, transaction_id: bytes) -> bool:
        return find_transaction(self.store, transaction_id) is not None

    def read(self, state_key: bytes) -> bytes | None:
        return self.store.get(STATE + state_key)

    def find(self, kind: Kind[R], key: bytes) -> R | None:
        raw = self.read(kind.key(key))
        return None if raw is None else kind.decode(raw)

    def scan(
        self, kind: Kind[R], prefix: bytes = b"", after: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, R]]:
        """(key, record) of a kind under a prefix of its keys, in key order, behind the key `after`."""
        start = STATE + kind.prefix
        behind = None if after is None else start + after
        for key, raw in self.store.scan(start + prefix, behind, reverse):
            yield key[len(start) :], kind.decode(raw)

    def find_history(self, key: bytes) -> bytes | None:
        """A history record, by its key without the space."""
        return self.store.get(HISTORY + key)

    def keys(self, kind_prefix: bytes, prefix: bytes) -> Iterator[bytes]:
        """The keys of a kind that begin so, without decoding their records."""
        start = STATE + kind_prefix
        for key, _ in self.store.scan(start + prefix):
            yield key[len(start) :]

    def scan_history(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of history records under a prefix, behind the key `after`; keys without the space.

        Raises Rejected, rather than give half of it, where the node began with a snapshot.
        """
        self.check_history()
        behind = None if after is None else HISTORY + after
        for key, raw in self.store.scan(HISTORY + prefix, behind):
            yield key[len(HISTORY) :], raw

    def scan_index(self, prefix: bytes, after: bytes | None = None) -> Iterator[bytes]:
        """Keys of history that follow from the state: a node that began with a snapshot has all of them too."""
        behind = None if after is None else HISTORY + after
        for key, _ in self.store.scan(HISTORY + prefix, behind):
            yield key[len(HISTORY) :]

    @property
    def began_at(self) -> int:
        """The height of the snapshot that the node began with: of what was before it knows the state alone. Else 0."""
        base = find_base(self.store)
        return 0 if base is None else base.block.header.height

    def check_history(self) -> None:
        """Raises Rejected where this node does not know everything that ever happened."""
        if began_at := self.began_at:
            raise Rejected("history.pruned", height=began_at)

    def address(self, account: bytes) -> str:
        return address(account, self.dev)

    def name(self, account: bytes) -> str | None:
        """The name that a party was admitted under."""
        party = self.find(PARTIES, account)
        return None if party is None else party.name


# Names and ids


def account_of(chain: Chain, who: str) -> bytes:
    """The account of an address, of a unique beginning of one, or of a party's name. Raises Rejected."""
    text = who.removeprefix("@")
    owner = chain.find(PARTY_NAMES, text.encode())
    if owner is not None:
        return owner.account
    prefix = (PREFIX_DEV if chain.dev else PREFIX) + "1"
    beginning = text.removeprefix(prefix) if text.startswith(prefix) else None
    if beginning is None or not set(beginning) <= set(_BECH32):
        if "1" in text and not who.startswith("@"):
            return parse_address(text, chain.dev)
        raise Rejected("account.not_found", text=text[:100])
    if len(beginning) < 59:
        return _account_beginning(chain, text, beginning)
    return parse_address(text, chain.dev)


def _account_beginning(chain: Chain, text: str, beginning: str) -> bytes:
    """The known account whose address begins so."""
    if len(beginning) < ID_DIGITS_MIN:
        raise Rejected("account.not_found", text=text)
    # Behind the version byte stand the account's 32 bytes, then padding and checksum.
    bits = "".join(f"{_BECH32.index(character):05b}" for character in beginning)[8:264]
    whole = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))
    found: set[bytes] = set()
    for prefix in (ACCOUNTS.prefix, PARTIES.prefix):
        for key in chain.keys(prefix, whole):
            if chain.address(key).startswith(text):
                found.add(key)
            if len(found) >= CANDIDATES_MAX:
                break
    return only(sorted(found), text, lambda: Rejected("account.not_found", text=text))


def id_of(chain: Chain, prefix: bytes, text: str, missing: str) -> bytes:
    """The key of the record whose id begins with this text. Raises Rejected(`missing`) where there is none."""
    return find_id(chain, STATE + prefix, text, lambda: Rejected(missing, text=text))


def find_id(chain: Chain, start: bytes, text: str, missing: Callable[[], Rejected]) -> bytes:
    """The id that begins with this text, among the store's keys that begin with `start` and end with 32 bytes."""
    if not ID_DIGITS_MIN <= len(text) <= 64 or _HEX.fullmatch(text) is None:
        raise Rejected("id.malformed", text=text[:100])
    if len(text) == 64:
        key = bytes.fromhex(text)
        return only([key] if chain.store.get(start + key) is not None else [], text, missing)
    whole = bytes.fromhex(text[: len(text) // 2 * 2])
    found: list[bytes] = []
    for raw_key, _ in chain.store.scan(start + whole):
        key = raw_key[len(start) :]
        if len(key) == 32 and key.hex().startswith(text):
            found.append(key)
        if len(found) >= CANDIDATES_MAX:
            break
    return only(found, text, missing)


def key_of(chain: Chain, kind: str, text: str) -> str:
    """The full id that this text begins, among records of a kind that ids name; a full id needs no record."""
    if len(text) == 64:
        return parse_id(text).hex()
    return id_of(chain, kind.encode() + b"/", text, f"{kind}.not_found").hex()


def only(found: list[bytes], text: str, missing: Callable[[], Rejected]) -> bytes:
    """The one key that was found. Raises what `missing` makes for none, id.ambiguous for several."""
    if not found:
        raise missing()
    if len(found) > 1:
        raise Rejected("id.ambiguous", text=text, count=len(found))
    return found[0]


# Pages


def page_size(limit: int | None) -> int:
    """How many items of a list are given at once."""
    return PAGE_ITEMS if limit is None else min(max(limit, 1), PAGE_ITEMS_MAX)


def cursor_key(cursor: str | None) -> bytes | None:
    """The key behind which a page starts. Raises Rejected for a cursor that no list has given."""
    if cursor is None:
        return None
    if len(cursor) % 2 or len(cursor) > 512 or _HEX.fullmatch(cursor) is None:
        raise Rejected("rpc.cursor_malformed", text=cursor[:40])
    return bytes.fromhex(cursor)


def page(
    chain: Chain,
    found: Iterator[tuple[bytes, R]],
    limit: int | None,
    shown: Callable[[bytes, R], dict[str, Any] | None],
) -> dict[str, Any]:
    """One page of a list of (key, record); what `shown` gives None for is left out."""
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last = b""
    for key, record in found:
        if len(items) == size:
            return {"items": items, "next": last.hex(), "height": chain.height}
        item = shown(key, record)
        if item is not None:
            items.append(item)
            last = key
    return {"items": items, "next": None, "height": chain.height}


def ubeat(amount: int) -> str:
    """An amount as it is written in JSON."""
    return str(amount)
