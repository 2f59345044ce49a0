"""The engine's promises to the replica: the order of effects, the order of checks, and heights that follow each
other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.evidence import DoubleVote, check_evidence, evidence_checks
from concento.keys import public_key, sign, verify
from concento.validators import Validator, ValidatorSet
from concento.votes import (
    NIL,
    Commit,
    CommitSignature,
    Proposal,
    Vote,
    VoteType,
    proposal_bytes,
    verify_commit,
    vote_bytes,
)
from consensus import machine
from consensus.effects import (
    ArmTimer,
    Broadcast,
    Built,
    Decide,
    Effect,
    Judge,
    Misbehaved,
    PeerConnected,
    PeerGone,
    Persist,
    ProposalJudged,
    Received,
    ReportEvidence,
    SendTo,
    StartHeight,
    Timer,
    TimerFired,
)
from consensus.engine import Engine
from consensus.guard import FRESH, GuardRecord
from consensus.messages import Message, RoundVotes, Status, Step
from consensus.timeouts import timeout_ms
from sim.cluster import (
    NETWORK,
    PARAMS,
    FakeCrypto,
    block_named,
    fake_key,
    fake_validators,
    signed_proposal,
    signed_vote,
)

A, B = block_named("A"), block_named("B")
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT
VALIDATORS = fake_validators(4)


class Bench:
    """Validator 1 of four at height 1, with its effects at hand."""

    def __init__(self, guard: GuardRecord = FRESH, signing: bool = True) -> None:
        self.crypto = FakeCrypto(fake_key(1))
        self.engine = Engine(NETWORK, fake_key(1), self.crypto, PARAMS, guard)
        self.start(1, signing)

    def start(self, height: int, signing: bool = True) -> list[Effect]:
        return self.engine.handle(StartHeight(height, VALIDATORS, VALIDATORS.keys, True, signing))

    def receive(self, message: Message, peer: bytes = b"peer") -> list[Effect]:
        return self.engine.handle(Received(peer, message))

    def vote(self, number: int, kind: VoteType, block_id: bytes, height: int = 1, round_: int = 0) -> list[Effect]:
        return self.receive(signed_vote(fake_key(number), kind, height, round_, block_id))

    def propose(self, block_id: bytes = A) -> list[Effect]:
        self.receive(signed_proposal(fake_key(0), 1, 0, -1, block_id))
        return self.engine.handle(ProposalJudged(1, 0, block_id, True, True))

    def decide(self) -> list[Effect]:
        self.propose()
        for number in (0, 2):
            self.vote(number, PREVOTE, A)
            effects = self.vote(number, PRECOMMIT, A)
        return effects


def test_every_signature_is_persisted_before_it_leaves() -> None:
    bench = Bench()
    for number in (0, 2):
        bench.vote(number, PREVOTE, A)
    effects = bench.propose()
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Persist) < kinds.index(Broadcast)
    assert kinds.count(Persist) == 1
    record = next(effect.record for effect in effects if isinstance(effect, Persist))
    sent = [effect.message for effect in effects if isinstance(effect, Broadcast)]
    assert sent == [record.prevote, record.precommit]


def test_locks_are_in_the_record_before_the_precommit_leaves() -> None:
    bench = Bench()
    bench.propose()
    bench.vote(0, PREVOTE, A)
    effects = bench.vote(2, PREVOTE, A)
    record = effects[0].record if isinstance(effects[0], Persist) else FRESH
    assert (record.locked_id, record.locked_round, record.valid_id, record.valid_round) == (A, 0, A, 0)
    assert record.polka is not None
    assert len(record.polka.signatures) == 3


def test_copies_of_a_vote_are_dropped_before_their_signature_is_checked() -> None:
    bench = Bench()
    vote = signed_vote(fake_key(0), PREVOTE, 1, 0, A)
    for _ in range(1_000):
        bench.receive(vote)
    assert bench.crypto.verified == 1


@pytest.mark.parametrize(
    "message",
    [
        signed_vote(fake_key(9), PREVOTE, 1, 0, A),
        signed_vote(fake_key(0), PREVOTE, 1, 0, b"short"),
        signed_vote(fake_key(0), PREVOTE, 7, 0, A),
        signed_proposal(fake_key(2), 1, 0, -1, A),
        signed_proposal(fake_key(0), 1, 0, 0, A),
        signed_proposal(fake_key(0), 1, 0, -1, b""),
        Commit(1, 0, A, (CommitSignature(0, bytes(64)), CommitSignature(2, bytes(64)))),
        Commit(1, 0, A, tuple(CommitSignature(index, bytes(64)) for index in (0, 2, 99))),
        Commit(1, 0, NIL, tuple(CommitSignature(index, bytes(64)) for index in (0, 2, 3))),
        Status(1, 0, Step.PROPOSE, -1, (RoundVotes(0, False, False, b"", b""),)),
    ],
)
def test_cheap_checks_come_before_the_signature(message: Message) -> None:
    bench = Bench()
    bench.receive(message)
    assert bench.crypto.verified == 0


def test_vote_for_another_network_or_type_does_not_verify() -> None:
    bench = Bench()
    vote = signed_vote(fake_key(0), PREVOTE, 1, 0, A)
    as_precommit = Vote(PRECOMMIT, 1, 0, A, vote.validator, vote.signature)
    assert isinstance(bench.receive(as_precommit)[0], Misbehaved)


def test_decision_carries_a_commit_and_later_messages_are_ignored() -> None:
    bench = Bench()
    effects = bench.decide()
    decided = [effect.commit for effect in effects if isinstance(effect, Decide)]
    assert [(commit.height, commit.block_id, len(commit.signatures)) for commit in decided] == [(1, A, 3)]
    assert bench.vote(3, PRECOMMIT, A) == []
    assert bench.engine.handle(TimerFired(1, 0, Timer.PRECOMMIT)) == []


def test_decided_engine_answers_status_with_the_commit() -> None:
    bench = Bench()
    bench.decide()
    theirs = Status(1, 0, Step.PRECOMMIT, -1, ())
    sent = [effect.message for effect in bench.receive(theirs) if isinstance(effect, SendTo)]
    assert [type(message) for message in sent] == [Commit]


def test_messages_of_the_next_height_wait_for_it() -> None:
    bench = Bench()
    assert bench.receive(signed_proposal(fake_key(0), 2, 0, -1, B)) == []
    assert bench.vote(2, PREVOTE, B, height=2) == []
    bench.decide()
    effects = bench.start(2)
    assert [effect.proposal.block_id for effect in effects if isinstance(effect, Judge)] == [B]
    assert bench.engine.state.step is Step.PROPOSE


def test_messages_held_for_the_next_height_are_bounded() -> None:
    bench = Bench()
    for round_ in range(50):
        for number in (0, 2, 3, 9):
            bench.vote(number, PREVOTE, B, height=2, round_=round_)
            bench.vote(number, PREVOTE, A, height=2, round_=round_)
    assert len(bench.engine._early) == 6
    bench.engine.handle(PeerGone(b"peer"))
    assert bench.engine._early == {}


def test_forged_message_held_for_the_next_height_is_refused_then() -> None:
    bench = Bench()
    bench.receive(Vote(PREVOTE, 2, 0, A, fake_key(0), bytes(64)), peer=b"liar")
    assert [effect.peer for effect in bench.start(2) if isinstance(effect, Misbehaved)] == [b"liar"]


def test_contradiction_that_comes_after_the_decision_is_still_evidence() -> None:
    bench = Bench()
    bench.decide()
    bench.start(2)
    effects = bench.vote(2, PRECOMMIT, NIL)
    evidence = [effect.evidence for effect in effects if isinstance(effect, ReportEvidence)]
    assert [type(found) for found in evidence] == [DoubleVote]
    assert bench.vote(2, PRECOMMIT, NIL) == []


def test_last_commit_of_a_block_shows_contradictions() -> None:
    bench = Bench()
    bench.vote(3, PRECOMMIT, NIL)
    bench.decide()
    bench.start(2)
    votes = [signed_vote(fake_key(number), PRECOMMIT, 1, 0, A) for number in (0, 2, 3)]
    commit = Commit(1, 0, A, tuple(CommitSignature(vote.validator[0] - 1, vote.signature) for vote in votes))
    evidence = [effect.evidence for effect in bench.receive(commit) if isinstance(effect, ReportEvidence)]
    assert [found.first.validator for found in evidence if isinstance(found, DoubleVote)] == [fake_key(3)]
    check_evidence(evidence[0])
    assert all(bench.crypto.verify(*check) for check in evidence_checks(NETWORK, evidence[0]))


def test_connected_peer_gets_our_status() -> None:
    effects = Bench().engine.handle(PeerConnected(b"new"))
    assert [(type(effect), effect.peer) for effect in effects if isinstance(effect, SendTo)] == [(SendTo, b"new")]


def test_status_goes_out_only_without_progress() -> None:
    bench = Bench()
    fired = TimerFired(1, 0, Timer.STATUS)
    bench.engine.handle(TimerFired(1, 0, Timer.SPACING))
    assert not any(isinstance(effect, Broadcast) for effect in bench.engine.handle(fired))
    quiet = bench.engine.handle(fired)
    assert [type(effect.message) for effect in quiet if isinstance(effect, Broadcast)] == [Status]
    assert any(isinstance(effect, ArmTimer) and effect.timer is Timer.STATUS for effect in quiet)


def test_new_step_of_a_later_round_is_told_at_once() -> None:
    bench = Bench()
    bench.vote(0, PREVOTE, NIL, round_=3)
    effects = bench.vote(2, PREVOTE, NIL, round_=3)
    told = [effect.message for effect in effects if isinstance(effect, Broadcast)]
    assert [(message.round, message.step) for message in told if isinstance(message, Status)] == [(3, Step.PROPOSE)]


def test_restarted_node_shows_a_straggler_what_led_into_its_round() -> None:
    bench = Bench()
    for number in (0, 2, 3):
        bench.vote(number, PRECOMMIT, NIL, round_=5)
    bench.engine.handle(TimerFired(1, 5, Timer.PROPOSE))
    effects = bench.engine.handle(TimerFired(1, 6, Timer.PROPOSE))
    record = next(effect.record for effect in effects if isinstance(effect, Persist))
    again = Bench(record)
    sent = [
        effect.message for effect in again.receive(Status(1, 2, Step.PREVOTE, -1, ())) if isinstance(effect, SendTo)
    ]
    assert [(m.validator, m.round) for m in sent if isinstance(m, Vote) and m.type is PRECOMMIT] == [
        (fake_key(number), 5) for number in (0, 2, 3)
    ]
    assert record.prevote in sent


def test_observer_follows_and_decides_but_signs_nothing() -> None:
    bench = Bench(signing=False)
    bench.propose()
    effects: list[Effect] = []
    for number in (0, 2, 3):
        effects += bench.vote(number, PREVOTE, A)
    for number in (0, 2, 3):
        effects += bench.vote(number, PRECOMMIT, A)
    assert not any(isinstance(effect, Persist | Broadcast) for effect in effects)
    assert any(isinstance(effect, Decide) for effect in effects)


def test_state_rolled_back_below_the_guard_signs_nothing_until_it_is_past_it() -> None:
    ahead = Bench()
    ahead.decide()
    ahead.start(2)
    ahead.engine.handle(TimerFired(2, 0, Timer.SPACING))
    effects = ahead.engine.handle(TimerFired(2, 0, Timer.PROPOSE))
    record = next(effect.record for effect in effects if isinstance(effect, Persist))
    behind = Bench(record)
    assert not any(isinstance(effect, Persist | Broadcast) for effect in behind.propose())


def test_the_proposer_behind_a_large_block_is_waited_for_longer() -> None:
    bench = Bench()
    bench.decide()
    bench.engine.handle(StartHeight(2, VALIDATORS, VALIDATORS.keys, True, True, last_count=2_000))
    effects = bench.engine.handle(TimerFired(2, 0, Timer.SPACING))
    waits = [effect.delay_ms for effect in effects if isinstance(effect, ArmTimer) and effect.timer is Timer.PROPOSE]
    assert waits == [timeout_ms(PARAMS, Timer.PROPOSE, 0, 2_000)]


HEARD = st.one_of(
    st.tuples(st.sampled_from([0, 2, 3]), st.sampled_from([PREVOTE, PRECOMMIT]), st.integers(0, 3)),
    st.sampled_from([Timer.PROPOSE, Timer.PREVOTE, Timer.PRECOMMIT]),
    st.just("proposal"),
)


@given(st.lists(st.tuples(HEARD, st.sampled_from([A, B, NIL])), max_size=40))
def test_whatever_is_heard_no_rule_is_left_that_applies(messages: list[tuple[object, bytes]]) -> None:
    bench = Bench()
    for heard, block_id in messages:
        state = bench.engine.state
        match heard:
            case (int(number), VoteType() as kind, int(round_)):
                bench.vote(number, kind, block_id, round_=round_)
            case Timer() as timer:
                bench.engine.handle(TimerFired(1, state.round, timer))
            case _:
                proposer, block_id = VALIDATORS.keys[state.round % 4], block_id or A
                bench.receive(signed_proposal(proposer, 1, state.round, -1, block_id))
                bench.engine.handle(ProposalJudged(1, state.round, block_id, True, True))
        state, known = bench.engine.state, bench.engine._heard
        assert known is not None
        assert machine.step(state, machine.Changed(), known) == (state, ())


def test_late_answers_of_another_height_are_ignored() -> None:
    bench = Bench()
    bench.decide()
    bench.start(2)
    assert bench.engine.handle(Built(1, 0, B)) == []
    assert bench.engine.handle(ProposalJudged(1, 0, B, True, True)) == []


def test_engine_that_has_not_started_ignores_everything() -> None:
    engine = Engine(NETWORK, fake_key(1), FakeCrypto(fake_key(1)), PARAMS, FRESH)
    assert engine.handle(Received(b"peer", signed_vote(fake_key(0), PREVOTE, 1, 0, A))) == []
    assert engine.handle(PeerConnected(b"peer")) == []
    assert engine.handle(TimerFired(0, 0, Timer.PROPOSE)) == []


class RealCrypto:
    """Ed25519, as a node uses it."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed

    def sign(self, message: bytes) -> bytes:
        return sign(self.seed, message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return verify(key, message, signature)


def test_real_signatures_make_a_commit_that_anyone_can_verify() -> None:
    seeds = {public_key(bytes((number,)) * 32): bytes((number,)) * 32 for number in range(1, 5)}
    validators = ValidatorSet(Validator(key, "v", bytes(32)) for key in seeds)
    own, others = validators.keys[0], validators.keys[1:]
    engine = Engine(NETWORK, own, RealCrypto(seeds[own]), PARAMS, FRESH)
    engine.handle(StartHeight(1, validators, validators.keys, True, True))
    engine.handle(TimerFired(1, 0, Timer.SPACING))
    proposed = engine.handle(Built(1, 0, A))
    proposal = next(
        effect.message for effect in proposed if isinstance(effect, Broadcast) and isinstance(effect.message, Proposal)
    )
    assert verify(own, proposal_bytes(NETWORK, 1, 0, -1, A), proposal.signature)
    effects: list[Effect] = []
    for kind in VoteType:
        for key in others:
            signature = sign(seeds[key], vote_bytes(NETWORK, kind, 1, 0, A))
            effects += engine.handle(Received(b"peer", Vote(kind, 1, 0, A, key, signature)))
    commit = next(effect.commit for effect in effects if isinstance(effect, Decide))
    assert verify_commit(NETWORK, validators, commit, 1, A) >= validators.quorum
