"""What is installed is what is here: every package of the layers, and nothing else."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = ("concento", "consensus", "state", "node", "gateway", "bench", "sim", "cli")


def test_every_package_of_the_layers_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [
        ".".join(init.parent.relative_to(ROOT).parts)
        for layer in LAYERS
        for init in (ROOT / layer).rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(found)
