"""`make bench`: the arms of the comparison side by side on this machine, ratios first.

Rates of a shared machine drift; ratios measured in the same minute do not. Every record is a line of JSON that is
appended to bench/results.jsonl. docs/benchmark.md explains each choice.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.arms import Plan, lines, measure_arm
from bench.mixes import MIXES
from bench.networks import ARMS, OF_COMET, TITLES, comet_binary, remove
from bench.usage import disk_sync_ms
from node.comet.home import INSTALL

RESULTS: Final = Path(__file__).parent / "results.jsonl"
USUAL: Final = Plan()
QUICK: Final = ("C", "B-tuned", "A")
PAIRS: Final = (
    ("C", "B-tuned", ""),
    ("C", "B", ""),
    ("C0", "A", ": neither checks clients' signatures"),
    ("C", "C0", ": what checking them costs"),
    ("C", "A", ": A checks none"),
)
"""Which arm is held against which."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--arms", default=",".join(QUICK), help=f"of {','.join(ARMS)} [{','.join(QUICK)}]")
    parser.add_argument("--mixes", default="transfers", help=f"of {','.join(MIXES)} [transfers]")
    parser.add_argument("--nodes", type=int, default=USUAL.nodes)
    parser.add_argument("--accounts", type=int, default=USUAL.accounts, help=f"in the state [{USUAL.accounts}]")
    parser.add_argument("--load-s", type=float, default=USUAL.load_s, help="length of a run at full load")
    parser.add_argument("--level-s", type=float, default=USUAL.level_s, help="length of each finality run; 0: none")
    parser.add_argument("--base-port", type=int, default=USUAL.base_port)
    parser.add_argument("--full", action="store_true", help="all arms and mixes, longer runs: about half an hour")
    options = parser.parse_args()
    arms = ARMS if options.full else tuple(options.arms.split(","))
    mixes = tuple(MIXES) if options.full else tuple(options.mixes.split(","))
    if unknown := [name for name in (*arms, *mixes) if name not in (*ARMS, *MIXES)]:
        parser.error(f"{unknown[0]} is neither an arm ({', '.join(ARMS)}) nor a mix ({', '.join(MIXES)})")
    plan = Plan(
        nodes=options.nodes,
        accounts=options.accounts,
        base_port=options.base_port,
        mixes=mixes,
        load_s=30.0 if options.full else options.load_s,
        level_s=15.0 if options.full else options.level_s,
    )
    records = run(arms, plan)
    print()
    print("\n".join(lines(records)))
    compare(records)
    return 0


def run(arms: tuple[str, ...], plan: Plan) -> list[dict[str, Any]]:
    """Every arm that this machine can run, one after the other; each record is kept as soon as it is there."""
    run_id = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if any(arm in OF_COMET for arm in arms) and comet_binary() is None:
        print(f"left out, no CometBFT 0.38 here: {', '.join(arm for arm in arms if arm in OF_COMET)}; {INSTALL}")
        arms = tuple(arm for arm in arms if arm not in OF_COMET)
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as folder:
        sync_ms = round(disk_sync_ms(Path(folder)), 2)
        print(f"{machine}; a synced write of 4 kB takes {sync_ms} ms")
        for arm in arms:
            print(f"{arm}: {TITLES[arm]}", flush=True)
            for record in measure_arm(arm, plan, Path(folder), _progress):
                record = {"run": run_id, "machine": machine, "disk_sync_ms": sync_ms, **record}
                records.append(record)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(record) + "\n")
            remove(Path(folder) / arm)
    return records


def compare(records: list[dict[str, Any]]) -> None:
    """The figures that the comparison is about, mix by mix: rates, and CPU of all nodes for a transaction."""
    found = {(record["arm"], record["mix"]): record for record in records}
    for mix in dict.fromkeys(record["mix"] for record in records):
        for ours, theirs, remark in PAIRS:
            if (ours, mix) in found and (theirs, mix) in found:
                own, other = found[ours, mix], found[theirs, mix]
                cpu = sum(own["cpu_us_per_tx"]) / sum(other["cpu_us_per_tx"])
                print(f"{mix:<10} {ours} / {theirs:<8} {own['ratio'] / other['ratio']:>5.2f} of the rate, "
                      f"{cpu:.2f} of the CPU{remark}")  # fmt: skip


def _progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
