"""state_getProof: a record, and everything that an outsider needs to check it with the genesis file alone."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from node.rpc import shapes
from node.rpc.calls import Call, wait_for_height
from node.rpc.dispatch import Method, Params
from node.rpc.tx_methods import body_reader
from state.queries_proofs import claim_of, newest_header, proof_get


class ProofKey(Params):
    key: Annotated[
        str, Meta(max_length=200, description="account/ADDR, party/ADDR, asset/ID, offer/ID, licence/ID or receipt/ID")
    ]


async def get_proof(call: Call, params: ProofKey) -> dict[str, Any]:
    """Nodes are read before anything is awaited: they belong to the root of this moment."""
    desk = call.desk
    claim = claim_of(desk.chain, params.key, body_reader(call))
    if newest_header(desk.chain, claim) is None:
        await wait_for_height(call, claim.height + 1)
    return proof_get(desk.chain, claim)


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
