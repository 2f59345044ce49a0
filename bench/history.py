"""What clients were told, through kills, pauses and splits: does it stay true?

    python -m bench.history --runs 100 --seconds 60        goes on where it was stopped; --fresh begins again

Payers submit and wait; one reader asks each node over and over; one subscriber follows the events of each node and
resumes behind the last one it has seen. Every answer is held against every other one:

- what was reported final is final for ever, at the same height and place, on every node
- a height has one block, whichever node tells of it; the height of a node never goes back, restarts included
- the events of a node come in order without a gap and without a double, and are the same on all nodes
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bench.faultload import MAX_FEE_UBEAT, PAYERS, session
from bench.faultnet import FaultNetwork, double_signatures, forks, signatures
from bench.resumed import add_options, done_before, remember
from concento.client import Client
from concento.development import development_account
from concento.errors import ConcentoError, Unavailable
from concento.messages.tokens import Transfer

BASE_PORT: Final = 28_200
STATE: Final = Path(".history-state.json")
RUNS_PER_NETWORK: Final = 10
REST_S: Final = 0.05
TIMEOUT_S: Final = 3.0

Place = tuple[int, int]
"""Height and index."""


@dataclass
class History:
    """What has been told so far, and what of it contradicts the rest."""

    final: dict[str, Place] = field(default_factory=dict)
    blocks: dict[int, tuple[str, str]] = field(default_factory=dict)
    heights: dict[str, int] = field(default_factory=dict)
    events: dict[Place, bytes] = field(default_factory=dict)
    cursors: dict[str, Place] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    reads: int = 0
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def told_final(self, node: str, transaction: str, place: Place) -> None:
        with self._lock:
            self.reads += 1
            known = self.final.setdefault(transaction, place)
            if known != place:
                self.wrong.append(f"{node}: {transaction} was final at {known} and is at {place}")

    def told_otherwise(self, node: str, transaction: str, status: str, height: int) -> None:
        """A node whose height was so great before it was asked does not call a transaction final."""
        with self._lock:
            self.reads += 1
            known = self.final.get(transaction)
            if known is not None and known[0] <= height:
                self.wrong.append(f"{node}: {transaction} was final at {known} and is {status} at height {height}")

    def told_tip(self, node: str, height: int, block: str, app_hash: str) -> None:
        with self._lock:
            self.reads += 1
            known = self.blocks.setdefault(height, (block, app_hash))
            if known != (block, app_hash):
                self.wrong.append(f"{node}: block {height} is {block}/{app_hash}, and was {known[0]}/{known[1]}")
            if height < self.heights.get(node, 0):
                self.wrong.append(f"{node}: its height was {self.heights[node]} and is {height}")
            self.heights[node] = max(height, self.heights.get(node, 0))

    def told_event(self, node: str, event: dict[str, Any]) -> None:
        with self._lock:
            if event.get("lagged"):
                self.wrong.append(f"{node}: events were left out before {event['resume_from']}")
                return
            place = event["height"], event["index"]
            last = self.cursors.get(node, (0, 0))
            if place not in ((last[0], last[1] + 1), (last[0] + 1, 0)):
                self.wrong.append(f"{node}: event {place} came after {last}")
            self.cursors[node] = place
            self.counts[node] = self.counts.get(node, 0) + 1
            digest = sha256(json.dumps(event, sort_keys=True).encode()).digest()[:8]
            if self.events.setdefault(place, digest) != digest:
                self.wrong.append(f"{node}: event {place} is not what another node told")

    def check_complete(self) -> None:
        """In the end: every subscriber has been told of all events up to where it stands that anybody was told of."""
        for node, last in self.cursors.items():
            expected = sum(place <= last for place in self.events)
            if self.counts[node] != expected:
                self.wrong.append(f"{node}: told {self.counts[node]} events up to {last}, where there are {expected}")


class Clients:
    """The threads that ask one network."""

    def __init__(self, network: FaultNetwork, history: History, seed: int) -> None:
        self._network = network
        self._history = history
        self._stop = threading.Event()
        self._seed = seed
        jobs: list[tuple[Callable[..., None], str]] = [(self._read, name) for name in network.names]
        jobs += [(self._subscribe, name) for name in network.names] + [(self._pay, name) for name in PAYERS[:4]]
        self._threads = [threading.Thread(target=job, args=(name,), daemon=True) for job, name in jobs]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _pay(self, name: str) -> None:
        chance = random.Random(f"{self._seed} {name}")
        while not self._stop.is_set():
            node = chance.choice(self._network.names)
            here = session(name, self._network.url(node), timeout_s=TIMEOUT_S)
            try:
                payee = development_account(chance.choice(PAYERS))
                paid = here.build([Transfer(payee, 1)], max_fee_ubeat=MAX_FEE_UBEAT)
                here.client.submit(paid.raw)
                for _ in range(4):
                    told = here.client.transaction(paid.id.hex(), wait_ms=2_000)
                    if told["status"] == "final":
                        self._history.told_final(node, paid.id.hex(), (told["height"], told["index"]))
                        break
            except ConcentoError:
                # Refused, down or frozen: nothing was promised.
                pass
            finally:
                here.client.close()
            self._stop.wait(REST_S)

    def _read(self, node: str) -> None:
        chance = random.Random(f"{self._seed} read {node}")
        with Client(self._network.url(node), timeout_s=TIMEOUT_S) as client:
            while not self._stop.wait(REST_S):
                try:
                    told = client.status()
                    self._history.told_tip(node, told["height"], told["block_id"], told["app_hash"])
                    known = list(self._history.final)
                    if known:
                        self._read_again(client, node, chance.choice(known), told["height"])
                except ConcentoError:
                    continue

    def _read_again(self, client: Client, node: str, transaction: str, height: int) -> None:
        """Asks again of something that was final; `height` is what the node had before."""
        again = client.transaction(transaction)
        if again["status"] == "final":
            self._history.told_final(node, transaction, (again["height"], again["index"]))
        else:
            self._history.told_otherwise(node, transaction, again["status"], height)

    def _subscribe(self, node: str) -> None:
        while not self._stop.is_set():
            height, index = self._history.cursors.get(node, (0, 0))
            client = Client(self._network.url(node), timeout_s=TIMEOUT_S)
            try:
                for event in client.events(start=f"{height}.{index}"):
                    self._history.told_event(node, event)
                    if self._stop.is_set():
                        break
            except Unavailable:
                self._stop.wait(REST_S)


def run(network: FaultNetwork, history: History, seconds: float, seed: int) -> int:
    """Clients and faults for so long, then peace, then the last questions. How many faults there were."""
    chance = random.Random(seed)
    clients = Clients(network, history, seed)
    deadline = time.monotonic() + seconds
    faults = 0
    while time.monotonic() < deadline:
        time.sleep(chance.uniform(0.2, 2.0))
        chance.choice((_kill, _kill, _kill_all, _pause, _halve, _isolate))(network, chance)
        faults += 1
    network.heal()
    for name in network.names:
        network.wait_ready(name)
    tip = max(map(network.height, network.names))
    network.wait_level(tip)
    _until(lambda: all(history.cursors.get(name, (0, 0))[0] >= tip - 1 for name in network.names))
    clients.stop()
    history.check_complete()
    _ask_of_everything(network, history)
    return faults


def _ask_of_everything(network: FaultNetwork, history: History) -> None:
    """Every transaction that was ever reported final, of one node; and all blocks, of all."""
    name = network.names[0]
    with Client(network.url(name), timeout_s=20) as client:
        for transaction, place in list(history.final.items()):
            told = client.transaction(transaction)
            if (told["status"], told["height"], told["index"]) != ("final", *place):
                history.wrong.append(f"{name}: {transaction} was final at {place} and is {told['status']} in the end")
    tip = min(map(network.height, network.names))
    history.wrong += forks({name: network.blocks(name, tip) for name in network.names})
    for name in network.names:
        history.wrong += [f"{name}: {what}" for what in double_signatures(signatures(network.audit(name)))]


# Faults: each lasts a while and is over when the function returns


def _kill(network: FaultNetwork, chance: random.Random) -> None:
    _killed(network, chance, (chance.choice(network.names),))


def _kill_all(network: FaultNetwork, chance: random.Random) -> None:
    _killed(network, chance, network.names)


def _killed(network: FaultNetwork, chance: random.Random, names: tuple[str, ...]) -> None:
    for name in names:
        network.signal(name, signal.SIGKILL)
    for name in names:
        network.process(name).wait()
    time.sleep(chance.uniform(0, 1.5))
    for name in names:
        network.start(name)
    for name in names:
        network.wait_answering(name)


def _pause(network: FaultNetwork, chance: random.Random) -> None:
    name = chance.choice(network.names)
    network.signal(name, signal.SIGSTOP)
    time.sleep(chance.uniform(0.5, 4.0))
    network.signal(name, signal.SIGCONT)


def _halve(network: FaultNetwork, chance: random.Random) -> None:
    names = chance.sample(network.names, len(network.names))
    network.cut(names[: len(names) // 2], names[len(names) // 2 :])
    time.sleep(chance.uniform(0.5, 4.0))
    network.heal()


def _isolate(network: FaultNetwork, chance: random.Random) -> None:
    alone = chance.choice(network.names)
    network.cut((alone,), [name for name in network.names if name != alone])
    time.sleep(chance.uniform(0.5, 4.0))
    network.heal()


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(REST_S)


@contextmanager
def _network(base_port: int) -> Any:
    """A new network, all of it up; its folder is deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="concento-history-"))
    network = FaultNetwork(folder, base_port)
    try:
        network.start_all()
        yield network
    finally:
        network.close()
    shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.history", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100, help="how many in all, earlier ones counted")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each run has faults")
    parser.add_argument("--seed", type=int, default=1)
    add_options(parser, BASE_PORT, STATE)
    options = parser.parse_args()
    done = done_before(options, {"runs": 0, "final": 0, "reads": 0, "events": 0, "faults": 0, "wrong": []})
    while done["runs"] < options.runs:
        with ExitStack() as stack:
            network = stack.enter_context(_network(options.base_port))
            history = History()
            for _ in range(min(RUNS_PER_NETWORK, options.runs - done["runs"])):
                before = len(history.final), history.reads, len(history.events), len(history.wrong)
                faults = run(network, history, options.seconds, options.seed + done["runs"])
                found = {
                    "faults": faults,
                    "final": len(history.final) - before[0],
                    "reads": history.reads - before[1],
                    "events": len(history.events) - before[2],
                    "wrong": history.wrong[before[3] :],
                }
                print(json.dumps(found), flush=True)
                done = {"runs": done["runs"] + 1} | {name: done[name] + found[name] for name in found}
                remember(options, done)
    print(
        f"{done['runs']} runs with {done['faults']} faults: {done['final']} transactions told final, {done['reads']} "
        f"answers and {done['events']} events compared, {len(done['wrong'])} of them wrong"
    )
    return 1 if done["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
