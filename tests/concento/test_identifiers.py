"""ISRC and ISWC, with the examples that their handbooks use."""

from __future__ import annotations

import pytest

from concento.errors import Rejected
from concento.identifiers import check_isrc, check_iswc, iswc_check_digit


@pytest.mark.parametrize("text", ["", "USRC17607839", "GBAYE0000351", "AA6Q72000047"])
def test_well_formed_isrcs_pass(text: str) -> None:
    check_isrc(text)


@pytest.mark.parametrize(
    "text", ["US-RC1-76-07839", "usrc17607839", "USRC1760783", "USRC176078390", "1SRC17607839", "USRC1760783٣"]
)
def test_other_isrcs_are_refused(text: str) -> None:
    with pytest.raises(Rejected, match="ISRC"):
        check_isrc(text)


@pytest.mark.parametrize("text", ["", "T0345246801", "T0000000010", "T0101904328"])
def test_well_formed_iswcs_pass(text: str) -> None:
    """T-034.524.680-1 is the usual example; T-000.000.001-0 is the first that was given out."""
    check_iswc(text)


@pytest.mark.parametrize("text", ["T-034.524.680-1", "T034524680", "t0345246801", "T0345246802", "T0345246081"])
def test_other_iswcs_are_refused(text: str) -> None:
    with pytest.raises(Rejected, match="ISWC"):
        check_iswc(text)


@pytest.mark.parametrize("place", range(9))
def test_one_wrong_digit_is_found_where_its_place_lets_it(place: int) -> None:
    """Places 1, 3, 7 and 9 find every wrong digit; the others share a factor with ten and miss some."""
    digits = "034524680"
    wrong = [
        other
        for other in "0123456789"
        if other != digits[place] and iswc_check_digit(digits[:place] + other + digits[place + 1 :]) == 1
    ]
    assert len(wrong) == {2: 1, 4: 1, 5: 4, 6: 1, 8: 1}.get(place + 1, 0)
