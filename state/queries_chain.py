"""Queries about the chain itself: blocks, commits, validators and their handovers, parameters, events."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import msgpack

from concento.batches import BatchHeader, batch_id
from concento.blocks import Header, TransactionResult, block_id
from concento.encoding import decode, encode
from concento.errors import Broken, Rejected
from concento.genesis import genesis_json, params_json
from concento.light import Handover, handover_document
from concento.merkle import inclusion_paths
from concento.validators import ValidatorSet
from concento.votes import Commit
from state.calls import Event
from state.events import decode_events, event_json, event_text
from state.queries import Chain, find_id, page_size
from state.store.blockstore import BlockRecord, find_block, find_events, find_height, find_results
from state.store.kept import find_signed
from state.store.kv import BLOCK_HEIGHT, STATE
from state.supply import audit
from state.validators import SETS, height_key

_PAID: Final = "royalties.paid"


# Blocks


def block_at(chain: Chain, height: int) -> BlockRecord:
    """The block of a height. Raises Rejected where it is not decided yet or no longer kept."""
    record = find_block(chain.store, height) if height > 0 else None
    if record is None:
        commit = chain.commit
        if 0 < height < commit.oldest_height:
            raise Rejected("block.pruned", text=str(height), oldest_height=commit.oldest_height)
        raise Rejected("block.not_found", text=str(height), height=commit.height)
    return record


def block_get(
    chain: Chain, height: int | None, identity: bytes | None, bodies: Sequence[bytes] | None
) -> dict[str, Any]:
    """One block in full: the newest where neither height nor id is given. `bodies` are its batches, where kept."""
    record = block_at(chain, block_height(chain, height, identity))
    header = record.block.header
    results = transaction_results(chain, record)
    batches = [_batch(raw) for raw in bodies or ()]
    kinds = [kinds for _, listed in batches for kinds in listed]
    return {
        **_summary(chain, record),
        "parent": header.parent_id.hex(),
        "results_root": header.results_root.hex(),
        "batches": [shown for shown, _ in batches] if batches else [_unkept(digest) for digest in record.block.batches],
        "txs": [
            {"tx": result.id.hex(), "status": shown_status(result), "kinds": kinds[index] if kinds else []}
            for index, result in enumerate(results)
        ],
        "paid": [_payment(chain, event) for _, event in events_of(chain, header.height) if event.kind == _PAID],
        "commit": _commit(chain, record.commit),
    }


def block_height(chain: Chain, height: int | None, identity: bytes | None) -> int:
    """The height that was asked for by height or id. Raises Rejected."""
    if identity is None:
        return chain.height if height is None else height
    found = find_height(chain.store, identity)
    if found is None or height not in (None, found):
        raise Rejected("block.not_found", text=identity.hex(), height=chain.height)
    return found


def block_id_of(chain: Chain, text: str) -> bytes:
    """The id of the block whose id begins so. Raises Rejected."""
    return find_id(chain, BLOCK_HEIGHT, text, lambda: Rejected("block.not_found", text=text, height=chain.height))


def block_list(
    chain: Chain, from_height: int | None = None, cursor: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Blocks without their contents, the newest first, from a height down."""
    commit = chain.commit
    start = commit.height if from_height is None else min(from_height, commit.height)
    if cursor is not None:
        start = min(start, _number(cursor))
    stop = max(start - page_size(limit), commit.oldest_height - 1)
    items = [_summary(chain, block_at(chain, height)) for height in range(start, max(stop, 0), -1)]
    return {
        "items": items,
        "next": str(stop) if stop >= max(commit.oldest_height, 1) else None,
        "height": commit.height,
    }


def commit_get(chain: Chain, height: int) -> dict[str, Any]:
    """The header of a height and the precommits that made it final, as bytes to check and as text."""
    record = block_at(chain, height)
    return {
        "height": height,
        "block_id": record.commit.block_id.hex(),
        **_commit(chain, record.commit),
        "header": _base64(encode(record.block.header)),
        "commit": _base64(encode(record.commit)),
        "evidence": len(record.block.evidence),
    }


def transaction_results(chain: Chain, record: BlockRecord) -> list[TransactionResult]:
    """What became of the transactions of a block, in order."""
    leaves = find_results(chain.store, record.block.header.height) or ()
    return [decode(TransactionResult, raw, "result") for raw in leaves[: len(record.transactions)]]


