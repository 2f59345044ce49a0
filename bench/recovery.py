"""How soon nodes are back under load, and what a network without one of its validators still does.

    python -m bench.recovery                   100,000 accounts, half of what this machine can do; some four minutes

A node is killed and started again, one is frozen for ten seconds, the network is cut in halves for ten seconds. Each
time the clock runs from the moment at which nothing keeps the node from working until it is at the tip of the others.
Blocks are watched on a node that nothing happens to. Then the rates with and without one validator, in turns.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

from bench.faultload import MAX_FEE_UBEAT, session
from bench.faultnet import FaultNetwork, forks, wait_for
from concento.client import Client, Session
from concento.client.rpc import RpcError
from concento.errors import ConcentoError
from concento.messages.tokens import Transfer

ACCOUNTS: Final = 100_000
PER_TRANSACTION: Final = 60
BATCH: Final = 250
LOAD_S: Final = 12.0
FAULT_S: Final = 10.0
DOWN_S: Final = 3.0
POLL_S: Final = 0.02
TICK_S: Final = 0.05
FILL_FEE_UBEAT: Final = 3_000_000
RICH: Final = ("treasury", "bob", "alice", "bea", "carol")
"""What waits of a payer may cost no more than he has."""
BEHIND: Final = 2
"""Heights that a node may lack to be at the tip: it is asked a moment after the one that it is compared with."""
WATCHED: Final = "node1"
GOAL_S: Final = 20.0
GOAL_GAP_S: Final = 5.0
GOAL_RATE: Final = 0.7


class Load:
    """Transfers to many accounts, signed ahead, handed in at a rate to whoever is up."""

    def __init__(self, network: FaultNetwork, accounts: int) -> None:
        self._network = network
        self._sessions = [session(name, network.url(WATCHED)) for name in RICH]
        self._accounts = accounts
        self._made = 0

    def sign(self, count: int) -> list[bytes]:
        return [self._transfer(self._sessions[n % len(RICH)]) for n in range(count)]

    def fill(self) -> None:
        """Pays every account once, many in one transaction."""
        receivers = iter(range(self._accounts))
        waiting: list[bytes] = []
        while chunk := list(islice(receivers, PER_TRANSACTION)):
            here = self._sessions[len(waiting) % len(RICH)]
            actions = [Transfer(_receiver(number), 1) for number in chunk]
            waiting.append(here.build(actions, max_fee_ubeat=FILL_FEE_UBEAT).raw)
        for start in range(0, len(waiting), 50):
            self.hand_in(WATCHED, waiting[start : start + 50])
        self.drain()

    def hand_in(self, name: str, raws: Sequence[bytes]) -> int:
        """Hands in until all are taken; those that were lost because the node was not there."""
        with Client(self._network.url(name), timeout_s=10) as client:
            for start in range(0, len(raws), BATCH):
                waiting = list(raws[start : start + BATCH])
                while waiting:
                    try:
                        told = client.submit_batch(waiting)["items"]
                    except RpcError as error:
                        if not error.retryable:
                            raise
                        time.sleep(TICK_S)
                        continue
                    except ConcentoError:
                        return len(raws) - start
                    waiting = [raw for raw, item in zip(waiting, told, strict=True) if _is_busy(item)]
                    if waiting:
                        time.sleep(TICK_S)
        return 0

    def drain(self) -> None:
        """Waits until no node holds anything undecided."""
        wait_for(lambda: all((self._network.status(n) or {"pool": 0})["pool"] == 0 for n in self._network.names),
                 120, lambda: "transactions stay undecided")  # fmt: skip

    def saturate(self, seconds: float, expected: float) -> float:
        """Transactions a second that the nodes that are up decide, offered as many as they take for so long."""
        names = [name for name in self._network.names if self._network.is_up(name)]
        raws = self.sign(round(expected * seconds))
        first = self._network.height(WATCHED)
        began = time.monotonic()
        threads = [
            threading.Thread(target=self.hand_in, args=(name, raws[index :: len(names)]))
            for index, name in enumerate(names)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        decided = 0
        while decided < len(raws) and time.monotonic() - began < 10 * seconds:
            time.sleep(TICK_S)
            decided = self._decided_after(first)
        return decided / (time.monotonic() - began)

    def _decided_after(self, height: int) -> int:
        with Client(self._network.url(WATCHED), timeout_s=10) as client:
            total = 0
            cursor: str | None = None
            while True:
                page: dict[str, Any] = client.call("chain_getBlocks", cursor=cursor, limit=100)
                new = [block for block in page["items"] if block["height"] > height]
                total += sum(int(block["transactions"]) for block in new)
                cursor = page["next"]
                if len(new) < len(page["items"]) or cursor is None:
                    return total

    def _transfer(self, here: Session) -> bytes:
        self._made += 1
        return here.build(
            [Transfer(_receiver(self._made * 7_919 % self._accounts), 1)], max_fee_ubeat=MAX_FEE_UBEAT
        ).raw


class Steady:
    """Half of saturation, for as long as it lasts; what a node that is away would have got, the next one gets."""

    def __init__(self, load: Load, network: FaultNetwork, per_second: float) -> None:
        self.lost = 0
        self._load = load
        self._network = network
        self._per_tick = max(1, round(per_second * TICK_S))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due, turn = time.monotonic(), 0
        while not self._stop.is_set():
            due += TICK_S
            # Only nodes that nothing happens to: the load must not depend on the fault.
            name = (WATCHED, "node2")[turn % 2]
            turn += 1
            self.lost += self._load.hand_in(name, self._load.sign(self._per_tick))
            time.sleep(max(0.0, due - time.monotonic()))


class Watch:
    """Sees the blocks of the watched node come, and remembers the longest time without one."""

    def __init__(self, network: FaultNetwork) -> None:
        self._network = network
        self._stop = threading.Event()
        self._times: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def longest_gap_s(self, since: float, until: float) -> float:
        """The longest time without a block between two moments."""
        inside = [since, *(at for at in self._times if since < at < until), until]
        return max(later - earlier for earlier, later in pairwise(inside))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        height = 0
        with Client(self._network.url(WATCHED), timeout_s=5) as client:
            while not self._stop.wait(POLL_S):
                try:
                    now = client.status()["height"]
                except ConcentoError:
                    continue
                if now > height:
                    height = now
                    self._times.append(time.monotonic())


def measure(network: FaultNetwork, accounts: int, expected: float, load_s: float, fault_s: float) -> dict[str, Any]:
    """Everything, on a network that is up."""
    load = Load(network, accounts)
    began = time.monotonic()
    load.fill()
    _say(f"{accounts:,} accounts after {time.monotonic() - began:.0f} s")
    whole = [load.saturate(load_s, expected)]
    found: dict[str, Any] = {"accounts": accounts, "saturation_tx_s": round(whole[0])}
    _say(f"saturation {whole[0]:.0f} tx/s")
    steady, watch = Steady(load, network, whole[0] / 2), Watch(network)
    time.sleep(3)
    found["kill"] = _kill(network, watch)
    _say(f"kill {found['kill']}")
    found["pause"] = _pause(network, watch, fault_s)
    _say(f"pause {found['pause']}")
    found["split"] = _split(network, watch, fault_s)
    _say(f"split {found['split']}")
    steady.stop()
    watch.stop()
    found["lost"] = steady.lost
    load.drain()
    dead = []
    for _ in range(2):
        network.kill("node4")
        dead.append(load.saturate(load_s, expected))
        network.start("node4", program="node.app")
        network.wait_ready("node4")
        load.drain()
        whole.append(load.saturate(load_s, expected))
        load.drain()
    found["dead_tx_s"] = [round(rate) for rate in dead]
    found["whole_tx_s"] = [round(rate) for rate in whole]
    # Each run without it stands between two with it.
    pairs = [one / ((before + after) / 2) for one, before, after in zip(dead, whole[:-1], whole[1:], strict=True)]
    found["dead_share"] = round(sum(pairs) / len(pairs), 2)
    tip = min(map(network.height, network.names))
    found["forks"] = forks({name: network.blocks(name, tip, max(1, tip - 500)) for name in network.names})
    return found


def _kill(network: FaultNetwork, watch: Watch) -> dict[str, float]:
    began = time.monotonic()
    network.kill("node4")
    time.sleep(DOWN_S)
    started = time.monotonic()
    network.start("node4", program="node.app")
    back_s = until_tip(network, ("node4",), started)
    return {"back_s": back_s, "gap_s": round(watch.longest_gap_s(began, time.monotonic()), 1)}


def _pause(network: FaultNetwork, watch: Watch, fault_s: float) -> dict[str, float]:
    began = time.monotonic()
    network.signal("node3", signal.SIGSTOP)
    time.sleep(fault_s)
    network.signal("node3", signal.SIGCONT)
    back_s = until_tip(network, ("node3",), time.monotonic())
    return {"back_s": back_s, "gap_s": round(watch.longest_gap_s(began, time.monotonic()), 1)}


def _split(network: FaultNetwork, watch: Watch, fault_s: float) -> dict[str, float]:
    network.cut(("node1", "node2"), ("node3", "node4"))
    time.sleep(fault_s)
    stood = network.height(WATCHED)
    healed = time.monotonic()
    network.heal()
    block_s = wait_for(lambda: network.height(WATCHED) > stood, 60, lambda: "no block came after the split")
    back_s = until_tip(network, network.names[1:], healed)
    return {"back_s": back_s, "block_s": round(block_s, 1)}


def until_tip(network: FaultNetwork, names: Sequence[str], since: float) -> float:
    """Seconds since then until all of these have reached the height that the watched one has."""
    wait_for(
        lambda: (tip := network.height(WATCHED) - BEHIND) > 0 and all(network.height(name) >= tip for name in names),
        120,
        lambda: f"{', '.join(names)} did not come back to the tip",
    )
    return round(time.monotonic() - since, 1)


def _is_busy(item: dict[str, Any]) -> bool:
    error = item.get("error")
    if error is None:
        return False
    if not error["data"]["retryable"] and error["data"]["kind"] not in ("tx.pool_full", "tx.sender_full"):
        raise RuntimeError(f"a transfer was refused: {error['message']}")
    return True


def _receiver(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.recovery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--expected", type=float, default=2_000.0, help="tx/s; decides how many a run at full load has")
    parser.add_argument("--load-s", type=float, default=LOAD_S, help="about how long a run at full load takes")
    parser.add_argument("--fault-s", type=float, default=FAULT_S, help="how long a pause and a split last")
    parser.add_argument("--base-port", type=int, default=28_300)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="concento-recovery-"))
    network = FaultNetwork(folder, options.base_port)
    try:
        for name in network.names:
            network.start(name, program="node.app")
        for name in network.names:
            network.wait_ready(name)
        found = measure(network, options.accounts, options.expected, options.load_s, options.fault_s)
    finally:
        network.close()
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found))
    good = (
        max(found[case]["back_s"] for case in ("kill", "pause", "split")) <= GOAL_S
        and max(found[case]["gap_s"] for case in ("kill", "pause")) <= GOAL_GAP_S
        and found["dead_share"] >= GOAL_RATE
        and not found["forks"]
    )
    print("all goals are met" if good else "a goal is missed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
