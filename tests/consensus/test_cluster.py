"""Whole clusters on a virtual clock: what faults cost, and that they never cost agreement.

The cluster itself fails a test on a fork, and on two different words of an honest node at one place.
"""

from __future__ import annotations

import pytest

from concento.evidence import DoubleProposal, DoubleVote, offender
from concento.votes import Commit, CommitSignature, Proposal, Vote, VoteType
from consensus.messages import Polka, Status
from sim.cluster import PARAMS, Cluster, fake_key, signed_vote

VOTES_MS = PARAMS.vote_ms_max * 2
RECOVERY_MS = 2 * (PARAMS.propose_ms_max + VOTES_MS)
"""Two whole rounds at capped timeouts: after any outage a block is decided within this."""


def test_four_validators_decide_a_block_in_three_message_delays() -> None:
    cluster = Cluster()
    took_ms = cluster.run_until_height(50, within_ms=5_000)
    assert took_ms < 50 * (PARAMS.block_spacing_min_ms + 3 * 5)
    assert {commit.round for node in cluster.nodes for commit in node.chain} == {0}


def test_idle_network_makes_one_block_a_heartbeat() -> None:
    cluster = Cluster(idle=True)
    cluster.run(1_000)
    settled = cluster.heights()
    cluster.run(60_000)
    made = cluster.nodes[0].height - settled[0]
    assert 60_000 // PARAMS.heartbeat_ms - 1 <= made <= 60_000 // PARAMS.heartbeat_ms


def test_work_at_one_node_wakes_an_idle_network() -> None:
    cluster = Cluster(idle=True)
    cluster.run(1_000)
    height = cluster.nodes[0].height
    for number in range(4):
        cluster.due(number)
    assert cluster.run_until_height(height + 1, within_ms=50) < 50


def test_work_known_to_a_follower_alone_still_makes_a_block() -> None:
    cluster = Cluster(idle=True)
    cluster.run(1_000)
    height = cluster.nodes[0].height
    follower = (cluster.proposer_of(0) + 1) % 4
    cluster.due(follower)
    assert cluster.run_until_height(height + 1, within_ms=2_000) < 2_000


@pytest.mark.parametrize("after", range(0, 60, 3))
def test_total_loss_from_any_message_on_then_heal(after: int) -> None:
    cluster = Cluster(seed=after)
    sent = 0

    def drop(source: int, target: int, message: object) -> bool:
        nonlocal sent
        sent += 1
        return sent > after

    cluster.drop = drop
    cluster.run(10_000)
    stalled = max(cluster.heights())
    cluster.heal()
    assert cluster.run_until_height(stalled + 1, RECOVERY_MS) <= RECOVERY_MS


@pytest.mark.parametrize("lost", [Proposal, Vote, Polka, Status, Commit])
def test_loss_of_every_message_of_one_type_then_heal(lost: type[object]) -> None:
    cluster = Cluster(seed=1)
    cluster.drop = lambda source, target, message: isinstance(message, lost)
    cluster.run(5_000)
    cluster.heal()
    cluster.run_until_height(max(cluster.heights()) + 1, RECOVERY_MS)


@pytest.mark.parametrize("kind", list(VoteType))
def test_one_lost_type_of_votes_costs_no_more_than_status_intervals(kind: VoteType) -> None:
    cluster = Cluster(seed=2)
    cluster.run_until_height(2, 1_000)
    cluster.drop = lambda source, target, message: isinstance(message, Vote) and message.type is kind
    cluster.run(50)
    cluster.heal()
    assert cluster.run_until_height(max(cluster.heights()) + 1, 1_000) < 1_000


def test_two_against_two_commit_nothing_and_go_on_after_healing() -> None:
    cluster = Cluster()
    cluster.run_until_height(3, 1_000)
    cluster.partition({0, 1}, {2, 3})
    cluster.run(1_000)
    before = max(cluster.heights())
    cluster.run(60_000)
    assert max(cluster.heights()) == before
    cluster.heal()
    cluster.run_until_height(before + 2, RECOVERY_MS)


