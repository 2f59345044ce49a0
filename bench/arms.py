"""One arm of the comparison: its network started, filled, measured and ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.limit import signature_limit
from bench.load import Sustained, idle_finality_ms, offer, percentile, sustain
from bench.mixes import MIXES, bench_genesis, fill, kvstore_pairs, receivers
from bench.networks import Running, remove, running
from bench.prepared import write_store
from bench.targets import Item, target
from bench.usage import Usage
from concento.client import Client

LIMIT_S: Final = 3.0
PROBE_SHARE: Final = 0.2
"""Of a load, as a first run that finds how many transactions the load needs."""
LEVELS: Final = (0.2, 0.5, 0.8)
"""Shares of the sustained rate at which finality is measured."""
PAID_MAX: Final = 100_000
"""Accounts beyond these are not paid before the run: it would take longer than the run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything; one plan for all arms of a run."""

    nodes: int = 4
    accounts: int = 100_000
    base_port: int = 27_600
    mixes: tuple[str, ...] = ("transfers",)
    load_s: float = 10.0
    """About how long a run at full load takes."""
    level_s: float = 6.0
    """How long each level of finality is offered; 0 leaves them out."""
    idle_rounds: int = 60


EXPECTED_TX_S: Final = {
    "C": {"transfers": 2_000, "access": 900, "datasets": 8},
    "C0": {"transfers": 4_000, "access": 2_000, "datasets": 8},
    "B": {"transfers": 600, "access": 300, "datasets": 5},
    "B-tuned": {"transfers": 800, "access": 400, "datasets": 5},
    "A": {"transfers": 3_000},
}
"""Decides how many transactions the first, short run has, not what is found."""


def measure_arm(arm: str, plan: Plan, folder: Path, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """One record for every mix. The limit is measured before and after each, and its mean put beside it."""
    folder = folder / arm
    folder.mkdir(parents=True)
    with network_with_accounts(arm, plan, folder, report) as network:
        if arm == "A":
            return [measure_mix(network, "transfers", kvstore_pairs(), plan, report)]
        client = Client(*network.urls, timeout_s=60)
        found = []
        for name in plan.mixes:
            sign_more = MIXES[name].prepare(client, plan.accounts)
            found.append(measure_mix(network, name, sign_more, plan, report))
        return found


@contextmanager
def network_with_accounts(arm: str, plan: Plan, folder: Path, report: Callable[[str], None]) -> Iterator[Running]:
    """A network of this arm in whose state these accounts are: paid, or prepared where there are very many."""
    genesis, store = bench_genesis(plan.nodes), None
    if arm != "A" and plan.accounts > PAID_MAX:
        store = folder / "prepared"
        write_store(store, genesis, receivers(plan.accounts))
        report(f"{arm}: accounts {plan.accounts:,} prepared")
    with running(arm, genesis, folder, plan.nodes, plan.base_port, store) as network:
        if store is not None:
            remove(store)
        elif arm != "A":
            fill(Client(*network.urls, timeout_s=60), plan.accounts, lambda text: report(f"{arm}: {text}"))
        yield network


def measure_mix(
    network: Running, mix: str, sign_more: Callable[[int], list[Item]], plan: Plan, report: Callable[[str], None]
) -> dict[str, Any]:
    """One mix on one network: idle, as fast as it goes, and at shares of that rate."""
    arm = network.arm
    idle: list[float] = []
    if mix == "transfers":
        report(f"{arm} {mix}: one at a time")
        idle = idle_finality_ms(target(arm, network.urls[0]), sign_more(plan.idle_rounds))
    # Nodes and caches warm, and a load that lasts equally long for a fast arm and a slow one.
    probe = sustain(arm, network.urls, sign_more(max(20, round(EXPECTED_TX_S[arm][mix] * plan.load_s * PROBE_SHARE))))
    items = sign_more(max(20, round(probe.rate * plan.load_s)))
    report(f"{arm} {mix}: {len(items):,} as fast as they are taken")
    limit_before = signature_limit(plan.nodes, LIMIT_S)
    before = Usage.of(network)
    own_before = time.process_time()
    found = sustain(arm, network.urls, items)
    own_s = time.process_time() - own_before
    after = Usage.of(network)
    limit = (limit_before + signature_limit(plan.nodes, LIMIT_S)) / 2
    record: dict[str, Any] = {
        "arm": arm,
        "mix": mix,
        "validators": plan.nodes,
        "accounts": plan.accounts if arm != "A" else 0,
        "limit_tx_s": round(limit),
        "offered": len(items),
        "committed": found.transactions,
        "blocks": found.blocks,
        "busy": found.busy,
        "tx_s": round(found.rate, 1 if found.rate < 100 else None),
        "ratio": round(found.rate / limit, 5),
        "cpu_us_per_tx": [round(spent * 1e6 / max(1, found.transactions)) for spent in after.spent_s(before)],
        "cpu_cores": [round(spent / found.seconds, 2) for spent in after.spent_s(before)],
        "generator_us_per_tx": round(own_s * 1e6 / max(1, found.transactions)),
        "memory_mb": [round(one) for one in after.memory_mb],
        "processes": [
            {
                "program": program,
                "cpu_us_per_tx": round((cpu_s - before.programs[program][0]) * 1e6 / max(1, found.transactions)),
                "memory_mb": round(memory_mb),
            }
            for program, (cpu_s, memory_mb) in after.programs.items()
        ],
        "disk_bytes_per_tx": round((after.disk_bytes - before.disk_bytes) / plan.nodes / max(1, found.transactions)),
    }
    if idle:
        record["idle_finality_ms"] = {"p50": round(percentile(idle, 0.5), 1), "p99": round(percentile(idle, 0.99), 1)}
    if plan.level_s:
        record["finality_ms"] = {}
        for level in LEVELS:
            rate = found.rate * level
            report(f"{arm} {mix}: finality at {level:.0%} of that, {rate:,.0f} tx/s")
            offered = offer(arm, network.urls, sign_more(max(2, round(rate * plan.level_s))), rate)
            record["finality_ms"][f"{level:.0%}"] = _spread(offered)
    return record


def _spread(found: Sustained) -> dict[str, float]:
    return {
        name: round(percentile(found.finality_ms, share), 1)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    } | {"tx_s": round(found.rate, 1), "busy": found.busy}


def share(ratio: float) -> str:
    """A share of the limit, with two digits that say something: heavy transactions have thousandths."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def lines(records: Sequence[dict[str, Any]]) -> list[str]:
    """The records as a person reads them, ratios first."""
    found = []
    for record in records:
        finality = record.get("finality_ms", {})
        levels = ", ".join(f"{level} {spread['p50']:.0f}/{spread['p99']:.0f}" for level, spread in finality.items())
        idle = record.get("idle_finality_ms")
        found.append(
            f"{record['arm']:<8} {record['mix']:<10} {share(record['ratio']):>6} of the limit  "
            f"{record['tx_s']:>8,} tx/s  {max(record['cpu_us_per_tx']):>6} us/tx  {max(record['memory_mb']):>5} MB  "
            f"{record['disk_bytes_per_tx']:>6} B/tx"
            + (f"  idle {idle['p50']:.0f}/{idle['p99']:.0f} ms" if idle else "")
            + (f"  finality p50/p99 ms: {levels}" if levels else "")
        )
    return found
