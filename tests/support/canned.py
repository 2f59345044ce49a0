"""Answers of a node, one of each shape; complete, so that a missing key fails a test."""

from __future__ import annotations

from typing import Any

from concento.accounts import account_of_key, address
from concento.cids import cid
from concento.development import ACCOUNTS, development_seed
from concento.devnet import development_genesis
from concento.keys import public_key
from concento.messages import assets, disputes, governance, licences
from concento.terms import PURPOSES
from concento.transactions import Transaction, licence_id, object_id

GENESIS = development_genesis()
WHO = {name: address(account_of_key(public_key(development_seed(name))), dev=True) for name in ACCOUNTS}
NAMES = {written: name for name, written in WHO.items()}

ASSET = "a5" * 32
WORK = "a6" * 32
MEMBER = "a7" * 32
OFFER = "0f" * 32
LICENCE = "1c" * 32
RECEIPT = "4e" * 32
TX = "7a" * 32
BLOCK = "b1" * 32
TIME_MS = 1_793_491_300_000

PURPOSE_TABLE = {name: "allow" if name == "train-generative" else "deny" for name in PURPOSES}

STATUS = {
    "chain_id": GENESIS.chain_id,
    "genesis_hash": GENESIS.hash.hex(),
    "dev": True,
    "name": "node1",
    "role": "validator",
    "version": "0.1.0",
    "protocol": 1,
    "height": 118,
    "block_id": BLOCK,
    "app_hash": "ab" * 32,
    "time_ms": TIME_MS,
    "round": 0,
    "step": "new_height",
    "proposer": "node2",
    "peers": 3,
    "pool": 0,
    "syncing": False,
    "ready": True,
    "tip_age_ms": 1200,
    "oldest_height": 1,
}

OFFER_DOCUMENT = {
    "id": OFFER,
    "terms_hash": "7e" * 32,
    "layers": ["work", "recording"],
    "pricing": [
        {"model": "one-off", "price_ubeat": "40000000"},
        {"model": "per-access", "price_ubeat": "50000000"},
    ],
    "purposes": PURPOSE_TABLE,
    "expires_ms": None,
}

DATASET = {
    "id": ASSET,
    "kind": "dataset",
    "title": "Night Bus",
    "owner": WHO["alice"],
    "owner_name": "alice",
    "tags": ["lofi"],
    "registered": {"height": 12, "time_ms": TIME_MS, "tx": TX},
    "state": "sealed",
    "identifiers": {"isrc": None, "iswc": None},
    "parts": [],
    "facts": None,
    "work": None,
    "legs": [{"target": MEMBER, "bps": 10_000}],
    "shares_total": "6",
    "holders": [{"holder": MEMBER, "shares": "6"}],
    "members": {
        "count": 6,
        "weight_rule": "equal",
        "member_bps": 10_000,
        "root": "cc" * 32,
        "recordings": 6,
        "duration_ms": 48_000,
        "bytes": 1_600_000,
    },
    "parents": [],
    "offers": [OFFER_DOCUMENT],
    "height": 118,
}

RECORDING = {
    **DATASET,
    "id": MEMBER,
    "kind": "recording",
    "title": "Depot",
    "state": "registered",
    "identifiers": {"isrc": "DEA123456789", "iswc": None},
    "parts": [
        {
            "path": "06 Depot.wav",
            "media_type": "audio/wav",
            "cid": cid(bytes(32)),
            "chunk_root": "dd" * 32,
            "bytes": 9000,
        }
    ],
    "facts": {"duration_ms": 61_000, "sample_rate_hz": 44_100, "channels": 1},
    "work": WORK,
    "legs": [{"target": WORK, "bps": 5_000}, {"target": "own", "bps": 5_000}],
    "shares_total": "1000000",
    "holders": [{"holder": WHO["alice"], "shares": "700000"}, {"holder": WHO["bea"], "shares": "300000"}],
    "members": None,
    "offers": [],
}