def test_lone_node_catches_up_while_three_go_on() -> None:
    cluster = Cluster()
    cluster.partition({0, 1, 2}, {3})
    cluster.run_until_height(100, 200_000, of=(0, 1, 2))
    assert cluster.nodes[3].height == 0
    cluster.heal()
    cluster.run_until_height(105, 60_000)


@pytest.mark.parametrize("pair", [(a, b) for a in range(4) for b in range(4) if a != b])
def test_one_way_link_failure_stops_nobody(pair: tuple[int, int]) -> None:
    cluster = Cluster(seed=pair[0] * 4 + pair[1])
    cluster.drop = lambda source, target, message: (source, target) == pair
    cluster.run_until_height(5, 20_000)


def test_two_of_four_silent_for_a_minute_commit_nothing() -> None:
    cluster = Cluster()
    cluster.run_until_height(2, 1_000)
    cluster.crash(1)
    cluster.crash(2)
    cluster.run(60_000)
    assert max(cluster.heights()) <= 3
    stalled = max(cluster.heights())
    cluster.restart(1)
    cluster.run_until_height(stalled + 3, RECOVERY_MS, of=(0, 1, 3))


def test_all_four_killed_at_once_a_hundred_times() -> None:
    cluster = Cluster(seed=5)
    for _ in range(100):
        cluster.run(cluster.random.randint(1, 40))
        for number in range(4):
            cluster.crash(number)
        cluster.run(20)
        for number in range(4):
            cluster.restart(number)
    cluster.run_until_height(max(cluster.heights()) + 1, RECOVERY_MS)
    assert max(cluster.heights()) > 20


@pytest.mark.parametrize("after", range(24))
def test_process_killed_between_any_two_effects_contradicts_nothing(after: int) -> None:
    cluster = Cluster(seed=after)
    cluster.nodes[1].crash_after = after
    cluster.at(400, lambda: cluster.restart(1) if cluster.nodes[1].engine is None else None)
    cluster.run_until_height(5, 10_000)


def test_all_killed_in_a_late_round_meet_again() -> None:
    cluster = Cluster(seed=6)
    cluster.drop = lambda source, target, message: isinstance(message, Proposal) or (source == 0 and target != 1)
    cluster.run(20_000)
    for number in range(4):
        cluster.crash(number)
    for number in range(4):
        cluster.restart(number)
    cluster.heal()
    cluster.run_until_height(2, RECOVERY_MS)


def test_silent_proposer_costs_one_propose_timeout_and_is_then_skipped() -> None:
    cluster = Cluster(down=(0,))
    first = cluster.run_until_height(1, 1_000)
    assert PARAMS.propose_ms <= first < PARAMS.propose_ms + 100
    assert cluster.run_until_height(2, 1_000) < 100
    assert cluster.run_until_height(40, 5_000) < 39 * 100
    assert [commit.round for commit in cluster.nodes[1].chain].count(1) == 1


def test_returned_validator_proposes_again_after_its_penalty() -> None:
    cluster = Cluster(down=(0,))
    cluster.honest.add(0)
    cluster.run_until_height(5, 5_000, of=(1, 2, 3))
    cluster.restart(0)
    cluster.run(4_000)
    mine = [message for message in cluster.sent(Proposal, by=0) if isinstance(message, Proposal)]
    assert mine
    assert not cluster.nodes[0].turns[-1].missed


def test_isolated_node_skips_to_the_round_of_the_others() -> None:
    cluster = Cluster()
    cluster.drop = lambda source, target, message: isinstance(message, Proposal) or 0 in (source, target)
    cluster.run(30_000)
    rounds = [node.engine.state.round for node in cluster.nodes if node.engine is not None]
    assert rounds[0] == 0
    assert min(rounds[1:]) > 8
    cluster.heal()
    cluster.run(PARAMS.propose_ms_max)
    assert cluster.nodes[0].height >= 1


def test_sixty_rounds_without_a_commit_then_one() -> None:
    cluster = Cluster()
    cluster.drop = lambda source, target, message: isinstance(message, Proposal)
    cluster.run(70 * (PARAMS.propose_ms_max + 100))
    assert all(node.engine is not None and node.engine.state.round >= 60 for node in cluster.nodes)
    cluster.heal()
    assert cluster.run_until_height(1, RECOVERY_MS) <= PARAMS.propose_ms_max + VOTES_MS


