"""A node that believes every client's signature: arm C0 of the benchmark, and nothing else.

The verifier is put in through the same seam as in tests. No setting and no option of a node reaches this.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from concento.keys import Check
from node.app import run_node
from node.config import read_config


def believe(checks: Sequence[Check]) -> list[bool]:
    return [True] * len(checks)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.unchecked", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    return run_node(read_config(parser.parse_args().home), verify=believe)


if __name__ == "__main__":
    sys.exit(main())
