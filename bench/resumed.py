"""Long runs that are broken off and go on: what was done so far stands in a small file."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any


def add_options(parser: ArgumentParser, base_port: int, state: Path) -> None:
    """What every such run can be told besides what it measures."""
    parser.add_argument("--base-port", type=int, default=base_port)
    parser.add_argument("--state", type=Path, default=state, help="the file of what was done so far")
    parser.add_argument("--fresh", action="store_true", help="forget what was done before")


def done_before(options: Namespace, nothing: dict[str, Any]) -> dict[str, Any]:
    """What earlier runs did; `nothing` where there were none, or they are to be forgotten."""
    if options.fresh:
        options.state.unlink(missing_ok=True)
    found: dict[str, Any] = json.loads(options.state.read_text()) if options.state.exists() else nothing
    return found


def remember(options: Namespace, done: dict[str, Any]) -> None:
    options.state.write_text(json.dumps(done))
