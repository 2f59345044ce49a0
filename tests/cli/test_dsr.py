"""The DSR-like flat file: records in their order, sums that agree with the statement, titles that break nothing."""

from __future__ import annotations

from collections import Counter

from cli.dsr import flat_file
from concento.units import parse_beat
from support.told import Asked, sold


def records(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_records_come_in_order_and_sum_to_the_statement():
    statement = Asked(sold()).whole("alice")
    found = records(flat_file(statement, "concento-dev-1"))
    kinds = [record[0] for record in found]
    assert kinds[:2] == ["HEAD", "SY"]
    assert kinds[-1] == "FOOT"
    counts = Counter(kinds)
    assert counts["SU"] == len(statement["lines"]) == int(found[-1][3])
    assert counts["AS"] + counts["MW"] == int(found[-1][2]) == 4
    assert counts["MW"] == 2
    assert int(found[-1][1]) == len(found)
    earned = int(statement["earned_ubeat"])
    assert sum(parse_beat(record[-1]) for record in found if record[0] == "SU") == earned
    assert sum(parse_beat(record[-1]) for record in found if record[0] in ("AS", "MW")) == earned
    assert [parse_beat(found[1][2]), parse_beat(found[1][4])] == [earned, int(statement["closing_ubeat"])]


def test_every_sale_stands_below_the_asset_that_paid_it():
    statement = Asked(sold()).whole("bea")
    block = ""
    for record in records(flat_file(statement, "concento-dev-1")):
        if record[0] in ("AS", "MW"):
            block = record[1]
        elif record[0] == "SU":
            assert record[1] == block
            assert record[2].startswith(block + ".")


def test_title_with_tabs_and_line_breaks_stays_one_cell():
    statement = Asked(sold(1)).whole("alice")
    for line in statement["lines"]:
        line["title"] = "a\tb\r\nFOOT"
    found = records(flat_file(statement, "concento-dev-1"))
    assert {len(record) for record in found if record[0] == "SU"} == {20}
    assert sum(record[0] == "FOOT" for record in found) == 1


def test_statement_without_lines_is_head_summary_and_foot():
    statement = {**Asked(sold(1)).whole("alice"), "lines": []}
    assert [record[0] for record in records(flat_file(statement, "x"))] == ["HEAD", "SY", "FOOT"]