def shown_status(result: TransactionResult) -> str:
    return "final" if result.status == "ok" else result.status


# Validators


def validators_at(chain: Chain, height: int) -> ValidatorSet:
    """The set that decides a height."""
    for _, record in chain.scan(SETS, after=height_key(height + 1), reverse=True):
        return ValidatorSet(record.members)
    raise Broken("no validator set is stored for height {height}", height=height)


def validators_get(chain: Chain, height: int | None = None) -> dict[str, Any]:
    """The validators of a height, by default of the next."""
    at = chain.height + 1 if height is None else height
    if not 0 < at <= chain.height + 2:
        raise Rejected("block.not_found", text=str(at), height=chain.height)
    validators = validators_at(chain, at)
    members = [
        {"name": member.name, "key": member.key.hex(), "rewards_to": chain.address(member.rewards_to)}
        for member in validators.members
    ]
    return {
        "items": members,
        "next": None,
        "hash": validators.hash.hex(),
        "quorum": validators.quorum,
        "height": at,
    }


def handovers_before(chain: Chain, height: int, start: int = 0) -> list[Handover]:
    """Every change of the validator set whose last old header lies in [start, height)."""
    found = []
    for key, record in chain.scan(SETS, after=height_key(max(start, 1))):
        last = int.from_bytes(key, "big") - 1
        if last >= height:
            break
        signed = find_signed(chain.store, last)
        if signed is None:
            raise Rejected("block.not_found", text=str(last), height=chain.height)
        found.append(Handover(*signed, record.members))
    return found


