"""What a failing or damaged disk does to a real node: it stops or refuses aloud and names the command that mends it, or
it mends itself; it never goes on as if nothing had happened, and never says two things at one place."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.crashes import audit
from bench.faultnet import FaultNetwork, signatures, wait_for
from concento.client import Client, RpcError
from concento.errors import Rejected
from consensus.guard import last_place, newest_slot
from consensus.messages import Step
from node.app import EXIT_BROKEN, EXIT_LOCAL
from node.config import read_config
from node.maintain import repair, resync
from node.replica.files import GUARD_FILE

pytestmark = pytest.mark.e2e

VICTIM = "node2"
PATIENCE_S = 40.0
STEPS = {"proposal": Step.PROPOSE, "prevote": Step.PREVOTE, "precommit": Step.PRECOMMIT}


def stopped_home(network: FaultNetwork, blocks: int = 3) -> Path:
    """The victim's home after it took part for some blocks and was killed."""
    network.wait_level(network.height("node1") + blocks, names=(VICTIM,))
    network.kill(VICTIM)
    return network.home(VICTIM)


def largest_table(network: FaultNetwork) -> Path:
    """Of the stopped victim's store; a new one has a log alone, which the next start makes a table of."""
    if not list((stopped_home(network) / "store").glob("*.ldb")):
        network.start(VICTIM)
        network.wait_ready(VICTIM)
        stopped_home(network)
    return max((network.home(VICTIM) / "store").glob("*.ldb"), key=lambda path: path.stat().st_size)


def refusal(network: FaultNetwork) -> str:
    """What the victim says where it does not start; it must end by itself."""
    before = len(network.errors(VICTIM))
    code = network.start(VICTIM).wait(PATIENCE_S)
    said = network.errors(VICTIM)[before:]
    assert code in (EXIT_LOCAL, EXIT_BROKEN), said
    assert "Traceback" not in said
    return said


def failure(network: FaultNetwork, *options: str) -> str:
    """What the victim says when its disk fails while it runs; it must end by itself, and say nothing afterwards."""
    network.kill(VICTIM)
    before = len(network.errors(VICTIM))
    code = network.start(VICTIM, *options).wait(PATIENCE_S)
    said = network.errors(VICTIM)[before:]
    assert code == EXIT_BROKEN, said
    assert "Traceback" not in said
    return said


def comes_back(network: FaultNetwork) -> None:
    """The victim starts, has the history of the others, takes part, and has never contradicted itself."""
    network.start(VICTIM)
    network.wait_ready(VICTIM)
    assert audit(network) == []


def mended(network: FaultNetwork) -> None:
    """By `concento node repair`, and where that says so by `concento node resync`."""
    config = read_config(network.home(VICTIM))
    hint = None
    try:
        repair(config)
    except Rejected as error:
        hint = error.hint or "none"
    if hint is not None:
        assert "concento node resync" in hint
        resync(config)
    comes_back(network)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["sync", "guard.precommit"])
def test_an_input_output_error_stops_the_node_before_anything_else_is_said(network: FaultNetwork, kind: str) -> None:
    said = failure(network, "--fail-at", "1", "--fail-how", "io", "--at-kind", kind)
    assert "Input/output error" in said
    comes_back(network)


@pytest.mark.parametrize("kind", ["append.batch", "guard.prevote", "store.write"])
def test_a_full_disk_stops_the_node_and_it_goes_on_when_there_is_room(network: FaultNetwork, kind: str) -> None:
    said = failure(network, "--fail-at", "1", "--fail-how", "full", "--at-kind", kind)
    assert "No space left" in said or "File too large" in said
    assert "disk" in said
    comes_back(network)


def test_nothing_is_signed_behind_a_failed_guard(network: FaultNetwork) -> None:
    network.kill(VICTIM)
    before = len(signatures(network.audit(VICTIM)))
    network.start(VICTIM, "--fail-at", "1", "--fail-how", "io", "--at-kind", "guard.prevote").wait(PATIENCE_S)
    said = [json.loads(line) for line in signatures(network.audit(VICTIM))[before:]]
    slot = newest_slot((read_config(network.home(VICTIM)).files_path / GUARD_FILE).read_bytes())
    assert slot is not None
    # What the guard held when the process began may be said again, word for word.
    held = last_place(slot.record)
    assert all((height, at, STEPS[kind]) <= held for height, at, kind, _ in said)
    comes_back(network)


def test_a_torn_end_of_a_segment_is_cut_off(network: FaultNetwork) -> None:
    newest = max((stopped_home(network) / "replica").glob("segment-*"))
    with newest.open("ab") as file:
        file.write(bytes((0, 0, 1, 0, 1)) + b"torn")
    comes_back(network)


def test_a_lost_segment_is_refused_and_resync_mends_it(network: FaultNetwork) -> None:
    newest = max((stopped_home(network) / "replica").glob("segment-*"))
    newest.unlink()
    assert "concento node re" in refusal(network)
    resync(read_config(network.home(VICTIM)))
    comes_back(network)


def test_a_missing_current_is_refused_and_repair_mends_it(network: FaultNetwork) -> None:
    (stopped_home(network) / "store" / "CURRENT").unlink()
    assert "concento node repair" in refusal(network)
    mended(network)


