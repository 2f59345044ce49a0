"""One validator's consensus: the machine, the votes, the wait and the guard behind one function, `handle`.

It knows no clock, disk or socket: what happens enters as an input, what is to be done leaves as effects, to be
performed in order (effects.py is the seam). Everything a peer sends passes here from the cheapest check to the
dearest: height and round, signer, novelty, and only then the signature.
"""

from __future__ import annotations

from typing import Final, assert_never

from concento.errors import Rejected
from concento.genesis import ConsensusParams
from concento.hashing import Network
from concento.keys import Check
from concento.votes import (
    NIL,
    Commit,
    Proposal,
    Vote,
    VoteType,
    commit_votes,
    proposal_check,
    vote_check,
)
from consensus import height as new_height
from consensus import machine
from consensus.effects import (
    ArmTimer,
    BlockFetched,
    Broadcast,
    Build,
    Built,
    Decide,
    Due,
    Effect,
    Fetch,
    Input,
    Judge,
    Misbehaved,
    Peer,
    PeerConnected,
    PeerGone,
    Persist,
    ProposalJudged,
    Received,
    ReportEvidence,
    RolledBack,
    SendTo,
    StartHeight,
    Timer,
    TimerFired,
)
from consensus.guard import GuardRecord, Signed
from consensus.heard import HeightHeard, polka_votes
from consensus.height import Sign, Waiting
from consensus.machine import State
from consensus.messages import Message, Polka, Status, Step
from consensus.signer import Crypto, Signer
from consensus.status import answer, is_well_formed, status
from consensus.timeouts import spacing_ms, timeout_ms
from consensus.votekeeper import Counted, Passed

EARLY_ROUNDS: Final = 2
"""Rounds of the next height whose messages are held until this height is done; later ones come again by status."""


