"""What people may write into the chain: one spelling of every text, and nothing that cannot be seen.

Two names that look alike to a reader must not be two names to the ledger, so texts are in Unicode form NFC, without
control, formatting (zero-width, bidirectional), surrogate, private or unassigned characters, and without spaces at
their ends or twice in a row.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from concento.errors import Rejected

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
"""Letters, marks and symbols that show nothing although their category says otherwise."""


def check_text(field: str, text: str) -> None:
    """Raises Rejected("text.invalid") unless the text is in its one spelling and every character can be seen."""
    reason = _fault(text)
    if reason is not None:
        raise Rejected("text.invalid", field=field, reason=reason)


def _fault(text: str) -> str | None:
    if text.isascii() and text.isprintable():
        return _blank_fault(text)
    if unicodedata.normalize("NFC", text) != text:
        return "it is not in Unicode form NFC"
    for character in text:
        if unicodedata.category(character) in _INVISIBLE or character in _BLANK_LETTERS:
            return f"it contains the invisible character U+{ord(character):04X}"
        if character != " " and character.isspace():
            return f"it contains the space U+{ord(character):04X}; only the plain space is allowed"
    return _blank_fault(text)


def _blank_fault(text: str) -> str | None:
    if text != text.strip(" ") or "  " in text:
        return "spaces at an end or twice in a row"
    return None