def test_a_cut_manifest_is_refused_and_mended(network: FaultNetwork) -> None:
    manifest = max((stopped_home(network) / "store").glob("MANIFEST-*"))
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert "concento node re" in refusal(network)
    mended(network)


def test_a_flipped_byte_in_the_log_of_the_store_is_refused_and_mended(network: FaultNetwork) -> None:
    log = max((stopped_home(network) / "store").glob("*.log"))
    flip(log, log.stat().st_size // 2)
    assert "concento node re" in refusal(network)
    mended(network)


def test_a_flipped_byte_in_a_table_of_the_store_is_refused_and_mended(network: FaultNetwork) -> None:
    table = largest_table(network)
    flip(table, table.stat().st_size // 3)
    assert "concento node re" in refusal(network)
    mended(network)


def test_an_emptied_table_of_the_store_is_refused_and_mended(network: FaultNetwork) -> None:
    table = largest_table(network)
    table.write_bytes(b"")
    assert "concento node re" in refusal(network)
    mended(network)


def test_a_torn_end_of_the_log_of_the_store_costs_a_block_that_the_peers_have(network: FaultNetwork) -> None:
    log = max((stopped_home(network) / "store").glob("*.log"))
    log.write_bytes(log.read_bytes()[:-9])
    comes_back(network)


def _remove(guard: Path) -> None:
    guard.unlink()


def _torn(guard: Path) -> None:
    guard.write_bytes(guard.read_bytes()[:100])


@pytest.mark.parametrize("damage", [_remove, _torn])
def test_without_a_usable_guard_a_node_observes_before_it_signs_again(
    network: FaultNetwork, damage: Callable[[Path], None]
) -> None:
    guard = stopped_home(network) / "replica" / "guard"
    before = _heights_signed(network)
    damage(guard)
    network.start(VICTIM)
    # Ready means that it signs again.
    network.wait_ready(VICTIM)
    network.wait_level(max(before) + 8)
    wait_for(lambda: len(_heights_signed(network)) > len(before), PATIENCE_S, lambda: "it signs no more")
    assert min(_heights_signed(network)[len(before) :]) > max(before)
    assert audit(network) == []


def test_a_guard_older_than_its_keys_use_is_found_out_and_not_used(network: FaultNetwork) -> None:
    home = stopped_home(network)
    shutil.copy(home / "replica" / "guard", network.folder / "old-guard")
    network.start(VICTIM)
    network.wait_ready(VICTIM)
    stopped_home(network, blocks=6)
    shutil.copy(network.folder / "old-guard", home / "replica" / "guard")
    network.start(VICTIM)
    network.wait_ready(VICTIM)
    network.wait_level(network.height("node1") + 4)
    assert audit(network) == []


def test_a_store_older_than_the_guard_takes_the_rest_from_its_peers(network: FaultNetwork) -> None:
    home = stopped_home(network)
    kept = network.folder / "old"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(home / "store", kept)
    network.start(VICTIM)
    network.wait_ready(VICTIM)
    stopped_home(network, blocks=6)
    shutil.rmtree(home / "store")
    shutil.copytree(kept, home / "store")
    comes_back(network)


def test_a_frozen_node_says_nothing_old_when_it_goes_on(network: FaultNetwork) -> None:
    network.wait_ready(VICTIM)
    network.signal(VICTIM, signal.SIGSTOP)
    height = network.height("node1")
    network.wait_level(height + 5, names=("node1", "node3", "node4"))
    network.signal(VICTIM, signal.SIGCONT)
    wait_for(lambda: network.height(VICTIM) > height + 5, PATIENCE_S, lambda: "it did not come back to the tip")
    assert audit(network) == []


def _heights_signed(network: FaultNetwork) -> list[int]:
    return [int(line[1:].split(",")[0]) for line in signatures(network.audit(VICTIM))]


def test_a_damaged_body_is_not_shown_and_client_log_and_readiness_name_it_and_what_mends_it(
    network: FaultNetwork,
) -> None:
    with Client(network.url("node1")) as client:
        paid = next(event for event in client.events(start="0.0") if event["topic"] == "tokens")
        transaction = client.block(height=paid["height"])["txs"][0]["tx"]
    home = stopped_home(network)
    segment = min((home / "replica").glob("segment-*"))
    for at in range(50, segment.stat().st_size // 2, 200):
        flip(segment, at)
    network.start(VICTIM)
    network.wait_ready(VICTIM)
    with Client(network.url(VICTIM)) as client:
        with pytest.raises(RpcError, match=r"segment-.* is damaged at byte") as refused:
            client.transaction(transaction)
        assert refused.value.kind == "store.damaged"
        assert "concento node resync" in (refused.value.hint or "")
        # It goes on: nothing that it signs rests on an old body. But it is no longer fit to be asked.
        network.wait_level(client.status()["height"] + 3, names=(VICTIM,))
        assert not client.status()["ready"]
    assert "concento node resync" in (home / "logs" / "node.log").read_text() + network.errors(VICTIM)
    network.kill(VICTIM)
    resync(read_config(home))
    comes_back(network)
