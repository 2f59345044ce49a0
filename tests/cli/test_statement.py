"""Statements are recomputed from signed headers: whatever a liar changes is found."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.statement import verify
from concento.accounts import parse_address
from concento.blocks import Header, block_id
from concento.development import development_seed, validator_names
from concento.devnet import development_genesis
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.genesis import genesis_json
from concento.keys import public_key, sign
from concento.merkle import inclusion_path, merkle_root
from concento.votes import Commit, CommitSignature, VoteType, vote_bytes
from state.modules.revenue import Payout, PayoutRow
from support.canned import LINE, STATEMENT, WHO
from support.fake_node import FakeNode

GENESIS = development_genesis()
ALICE = parse_address(WHO["alice"], dev=True)
BEA = parse_address(WHO["bea"], dev=True)
PAID = int(LINE["amount_ubeat"])
HEIGHT = 50


def block_of(rows: list[bytes], height: int = HEIGHT) -> dict[str, Any]:
    """What a node says of the rows of a block: behind one transaction's result, under a header signed by all four."""
    leaves = [b"the result of a transaction", *rows]
    header = Header(
        chain_id=GENESIS.chain_id,
        height=height + 1,
        round=0,
        time_ms=GENESIS.time_ms + 1,
        proposer=GENESIS.validators.keys[0],
        parent_id=bytes(32),
        content_root=bytes(32),
        last_commit_root=bytes(32),
        evidence_root=bytes(32),
        validators_hash=GENESIS.validators.hash,
        next_validators_hash=GENESIS.validators.hash,
        app_hash=bytes(32),
        results_root=merkle_root(leaves),
        missed_hash=bytes(32),
        protocol=1,
    )
    return {
        "height": height,
        "count": len(leaves),
        "rows": [
            {
                "index": index,
                "row": base64.b64encode(leaves[index]).decode(),
                "path": [node.hex() for node in inclusion_path(leaves, index)],
            }
            for index in range(1, len(leaves))
        ],
        "header": base64.b64encode(encode(header)).decode(),
        "commit": base64.b64encode(encode(commit_of(header))).decode(),
    }


def commit_of(header: Header, signers: int = 4) -> Commit:
    seeds = {public_key(development_seed(name)): development_seed(name) for name in validator_names(4)}
    identity = block_id(header)
    message = vote_bytes(GENESIS.network, VoteType.PRECOMMIT, header.height, 0, identity)
    signatures = [
        CommitSignature(index, sign(seeds[key], message)) for index, key in enumerate(GENESIS.validators.keys[:signers])
    ]
    return Commit(header.height, 0, identity, tuple(signatures))


def payout_row(amount_ubeat: int = PAID) -> bytes:
    return encode(PayoutRow((Payout(BEA, BEA, 11), Payout(ALICE, ALICE, amount_ubeat))))


@pytest.fixture
def document() -> dict[str, Any]:
    """A statement that is right."""
    return {
        "format": "concento-statement-1",
        "chain_id": GENESIS.chain_id,
        "genesis_hash": GENESIS.hash.hex(),
        "statement": copy.deepcopy(STATEMENT),
        "blocks": [block_of([payout_row()])],
        "handovers": [],
    }