LICENCE_DOCUMENT = {
    "id": LICENCE,
    "offer": OFFER,
    "asset": ASSET,
    "title": "Night Bus",
    "licensee": WHO["bob"],
    "layers": ["work", "recording"],
    "purposes": ["train-generative"],
    "terms_hash": "7e" * 32,
    "price_ubeat": "40000000",
    "deposit_ubeat": "0",
    "deposit_free_ubeat": "0",
    "advance_ubeat": "0",
    "unit": "access",
    "unit_price_ubeat": "50000000",
    "tiers": [],
    "units_used": 6,
    "units_locked": 0,
    "reported": None,
    "quota": {"unit": "access", "total": 100, "left": 94},
    "starts_ms": TIME_MS,
    "expires_ms": None,
    "state": "active",
    "receipts": {
        "count": 6,
        "units": 6,
        "lanes": [{"gateway": WHO["gateway1"], "lane": 7, "last_seq": 5, "units": 6}],
    },
    "slots": {"models": 0, "outputs": 0, "outputs_authorised": 12, "outputs_by_service": 3},
    "height": 118,
}

VAULT = "5a" * 32
VAULT_DOCUMENT = {
    "id": VAULT,
    "title": "Friends",
    "owner": WHO["alice"],
    "owner_name": "alice",
    "state": "sealed",
    "rows": 3,
    "pages": 1,
    "shares_total": "30",
    "credited_ubeat": "100",
    "paid_ubeat": "99",
    "waiting_ubeat": "1",
    "opened_height": 40,
    "height": 118,
}

DISPUTE = "d5" * 32
DISPUTE_DETAILS = ("answer_bond_ubeat", "answer_evidence", "votes", "ruling", "original", "tx", "height")
DISPUTE_DOCUMENT = {
    "id": DISPUTE,
    "asset": ASSET,
    "reason": "ownership",
    "state": "answered",
    "claimant": WHO["dana"],
    "respondent": WHO["alice"],
    "leg": 0,
    "bps": 5_000,
    "holder": None,
    "shares": "0",
    "bond_ubeat": "10000000",
    "held_ubeat": "19800000",
    "held_ubeat_max": "100000000",
    "evidence": cid(bytes(32)),
    "opened_ms": TIME_MS,
    "deadline_ms": TIME_MS + 86_400_000,
    "opened_height": 100,
    "answer_bond_ubeat": "10000000",
    "answer_evidence": None,
    "votes": [{"arbiter": WHO["carol"], "ruling": "ab" * 32}],
    "ruling": None,
    "original": None,
    "tx": TX,
    "height": 118,
}

RECEIPT_DOCUMENT = {
    "id": RECEIPT,
    "licence": LICENCE,
    "asset": ASSET,
    "member": MEMBER,
    "gateway": WHO["gateway1"],
    "licensee": WHO["bob"],
    "seq": 5,
    "purpose": "train-generative",
    "bytes": 9000,
    "unit": "access",
    "units": 1,
    "amount_ubeat": "50000",
    "cid": cid(bytes(32)),
    "batch": {"tx": TX, "height": 60, "root": "ee" * 32, "index": 5, "path": ["aa" * 32]},
    "signatures": {"gateway": "11" * 64, "voucher": "22" * 64},
}

LINE = {
    "height": 50,
    "index": 0,
    "time_ms": TIME_MS,
    "cause": "sale",
    "source": "sale",
    "cause_tx": TX,
    "payer": WHO["bob"],
    "asset": MEMBER,
    "title": "=Depot",
    "layer": "recording",
    "path": [ASSET, MEMBER],
    "shares": "700000",
    "shares_total": "1000000",
    "gross_ubeat": "40000000",
    "fee_ubeat": "400000",
    "upstream_ubeat": "0",
    "keep_ubeat": "39600000",
    "amount_ubeat": "27720000",
    "rate": "0.7",
    "paid_height": 50,
}

STATEMENT = {
    "who": "alice",
    "address": WHO["alice"],
    "from_height": 1,
    "to_height": 118,
    "opening_ubeat": "10000000000",
    "earned_ubeat": "27720000",
    "other_ubeat": "-1000",
    "closing_ubeat": "10027719000",
    "lines": [LINE],
    "accrued_ubeat": "0",
    "next": None,
    "height": 118,
}

