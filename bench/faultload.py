"""A steady trickle of transfers into a network under faults, in a thread of its own, whoever is up."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Final

from concento.client import Client, Session
from concento.client.wallet import development_signer
from concento.development import development_account
from concento.errors import ConcentoError
from concento.messages.tokens import Transfer

PAYERS: Final = ("alice", "bea", "bob", "carol", "dana", "treasury")
MAX_FEE_UBEAT: Final = 100_000


def session(name: str, *urls: str, timeout_s: float = 5.0) -> Session:
    """A client that acts for a development account."""
    return Session(Client(*urls, timeout_s=timeout_s), development_signer(name))


class Trickle:
    """Hands in transfers of 1 ubeat until it is stopped."""

    def __init__(self, urls: Sequence[str], per_second: float, seed: int) -> None:
        self.handed_in = 0
        self._urls = list(urls)
        self._pause_s = 1 / per_second
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        sessions = {name: [session(name, url) for url in self._urls] for name in PAYERS}
        while not self._stop.wait(self._pause_s):
            payer, payee = self._random.sample(PAYERS, 2)
            here = self._random.choice(sessions[payer])
            try:
                transaction = here.build([Transfer(development_account(payee), 1)], max_fee_ubeat=MAX_FEE_UBEAT)
                here.client.submit(transaction.raw)
                self.handed_in += 1
            except ConcentoError:
                # The node is down, or has no room: the next one is for another.
                continue
        for here in (found for several in sessions.values() for found in several):
            here.client.close()
