"""Did you mean ...?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(text: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, or None."""
    found = difflib.get_close_matches(text.lower(), list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def suggestion(text: str, names: Iterable[str]) -> str:
    """A question to put behind a sentence, or nothing."""
    name = nearest(text, names)
    return f" Did you mean {name}?" if name else ""
