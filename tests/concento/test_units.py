"""Amounts are typed in BEAT with at most 6 decimals and counted in ubeat."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.errors import Rejected
from concento.units import AMOUNT_UBEAT_MAX, format_beat, format_instant, format_percent, parse_beat


@given(st.integers(0, AMOUNT_UBEAT_MAX))
def test_a_formatted_amount_parses_back(amount_ubeat: int) -> None:
    assert parse_beat(format_beat(amount_ubeat)) == amount_ubeat


@pytest.mark.parametrize(
    ("text", "ubeat"), [("1", 1_000_000), ("0.05", 50_000), ("12.50", 12_500_000), (" 7 ", 7_000_000)]
)
def test_amounts_as_people_type_them(text: str, ubeat: int) -> None:
    assert parse_beat(text) == ubeat


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0.0000001", "amount.decimals"),
        ("-1", "amount.malformed"),
        ("1e3", "amount.malformed"),
        ("9" * 26, "amount.range"),
        ("1,5", "amount.malformed"),
        ("", "amount.malformed"),
        ("nan", "amount.malformed"),
        ("١", "amount.malformed"),
        ("9999999999999", "amount.range"),
    ],
)
def test_what_is_no_amount_is_refused(text: str, kind: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse_beat(text)
    assert refused.value.kind == kind


def test_negative_amounts_keep_their_sign() -> None:
    assert format_beat(-1) == "-0.000001"


@pytest.mark.parametrize(("bps", "text"), [(0, "0 %"), (1, "0.01 %"), (50, "0.5 %"), (500, "5 %"), (10_000, "100 %")])
def test_a_rate_is_a_percentage(bps: int, text: str) -> None:
    assert format_percent(bps) == text


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_is_written_as_the_calendar_has_it(time_ms: int) -> None:
    minute = datetime.fromtimestamp(time_ms // 60_000 * 60, UTC)
    assert format_instant(time_ms) == f"{minute:%Y-%m-%d %H:%M} UTC"


def test_leap_days_and_the_turn_of_a_year_are_right() -> None:
    assert format_instant(951_782_400_000) == "2000-02-29 00:00 UTC"
    assert format_instant(951_868_799_999) == "2000-02-29 23:59 UTC"
    assert format_instant(1_798_761_600_000) == "2027-01-01 00:00 UTC"
