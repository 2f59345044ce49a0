"""`python -m bench.page`: the newest run of bench/results.jsonl as docs/benchmark-results.md and docs/benchmark.svg."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from bench.__main__ import RESULTS
from bench.arms import share
from bench.networks import ARMS, TITLES

DOCS: Final = Path(__file__).parents[1] / "docs"
WIDTH: Final = 760
LABEL: Final = 250
BAR: Final = 22
GAP: Final = 10
COLOURS: Final = {"C": "#0f766e", "C0": "#5eead4", "B-tuned": "#b45309", "B": "#f59e0b", "A": "#94a3b8"}
SHORT: Final = {
    "C": "Concento",
    "C0": "Concento, signatures not checked",
    "B-tuned": "CometBFT, our ledger, tuned",
    "B": "CometBFT, our ledger, defaults",
    "A": "CometBFT, Go kvstore, no signatures",
}


def main() -> int:
    records = newest_run([json.loads(line) for line in RESULTS.read_text().splitlines()])
    (DOCS / "benchmark-results.md").write_text(page(records))
    (DOCS / "benchmark.svg").write_text(picture(records))
    print(f"{len(records)} records of {records[0]['run']}")
    return 0


def newest_run(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of the last run, in the order of the arms."""
    run = records[-1]["run"]
    return sorted(
        (r for r in records if r.get("run") == run),
        key=lambda r: (r["mix"] != "transfers", r["mix"], ARMS.index(r["arm"])),
    )


def page(records: list[dict[str, Any]]) -> str:
    """Tables of one run, made by machine."""
    first = records[0]
    lines = [
        "# One run of the benchmark",
        "",
        "Made by `python -m bench.page` from the newest run; [what is compared and why](benchmark.md).",
        "",
        f"{first['run']}, {first['machine']}; a synced write of 4 kB took {first['disk_sync_ms']} ms. Ratios are to",
        "the signature limit measured before and after the same load.",
        "",
        "![Share of the limit, and finality](benchmark.svg)",
    ]
    for mix in dict.fromkeys(record["mix"] for record in records):
        lines += [
            "",
            f"## {mix.capitalize()}",
            "",
            "| arm | of the limit | tx/s | final, of offered, in blocks "
            "| CPU of the busiest node, us/tx | of its processes | memory, MB "
            "| disk, B/tx and node | idle p50 / p99 ms | finality p50 / p95 / p99 ms at 20 % | at 50 % | at 80 % |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [_row(record) for record in records if record["mix"] == mix]
    return "\n".join(lines) + "\n"


def _row(record: dict[str, Any]) -> str:
    idle = record.get("idle_finality_ms")
    finality = record.get("finality_ms", {})
    levels = [finality.get(level) for level in ("20%", "50%", "80%")]
    cells = [
        f"{record['arm']}: {TITLES[record['arm']]}",
        share(record["ratio"]),
        f"{record['tx_s']:,}",
        f"{record['committed']:,} of {record['offered']:,} in {record['blocks']}",
        f"{max(record['cpu_us_per_tx']):,}",
        ", ".join(f"{one['program']} {one['cpu_us_per_tx']:,}" for one in record.get("processes", ())),
        str(max(record["memory_mb"])),
        f"{record['disk_bytes_per_tx']:,}",
        f"{idle['p50']} / {idle['p99']}" if idle else "",
        *(f"{level['p50']:.0f} / {level['p95']:.0f} / {level['p99']:.0f}" if level else "" for level in levels),
    ]
    return "| " + " | ".join(cells) + " |"


def picture(records: list[dict[str, Any]]) -> str:
    """Two rows of bars for the mix of transfers: the share of the limit, and the median finality at half load."""
    shown = [record for record in records if record["mix"] == "transfers"]
    rates = [(record["arm"], record["ratio"], share(record["ratio"])) for record in shown]
    halves = [(record["arm"], record.get("finality_ms", {}).get("50%")) for record in shown]
    times = [(arm, level["p50"], f"{level['p50']:.0f} ms") for arm, level in halves if level]
    parts: list[str] = []
    top = _bars(parts, 10, "Committed transfers, as a share of what checking signatures alone allows", rates)
    bottom = _bars(parts, top + 20, "Median finality at half of its own full load (less is better)", times)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}" font-family="sans-serif" '
        f'font-size="13" role="img" aria-label="Benchmark of the arms">\n'
        f'<rect width="{WIDTH}" height="{bottom}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bars(parts: list[str], y: int, title: str, bars: list[tuple[str, float, str]]) -> int:
    """Draws one row of bars below y; where it ends."""
    parts.append(f'<text x="10" y="{y + 14}" font-weight="bold" fill="#0f172a">{escape(title)}</text>')
    y += 26
    largest = max((value for _, value, _ in bars), default=1.0) or 1.0
    for arm, value, label in bars:
        width = max(2, round(value / largest * (WIDTH - LABEL - 80)))
        middle = y + BAR - 7
        parts.append(f'<text x="10" y="{middle}" fill="#334155">{escape(SHORT[arm])}</text>')
        parts.append(f'<rect x="{LABEL}" y="{y}" width="{width}" height="{BAR}" rx="3" fill="{COLOURS[arm]}"/>')
        parts.append(f'<text x="{LABEL + width + 8}" y="{middle}" fill="#0f172a">{escape(label)}</text>')
        y += BAR + GAP
    return y


if __name__ == "__main__":
    sys.exit(main())