@pytest.mark.parametrize("size", [4, 7, 10])
def test_f_silent_validators_do_not_stop_the_others(size: int) -> None:
    faults = (size - 1) // 3
    cluster = Cluster(size, down=tuple(range(faults)))
    cluster.run_until_height(10, 20_000)


@pytest.mark.parametrize("size", [4, 7, 10])
def test_f_plus_one_silent_validators_stop_everything(size: int) -> None:
    faults = (size - 1) // 3
    cluster = Cluster(size, down=tuple(range(faults + 1)))
    cluster.run(10_000)
    assert set(cluster.heights()) == {0}


@pytest.mark.parametrize("seed", range(4))
def test_loss_duplicates_and_reordering(seed: int) -> None:
    cluster = Cluster(seed=seed)
    cluster.loss, cluster.duplicates, cluster.delay_ms = 0.3, 0.5, (30, 100)
    cluster.run_until_height(5, 60_000)


def test_blocks_slower_to_judge_than_the_first_timeouts_are_decided_in_later_rounds() -> None:
    cluster = Cluster()
    cluster.judge_ms = 900
    cluster.run_until_height(3, 60_000)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [4, 7])
def test_equivocating_validators_cannot_fork_or_stop_the_others(size: int, seed: int) -> None:
    cluster = Cluster(size, seed=seed, puppets=tuple(range((size - 1) // 3)))
    cluster.run_until_height(8, 60_000)
    found = [evidence for number in cluster.honest for evidence in cluster.nodes[number].evidence]
    assert {offender(evidence) for evidence in found} <= {fake_key(number) for number in cluster.puppets}


def test_liars_that_told_each_node_something_else_are_found_out() -> None:
    found = []
    for seed in range(8):
        cluster = Cluster(seed=seed, puppets=(0,))
        cluster.run_until_height(4, 60_000)
        found += [evidence for number in cluster.honest for evidence in cluster.nodes[number].evidence]
    assert any(isinstance(evidence, DoubleVote) for evidence in found)
    assert any(isinstance(evidence, DoubleProposal) for evidence in found)


@pytest.mark.parametrize("seed", range(3))
def test_two_processes_with_one_key_cannot_fork_the_others(seed: int) -> None:
    cluster = Cluster(seed=seed, twins=(0,))
    cluster.delay_ms = (1, 60)
    cluster.run_until_height(30, 60_000)
    assert cluster.nodes[0].rolled_back or cluster.nodes[4].rolled_back


def test_wiped_validator_with_its_old_key_signs_nothing_it_may_have_signed() -> None:
    cluster = Cluster(seed=9)
    cluster.run_until_height(3, 1_000)
    cluster.drop = lambda source, target, message: isinstance(message, Vote) and message.type is VoteType.PRECOMMIT
    cluster.run(300)
    cluster.crash(2)
    cluster.wipe(2)
    cluster.nodes[2].chain = list(cluster.nodes[1].chain)
    cluster.nodes[2].blocks = dict(cluster.nodes[1].blocks)
    cluster.nodes[2].turns = list(cluster.nodes[1].turns)
    cluster.restart(2)
    cluster.run(1_000)
    assert cluster.nodes[2].rolled_back
    cluster.heal()
    cluster.run_until_height(6, RECOVERY_MS, of=(0, 1, 3))


def test_more_than_f_liars_make_the_checker_report_a_fork() -> None:
    cluster = Cluster(puppets=(0, 1))
    cluster.partition({2}, {3})
    for number in (2, 3):
        block_id = cluster.make_block(cluster.nodes[number], 1, 0)
        votes = [signed_vote(fake_key(signer), VoteType.PRECOMMIT, 1, 0, block_id) for signer in (0, 1, number)]
        signatures = tuple(CommitSignature(vote.validator[0] - 1, vote.signature) for vote in votes)
        cluster.inject(number, Commit(1, 0, block_id, signatures))
    with pytest.raises(AssertionError, match="fork at height 1"):
        cluster.run(1_000)
