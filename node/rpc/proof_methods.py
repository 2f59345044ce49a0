"""state_getProof: a record, and everything that an outsider needs to check it with the genesis file alone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from msgspec import Meta

from concento.errors import Unavailable
from node.rpc import shapes
from node.rpc.calls import Call
from node.rpc.dispatch import Method, Params
from state.queries_proofs import Claim, claim_of, newest_header, proof_get

PROOF_WAIT_S_MAX: Final = 10.0
"""How long to wait for the block that carries the newest root: due at once, so this is a network without a quorum."""


class ProofKey(Params):
    key: Annotated[
        str, Meta(max_length=200, description="account/ADDR, party/ADDR, asset/ID, offer/ID, licence/ID or receipt/ID")
    ]


async def get_proof(call: Call, params: ProofKey) -> dict[str, Any]:
    """Nodes are read before anything is awaited: they belong to the root of this moment."""
    desk = call.desk
    claim = claim_of(desk.chain, params.key)
    await _header_of(call, claim)
    return proof_get(desk.chain, claim)


async def _header_of(call: Call, claim: Claim) -> None:
    """Waits for the header that carries the claim's root."""
    desk, loop = call.desk, asyncio.get_running_loop()
    until_s = min(loop.time() + PROOF_WAIT_S_MAX, call.wait_until_s)
    while newest_header(desk.chain, claim) is None:
        if loop.time() >= until_s or desk.feed.closed:
            raise Unavailable("proof.no_block", seconds=int(PROOF_WAIT_S_MAX))
        await desk.feed.wait(until_s - loop.time())


PROOF_METHODS = (
    Method(
        "state_getProof",
        "A record of the state with the proof that it is there, or that it is not",
        ProofKey,
        shapes.Proof,
        get_proof,
        ("key.unknown_form", "account.not_found", "asset.not_found", "proof.no_block"),
        {"key": "account/<alice>"},
    ),
)
