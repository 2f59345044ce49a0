from __future__ import annotations

import ast
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench import crashes
from bench.resumed import add_options, done_before, remember
from sim.faultydisk import CRASH_HOWS, PLACE_KINDS

EPHEMERAL_FIRST = 32_768
"""From here on the system gives ports to whoever connects."""
ROOT = Path(__file__).parent.parent.parent


def options_of(folder: Path, *words: str) -> Namespace:
    parser = ArgumentParser()
    add_options(parser, 28_000, folder / "state.json")
    return parser.parse_args(words)


def test_a_run_goes_on_where_the_one_before_was_broken_off(tmp_path: Path) -> None:
    first = options_of(tmp_path)
    assert done_before(first, {"kills": 0}) == {"kills": 0}
    remember(first, {"kills": 25})
    assert done_before(options_of(tmp_path), {"kills": 0}) == {"kills": 25}


def test_a_fresh_run_forgets_the_ones_before(tmp_path: Path) -> None:
    remember(options_of(tmp_path), {"kills": 25})
    assert done_before(options_of(tmp_path, "--fresh"), {"kills": 0}) == {"kills": 0}
    assert done_before(options_of(tmp_path), {"kills": 0}) == {"kills": 0}


def test_every_way_to_die_and_every_place_is_tried() -> None:
    assert (crashes.HOWS, crashes.KINDS) == (CRASH_HOWS, PLACE_KINDS)


def test_no_benchmark_listens_where_the_system_gives_ports_away() -> None:
    bases = [
        (path.name, number.value)
        for path in sorted((ROOT / "bench").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if "base_port" in ast.unparse(node).lower().replace("-", "_")
        and isinstance(node, ast.AnnAssign | ast.Assign | ast.Call)
        for number in ast.walk(node)
        if isinstance(number, ast.Constant) and isinstance(number.value, int) and number.value > 1_024
    ]
    assert len(bases) > 5
    assert [found for found in bases if found[1] >= EPHEMERAL_FIRST - 1_000] == []
