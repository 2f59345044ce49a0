"""What the chain does, told in the log: one line a block, one sentence a transaction while there are few of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from concento.blocks import Header
from node.backend import Backend
from node.logs import Log
from node.replica.events import Committed
from state.events import decode_events, event_text
from state.queries import Chain
from state.queries_chain import validator_name

SENTENCES_MAX: Final = 20
"""Transactions of one block that are told one by one; a busier block is a count, or the log would cost more than it."""
SENTENCES_PER_S: Final = 10
"""What small blocks that follow each other closely may tell, by block time, for the same reason."""
RARE: Final = ("governance.", "validators.", "observers.", "protocol.")
"""Events at the end of a block that every operator wants to find in the log."""
ASIDE_S: Final = 0.01
"""How long a block waits to be told in the log: whoever waits for the block itself is answered by then."""


class Narrator:
    """Tells every committed block to a log."""

    def __init__(self, log: Log, backend: Backend) -> None:
        self._log = log
        self._chain = Chain(backend.store, backend.tree, backend.genesis)
        self._names = {member.key: member.name for member in backend.genesis.validators.members}
        self._allowed = float(SENTENCES_MAX)
        self._told_ms = 0

    def _name_of(self, header: Header) -> str:
        """A validator that genesis does not know."""
        return validator_name(self._chain, header.height, header.proposer)

    def tell(self, committed: Committed) -> None:
        stored = committed.stored
        block = stored.record.block
        self._log.info(
            "block.committed",
            height=stored.height,
            round=block.header.round,
            proposer=self._names.get(block.header.proposer) or self._name_of(block.header),
            txs=len(stored.outcomes),
            batches=len(block.batches),
            evidence=len(block.evidence),
            synced=committed.synced,
        )
        for event in decode_events(stored.closing_events):
            if event.kind.startswith(RARE):
                self._log.info(event.kind, text=event_text(event, self._chain.dev, self._chain.name))
        if not self._may_tell(len(stored.outcomes), block.header.time_ms):
            return
        for outcome in stored.outcomes:
            events = decode_events(outcome.events)
            text = "; ".join(event_text(event, self._chain.dev, self._chain.name) for event in events)
            self._log.info("tx", tx=outcome.id, status=outcome.status, text=text or outcome.kind)

    def _may_tell(self, count: int, time_ms: int) -> bool:
        """Whether so many sentences are allowed at this block time; what is told is taken from the allowance."""
        self._allowed = min(SENTENCES_MAX, self._allowed + (time_ms - self._told_ms) * SENTENCES_PER_S / 1000)
        self._told_ms = time_ms
        if count > self._allowed:
            return False
        self._allowed -= count
        return True


class Aside:
    """Does for each committed block, in order, what nobody waits for: a moment after those who wait were answered.

    `fail` is told of what goes wrong, as nobody else would hear of it.
    """

    def __init__(self, work: Callable[[Committed], None], fail: Callable[[Exception], None]) -> None:
        self._work = work
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._line: deque[Committed] = deque()

    def note(self, committed: Committed) -> None:
        """Has it done soon."""
        self._line.append(committed)
        if len(self._line) == 1:
            self._loop.call_later(ASIDE_S, self.finish)

    def finish(self) -> None:
        """Has everything done now; before the store is closed."""
        try:
            while self._line:
                self._work(self._line.popleft())
        except Exception as error:  # whatever it was: the node ends as if the block itself had failed
            self._line.clear()
            self._fail(error)
