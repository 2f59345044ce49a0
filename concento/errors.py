"""The three ways in which something can go wrong, and the one table of reasons that CLI, RPC and docs share.

`Rejected`: the input is bad; a stable kind, the numbers involved, nothing lost.
`Unavailable`: the world failed; the same request may succeed later.
`Broken`: an invariant of our own failed; the node stops. One kind of it, `Damaged`, says what is wrong on the disk.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from concento.kinds import KINDS, UNAVAILABLE

Number: TypeAlias = int | str | bytes | None
Numbers: TypeAlias = dict[str, Number]


class ConcentoError(Exception):
    """The base of every error this project raises on purpose."""

    kind: str
    numbers: Numbers
    hint: str | None
    retryable: bool = False

    def __init__(self, kind: str, sentence: str, hint: str | None, numbers: Numbers) -> None:
        self.kind = kind
        self.numbers = numbers
        shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in numbers.items()}
        self.hint = hint.format_map(_Shown(shown)) if hint else None
        super().__init__(sentence.format_map(_Shown(shown)))

    @property
    def message(self) -> str:
        return str(self)


class Rejected(ConcentoError):
    """Bad input. `kind` is a key of `KINDS`; `numbers` are the facts its sentence names."""

    def __init__(self, kind: str, /, **numbers: Number) -> None:
        sentence, hint = KINDS[kind]
        super().__init__(kind, sentence, hint, numbers)


class Unavailable(ConcentoError):
    """The world failed, the request was not judged: try again."""

    retryable = True

    def __init__(self, kind: str, /, **numbers: Number) -> None:
        sentence, hint = UNAVAILABLE[kind]
        super().__init__(kind, sentence, hint, numbers)


class Broken(ConcentoError):
    """One of our own beliefs is wrong: whoever catches this stops the node and shows the sentence."""

    def __init__(self, sentence: str, /, **numbers: Number) -> None:
        super().__init__("broken", sentence, None, numbers)


class Damaged(Broken):
    """The disk does not give back what was put there: what that is, and the command that mends it.

    Where the node rests on it, it stops. A client that reads it is told so (`store.damaged`), and the node goes on:
    nobody may stop a node by asking for what he knows to be damaged.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__("{what}; stop the node and run: {mend}", what=what, mend=mend)


class _Shown(dict[str, Number]):
    """Numbers as a sentence shows them; one that was not given shows its name instead of failing."""

    def __missing__(self, name: str) -> str:
        return f"<{name}>"


__all__: Final = [
    "KINDS",
    "UNAVAILABLE",
    "Broken",
    "ConcentoError",
    "Damaged",
    "Number",
    "Numbers",
    "Rejected",
    "Unavailable",
]
