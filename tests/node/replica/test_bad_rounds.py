"""Rounds in which every proposal is voted down: they follow each other as slowly as the timeouts say, and end."""

from __future__ import annotations

from itertools import count

import pytest

from concento.blocks import Block
from concento.errors import Rejected
from concento.votes import Proposal
from consensus.effects import Timer
from consensus.timeouts import timeout_ms
from sim.network import Network

LONG_MS = 50_000


def most_rounds(network: Network, duration_ms: int) -> int:
    """How many rounds fit where each waits for its precommit timer at least."""
    params, left = network.genesis.params.consensus, duration_ms
    for round_ in count():
        left -= timeout_ms(params, Timer.PRECOMMIT, round_)
        if left < 0:
            return round_ + 1
    raise AssertionError("unreachable")


def started() -> Network:
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    network.run(500)
    return network


def test_proposals_that_nobody_finds_valid_cost_a_timeout_each_and_not_a_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    network = started()
    height = network.nodes["node1"].height

    def refuse(_block: Block) -> None:
        raise Rejected("block.invalid", height=height + 1, reason="as a bug that all share would have it")

    with monkeypatch.context() as patch:
        for node in network.nodes.values():
            patch.setattr(node.core._chain, "check", refuse)
        network.submit("node1", payment := network.transfer("bob", "carol", 1, valid_ms=110_000))
        before = network.sent_count
        network.run(LONG_MS)
        rounds = [node.core.status().round for node in network.nodes.values()]
        assert min(rounds) > 5
        # Who proposed the last one does not wait for it.
        assert max(rounds) <= most_rounds(network, LONG_MS) + 1
        # A proposal, votes, statuses and what answers them: some two hundred messages a round of four.
        assert network.sent_count - before < 250 * max(rounds)
    network.run_until(network.is_final(payment), 20_000)
    network.check_agreement()


def test_proposals_that_come_from_the_future_cost_a_timeout_each() -> None:
    """Three clocks are right, one is far ahead and proposes in its turn: only its rounds wait, each for one timer."""
    network = started()
    network.nodes["node1"].wall_offset_ms = 3_600_000
    seen: set[tuple[int, int]] = set()

    def note(_origin: str, _to: str, message: object) -> bool:
        if isinstance(proposal := getattr(message, "proposal", None), Proposal):
            seen.add((proposal.height, proposal.round))
        return False

    network.is_lost = note
    began = network.mono_ms
    for _ in range(12):
        network.submit("node2", payment := network.transfer("bob", "carol", 1))
        network.run_until(network.is_final(payment), 30_000)
    rounds = max(round_ for _, round_ in seen)
    assert rounds <= 2
    assert network.mono_ms - began < 12 * 2 * timeout_ms(network.genesis.params.consensus, Timer.PRECOMMIT, 1) + 5_000
