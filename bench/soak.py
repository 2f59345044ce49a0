"""A network under a steady mixed load for hours, with faults now and then: nothing may grow that should not.

    python -m bench.soak --hours 8             `make soak`; --minutes 5 says something already
    python -m bench.soak --minutes 5 --base-port 24100

Four validators (`sim.process`: every signature that leaves is written down) with snapshots. node1 and node2 live
through all of it: their memory, file descriptors, threads and disk are judged, the last quarter of the run against the
second one (the first is warming up). node3 and node4 are killed, frozen, cut off and restarted in turn, and must be
back at the tip each time. Every five seconds is a line in the file of samples, to be looked at when something is bad.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.faultnet import FaultNetwork, double_signatures, forks, signatures
from bench.load import percentile
from bench.mixes import bench_genesis
from bench.recovery import Watch, until_tip
from bench.soakload import Mixed
from bench.usage import disk_bytes, memory_mb, status_of
from concento.genesis import genesis_json

BASE_PORT: Final = 24_100
SAMPLE_S: Final = 5.0
STEADY: Final = ("node1", "node2")
VICTIMS: Final = ("node3", "node4")
FAULT_S: Final = 5.0
QUARTERS: Final = 4
PER_SECOND: Final = 40
"""Payments; besides, purchases, anchorings, a data set every half minute, reads, and a subscriber."""

MEMORY_MB_MAX: Final = 48.0
"""Growth of a node from the second quarter to the last: caches that fill (LevelDB's are 24 MB, those of the ledger and
the tree follow the state), and no more in eight hours than in five minutes."""
DESCRIPTORS_MAX: Final = 16
"""More connections and tables of the store than before."""
THREADS_MAX: Final = 4
DISK_FACTOR: Final = 1.6
"""Bytes a transaction, later against earlier: a larger state is one more level of LevelDB."""
DISK_MB_MAX: Final = 80.0
"""Beyond that: LevelDB writes and compacts in steps of its buffer (up to 38 MiB), and a quarter ends in the middle."""
FINALITY_FACTOR: Final = 1.6
"""Median time until a payment is final, later against earlier, with as much noise as a shared machine makes."""
RATE_MIN: Final = 0.9
"""Committed of what was handed in, over the last quarter."""
GAP_S_MAX: Final = 5.0
BACK_S_MAX: Final = 20.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One node at one moment; `transactions` are those of all blocks so far, `handed_in` of the whole network."""

    at_s: float
    node: str
    pid: int
    height: int
    transactions: int
    handed_in: int
    memory_mb: float
    descriptors: int
    threads: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure and the bound that it must not pass."""

    what: str
    found: float
    bound: float
    is_least: bool = False

    @property
    def holds(self) -> bool:
        return self.found >= self.bound if self.is_least else self.found <= self.bound

    def __str__(self) -> str:
        word = "at least" if self.is_least else "at most"
        return f"{'ok ' if self.holds else 'BAD'} {self.what:<58} {self.found:>10.2f}  {word} {self.bound:g}"


# Judging: a function of what was written down


def judged(samples: Sequence[Sample], finality_ms: Sequence[tuple[float, float]], length_s: float) -> list[Verdict]:
    """What the long-lived nodes and the clients saw, the last quarter of the run against the second."""
    verdicts = []
    for node in STEADY:
        own = [sample for sample in samples if sample.node == node]
        early, late = (_quarter(own, number, length_s) for number in (1, QUARTERS - 1))
        if len({sample.pid for sample in own}) != 1 or len(early) < 2 or len(late) < 2:
            raise ValueError(f"{node} was not the same process all the time, or too short")
        for what, value, bound in _GROWTHS:
            growth = median(map(value, late)) - median(map(value, early))
            verdicts.append(Verdict(f"{node}: {what} more than in the second quarter", growth, bound))
        verdicts.append(
            Verdict(f"{node}: MB on disk beyond 1.6 times what was written before", _excess(early, late), DISK_MB_MAX)
        )
    watched = _quarter([sample for sample in samples if sample.node == STEADY[0]], QUARTERS - 1, length_s)
    committed = watched[-1].transactions - watched[0].transactions
    handed_in = watched[-1].handed_in - watched[0].handed_in
    verdicts.append(Verdict("committed of what was handed in", committed / max(1, handed_in), RATE_MIN, is_least=True))
    waits = [[wait for at, wait in finality_ms if _number(at, length_s) == number] for number in (1, QUARTERS - 1)]
    ratio = median(waits[1]) / median(waits[0])
    return [*verdicts, Verdict("median finality, times that before", ratio, FINALITY_FACTOR)]


_GROWTHS: Final[tuple[tuple[str, Callable[[Sample], float], float], ...]] = (
    ("MB of memory", lambda sample: sample.memory_mb, MEMORY_MB_MAX),
    ("descriptors", lambda sample: sample.descriptors, DESCRIPTORS_MAX),
    ("threads", lambda sample: sample.threads, THREADS_MAX),
)


def _number(at_s: float, length_s: float) -> int:
    return min(QUARTERS - 1, int(at_s * QUARTERS / length_s))


def _quarter(samples: Sequence[Sample], number: int, length_s: float) -> list[Sample]:
    return [sample for sample in samples if _number(sample.at_s, length_s) == number]


def _excess(early: Sequence[Sample], late: Sequence[Sample]) -> float:
    """MB on disk in the last quarter that its transactions do not explain by what those before have taken."""
    usual = early[-1].disk_bytes / max(1, early[-1].transactions)
    written = late[-1].disk_bytes - late[0].disk_bytes
    return (written - DISK_FACTOR * usual * (late[-1].transactions - late[0].transactions)) / 2**20


# Running


class Soak:
    def __init__(self, network: FaultNetwork, minutes: float, fault_every_s: float, per_second: int, out: Path) -> None:
        self._network = network
        self._length_s = minutes * 60
        self._fault_every_s = fault_every_s
        self._per_second = per_second
        self._out = out
        self.samples: list[Sample] = []
        self.faults: list[tuple[str, str, float]] = []
        self._counted = (0, 0)

    def run(self) -> tuple[list[Verdict], dict[str, Any]]:
        """Starts everything, lets the time pass, and judges."""
        network = self._network
        network.start_all()
        load = Mixed([network.url(name) for name in STEADY], self._per_second)
        watch = Watch(network)
        began = time.monotonic()
        load.start()
        self._let_pass(began, load)
        ended = time.monotonic()
        load.stop()
        watch.stop()
        finality = [(at - began, wait) for at, wait in load.finality_ms]
        verdicts = judged(self.samples, finality, self._length_s)
        backs = [back_s for _, _, back_s in self.faults]
        verdicts.append(Verdict("seconds without a block, at most", watch.longest_gap_s(began, ended), GAP_S_MAX))
        verdicts.append(Verdict("seconds until a node was back at the tip", max(backs, default=0.0), BACK_S_MAX))
        verdicts += self._audit()
        waits = sorted(wait for _, wait in finality)
        facts = {
            "minutes": round((ended - began) / 60, 1),
            "blocks": self.samples[-1].height,
            "handed_in": load.handed_in,
            "reads": load.reads,
            "events": load.events,
            "finality_ms": {"median": round(median(waits)), "p99": round(percentile(waits, 0.99))},
            "back_s": {kind: [back_s for found, _, back_s in self.faults if found == kind] for kind in KINDS},
            "memory_mb": {name: self._newest(name).memory_mb for name in STEADY},
            "failures": {what: times for what, times in sorted(load.failures.items()) if times},
        }
        return verdicts, facts

    def _let_pass(self, began: float, load: Mixed) -> None:
        kinds, victims = cycle(KINDS), cycle(VICTIMS)
        sample_at, fault_at = 0.0, self._fault_every_s
        while (at := time.monotonic() - began) < self._length_s:
            if at >= sample_at:
                self._look(at, load.handed_in)
                sample_at = max(sample_at + SAMPLE_S, at)
            # The last one must have the time to come back.
            if at >= fault_at and at < self._length_s - 2 * FAULT_S - BACK_S_MAX:
                self._break(next(kinds), next(victims))
                fault_at = max(fault_at + self._fault_every_s, at)
            time.sleep(0.2)

    def _break(self, kind: str, name: str) -> None:
        network = self._network
        match kind:
            case "kill":
                network.kill(name)
                time.sleep(FAULT_S)
                network.start(name)
            case "restart":
                network.signal(name, signal.SIGTERM)
                network.process(name).wait(FAULT_S)
                network.start(name)
            case "pause":
                network.signal(name, signal.SIGSTOP)
                time.sleep(FAULT_S)
                network.signal(name, signal.SIGCONT)
            case "cut":
                network.cut([other for other in network.names if other != name], [name])
                time.sleep(FAULT_S)
                network.heal()
            case _:
                raise ValueError(kind)
        self.faults.append((kind, name, until_tip(network, (name,), time.monotonic())))

    def _look(self, at_s: float, handed_in: int) -> None:
        for name in STEADY:
            pid, home = self._network.process(name).pid, self._network.home(name)
            height, transactions = self._count()
            found = Sample(
                round(at_s, 1),
                name,
                pid,
                height,
                transactions,
                handed_in,
                *_memory_and_threads(pid),
                disk_bytes(home / "store") + disk_bytes(home / "replica"),
            )
            self.samples.append(found)
            with self._out.open("a") as file:
                file.write(json.dumps(asdict(found)) + "\n")

    def _count(self) -> tuple[int, int]:
        """The height of the first node, and how many transactions all blocks up to there have."""
        height, transactions = self._counted
        tip = self._network.height(STEADY[0])
        if tip > height:
            transactions += sum(self._network.transactions(STEADY[0], height + 1, tip))
            self._counted = tip, transactions
        return self._counted

    def _newest(self, name: str) -> Sample:
        return next(sample for sample in reversed(self.samples) if sample.node == name)

    def _audit(self) -> list[Verdict]:
        network = self._network
        tip = network.height(STEADY[0])
        network.wait_level(tip)
        double = [what for name in network.names for what in double_signatures(signatures(network.audit(name)))]
        split = forks({name: network.blocks(name, tip) for name in network.names})
        return [Verdict("validators' double signatures", len(double), 0), Verdict("forks", len(split), 0)]


KINDS: Final = ("kill", "pause", "cut", "restart")


def _memory_and_threads(pid: int) -> tuple[float, int, int]:
    """Memory in MB, open descriptors and threads of a process."""
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return round(memory_mb(pid), 1), descriptors, int(status_of(pid)["Threads"])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", type=float, default=8.0)
    length.add_argument("--minutes", type=float, help="instead of hours; five are the least that says something")
    parser.add_argument("--fault-every", type=float, metavar="S", help="[40 s below an hour, else 300 s]")
    parser.add_argument("--per-second", type=int, default=PER_SECOND, help=f"payments [{PER_SECOND}]")
    parser.add_argument("--base-port", type=int, default=BASE_PORT)
    parser.add_argument("--samples", type=Path, default=Path(".soak-samples.jsonl"), help="written anew")
    options = parser.parse_args()
    minutes = options.minutes if options.minutes is not None else options.hours * 60
    folder = Path(tempfile.mkdtemp(prefix="concento-soak-"))
    genesis = folder / "genesis-of-soak.json"
    genesis.write_text(genesis_json(bench_genesis(4)))
    os.environ["CONCENTO_NODE_SNAPSHOT_EVERY"] = "10m" if minutes > 60 else "1m"
    options.samples.unlink(missing_ok=True)
    network = FaultNetwork(folder / "net", options.base_port, genesis=genesis)
    try:
        every_s = options.fault_every or (300.0 if minutes > 60 else 40.0)
        verdicts, facts = Soak(network, minutes, every_s, options.per_second, options.samples).run()
    finally:
        network.close()
    print(json.dumps(facts))
    print("\n".join(map(str, verdicts)))
    if all(verdict.holds for verdict in verdicts):
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(f"the network is in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