BLOCK_DOCUMENT = {
    "height": 118,
    "id": BLOCK,
    "time_ms": TIME_MS,
    "round": 0,
    "proposer": "node2",
    "parent": "b0" * 32,
    "app_hash": "ab" * 32,
    "results_root": "ad" * 32,
    "batches": [{"digest": "ba" * 32, "author": "node1", "count": 1, "bytes": 300}],
    "txs": [{"tx": TX, "status": "final", "kinds": ["tokens.transfer"]}],
    "paid": [{"asset": MEMBER, "party": "alice", "layer": "recording", "amount_ubeat": "27720000"}],
    "commit": {"round": 0, "signers": ["node1", "node2", "node3"]},
}


class Refusal(Exception):
    """Makes the node answer with an error object."""

    def __init__(self, code: int, kind: str, message: str = "refused", **data: Any) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "data": {"kind": kind, **data}}


def page(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"items": list(items), "next": None, "height": 118, **more}


def created_by(transaction: Transaction) -> list[dict[str, str]]:
    """What the actions of a transaction create, with the ids that the chain would give."""
    kinds = {
        licences.CreateOffer: "offer",
        assets.RegisterWork: "asset",
        assets.RegisterRecording: "asset",
        assets.RegisterDataset: "asset",
        disputes.OpenDispute: "dispute",
        governance.Propose: "proposal",
    }
    body = transaction.body
    found: list[dict[str, str]] = []
    for index, action in enumerate(body.actions):
        if isinstance(action, licences.BuyLicence):
            found.append({"kind": "licence", "id": licence_id(transaction.id, index).hex()})
        elif (kind := kinds.get(type(action))) is not None:
            found.append({"kind": kind, "id": object_id(kind, body.sender, body.nonce, index).hex()})
    return found


def _account(params: dict[str, Any]) -> dict[str, Any]:
    who = params["who"].removeprefix("@")
    written = WHO.get(who) or (who if who in NAMES or who.startswith("tconc1") else None)
    if written is None:
        raise Refusal(-32001, "account.not_found", f"no account is known as {who}", hint="see: concento identity list")
    name = NAMES.get(written)
    return {
        "address": written,
        "name": name,
        "party": {"id": written, "kind": "person", "roles": ["creator"]} if name else None,
        "balance_ubeat": "10000000000",
        "escrow_ubeat": "0",
        "accrued_ubeat": "0",
        "policy": {"threshold": 1, "keys": ["aa" * 32]},
        "height": 118,
    }


def _asset(params: dict[str, Any]) -> dict[str, Any]:
    wanted = params["id"]
    for document in (DATASET, RECORDING):
        if str(document["id"]).startswith(wanted):
            return document
    raise Refusal(-32001, "asset.not_found", f"there is no asset {wanted}", hint="see: concento asset search")


def _by_id(document: dict[str, Any], kind: str, name: str = "id") -> Any:
    def answer(params: dict[str, Any]) -> dict[str, Any]:
        wanted = params.get(name)
        if wanted is not None and not str(document["id"]).startswith(str(wanted)):
            raise Refusal(-32001, f"{kind}.not_found", f"there is no {kind} {wanted}")
        return document

    return answer


def _party(params: dict[str, Any]) -> dict[str, Any]:
    account = _account(params)
    if account["name"] is None:
        raise Refusal(-32001, "identity.not_found", "no party")
    return {
        "address": account["address"],
        "name": account["name"],
        "kind": "person",
        "roles": ["creator"],
        "policy": account["policy"],
        "payout": {"mode": "now", "amount_ubeat": "0", "period_ms": 0},
        "height": 118,
    }


def _check(params: dict[str, Any]) -> dict[str, Any]:
    allowed = params["licensee"] == WHO["bob"] and params["purpose"] == "train-generative"
    return {
        "allowed": allowed,
        "licence": LICENCE if allowed else None,
        "kind": None if allowed else "licence.required",
        "hint": None if allowed else f"concento licence buy {ASSET}",
        "height": 118,
    }


