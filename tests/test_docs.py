"""Generated pages say what the code says; links in the docs lead somewhere; the README's commands exist."""

import importlib.util
import re
from dataclasses import fields
from pathlib import Path

import pytest

from node.config import NodeConfig

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.parts[1:]))


def _make() -> object:
    spec = importlib.util.spec_from_file_location("docs_make", ROOT / "docs" / "make.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date() -> None:
    stale = [path.name for path, text in _make().generated().items() if path.read_text() != text]
    assert stale == [], "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_setting_of_a_node_is_told() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `.*` \| (.*) \|$", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert {name for name, said in rows if said} == {field.name for field in fields(NodeConfig)} - {"home"}


def test_every_constant_argues() -> None:
    silent = [name for name, reason in _make()._documented(str(ROOT / "concento" / "limits.py")) if not reason]
    assert silent == []
