"""Long lists on their way to the chain: a bar, or a remark at every tenth; what is said when it is broken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli import exits
from cli.context import Context
from cli.printer import Text

if TYPE_CHECKING:
    from concento.client.uploads import OnChunk, Upload


@contextmanager
def telling(context: Context, label: str, total: int, unit: str) -> Iterator[OnChunk]:
    """Shows how many entries are on the chain; says after Ctrl-C that nothing is lost."""
    with context.printer.progress(label, total, unit, "are on the chain") as advance:
        shown = 0

        def tell(done: int, _count: int) -> None:
            nonlocal shown
            advance(done - shown)
            shown = done

        try:
            yield tell
        except KeyboardInterrupt:
            context.printer.note("What is on the chain stays. Run the same command again: it goes on where it ended.")
            raise


def finish(context: Context, upload: Upload, describe: Callable[[], dict[str, Any]], text: Text) -> int:
    """Prints what `describe` says of the list now, with what it took; the exit code."""
    if upload.last is not None and not upload.final:
        return context.finish(upload.last, lambda _: ())
    taken = {
        "transactions": upload.transactions,
        "fee_ubeat": str(upload.fee_ubeat),
        "tx": None if upload.last is None else upload.last["tx"],
    }
    context.printer.result({**describe(), **taken}, text)
    return exits.OK


def reading(context: Context, total: int, read: Callable[[Callable[[int], None]], Any]) -> Any:
    """Reads a long file with a bar."""
    with context.printer.progress("Reading", total, "lines") as advance:
        return read(advance)
