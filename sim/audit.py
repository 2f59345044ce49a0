"""Writes down every vote and proposal of a validator that leaves its process, so that two words at one place show.

The file outlives the process and is the same for all its lives: a line is one signed vote or proposal, as JSON, in the
operating system's hands before the message leaves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from concento.votes import Proposal, Vote
from node.replica.events import Effect, Event, Now, Send
from node.replica.wire import ProposalMessage, check_payload, decode_message
from node.runner import Core


class AuditedCore:
    """A core whose signatures are noted as they leave."""

    def __init__(self, core: Core, key: bytes, path: Path) -> None:
        self._core = core
        self._key = key
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def handle(self, event: Event, now: Now) -> Iterator[Effect]:
        # One by one: what is never reached, because the process ends before, was never sent.
        for effect in self._core.handle(event, now):
            if isinstance(effect, Send) and check_payload(effect.payload).record in (ProposalMessage, Vote):
                self._note(effect.payload)
            yield effect

    def _note(self, payload: bytes) -> None:
        match decode_message(payload):
            case ProposalMessage(Proposal() as signed) if signed.proposer == self._key:
                word = [signed.height, signed.round, "proposal", f"{signed.block_id.hex()}/{signed.pol_round}"]
            case Vote() as signed if signed.validator == self._key:
                word = [signed.height, signed.round, signed.type.name.lower(), signed.block_id.hex()]
            case _:
                return
        os.write(self._descriptor, json.dumps(word).encode() + b"\n")