def refusal(document: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        verify(document, GENESIS)
    return caught.value


def test_right_statement_is_recomputed(document):
    verdict = verify(document, GENESIS)
    assert verdict["ok"] is True
    assert verdict["earned_ubeat"] == str(PAID)
    assert (verdict["lines"], verdict["rows"], verdict["signers"], verdict["validators"]) == (1, 1, 4, 4)


def test_period_without_income_needs_no_proof(document):
    statement = {**document["statement"], "lines": [], "earned_ubeat": "0", "closing_ubeat": "9999999000"}
    verdict = verify({**document, "statement": statement, "blocks": []}, GENESIS)
    assert (verdict["earned_ubeat"], verdict["signers"]) == ("0", None)


def _more_in_a_line(document: dict[str, Any]) -> None:
    document["statement"]["lines"][0]["amount_ubeat"] = str(PAID + 1)


def _more_everywhere(document: dict[str, Any]) -> None:
    _more_in_a_line(document)
    document["statement"]["earned_ubeat"] = str(PAID + 1)
    document["statement"]["closing_ubeat"] = str(int(STATEMENT["closing_ubeat"]) + 1)


def _line_left_out(document: dict[str, Any]) -> None:
    document["statement"]["lines"] = []


def _other_closing(document: dict[str, Any]) -> None:
    document["statement"]["closing_ubeat"] = "1"


def _other_earned(document: dict[str, Any]) -> None:
    document["statement"]["earned_ubeat"] = "1"


def _other_address(document: dict[str, Any]) -> None:
    document["statement"]["address"] = WHO["bob"]


def _block_left_out(document: dict[str, Any]) -> None:
    document["blocks"] = []


def _block_twice(document: dict[str, Any]) -> None:
    document["blocks"] *= 2


def _row_twice(document: dict[str, Any]) -> None:
    document["blocks"][0]["rows"] *= 2


def _other_row(document: dict[str, Any]) -> None:
    document["blocks"][0]["rows"][0]["row"] = base64.b64encode(payout_row(PAID + 1)).decode()


def _other_height(document: dict[str, Any]) -> None:
    document["blocks"][0]["height"] += 1


def _few_signatures(document: dict[str, Any]) -> None:
    block = document["blocks"][0]
    header = Header(*_fields(base64.b64decode(block["header"])))
    block["commit"] = base64.b64encode(encode(commit_of(header, signers=2))).decode()


def _unsigned_header(document: dict[str, Any]) -> None:
    forged = block_of([payout_row(PAID), payout_row(1)])
    document["blocks"][0] = {**forged, "commit": document["blocks"][0]["commit"]}


def _no_base64(document: dict[str, Any]) -> None:
    document["blocks"][0]["header"] = "%"


def _field_missing(document: dict[str, Any]) -> None:
    del document["statement"]["opening_ubeat"]


def _lines_of_nothing(document: dict[str, Any]) -> None:
    document["statement"]["lines"] = [None]


def _format(document: dict[str, Any]) -> None:
    document["format"] = "concento-statement-2"


def _network(document: dict[str, Any]) -> None:
    document["genesis_hash"] = "00" * 32


def _fields(data: bytes) -> tuple[Any, ...]:
    header = decode(Header, data)
    return tuple(getattr(header, name) for name in Header.__struct_fields__)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (_more_in_a_line, "statement.differs"),
        (_more_everywhere, "statement.differs"),
        (_line_left_out, "statement.differs"),
        (_other_closing, "statement.invalid"),
        (_other_earned, "statement.invalid"),
        (_other_address, "statement.differs"),
        (_block_left_out, "statement.invalid"),
        (_block_twice, "statement.invalid"),
        (_row_twice, "statement.invalid"),
        (_other_row, "proof.invalid"),
        (_other_height, "statement.invalid"),
        (_few_signatures, "commit.invalid"),
        (_unsigned_header, "commit.invalid"),
        (_no_base64, "statement.invalid"),
        (_field_missing, "statement.invalid"),
        (_lines_of_nothing, "statement.invalid"),
        (_format, "statement.invalid"),
        (_network, "statement.invalid"),
    ],
)
def test_every_lie_is_found(document, change: Callable[[dict[str, Any]], None], kind):
    change(document)
    assert refusal(document).kind == kind


@pytest.mark.parametrize("nonsense", [None, [], "x", {}, {"format": "concento-statement-1"}])
def test_nonsense_is_refused_by_name(nonsense):
    assert refusal(nonsense).kind == "statement.invalid"


def test_written_statement_verifies_and_a_changed_one_exits_8(concento, node: FakeNode, tmp_path: Path):
    node.answers["chain_getRows"] = lambda params: block_of([payout_row()], params["height"])
    genesis = tmp_path / "genesis.json"
    genesis.write_text(genesis_json(GENESIS))
    out = tmp_path / "statement.json"
    assert concento("earnings", "alice", "--out", str(out)).code == 0
    right = concento("earnings", "verify", str(out), "--genesis", str(genesis))
    assert right.code == 0
    assert "is right: 27.720000 BEAT earned." in right.out

    document = json.loads(out.read_text())
    document["statement"]["lines"][0]["amount_ubeat"] = "1"
    out.write_text(json.dumps(document))
    wrong = concento("earnings", "verify", str(out), "--genesis", str(genesis), "--json")
    assert wrong.code == 8
    assert wrong.document["error"]["data"]["kind"] == "statement.differs"
