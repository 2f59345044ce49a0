"""What starting costs: a person waits for it at every command."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.fake_node import FakeNode

ROOT = Path(__file__).parents[2]

READS = [
    ("node", "status"),
    ("wallet", "balance", "alice"),
    ("wallet", "history", "alice"),
    ("wallet", "list"),
    ("identity", "list"),
    ("asset", "search", "--tag", "lofi"),
    ("asset", "show", "a5" * 32),
    ("licence", "list"),
    ("receipt", "list"),
    ("earnings", "alice"),
    ("explain", "118"),
]


def start(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environ}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_reads_under_json_import_neither_aiohttp_nor_rich(node: FakeNode, tmp_path: Path, words):
    code = (
        "import sys\nfrom cli.main import run\n"
        f"code = run(['--json', *{list(words)!r}])\n"
        "import json\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)\nsys.exit(code)"
    )
    done = start(code, CONCENTO_URL=node.url, CONCENTO_HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout
    json.loads(done.stdout)
    modules = {name.partition(".")[0] for name in json.loads(done.stderr)}
    assert not modules & {
        "aiohttp",
        "rich",
        "asyncio",
        "soundfile",
        "numpy",
        "prometheus_client",
        "plyvel",
        "node",
        "gateway",
    }


def test_version_imports_no_command_line(tmp_path: Path):
    done = start("import sys\nfrom cli.main import run\nrun(['--version'])\nprint(*sys.modules, file=sys.stderr)")
    assert done.stdout == "concento 0.1.0\n"
    assert "click" not in done.stderr.split()


def test_version_takes_at_most_150_ms():
    """Processor time, the best of five: a busy machine must not make it fail."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "cli", "--version"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(times) <= 0.150


def test_sigterm_ends_a_waiting_command_with_143(node: FakeNode, tmp_path: Path):
    node.events = [{"cursor": "1.0", "height": 1, "index": 0, "time_ms": 1, "topic": "x", "event": {}, "text": "on"}]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "watch", "--url", node.url, "--home", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().split() == ["1", "on"]
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "Traceback" not in errors
    assert time.monotonic() - started < 5


def test_reader_that_goes_away_is_no_error(node: FakeNode, tmp_path: Path):
    command = f"{sys.executable} -m cli watch --since 0 --url {node.url} --home {tmp_path} | head -n 1"
    node.events = [
        {"cursor": f"1.{n}", "height": 1, "index": n, "time_ms": 1, "topic": "x", "event": {}, "text": "on"}
        for n in range(2_000)
    ]
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "       1  on\n"
    assert done.stderr == ""


def test_reader_that_takes_half_a_page_is_no_error(node: FakeNode, tmp_path: Path):
    command = (
        f"{sys.executable} -m cli rpc rpc.discover --url {node.url} --home {tmp_path} | true; exit ${{PIPESTATUS[0]}}"
    )
    node.answers["rpc.discover"] = lambda params: {"long": ["line"] * 20_000}
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
