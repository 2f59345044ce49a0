"""Proofs for outsiders under CometBFT: our record and its path, CometBFT's header and commit, in one document."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Any, Final

from concento.cometlight import CometBlockId, CometCommit, CometHandover, CometHeader, CometSignature, CometTime
from concento.encoding import encode
from concento.errors import Rejected, Unavailable
from concento.light import FORMAT
from node.comet.engine import Engine
from node.rpc.calls import Call, wait_for_height
from node.rpc.chain_methods import CHAIN_METHODS, From
from node.rpc.dispatch import Method
from node.rpc.proof_methods import PROOF_METHODS, ProofKey
from node.rpc.tx_methods import body_reader
from state.queries_chain import handover_list, handovers_before
from state.queries_proofs import claim_of, newest_header

COMMITTED: Final = 2
"""The flag of a precommit for the block, among those of a commit."""
ENGINE: Final = "comet"
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


def comet_methods(engine: Engine) -> tuple[Method, ...]:
    """What replaces the methods of the same names where CometBFT decides; what its headers do not bind is refused."""

    async def get_proof(call: Call, params: ProofKey) -> dict[str, Any]:
        chain = call.desk.chain
        claim = claim_of(chain, params.key, body_reader(call))
        found = newest_header(chain, claim)
        if found is None:
            await wait_for_height(call, claim.height + 1)
        at = found or claim.height + 1
        header, commit = await signed_header(engine, at)
        handovers = []
        for ours in handovers_before(call.desk.chain, at):
            signed = await signed_header(engine, ours.header.height)
            handovers.append(handover_document(CometHandover(*signed, ours.members)))
        return {
            "format": FORMAT,
            "engine": ENGINE,
            "chain_id": chain.network.chain_id,
            "genesis_hash": chain.network.genesis_hash.hex(),
            "height": at - 1,
            "key": claim.key,
            "value": None if claim.value is None else _base64(claim.value),
            "nodes": [node.hex() for node in claim.nodes],
            "header": _base64(encode(header)),
            "commit": _base64(encode(commit)),
            "handovers": handovers,
            "receipt": claim.receipt,
        }

    async def get_handovers(call: Call, params: From) -> dict[str, Any]:
        page = handover_list(call.desk.chain, params.from_height, params.cursor, params.limit)
        items = []
        for item in page["items"]:
            header, commit = await signed_header(engine, item["height"])
            items.append({**item, "header": _base64(encode(header)), "commit": _base64(encode(commit))})
        return {**page, "items": items}

    async def refuse(_call: Call, _params: Any) -> dict[str, Any]:
        raise Rejected("proof.engine")

    own = {"state_getProof": get_proof, "chain_getHandovers": get_handovers, "chain_getRows": refuse}
    return tuple([_with(method, own[method.name]) for method in (*PROOF_METHODS, *CHAIN_METHODS) if method.name in own])


async def signed_header(engine: Engine, height: int) -> tuple[CometHeader, CometCommit]:
    """A header of CometBFT and the commit that it keeps for it."""
    answer = await engine.ask("commit", height=str(height))
    try:
        signed = answer["signed_header"]
        return header_of(signed["header"]), commit_of(signed["commit"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable("comet.silent", method=f"commit: {error!r}") from None


def header_of(document: dict[str, Any]) -> CometHeader:
    """A header as CometBFT's RPC shows it."""
    return CometHeader(
        version_block=int(document["version"]["block"]),
        version_app=int(document["version"].get("app", 0)),
        chain_id=document["chain_id"],
        height=int(document["height"]),
        time=time_of(document["time"]),
        last_block=_block_id(document["last_block_id"]),
        last_commit_hash=bytes.fromhex(document["last_commit_hash"]),
        data_hash=bytes.fromhex(document["data_hash"]),
        validators_hash=bytes.fromhex(document["validators_hash"]),
        next_validators_hash=bytes.fromhex(document["next_validators_hash"]),
        consensus_hash=bytes.fromhex(document["consensus_hash"]),
        app_hash=bytes.fromhex(document["app_hash"]),
        last_results_hash=bytes.fromhex(document["last_results_hash"]),
        evidence_hash=bytes.fromhex(document["evidence_hash"]),
        proposer=bytes.fromhex(document["proposer_address"]),
    )


def commit_of(document: dict[str, Any]) -> CometCommit:
    """A commit as CometBFT's RPC shows it, without the votes that are not for the block."""
    signatures = tuple(
        CometSignature(
            bytes.fromhex(entry["validator_address"]),
            time_of(entry["timestamp"]),
            base64.b64decode(entry["signature"]),
        )
        for entry in document["signatures"]
        if entry["block_id_flag"] == COMMITTED
    )
    return CometCommit(int(document["round"]), _block_id(document["block_id"]), signatures)


def time_of(text: str) -> CometTime:
    """A time of RFC 3339 with up to nine decimals."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is no time")
    born = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return CometTime(int(born.timestamp()), int((found[2] or "").ljust(9, "0")))


def handover_document(handover: CometHandover) -> dict[str, str]:
    return {
        "header": _base64(encode(handover.header)),
        "commit": _base64(encode(handover.commit)),
        "validators": _base64(encode(handover.members)),
    }


def _block_id(document: dict[str, Any]) -> CometBlockId:
    parts = document["parts"]
    return CometBlockId(bytes.fromhex(document["hash"]), int(parts["total"]), bytes.fromhex(parts["hash"]))


def _with(method: Method, run: Any) -> Method:
    return Method(
        method.name, method.summary, method.params, method.result, run,
        (*method.errors, "proof.engine"), method.example, method.local,
    )  # fmt: skip


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
