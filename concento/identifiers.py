"""The trade's own numbers: ISRC for recordings (ISO 3901) and ISWC for works (ISO 15707), without punctuation.

A number is well-formed or not; whose it is, the chain cannot know: several assets may claim the same one.
"""

from __future__ import annotations

import re
from typing import Final

from concento.errors import Rejected

_ISRC: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
_ISWC: Final = re.compile(r"T[0-9]{10}")


def plain(text: str) -> str:
    """A number as it is registered, from one with punctuation such as "US-RC1-76-07839" or "T-034.524.680-1"."""
    return text.replace("-", "").replace(".", "").replace(" ", "").upper()


def check_isrc(text: str) -> None:
    """Raises Rejected unless empty, or country, registrant, year and designation as in "USRC17607839"."""
    if text and _ISRC.fullmatch(text) is None:
        raise Rejected("asset.identifier_invalid", scheme="ISRC", text=text, reason="it is written like USRC17607839")


def check_iswc(text: str) -> None:
    """Raises Rejected unless empty, or T, nine digits and their check digit as in "T0345246801"."""
    if not text:
        return
    if _ISWC.fullmatch(text) is None:
        raise Rejected("asset.identifier_invalid", scheme="ISWC", text=text, reason="it is written like T0345246801")
    if int(text[10]) != iswc_check_digit(text[1:10]):
        raise Rejected("asset.identifier_invalid", scheme="ISWC", text=text, reason="its check digit is wrong")


def iswc_check_digit(digits: str) -> int:
    """The check digit of nine digits: 1 plus each digit times its place, up to the next multiple of ten."""
    return -(1 + sum(place * int(digit) for place, digit in enumerate(digits, start=1))) % 10
