"""Queries for outsiders: a record of the newest state, its nodes, and the signed header that carries its root."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from concento.errors import Broken, Rejected
from concento.light import proof_document
from concento.messages.receipts import receipt_id
from concento.statekeys import BY_ADDRESS, BY_NUMBER, RECEIPT, batch_state_key, parse_number, split_key, state_key
from state.queries import Chain, account_of, key_of
from state.queries_chain import block_at, handovers_before
from state.queries_receipts import Body, find_receipt, receipt_path


@dataclass(frozen=True, slots=True)
class Claim:
    """A record and its path as they were under `root`, the state after `height`."""

    key: str
    value: bytes | None
    nodes: Sequence[bytes]
    root: bytes
    height: int
    receipt: dict[str, Any] | None = None


def claim_of(chain: Chain, text: str, body: Body | None = None) -> Claim:
    """What KIND/NAME says in the newest state; the name may be short or a party's. Raises Rejected.

    `body` reads transactions, which some receipts need.
    """
    kind, name = split_key(text)
    if kind == RECEIPT:
        return _receipt_claim(chain, name, body)
    full = _full_name(chain, kind, name)
    key = f"{kind}/{full}"
    where = state_key(key, chain.dev)
    return Claim(key, chain.read(where), *_path(chain, where), chain.height)


def _full_name(chain: Chain, kind: str, name: str) -> str:
    if kind in BY_NUMBER:
        return str(parse_number(name))
    return chain.address(account_of(chain, name)) if kind in BY_ADDRESS else key_of(chain, kind, name)


def _receipt_claim(chain: Chain, name: str, body: Body | None) -> Claim:
    """The batch that a receipt was anchored with, and the receipt's path below the batch's head."""
    found = find_receipt(chain, name)
    path = receipt_path(chain, found, body)
    if path is None:
        raise Rejected("receipt.no_path", text=name)
    leaf, batch = found.body, found.batch
    where = batch_state_key(leaf.licence, leaf.gateway, leaf.lane, batch.first)
    receipt = {
        "body": base64.b64encode(found.raw).decode("ascii"),
        "first": batch.first,
        "index": leaf.seq,
        "size": batch.size,
        "path": [node.hex() for node in path],
    }
    key = f"{RECEIPT}/{receipt_id(found.raw).hex()}"
    return Claim(key, chain.read(where), *_path(chain, where), chain.height, receipt)


def _path(chain: Chain, where: bytes) -> tuple[Sequence[bytes], bytes]:
    """The nodes on the way to a record, and the root that they lie under."""
    if chain.tree is None:
        raise Broken("a proof was asked of a moment that has no tree")
    return chain.tree.prove(where), chain.tree.root


def newest_header(chain: Chain, claim: Claim) -> int | None:
    """The height of the header that carries the claim's root; None until it is decided.

    The state after h stands in header h + 1, and in later ones while nothing changes it.
    """
    height = chain.height
    if height > claim.height:
        return claim.height + 1
    if height > 0 and block_at(chain, height).block.header.app_hash == claim.root:
        return height
    return None


def proof_get(chain: Chain, claim: Claim) -> dict[str, Any]:
    """The proof document, once its header is decided."""
    height = newest_header(chain, claim)
    block = block_at(chain, height or 0)
    handovers = handovers_before(chain, block.block.header.height)
    document = proof_document(
        chain.network, claim.key, claim.value, claim.nodes, block.block.header, block.commit, handovers
    )
    return {**document, "receipt": claim.receipt}
