"""Every test of the command line has a home of its own and a node of canned answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from support.fake_node import FakeNode, running_node
from support.livechain import LiveChain, live_chain


@dataclass(frozen=True)
class Outcome:
    """What one command line has done."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Concento = Callable[..., Outcome]


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with running_node() as node:
        yield node


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONCENTO_URL", "CONCENTO_FROM", "CONCENTO_PASSWORD_FILE", "CONCENTO_GATEWAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONCENTO_HOME", str(tmp_path / "home"))
    # Small enough for a test; the file says what it was made with.
    monkeypatch.setattr("concento.client.wallet.Wallet.__init__.__defaults__", (2**12,))
    return tmp_path / "home"


@pytest.fixture
def concento(
    node: FakeNode, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Concento:
    """Runs `concento` with the fake node's URL; gives exit code, stdout and stderr."""
    monkeypatch.setenv("CONCENTO_URL", node.url)

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    return path


@pytest.fixture
def chain(concento: Concento, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveChain]:
    """A ledger that answers, in place of the canned answers."""
    with live_chain() as chain:
        monkeypatch.setenv("CONCENTO_URL", chain.url)
        yield chain
