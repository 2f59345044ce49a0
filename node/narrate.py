"""What the chain does, told in the log: one line a block, one sentence a transaction while blocks are small."""

from __future__ import annotations

from typing import Final

from concento.blocks import Header
from node.backend import Backend
from node.logs import Log
from node.replica.events import Committed
from state.events import event_text
from state.queries import Chain
from state.queries_chain import validator_name

SENTENCES_MAX: Final = 20
"""Transactions of one block that are told one by one; a busier block is a count, or the log would cost more than it."""
RARE: Final = ("governance.", "validators.", "observers.", "protocol.")
"""Events at the end of a block that every operator wants to find in the log."""


class Narrator:
    """Tells every committed block to a log."""

    def __init__(self, log: Log, backend: Backend) -> None:
        self._log = log
        self._chain = Chain(backend.store, backend.tree, backend.genesis)

    def _name_of(self, header: Header) -> str:
        """A validator that genesis does not know."""
        return validator_name(self._chain, header.height, header.proposer)

    def tell(self, committed: Committed) -> None:
        stored = committed.stored
        block = stored.record.block
        names = {member.key: member.name for member in self._chain.genesis.validators.members}
        self._log.info(
            "block.committed",
            height=stored.height,
            round=block.header.round,
            proposer=names.get(block.header.proposer) or self._name_of(block.header),
            txs=len(stored.outcomes),
            batches=len(block.batches),
            evidence=len(block.evidence),
            synced=committed.synced,
        )
        for event in committed.events[-1] if committed.events else ():
            if event.kind.startswith(RARE):
                self._log.info(event.kind, text=event_text(event, self._chain.dev, self._chain.name))
        if len(stored.outcomes) > SENTENCES_MAX:
            return
        for outcome, events in zip(stored.outcomes, committed.events, strict=False):
            text = "; ".join(event_text(event, self._chain.dev, self._chain.name) for event in events)
            self._log.info("tx", tx=outcome.id, status=outcome.status, text=text or outcome.kind)
