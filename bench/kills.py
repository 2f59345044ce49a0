"""Real nodes killed at any moment under load, again and again: nobody may sign twice, no two nodes may differ.

    python -m bench.kills --kills 200            goes on where it was stopped; --fresh begins again

Several networks in turn, so that not everything rests on one history. After each network every signature that left
(noted beside the process, through all its lives) and every block of every node are compared. A line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.faultload import Trickle
from bench.faultnet import FaultNetwork, double_signatures, forks, signatures
from bench.resumed import add_options, done_before, remember

BASE_PORT: Final = 28_000
STATE: Final = Path(".kills-state.json")
KILLS_PER_NETWORK: Final = 25
TRANSFERS_PER_S: Final = 25.0
ALIVE_S_MAX: Final = 1.5
DEAD_S_MAX: Final = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many in all, earlier runs counted")
    parser.add_argument("--per-network", type=int, default=KILLS_PER_NETWORK)
    parser.add_argument("--seed", type=int, default=1)
    add_options(parser, BASE_PORT, STATE)
    options = parser.parse_args()
    done = done_before(options, {"kills": 0, "networks": 0, "signatures": 0, "blocks": 0, "double": [], "forks": []})
    while done["kills"] < options.kills:
        kills = min(options.per_network, options.kills - done["kills"])
        found = run_network(kills, options.base_port, options.seed + done["networks"])
        print(json.dumps(found), flush=True)
        for field in ("kills", "signatures", "blocks", "double", "forks"):
            done[field] += found[field]
        done["networks"] += 1
        remember(options, done)
    print(
        f"{done['kills']} kills in {done['networks']} networks: {len(done['double'])} double signs among "
        f"{done['signatures']} signatures, {len(done['forks'])} forks in {done['blocks']} blocks"
    )
    return 1 if done["double"] or done["forks"] else 0


def run_network(kills: int, base_port: int, seed: int) -> dict[str, Any]:
    """One new network, so many kills, and what was found afterwards. Its folder is kept where something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="concento-kills-"))
    network = FaultNetwork(folder, base_port)
    chance = random.Random(seed)
    began = time.monotonic()
    try:
        network.start_all()
        trickle = Trickle(network.urls, TRANSFERS_PER_S, seed)
        killed = 0
        while killed < kills:
            killed += _strike(network, chance, kills - killed)
        for name in network.names:
            network.wait_ready(name)
        trickle.stop()
        tip = max(map(network.height, network.names))
        network.wait_level(tip)
        found = audit(network, tip)
    finally:
        network.close()
    found |= {"seed": seed, "kills": killed, "handed_in": trickle.handed_in, "seconds": round(time.monotonic() - began)}
    if found["double"] or found["forks"]:
        found["folder"] = str(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def audit(network: FaultNetwork, tip: int) -> dict[str, Any]:
    """Everything signed, and every block up to this height that all nodes have, compared."""
    said = {name: signatures(network.audit(name)) for name in network.names}
    double = [f"{name}: {what}" for name, lines in said.items() for what in double_signatures(lines)]
    double += [f"{name} was accused on chain" for name in network.names if _accused(network, name)]
    chains = {name: network.blocks(name, tip) for name in network.names}
    return {"signatures": sum(map(len, said.values())), "blocks": tip, "double": double, "forks": forks(chains)}


def _strike(network: FaultNetwork, chance: random.Random, left: int) -> int:
    """Kills one node after a while, or several at once; starts them again. How many died."""
    time.sleep(chance.uniform(0, ALIVE_S_MAX))
    count = min(left, chance.choices((1, 2, len(network.names)), (8, 1, 1))[0])
    victims = chance.sample(network.names, count)
    for name in victims:
        network.signal(name, signal.SIGKILL)
    for name in victims:
        network.process(name).wait()
    time.sleep(chance.uniform(0, DEAD_S_MAX))
    for name in victims:
        network.start(name)
    if chance.random() < 0.75:
        # Else the next kill comes while it is still starting.
        for name in victims:
            network.wait_ready(name)
    return count


def _accused(network: FaultNetwork, name: str) -> bool:
    log = network.home(name) / "logs" / "node.log"
    return log.exists() and "consensus.equivocation" in log.read_text(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