def handover_list(
    chain: Chain, from_height: int = 0, cursor: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Changes of the validator set, the oldest first, with everything a light client needs to follow them."""
    start = max(from_height, _number(cursor))
    size = page_size(limit)
    found = handovers_before(chain, chain.height + 1, start)
    items = [{"height": handover.header.height, **handover_document(handover)} for handover in found[:size]]
    following = str(found[size].header.height) if len(found) > size else None
    return {"items": items, "next": following, "height": chain.height}


# Parameters


def params_get(chain: Chain) -> dict[str, Any]:
    return {**params_json(chain.genesis.params), "height": chain.height}


def genesis_get(chain: Chain) -> dict[str, Any]:
    """The genesis as the text of its file, and its hash, which does not depend on that text's white space."""
    return {"json": genesis_json(chain.genesis), "hash": chain.genesis.hash.hex(), "height": chain.height}


def supply_get(chain: Chain) -> dict[str, Any]:
    """Where all money is, added up over the whole state: it sums to what genesis minted."""
    books = audit((key[len(STATE) :], value) for key, value in chain.store.scan(STATE))
    return {
        "minted_ubeat": str(books.minted_ubeat),
        "balances_ubeat": str(books.balances_ubeat),
        "escrow_ubeat": str(books.escrow_ubeat),
        "pools_ubeat": str(books.royalties_ubeat + books.fees_ubeat),
        "burnt_ubeat": str(books.burnt_ubeat),
        "height": chain.height,
    }


def rows_get(chain: Chain, height: int, txs: Sequence[str] = ()) -> dict[str, Any]:
    """The rows of a height's finalisation with their paths to the results root in the next header, and both headers.

    With them the results of those of `txs` that the block has: they hold what each transaction did.
    """
    record, following = block_at(chain, height), block_at(chain, height + 1)
    leaves = find_results(chain.store, height) or ()
    first, wanted = len(record.transactions), set(txs)
    paths = inclusion_paths(leaves, 0 if wanted else first)
    shown = [
        {"index": index, "row": _base64(leaves[index]), "path": [node.hex() for node in path]}
        for index, path in enumerate(paths, len(leaves) - len(paths))
    ]
    rows = shown[len(shown) - (len(leaves) - first) :]
    results = [entry for entry, tx in zip(shown, record.transactions, strict=False) if tx.hex() in wanted]
    return {
        "height": height,
        "count": len(leaves),
        "rows": rows,
        "transactions": [{"index": one["index"], "result": one["row"], "path": one["path"]} for one in results],
        "block": _base64(encode(record.block.header)),
        "header": _base64(encode(following.block.header)),
        "commit": _base64(encode(following.commit)),
    }


# Events


def events_of(chain: Chain, height: int) -> list[tuple[int, Event]]:
    """The ledger's events of a height, each with the index of its transaction; finalisation comes last."""
    lists = find_events(chain.store, height) or ()
    return [(index, event) for index, raw in enumerate(lists) for event in decode_events(raw)]


def stream_events(chain: Chain, height: int) -> list[dict[str, Any]]:
    """The events of a height as subscribers get them: the block itself, then what the ledger tells, in order."""
    record = find_block(chain.store, height)
    if record is None:
        return []
    header = record.block.header
    ids = record.transactions
    shown = [_block_event(chain, header, len(ids))]
    for position, event in events_of(chain, height):
        tx = ids[position].hex() if position < len(ids) else None
        shown.append(({**event_json(event, chain.dev), "tx": tx}, event_text(event, chain.dev, chain.name)))
    return [
        {
            "cursor": f"{height}.{index}",
            "height": height,
            "index": index,
            "time_ms": header.time_ms,
            "topic": event["kind"].partition(".")[0],
            "event": event,
            "text": text,
        }
        for index, (event, text) in enumerate(shown)
    ]


def _block_event(chain: Chain, header: Header, count: int) -> tuple[dict[str, Any], str]:
    """The same on every node: nothing of the commit, which may differ."""
    proposer = validator_name(chain, header.height, header.proposer)
    event = {
        "kind": "block.committed",
        "id": block_id(header).hex(),
        "proposer": header.proposer.hex(),
        "proposer_name": proposer,
        "transactions": count,
        "tx": None,
    }
    shown = "no transactions" if count == 0 else "1 transaction" if count == 1 else f"{count} transactions"
    return event, f"Block {header.height} by {proposer}: {shown}"


def validator_name(chain: Chain, height: int, key: bytes) -> str:
    """What people call the validator with this key."""
    for member in validators_at(chain, height).members:
        if member.key == key:
            return member.name
    return key.hex()[:12]


# Shapes


def _summary(chain: Chain, record: BlockRecord) -> dict[str, Any]:
    header = record.block.header
    return {
        "height": header.height,
        "id": block_id(header).hex(),
        "time_ms": header.time_ms,
        "round": header.round,
        "proposer": header.proposer.hex(),
        "proposer_name": validator_name(chain, header.height, header.proposer),
        "app_hash": header.app_hash.hex(),
        "transactions": len(record.transactions),
    }


def _commit(chain: Chain, commit: Commit) -> dict[str, Any]:
    members = validators_at(chain, commit.height).members
    signers = [members[entry.index] for entry in commit.signatures]
    return {
        "round": commit.round,
        "signers": [member.key.hex() for member in signers],
        "signer_names": [member.name for member in signers],
        "validators": len(members),
    }


def _batch(raw: bytes) -> tuple[dict[str, Any], list[list[str]]]:
    """A batch as it is shown, and the kinds of the actions of each of its transactions; checked when it came in."""
    fields, _signature, transactions = msgpack.unpackb(raw, raw=False, use_list=False)
    header = BatchHeader(*fields)
    shown = {
        "digest": batch_id(header).hex(),
        "author": header.author.hex(),
        "count": header.count,
        "bytes": header.bytes,
    }
    return shown, [_kinds(transaction) for transaction in transactions]


def _kinds(raw: bytes) -> list[str]:
    body, _signatures = msgpack.unpackb(raw, raw=False, use_list=False)
    actions = msgpack.unpackb(body, raw=False, use_list=False)[6]
    return [action[0] for action in actions]


def _unkept(digest: bytes) -> dict[str, Any]:
    return {"digest": digest.hex(), "author": None, "count": None, "bytes": None}


def _payment(chain: Chain, event: Event) -> dict[str, Any]:
    """Who was paid: the party's name, or the address where it has none."""
    shown = event_json(event, chain.dev)
    account = event.fields.get("party")
    name = chain.name(account) if isinstance(account, bytes) else None
    return {
        "asset": shown["asset"],
        "party": name or shown["party"],
        "layer": shown["layer"],
        "amount_ubeat": shown["amount_ubeat"],
    }


def _number(cursor: str | None) -> int:
    """The height in a cursor of a list of heights; 0 without one."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 16):
        raise Rejected("rpc.cursor_malformed", text=cursor[:40])
    return int(cursor)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
