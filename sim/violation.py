"""An invariant that does not hold: it ends the run; it is never logged and passed over."""


class Violation(Exception):
    """`invariant` is the name under which docs/simulator.md lists it."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