class Engine:
    """The consensus of one node, height after height. `key` None: an observer. `guard`: what was read from the guard
    file."""

    def __init__(
        self, network: Network, key: bytes | None, crypto: Crypto, params: ConsensusParams, guard: GuardRecord
    ) -> None:
        self.state = State(0)
        self._network = network
        self._crypto = crypto
        self._signer = Signer(network, key, crypto, guard)
        self._params = params
        self._waiting = Waiting(due=False)
        self._last_count = 0
        self._heard: HeightHeard | None = None
        self._before: HeightHeard | None = None
        self._early: dict[tuple[object, ...], Received] = {}
        self._shown: set[tuple[Peer, int]] = set()
        self._fetched: set[bytes] = set()
        self._progressed = False
        self._effects: list[Effect] = []
        self._persist_at: int | None = None

    def handle(self, event: Input) -> list[Effect]:
        """What to do now, in order. Raises Broken where an invariant of our own has failed: the node stops."""
        self._effects, self._persist_at = [], None
        before = self.state
        self._take(event)
        if self._persist_at is not None:
            self._effects[self._persist_at] = Persist(self._signer.record)
            self._signer.has_unsaved = False
        self._tell_step(before)
        return self._effects

    def _tell_step(self, before: State) -> None:
        """Tells the peers of a new step. In round 0 the votes themselves tell it, and what is in flight is not lost."""
        now, heard = self.state, self._heard
        if (now.height, now.round, now.step) == (before.height, before.round, before.step) or heard is None:
            return
        self._progressed = True
        if now.round > 0 and now.step is not Step.DECIDED:
            self._effects.append(Broadcast(status(now, heard)))

    def _take(self, event: Input) -> None:
        match event:
            case StartHeight():
                self._start_height(event)
            case Received(peer, message):
                self._receive(peer, message)
            case PeerConnected(peer):
                if self._heard is not None:
                    self._effects.append(SendTo(peer, status(self.state, self._heard)))
            case PeerGone(peer):
                self._early = {place_: early for place_, early in self._early.items() if early.peer != peer}
            case Due() | Built() | ProposalJudged() | BlockFetched() | TimerFired():
                if self._heard is not None and event.height == self.state.height:
                    self._answered(event, self._heard)
            case _:
                assert_never(event)

    def _answered(self, event: Due | Built | ProposalJudged | BlockFetched | TimerFired, heard: HeightHeard) -> None:
        """What the replica says about the current height."""
        match event:
            case Due():
                self._notice(Sign.DUE)
            case Built(_, round_, block_id):
                heard.judge_block(block_id, True)
                self._run(machine.ValueReady(round_, block_id))
            case ProposalJudged(_, round_, block_id, valid, fits):
                heard.judge_block(block_id, valid)
                heard.judge_proposal(round_, block_id, fits)
                self._run(machine.Changed())
            case BlockFetched(_, block_id, valid):
                heard.judge_block(block_id, valid)
                self._run(machine.Changed())
            case TimerFired(_, _, Timer.SPACING):
                self._notice(Sign.SPACED)
            case TimerFired(_, _, Timer.HEARTBEAT):
                self._notice(Sign.HEARTBEAT)
            case TimerFired(_, _, Timer.STATUS):
                self._status_timer(heard)
            case TimerFired(_, round_, timer):
                self._run(machine.TimedOut(round_, timer))
            case _:
                assert_never(event)

    # A height begins

    def _start_height(self, start: StartHeight) -> None:
        key = self._signer.key
        self._signer.enabled = start.signing and key is not None and key in start.validators
        own_key = key if self._signer.enabled else None
        self._before = self._heard if self.state.height == start.height - 1 else None
        self._heard = HeightHeard(start.height, start.validators, start.proposers, own_key)
        self.state = State(start.height)
        self._waiting, self._last_count = Waiting(start.due), start.last_count
        self._shown, self._fetched, self._progressed = set(), set(), False
        self._arm(0, Timer.STATUS)
        if self._signer.enabled and self._signer.record.height == start.height:
            self._resume(self._heard)
        else:
            wait_ms = spacing_ms(self._params, self._last_count)
            self._effects.append(ArmTimer(start.height, 0, Timer.SPACING, wait_ms))
            self._arm(0, Timer.HEARTBEAT)
        early, self._early = self._early, {}
        for received in early.values():
            self._receive(received.peer, received.message)

    def _resume(self, heard: HeightHeard) -> None:
        """Goes on at the round and step of the last signature; what the guard holds was verified before it was
        written."""
        record = self._signer.record
        self._waiting = Waiting(due=True, spaced=True, begun=True)
        self.state = State(
            record.height,
            record.round,
            record.step,
            record.locked_round,
            record.locked_id,
            record.valid_round,
            record.valid_id,
        )
        heard.advance(record.round, (record.valid_round, record.locked_round))
        if record.polka is not None:
            heard.add_polka(record.polka)
            self._fetch(heard, VoteType.PREVOTE, record.valid_round, record.valid_id)
        for vote in (*record.entry, record.prevote, record.precommit):
            if vote is not None and vote.height == record.height:
                heard.keeper.add(vote)
        if record.proposal is not None and record.proposal.height == record.height:
            heard.add_proposal(record.proposal)
            self._effects.append(Judge(record.proposal))
        self._run(machine.Resume())

    def _notice(self, sign: Sign) -> None:
        if self._waiting.begun:
            return
        self._waiting = new_height.notice(self._waiting, sign)
        if self._waiting.begun:
            self._run(machine.Begin())

    # What peers send

    def _receive(self, peer: Peer, message: Message) -> None:
        heard, height = self._heard, self.state.height
        if heard is None:
            return
        if message.height == height + 1:
            self._hold(peer, message)
        if message.height == height - 1 and self._before is not None:
            self._look_back(message, self._before)
        if message.height != height:
            return
        match message:
            case Status():
                self._answer(peer, message, heard)
            case _ if self.state.step is Step.DECIDED:
                return
            case Proposal():
                self._on_proposal(peer, message, heard)
            case Vote():
                self._on_vote(peer, message, heard)
            case Polka() | Commit():
                self._on_certificate(peer, message, heard)
            case _:
                assert_never(message)

    def _hold(self, peer: Peer, message: Message) -> None:
        """Keeps what a peer that is one height ahead sends: at most one message a peer, round, signer and kind."""
        match message:
            case Proposal(round=round_, proposer=signer) if round_ < EARLY_ROUNDS:
                place_: tuple[object, ...] = (peer, 0, round_)
            case Vote(type=kind, round=round_, validator=signer) if round_ < EARLY_ROUNDS:
                place_ = (peer, int(kind), round_, signer)
            case _:
                return
        # A member of the next height that is none yet speaks for itself only: that is as many messages as it has links.
        if self._heard is not None and (signer in self._heard.validators or signer == peer):
            self._early.setdefault(place_, Received(peer, message))

    def _look_back(self, message: Message, before: HeightHeard) -> None:
        """Votes of the decided height decide nothing any more, but may contradict others."""
        match message:
            case Vote():
                votes = [message]
            case Commit():
                votes = self._certificate_votes(message, before) or []
            case _:
                return
        for vote in votes:
            if len(vote.block_id) in (0, 32) and before.keeper.is_wanted(vote) and self._is_signed(vote):
                evidence = before.keeper.add(vote).evidence
                self._effects.extend(ReportEvidence(found) for found in evidence)

    def _on_proposal(self, peer: Peer, proposal: Proposal, heard: HeightHeard) -> None:
        if len(proposal.block_id) != 32 or not -1 <= proposal.pol_round < proposal.round:
            self._misbehaved(peer, "a malformed proposal")
        elif not heard.wants_proposal(proposal):
            return
        elif not self._verified(proposal_check(self._network, proposal)):
            self._misbehaved(peer, "a proposal whose signature does not verify")
        else:
            self._watch_own(proposal, proposal.proposer)
            evidence = heard.add_proposal(proposal)
            self._effects.append(Judge(proposal) if evidence is None else ReportEvidence(evidence))
            self._moved()

    def _on_vote(self, peer: Peer, vote: Vote, heard: HeightHeard) -> None:
        if len(vote.block_id) not in (0, 32):
            self._misbehaved(peer, "a vote for a malformed block id")
        elif not heard.keeper.is_wanted(vote):
            return
        elif not self._verified(vote_check(self._network, vote)):
            self._misbehaved(peer, "a vote whose signature does not verify")
        else:
            self._watch_own(vote, vote.validator)
            counted = heard.keeper.add(vote)
            self._counted(counted, heard)
            self._show_proposal(peer, vote, heard)
            self._moved(changes=bool(counted.thresholds))

    def _on_certificate(self, peer: Peer, certificate: Polka | Commit, heard: HeightHeard) -> None:
        """A polka or commit of this height: every signature must be good, and then it counts as a whole."""
        kind = VoteType.PREVOTE if isinstance(certificate, Polka) else VoteType.PRECOMMIT
        known = heard.polka(certificate.round) if kind is VoteType.PREVOTE else heard.committed()
        if known is not None:
            return
        votes = self._certificate_votes(certificate, heard)
        if votes is None or not all(self._is_known(vote, heard) or self._is_signed(vote) for vote in votes):
            self._misbehaved(peer, "a certificate that does not hold")
            return
        for vote in votes:
            self._watch_own(vote, vote.validator)
        self._counted(heard.keeper.add_certificate(kind, votes), heard)
        self._moved()

    def _certificate_votes(self, certificate: Polka | Commit, heard: HeightHeard) -> list[Vote] | None:
        """The votes it stands for, or None where it is no quorum of distinct members for one block."""
        as_commit = Commit(certificate.height, certificate.round, certificate.block_id, certificate.signatures)
        try:
            commit_votes(heard.validators, as_commit)
        except Rejected:
            return None
        if len(certificate.block_id) != 32 or len(certificate.signatures) < heard.validators.quorum:
            return None
        if isinstance(certificate, Polka):
            return polka_votes(heard.validators, certificate)
        return commit_votes(heard.validators, certificate)

    def _answer(self, peer: Peer, theirs: Status, heard: HeightHeard) -> None:
        if not is_well_formed(theirs, heard.validators):
            self._misbehaved(peer, "a status whose bitmaps do not fit the validator set")
            return
        self._effects.extend(SendTo(peer, message) for message in answer(theirs, self.state, heard))

    def _show_proposal(self, peer: Peer, vote: Vote, heard: HeightHeard) -> None:
        """Answers a vote for another block with the proposal we hold: if the proposer signed two, one of us learns
        it."""
        proposal = heard.proposal(vote.round)
        if proposal is None or vote.block_id in (NIL, proposal.block_id) or heard.is_contradicted(vote.round):
            return
        if (peer, vote.round) in self._shown:
            return
        self._shown.add((peer, vote.round))
        self._effects.append(SendTo(peer, proposal))

    def _moved(self, changes: bool = True) -> None:
        """A proposal, vote or certificate of this height was new: the others have begun, and rules may apply.

        `changes` is False for a vote that completes nothing: the rules ask for thresholds only.
        """
        self._progressed = True
        self._notice(Sign.HEARD)
        if changes:
            self._run(machine.Changed())

    def _counted(self, counted: Counted, heard: HeightHeard) -> None:
        self._effects.extend(ReportEvidence(evidence) for evidence in counted.evidence)
        for threshold in counted.thresholds:
            if threshold.passed is Passed.POLKA_VALUE and threshold.block_id:
                self._fetch(heard, VoteType.PREVOTE, threshold.round, threshold.block_id)
            if threshold.passed is Passed.PRECOMMIT_VALUE and threshold.block_id:
                self._fetch(heard, VoteType.PRECOMMIT, threshold.round, threshold.block_id)

    def _fetch(self, heard: HeightHeard, kind: VoteType, round_: int, block_id: bytes) -> None:
        if heard.is_valid(block_id) is None and block_id not in self._fetched:
            self._fetched.add(block_id)
            self._effects.append(
                Fetch(self.state.height, round_, block_id, heard.keeper.voters(kind, round_, block_id))
            )

    # The machine and its actions

    def _run(self, event: machine.Input) -> None:
        """Steps the machine, performs what it wants, and steps again for what its own votes have changed."""
        heard = self._heard
        if heard is None:
            return
        round_ = self.state.round
        self.state, actions = machine.step(self.state, event, heard)
        if self.state.round != round_:
            heard.advance(self.state.round, (self.state.valid_round, self.state.locked_round))
        for action in actions:
            self._perform(action, heard)
        if actions:
            self._run(machine.Changed())

    def _perform(self, action: machine.Action, heard: HeightHeard) -> None:
        height = self.state.height
        match action:
            case machine.Arm(round_, timer):
                self._arm(round_, timer)
            case machine.AskValue(round_):
                self._effects.append(Build(height, round_))
            case machine.Propose(round_, block_id, pol_round):
                self._propose(round_, block_id, pol_round, heard)
            case machine.CastPrevote(round_, block_id):
                self._vote(VoteType.PREVOTE, round_, block_id, heard)
            case machine.CastPrecommit(round_, block_id):
                self._vote(VoteType.PRECOMMIT, round_, block_id, heard)
            case machine.DecideOn():
                commit = heard.keeper.commit_certificate(height)
                if commit is not None:
                    self._effects.append(Decide(commit))
            case _:
                assert_never(action)

    def _propose(self, round_: int, block_id: bytes, pol_round: int, heard: HeightHeard) -> None:
        polka = heard.keeper.polka_certificate(self.state.height, pol_round) if pol_round >= 0 else None
        proposal = self._signer.proposal(self.state, heard, round_, pol_round, block_id)
        if proposal is None:
            return
        heard.add_proposal(proposal)
        heard.judge_proposal(round_, block_id, True)
        if polka is not None:
            self._effects.append(Broadcast(polka))
        self._send_signed(proposal)

    def _vote(self, kind: VoteType, round_: int, block_id: bytes, heard: HeightHeard) -> None:
        vote = self._signer.vote(self.state, heard, kind, round_, block_id)
        if vote is not None:
            self._send_signed(vote)
            self._counted(heard.keeper.add(vote), heard)

    def _send_signed(self, message: Signed) -> None:
        """Sends what the signer made. The first new one of an input marks where the guard record is saved."""
        if self._signer.has_unsaved and self._persist_at is None:
            self._persist_at = len(self._effects)
            self._effects.append(Persist(self._signer.record))
        self._effects.append(Broadcast(message))

    # Small things

    def _arm(self, round_: int, timer: Timer) -> None:
        delay_ms = timeout_ms(self._params, timer, round_, self._last_count)
        self._effects.append(ArmTimer(self.state.height, round_, timer, delay_ms))

    def _status_timer(self, heard: HeightHeard) -> None:
        if not self._progressed:
            self._effects.append(Broadcast(status(self.state, heard)))
        self._progressed = False
        self._arm(0, Timer.STATUS)

    def _watch_own(self, message: Signed, signer: bytes) -> None:
        if self._signer.contradicts(message, signer):
            self._effects.append(RolledBack(self.state.height))

    def _verified(self, check: Check) -> bool:
        return self._crypto.verify(*check)

    def _is_signed(self, vote: Vote) -> bool:
        return self._verified(vote_check(self._network, vote))

    def _is_known(self, vote: Vote, heard: HeightHeard) -> bool:
        index = heard.validators.index_of(vote.validator)
        return index is not None and heard.keeper.votes(vote.type, vote.round).get(index) == vote

    def _misbehaved(self, peer: Peer, reason: str) -> None:
        self._effects.append(Misbehaved(peer, reason))
