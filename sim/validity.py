"""A second opinion on decided blocks, written apart from the node: from the protocol pages, not from its code.

It shares the records and the signature seam with the node and nothing else: hashes, Merkle roots, quorums, signing
bytes and the books of transfers are made here once more, in the simplest way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import msgpack
import msgspec

from concento.blocks import Block, Header
from concento.genesis import Genesis
from concento.messages.tokens import Transfer
from concento.transactions import Transaction
from concento.votes import Commit
from node.replica.events import Committed
from state.store.blockstore import StoredBlock

Verify = Callable[[bytes, bytes, bytes], bool]


class Invalid(Exception):
    """A decided block that must not have been decided."""


def packed(value: object) -> bytes:
    """MessagePack of nested tuples; records are tuples of their fields, tagged ones with the tag in front."""

    def plain(record: msgspec.Struct) -> tuple[object, ...]:
        tag = record.__struct_config__.tag
        return (() if tag is None else (tag,)) + tuple(getattr(record, name) for name in record.__struct_fields__)

    raw: bytes = msgpack.packb(value, default=plain, use_bin_type=True)
    return raw


def tagged(tag: str, data: bytes) -> bytes:
    return sha256(bytes([len(tag)]) + tag.encode() + data).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def header_id(header: Header) -> bytes:
    return tagged("block", packed(header))


def account_of(key: bytes) -> bytes:
    """The account of a policy of this one key, which is all that simulated clients have."""
    return tagged("account", packed((1, (key,))))


@dataclass
class Books:
    """Who has how much, from transfers and fees alone; None once anything else was done."""

    balances: dict[bytes, int]
    pool: int = 0
    burnt: int = 0
    is_whole: bool = True

    def move(self, account: bytes, amount: int) -> None:
        self.balances[account] = self.balances.get(account, 0) + amount
        if self.balances[account] < 0:
            raise Invalid(f"account {account.hex()[:8]} is overdrawn")


@dataclass
class SecondOpinion:
    """Follows one chain from genesis: give it each height once, in order. `has_accounts`: its ledger keeps books."""

    genesis: Genesis
    verify: Verify
    has_accounts: bool = True
    headers: list[Header] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    app_hashes: list[bytes] = field(default_factory=list)
    results_roots: list[bytes] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    members: dict[int, tuple[bytes, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = tuple(sorted(member.key for member in self.genesis.validators.members))
        self.members = {1: first, 2: first}
        self.books = Books({entry.account: entry.amount_ubeat for entry in self.genesis.balances})
        self.books.is_whole = self.has_accounts

    def follow(self, committed: Committed, app_hash: bytes, next_members: tuple[bytes, ...]) -> None:
        """The next block, what state it led to, and who validates two heights later. Raises Invalid."""
        block = committed.stored.record.block
        self.check_block(block)
        self.check_commit(committed.stored.record.commit)
        self._check_transactions(committed)
        if self.books.is_whole:
            self._book(committed)
        self.members[block.header.height + 2] = next_members
        self.headers.append(block.header)
        self.ids.append(header_id(block.header))
        self.app_hashes.append(app_hash)
        self.results_roots.append(root_of(committed.stored.results))

    def check_block(self, block: Block) -> None:
        """Whether the block may follow, whatever its transactions do. Raises Invalid."""
        self._check_header(block)
        self._check_time_and_proposer(block.header)
        self._check_last_commit(block)

    def check_commit(self, commit: Commit) -> None:
        """More than two thirds of distinct validators of the height signed for this block."""
        members = self.members[commit.height]
        chain = self.genesis.chain_id.encode()
        prefix = bytes([13]) + b"concento/vote" + bytes([len(chain)]) + chain + self.genesis.hash
        message = prefix + packed((2, commit.height, commit.round, commit.block_id))
        good = {
            entry.index
            for entry in commit.signatures
            if entry.index < len(members) and self.verify(members[entry.index], message, entry.signature)
        }
        if 3 * len(good) <= 2 * len(members):
            raise Invalid(f"block {commit.height} is final by {len(good)} of {len(members)}")

    def is_signed(self, transaction: Transaction) -> bool:
        """Whether every signature of the transaction is good on this chain."""
        chain = self.genesis.chain_id.encode()
        prefix = bytes([20]) + b"concento/transaction" + bytes([len(chain)]) + chain + self.genesis.hash
        message = prefix + transaction.body_bytes
        return all(self.verify(key, message, signature) for key, signature in transaction.signatures)

    def _check_header(self, block: Block) -> None:
        header, height = block.header, len(self.headers) + 1
        nothing = root_of([])
        wanted = {
            "chain_id": self.genesis.chain_id,
            "height": height,
            "parent_id": self.ids[-1] if self.ids else bytes(32),
            "content_root": root_of(block.batches),
            "last_commit_root": tagged("commit", packed(block.last_commit)),
            "evidence_root": root_of([packed(piece) for piece in block.evidence]),
            "results_root": self.results_roots[-1] if self.results_roots else nothing,
        }
        if self.app_hashes:
            wanted["app_hash"] = self.app_hashes[-1]
        for name, value in wanted.items():
            if getattr(header, name) != value:
                raise Invalid(f"block {height} has a wrong {name}")
        if len(set(block.batches)) != len(block.batches):
            raise Invalid(f"block {height} names a batch twice")

    def _check_time_and_proposer(self, header: Header) -> None:
        parent_ms = self.headers[-1].time_ms if self.headers else self.genesis.time_ms
        if header.time_ms <= parent_ms:
            raise Invalid(f"block {header.height} is not later than its parent")
        if header.proposer not in self.members[header.height]:
            raise Invalid(f"block {header.height} was proposed by a stranger")

    def _check_last_commit(self, block: Block) -> None:
        last = block.last_commit
        if block.header.height == 1:
            if last.signatures:
                raise Invalid("block 1 carries a commit")
            return
        if (last.height, last.block_id) != (block.header.height - 1, self.ids[-1]):
            raise Invalid(f"block {block.header.height} carries the commit of another block")
        self.check_commit(last)

    def _check_transactions(self, committed: Committed) -> None:
        for transaction, outcome in zip(committed.transactions, committed.stored.outcomes, strict=True):
            identity = tagged("transaction", transaction.body_bytes)
            if identity != outcome.id:
                raise Invalid(f"a result at height {committed.stored.height} is of another transaction")
            if outcome.status == "skipped":
                continue
            if identity in self.seen:
                raise Invalid(f"transaction {identity.hex()[:8]} is in the chain twice")
            self.seen.add(identity)
            if not self.is_signed(transaction):
                raise Invalid(f"transaction {identity.hex()[:8]} has a bad signature")
            single = self.has_accounts and len(transaction.signatures) == 1
            if single and transaction.body.sender != account_of(transaction.signatures[0][0]):
                raise Invalid(f"transaction {identity.hex()[:8]} was signed by another account's key")
            if transaction.body.chain_id != self.genesis.chain_id:
                raise Invalid(f"transaction {identity.hex()[:8]} is of another chain")
            if transaction.body.valid_until_ms <= committed.stored.record.block.header.time_ms - 1:
                raise Invalid(f"transaction {identity.hex()[:8]} was too late")

    def _book(self, committed: Committed) -> None:
        """Fees and transfers once more; what else a transaction may do, and punishment, ends the books."""
        if committed.stored.record.block.evidence:
            self.books.is_whole = False
        fees = 0
        for transaction, outcome in zip(committed.transactions, committed.stored.outcomes, strict=True):
            if outcome.status == "skipped":
                continue
            sender = transaction.body.sender
            self.books.move(sender, -outcome.fee_ubeat)
            fees += outcome.fee_ubeat
            if outcome.status == "ok":
                self._transfer(sender, transaction)
        if fees:
            self._share(committed.stored, fees)

    def _transfer(self, sender: bytes, transaction: Transaction) -> None:
        for action in transaction.body.actions:
            if not isinstance(action, Transfer):
                self.books.is_whole = False
                return
            self.books.move(sender, -action.amount_ubeat)
            self.books.move(action.to, action.amount_ubeat)

    def _share(self, stored: StoredBlock, fees: int) -> None:
        """A part is burnt, the rest shared equally; the remainder waits."""
        burnt = fees * self.genesis.params.fees.burn_bps // 10_000
        self.books.burnt += burnt
        self.books.pool += fees - burnt
        members = self.members[stored.height]
        share = self.books.pool // len(members)
        accounts = {member.key: member.rewards_to for member in self.genesis.validators.members}
        for key in members:
            self.books.move(accounts[key], share)
        self.books.pool -= share * len(members)