ANSWERS: dict[str, Any] = {
    "chain_getParams": {"consensus": {"replay_window_ms": 120_000}},
    "node_getStatus": STATUS,
    "node_getPeers": page(
        {
            "name": "node2",
            "key": "02" * 32,
            "address": "127.0.0.1:26621",
            "connected": True,
            "direction": "out",
            "height": 118,
            "since_ms": TIME_MS,
            "queued_bytes": 0,
        }
    ),
    "account_get": _account,
    "account_getHistory": page(
        {
            "height": 118,
            "index": 1,
            "time_ms": TIME_MS,
            "tx": TX,
            "cause": "transfer",
            "counterparty": WHO["bob"],
            "amount_ubeat": "-5000000",
            "balance_ubeat": "9995000000",
        },
        next="117.0",
    ),
    "identity_get": _party,
    "identity_list": page({"name": "alice", "address": WHO["alice"], "kind": "person", "roles": ["creator"]}),
    "asset_get": _asset,
    "asset_getLineage": {
        "asset": ASSET,
        "direction": "descendants",
        "ancestors": 0,
        "generations": 0,
        "claims": [],
        "items": [
            {
                "asset": MEMBER,
                "child": MEMBER,
                "parent": ASSET,
                "depth": 1,
                "rel_bps": 2_500,
                "abs_bps": 100,
                "ceiling_ubeat": "7000000",
                "right": LICENCE,
                "purpose": "derive-remix",
                "from_height": 0,
                "kind": "remix",
                "title": "Night Bus (Slow)",
                "owner": WHO["bob"],
                "owner_name": "bob",
            }
        ],
        "next": None,
        "complete": True,
        "height": 118,
    },
    "asset_list": page(
        {
            "id": ASSET,
            "kind": "dataset",
            "title": "Night Bus",
            "owner": WHO["alice"],
            "owner_name": "alice",
            "tags": ["lofi"],
            "state": "sealed",
            "members": 6,
            "duration_ms": 60_000,
        }
    ),
    "asset_search": page(
        {
            "id": ASSET,
            "kind": "dataset",
            "title": "Night Bus",
            "owner": WHO["alice"],
            "owner_name": "alice",
            "tags": ["lofi"],
            "members": 6,
            "duration_ms": 60_000,
            "price_ubeat": "40000000",
            "offer": OFFER,
        },
        complete=True,
    ),
    "licence_get": _by_id(LICENCE_DOCUMENT, "licence"),
    "licence_list": page(LICENCE_DOCUMENT),
    "licence_getOffer": _by_id({**OFFER_DOCUMENT, "asset": ASSET}, "offer"),
    "licence_check": _check,
    "receipt_get": _by_id(RECEIPT_DOCUMENT, "receipt"),
    "receipt_list": page(RECEIPT_DOCUMENT),
    "earnings_getStatement": STATEMENT,
    "dispute_get": _by_id(DISPUTE_DOCUMENT, "dispute"),
    "vault_get": _by_id(VAULT_DOCUMENT, "vault"),
    "dispute_list": page(
        {name: DISPUTE_DOCUMENT[name] for name in DISPUTE_DOCUMENT if name not in DISPUTE_DETAILS},
    ),
    "chain_getBlock": _by_id(BLOCK_DOCUMENT, "block"),
    "chain_getHandovers": page(),
    "chain_getSupply": {
        "minted_ubeat": "1000",
        "balances_ubeat": "900",
        "escrow_ubeat": "50",
        "pools_ubeat": "30",
        "burnt_ubeat": "20",
        "height": 118,
    },
    "rpc.discover": {
        "openrpc": "1.3.2",
        "methods": [
            {"name": "node_getStatus", "summary": "Where this node stands.", "params": []},
            {
                "name": "asset_get",
                "summary": "One asset.",
                "params": [{"name": "id", "required": True, "schema": {"type": "string"}}],
            },
            {
                "name": "chain_getBlock",
                "summary": "One block.",
                "params": [{"name": "height", "schema": {"type": "integer"}}],
            },
        ],
    },
}
