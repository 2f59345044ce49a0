"""Statements are recomputed from the genesis file alone: whatever a liar changes, adds or leaves out is found."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cli.statement import evidence, verify
from concento.blocks import Header, TransactionResult
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.genesis import genesis_json
from concento.hashing import NO_HASH
from state.modules.revenue import FROM_SOURCE, Inflow, Line, NodeRow, Source
from state.modules.tokens import Movements
from support.fake_node import FakeNode
from support.ledger import account_of
from support.node import DecidedLedger
from support.told import Asked, sold

Lie = Callable[[dict[str, Any]], None]


@cache
def told() -> DecidedLedger:
    """alice earned in three blocks, by 12 lines."""
    return sold()


@cache
def _written(first: int | None, last: int | None) -> str:
    asked = Asked(told())
    return json.dumps(evidence(asked, asked.whole("alice", first, last)))  # type: ignore[arg-type]


@pytest.fixture
def document() -> dict[str, Any]:
    """alice's statement of all time."""
    return json.loads(_written(None, None))  # type: ignore[no-any-return]


def refusal(document: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        verify(document, told().genesis)
    return caught.value


def test_right_statement_is_recomputed(document):
    verdict = verify(document, told().genesis)
    lines = document["statement"]["lines"]
    assert verdict["ok"] is True
    assert verdict["earned_ubeat"] == str(sum(int(line["amount_ubeat"]) for line in lines)) != "0"
    assert (verdict["lines"], verdict["blocks"], verdict["signers"], verdict["validators"]) == (12, 3, 3, 4)


def test_every_period_and_everybody_can_be_recomputed():
    asked, last = Asked(told()), told().height
    for who in ("alice", "bea", "bob", "carol", "fay", "dana"):
        for first, end in ((0, 0), (0, last), (last // 2, last), (5, last - 3), (last, last)):
            document = evidence(asked, asked.whole(who, first, end))  # type: ignore[arg-type]
            assert verify(document, told().genesis)["ok"] is True, (who, first, end)


def test_account_that_nothing_ever_moved_has_an_empty_statement_that_is_proved():
    asked = Asked(told())
    nobody = asked.chain.address(bytes(range(32)))
    document = evidence(asked, asked.whole(nobody))  # type: ignore[arg-type]
    assert verify(document, told().genesis)["earned_ubeat"] == "0"
    document["statement"]["closing_ubeat"] = "1"
    assert refusal(document).kind == "statement.invalid"


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _income(document: dict[str, Any]) -> dict[str, Any]:
    """The first block with an income: the last of its movements."""
    return next(item for item in document["movements"] if item["lines"][-1])


def _line(**changes: Any) -> Lie:
    def lie(document: dict[str, Any]) -> None:
        document["statement"]["lines"][0].update(changes)

    return lie


def _statement(**changes: Any) -> Lie:
    def lie(document: dict[str, Any]) -> None:
        document["statement"].update(changes)

    return lie


def _line_left_out(document: dict[str, Any]) -> None:
    del document["statement"]["lines"][3]


def _line_added(document: dict[str, Any]) -> None:
    document["statement"]["lines"].append(document["statement"]["lines"][0])


def _paying_block_left_out_everywhere(document: dict[str, Any]) -> None:
    """A consistent lie: the block's payment, its lines, and the sums are all gone."""
    statement, gone = document["statement"], _income(document)
    amount = sum(entry.amount_ubeat for entry in decode(Movements, _bytes(gone["movements"])).entries)
    document["movements"].remove(gone)
    statement["lines"] = [line for line in statement["lines"] if line["paid_height"] != gone["height"]]
    for name in ("earned_ubeat", "closing_ubeat"):
        statement[name] = str(int(statement[name]) - amount)


def _last_payment_left_out(document: dict[str, Any]) -> None:
    document["movements"].pop()


def _opening_and_closing_shifted(document: dict[str, Any]) -> None:
    """They still add up."""
    for name in ("opening_ubeat", "closing_ubeat"):
        document["statement"][name] = str(int(document["statement"][name]) + 1_000)


def _beginning_left_out(document: dict[str, Any]) -> None:
    """The movement before the period, which proves its opening."""
    document["statement"]["from_height"] = document["movements"][2]["height"]
    del document["movements"][:2]


def _movement_changed(document: dict[str, Any]) -> None:
    block = _income(document)
    movements = decode(Movements, _bytes(block["movements"]))
    *others, income = movements.entries
    block["movements"] = _text(encode(replace(movements, entries=(*others, replace(income, cause="transfer")))))
    block["lines"][-1] = []


def _lines_of_movement(change: Callable[[tuple[Line, ...]], tuple[Line, ...]]) -> Lie:
    def lie(document: dict[str, Any]) -> None:
        lines = _income(document)["lines"][-1]
        lines[0][1] = _text(encode(change(decode(tuple[Line, ...], _bytes(lines[0][1])))))

    return lie


def _records(prefix: bytes, change: Callable[[bytes], bytes | None]) -> Lie:
    def lie(document: dict[str, Any]) -> None:
        found = next(entry for entry in document["records"] if bytes.fromhex(entry[0]).startswith(prefix))
        value = change(_bytes(found[1]))
        if value is None:
            document["records"].remove(found)
        else:
            found[1] = _text(value)

    return lie


def _inflow(is_payment: bool, change: Callable[[Inflow], Inflow | None]) -> Lie:
    """Changes the first part of a node's income that is a payment, or that is none; or leaves it out."""

    def lie(document: dict[str, Any]) -> None:
        for entry in document["records"]:
            if not bytes.fromhex(entry[0]).startswith(b"hinflow/"):
                continue
            first, *others = decode(tuple[Inflow, ...], _bytes(entry[1]))
            if (first.kind == FROM_SOURCE) == is_payment:
                changed = change(first)
                entry[1] = _text(encode((*([] if changed is None else [changed]), *others)))
                return
        raise AssertionError("there is no such inflow")

    return lie


def _richer_source(inflow: Inflow) -> Inflow:
    source = decode(Source, inflow.origin)
    richer = replace(source, gross_ubeat=source.gross_ubeat + 100, net_ubeat=source.net_ubeat + 100)
    return replace(inflow, origin=encode(richer))


def _richer_inflow(inflow: Inflow) -> Inflow:
    return replace(inflow, amount_ubeat=inflow.amount_ubeat + 1)


def _source(**changes: Any) -> Lie:
    """The payment told otherwise wherever it stands: in the record, and in the lines that come of it."""

    def lie(document: dict[str, Any]) -> None:
        for entry in document["records"]:
            if not bytes.fromhex(entry[0]).startswith(b"hinflow/"):
                continue
            inflows = decode(tuple[Inflow, ...], _bytes(entry[1]))
            entry[1] = _text(encode(tuple(_told_otherwise(inflow, changes) for inflow in inflows)))
        shown = {"payer": "payer", "time_ms": "time_ms", "cause": "source"}
        for line in document["statement"]["lines"]:
            for name, value in changes.items():
                if name in shown:
                    line[shown[name]] = address_of(value) if name == "payer" else value

    return lie


def address_of(account: bytes) -> str:
    return Asked(told()).chain.address(account)


def _told_otherwise(inflow: Inflow, changes: dict[str, Any]) -> Inflow:
    if inflow.kind != FROM_SOURCE:
        return inflow
    return replace(inflow, origin=encode(replace(decode(Source, inflow.origin), **changes)))


def _results_left_out(document: dict[str, Any]) -> None:
    for block in document["blocks"]:
        block["transactions"] = []


def _results_swapped(document: dict[str, Any]) -> None:
    first, second, *_ = [block for block in document["blocks"] if block["transactions"]]
    first["transactions"], second["transactions"] = second["transactions"], first["transactions"]


def _result_of_another(document: dict[str, Any]) -> None:
    """Nobody's hand changes what a transaction did."""
    entry = next(block for block in document["blocks"] if block["transactions"])["transactions"][0]
    result = decode(TransactionResult, _bytes(entry["result"]))
    entry["result"] = _text(encode(replace(result, fee_ubeat=result.fee_ubeat + 1)))


def _own_header_of_another(document: dict[str, Any]) -> None:
    first, second, *_ = document["blocks"]
    first["block"] = second["block"]


def _own_header_later(document: dict[str, Any]) -> None:
    block = document["blocks"][0]
    header = decode(Header, _bytes(block["block"]))
    block["block"] = _text(encode(replace(header, time_ms=header.time_ms + 1)))


def _index_changed(document: dict[str, Any]) -> None:
    document["statement"]["lines"][0]["index"] += 1


def _row_changed(document: dict[str, Any]) -> None:
    entry = document["blocks"][0]["rows"][0]
    row = decode(NodeRow, _bytes(entry["row"]))
    entry["row"] = _text(encode(replace(row, keep=row.keep + 1)))


def _row_left_out(document: dict[str, Any]) -> None:
    del document["blocks"][0]["rows"][0]


def _block_left_out(document: dict[str, Any]) -> None:
    del document["blocks"][1]


def _other_height(document: dict[str, Any]) -> None:
    document["blocks"][0]["height"] += 1


def _commits_swapped(document: dict[str, Any]) -> None:
    first, second, *_ = document["blocks"]
    first["commit"], second["commit"] = second["commit"], first["commit"]


def _rank_left_out(document: dict[str, Any]) -> None:
    document["ranks"].pop()


def _ranks_swapped(document: dict[str, Any]) -> None:
    first, second, *_ = document["ranks"]
    first["key"], second["key"] = second["key"], first["key"]


def _old_account(document: dict[str, Any]) -> None:
    document["account"]["height"] -= 1


def _of_another_account(document: dict[str, Any]) -> None:
    asked = Asked(told())
    document["account"] = {**asked.proof("account/bea"), "handovers": []}


def _no_base64(document: dict[str, Any]) -> None:
    document["blocks"][0]["header"] = "%"


def _format(document: dict[str, Any]) -> None:
    document["format"] = "concento-statement-2"


def _network(document: dict[str, Any]) -> None:
    document["genesis_hash"] = "00" * 32


LIES: dict[str, tuple[Lie, str]] = {
    "more in a line": (_line(amount_ubeat="9999999"), "statement.differs"),
    "another payment behind a line": (_line(gross_ubeat="1"), "statement.invalid"),
    "another fee": (_line(fee_ubeat="0"), "statement.invalid"),
    "more upstream": (_line(upstream_ubeat="1"), "statement.invalid"),
    "another keep": (_line(keep_ubeat="1"), "statement.invalid"),
    "more shares": (_line(shares="1000000"), "statement.invalid"),
    "another rate": (_line(rate="1.000000"), "statement.invalid"),
    "another path": (_line(path=["00" * 32]), "statement.invalid"),
    "another height": (_line(paid_height=3), "statement.invalid"),
    "a line without amount": (_line(amount_ubeat=None), "statement.invalid"),
    "a line left out": (_line_left_out, "statement.differs"),
    "a line twice": (_line_added, "statement.invalid"),
    "another earned": (_statement(earned_ubeat="1"), "statement.invalid"),
    "another other": (_statement(other_ubeat="0"), "statement.invalid"),
    "another closing": (_statement(closing_ubeat="1"), "statement.invalid"),
    "opening and closing shifted together": (_opening_and_closing_shifted, "statement.invalid"),
    "a later period than the proof": (_statement(to_height=10**6), "statement.invalid"),
    "a paying block left out everywhere": (_paying_block_left_out_everywhere, "statement.invalid"),
    "the last payment left out": (_last_payment_left_out, "statement.invalid"),
    "the opening unproved": (_beginning_left_out, "statement.invalid"),
    "income called a transfer": (_movement_changed, "statement.invalid"),
    "a line of the payment left out": (_lines_of_movement(lambda lines: lines[1:]), "statement.invalid"),
    "shares of a payment": (
        _lines_of_movement(lambda lines: (replace(lines[0], shares=lines[0].shares + 1), *lines[1:])),
        "statement.invalid",
    ),
    "a payment with more in it": (_inflow(True, _richer_source), "statement.invalid"),
    "a payment missing": (_inflow(True, lambda _: None), "statement.invalid"),
    "more handed on": (_inflow(False, _richer_inflow), "statement.invalid"),
    "an inflow missing": (_inflow(False, lambda _: None), "statement.invalid"),
    "all inflows of a node missing": (_records(b"hinflow/", lambda _: None), "statement.invalid"),
    "a credit missing": (_records(b"hcredit/", lambda _: None), "statement.invalid"),
    "another payer": (_source(payer=account_of("carol")), "statement.invalid"),
    "another moment": (_source(time_ms=1), "statement.invalid"),
    "another cause": (_source(cause="usage"), "statement.invalid"),
    "another transaction": (_source(tx=bytes(range(32))), "statement.invalid"),
    "a payment that is the ledger's own": (_source(tx=NO_HASH, payer=NO_HASH), "statement.invalid"),
    "another place in the block": (_index_changed, "statement.invalid"),
    "results left out": (_results_left_out, "statement.invalid"),
    "results swapped": (_results_swapped, "proof.invalid"),
    "a result changed": (_result_of_another, "proof.invalid"),
    "the header of another block": (_own_header_of_another, "statement.invalid"),
    "a later header": (_own_header_later, "statement.invalid"),
    "a row changed": (_row_changed, "proof.invalid"),
    "a row left out": (_row_left_out, "statement.invalid"),
    "a block left out": (_block_left_out, "statement.invalid"),
    "a block of another height": (_other_height, "statement.invalid"),
    "commits swapped": (_commits_swapped, "commit.invalid"),
    "a rank left out": (_rank_left_out, "statement.invalid"),
    "ranks swapped": (_ranks_swapped, "proof.invalid"),
    "the account at another height": (_old_account, "proof.invalid"),
    "the account of somebody else": (_of_another_account, "statement.invalid"),
    "no base64": (_no_base64, "statement.invalid"),
    "another format": (_format, "statement.invalid"),
    "another network": (_network, "statement.invalid"),
}


@pytest.mark.parametrize("name", LIES)
def test_every_lie_is_found(document, name):
    lie, kind = LIES[name]
    lie(document)
    assert refusal(document).kind == kind


@pytest.mark.parametrize("field", sorted(json.loads(_written(None, None))))
def test_file_without_one_of_its_parts_is_refused(document, field):
    del document[field]
    assert refusal(document).kind == "statement.invalid"


@pytest.mark.parametrize("nonsense", [None, [], "x", {}, {"format": "concento-statement-1"}])
def test_nonsense_is_refused_by_name(nonsense):
    assert refusal(nonsense).kind == "statement.invalid"


def test_written_statement_verifies_and_a_changed_one_exits_8(concento, node: FakeNode, tmp_path: Path):
    asked = Asked(told())
    for method in asked.methods:
        if method != "node_getStatus":
            node.answers[method] = lambda params, method=method: asked.call(method, **params)
    node.answers["node_getStatus"] = {**node.answers["node_getStatus"], **asked.status()}
    genesis = tmp_path / "genesis.json"
    genesis.write_text(genesis_json(told().genesis))
    out = tmp_path / "statement.json"
    alice = asked.whole("alice")["address"]
    assert concento("earnings", alice, "--out", str(out)).code == 0
    right = concento("earnings", "verify", str(out), "--genesis", str(genesis))
    assert right.code == 0, right.err
    assert "is right" in right.out

    written = json.loads(out.read_text())
    forged = copy.deepcopy(written)
    forged["statement"]["lines"][0]["amount_ubeat"] = "1"
    out.write_text(json.dumps(forged))
    wrong = concento("earnings", "verify", str(out), "--genesis", str(genesis), "--json")
    assert wrong.code == 8
    assert wrong.document["error"]["data"]["kind"] == "statement.differs"
