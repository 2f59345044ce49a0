"""Queries for outsiders: a record of the newest state, its nodes, and the signed header that carries its root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from concento.light import proof_document
from concento.statekeys import BY_ADDRESS, split_key, state_key
from state.queries import Chain, account_of, key_of
from state.queries_chain import block_at, handovers_before


@dataclass(frozen=True, slots=True)
class Claim:
    """A record and its path as they were under `root`, the state after `height`."""

    key: str
    value: bytes | None
    nodes: Sequence[bytes]
    root: bytes
    height: int
    receipt: dict[str, Any] | None = None


def claim_of(chain: Chain, text: str) -> Claim:
    """What KIND/NAME says in the newest state; the name may be short or a party's. Raises Rejected."""
    kind, name = split_key(text)
    full = chain.address(account_of(chain, name)) if kind in BY_ADDRESS else key_of(chain, kind, name)
    key = f"{kind}/{full}"
    where = state_key(key, chain.dev)
    return Claim(key, chain.read(where), chain.tree.prove(where), chain.tree.root, chain.height)


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
