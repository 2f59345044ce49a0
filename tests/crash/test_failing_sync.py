"""The kernel fails one sync of a real node, below Python and below LevelDB: the node stops aloud and says nothing more.

After such a failure the next sync of the same file succeeds, though what was to be synced may be gone: whoever tries
again believes what is not so. The failure is made by a library in front of libc that is built here with gcc.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.crashes import audit
from bench.faultnet import FaultNetwork
from node.app import EXIT_BROKEN, EXIT_LOCAL

pytestmark = pytest.mark.e2e

VICTIM = "node2"
PATIENCE_S = 60.0
SOURCE = Path(__file__).with_name("failing_sync.c")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("NOT TESTED: that a failed fsync stops a node; install gcc (apt-get install gcc)")
    if not Path("/proc/self/fd").exists():
        pytest.skip("NOT TESTED: that a failed fsync stops a node; the library needs Linux")
    built = tmp_path_factory.mktemp("library") / "failing_sync.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, SOURCE, "-ldl"], check=True)
    return built


class Failed:
    """One life of the victim in which one sync fails."""

    def __init__(self, network: FaultNetwork, library: Path, of: str, at: int, folder: Path) -> None:
        network.kill(VICTIM)
        note, before = folder / "note", len(network.errors(VICTIM))
        settings = {
            "LD_PRELOAD": str(library),
            "FAIL_SYNC_OF": str(network.home(VICTIM) / of),
            "FAIL_SYNC_AT": str(at),
            "FAIL_SYNC_WATCH": str(network.audit(VICTIM)),
            "FAIL_SYNC_NOTE": str(note),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            process = network.start(VICTIM)
        self.code = process.wait(PATIENCE_S)
        self.said = network.errors(VICTIM)[before:]
        assert note.exists(), f"it ended with {self.code} before: {self.said[-500:]}"
        (failed, *self.again) = note.read_text().splitlines()
        self.path, self.signatures_then = failed.split()[1], int(failed.split()[2])
        self.signatures_now = os.path.getsize(network.audit(VICTIM))


@pytest.mark.parametrize(
    ("of", "at"),
    [("replica/guard", 5), ("replica/segment-", 4), ("store/", 12)],
)
def test_a_failed_sync_stops_the_node_and_nothing_is_signed_or_tried_again_after_it(
    network: FaultNetwork, library: Path, of: str, at: int, tmp_path: Path
) -> None:
    failed = Failed(network, library, of, at, tmp_path)
    assert failed.code == EXIT_BROKEN, failed.said
    assert "Traceback" not in failed.said
    assert "disk" in failed.said
    assert "Input/output error" in failed.said
    # No vote and no proposal left after it: what was to be remembered of them may be gone.
    assert failed.signatures_now == failed.signatures_then
    assert failed.again == []
    comes_back(network)


def test_a_sync_that_fails_while_the_store_is_opened_keeps_the_node_from_starting(
    network: FaultNetwork, library: Path, tmp_path: Path
) -> None:
    failed = Failed(network, library, "store/", 1, tmp_path)
    assert failed.code in (EXIT_LOCAL, EXIT_BROKEN), failed.said
    assert "Traceback" not in failed.said
    assert "Input/output error" in failed.said
    assert failed.signatures_now == failed.signatures_then
    comes_back(network)


def comes_back(network: FaultNetwork) -> None:
    """The victim starts by itself, has the history of the others, takes part, and has never contradicted itself."""
    network.start(VICTIM)
    network.wait_ready(VICTIM)
    assert audit(network) == []
