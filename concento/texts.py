"""What people may write into the chain: one spelling of every text, and nothing that cannot be seen.

Two names that look alike to a reader must not be two names to the ledger, so texts are in Unicode form NFC, without
control, formatting (zero-width, bidirectional), surrogate, private or unassigned characters, and without spaces at
their ends or twice in a row.

What Unicode says depends on its version, and nodes run on several versions of Python. Every verdict here is that of
Unicode 14 (Python 3.11): what later versions added is refused by name, and what they have in common never changes.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from typing import Final

from concento.errors import Rejected

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
"""Letters, marks and symbols that show nothing although their category says otherwise."""

_LOOK_ALIKE: Final = ("LATIN", "CYRILLIC", "GREEK")
"""Alphabets with letters that most typefaces draw the same way."""

_ADDED_IN_UNICODE_15: Final = (
    (0x00CF3, 0x00CF3),
    (0x00ECE, 0x00ECE),
    (0x10EFD, 0x10EFF),
    (0x1123F, 0x11241),
    (0x11B00, 0x11B09),
    (0x11F00, 0x11F10),
    (0x11F12, 0x11F3A),
    (0x11F3E, 0x11F59),
    (0x1342F, 0x1342F),
    (0x13439, 0x13455),
    (0x1B132, 0x1B132),
    (0x1B155, 0x1B155),
    (0x1D2C0, 0x1D2D3),
    (0x1DF25, 0x1DF2A),
    (0x1E030, 0x1E06D),
    (0x1E08F, 0x1E08F),
    (0x1E4D0, 0x1E4F9),
    (0x1F6DC, 0x1F6DC),
    (0x1F774, 0x1F776),
    (0x1F77B, 0x1F77F),
    (0x1F7D9, 0x1F7D9),
    (0x1FA75, 0x1FA77),
    (0x1FA87, 0x1FA88),
    (0x1FAAD, 0x1FAAF),
    (0x1FABB, 0x1FABD),
    (0x1FABF, 0x1FABF),
    (0x1FACE, 0x1FACF),
    (0x1FADA, 0x1FADB),
    (0x1FAE8, 0x1FAE8),
    (0x1FAF7, 0x1FAF8),
    (0x2B739, 0x2B739),
    (0x31350, 0x323AF),
)
"""First and last code points of what Python 3.12 knows and Python 3.11 does not."""
_FIRSTS: Final = tuple(first for first, _ in _ADDED_IN_UNICODE_15)


def check_text(field: str, text: str) -> None:
    """Raises Rejected("text.invalid") unless the text is in its one spelling and every character can be seen."""
    reason = fault_of(text)
    if reason is not None:
        raise Rejected("text.invalid", field=field, reason=reason)


def mixes_scripts(text: str) -> bool:
    """Whether letters of alphabets that look alike stand side by side, as a Cyrillic a in a Latin word."""
    alphabets = [unicodedata.name(character, "").partition(" ")[0] for character in text if character.isalpha()]
    return sum(alphabet in alphabets for alphabet in _LOOK_ALIKE) > 1


def fault_of(text: str) -> str | None:
    """Why the text may not be written so, or None."""
    if text.isascii() and text.isprintable():
        return _blank_fault(text)
    for character in text:
        if unicodedata.category(character) in _INVISIBLE or character in _BLANK_LETTERS or _is_new(character):
            return f"it contains U+{ord(character):04X}, which cannot be seen or is unknown to this protocol"
        if character != " " and character.isspace():
            return f"it contains the space U+{ord(character):04X}; only the plain space is allowed"
    if unicodedata.normalize("NFC", text) != text:
        return "it is not in Unicode form NFC"
    return _blank_fault(text)


def _blank_fault(text: str) -> str | None:
    if text != text.strip(" ") or "  " in text:
        return "spaces at an end or twice in a row"
    return None


def _is_new(character: str) -> bool:
    position = bisect_right(_FIRSTS, ord(character)) - 1
    return position >= 0 and ord(character) <= _ADDED_IN_UNICODE_15[position][1]
