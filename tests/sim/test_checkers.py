"""Every checker sees what it is there for: made-up misbehaviour, one rule at a time."""

from collections import Counter

import msgspec
import pytest

from concento.votes import NIL, Vote, VoteType, vote_bytes
from node.replica.events import Committed, Halt
from node.replica.wire import encode_message
from sim.checkers import Checker
from sim.crypto import STUB
from sim.network import Network
from sim.validity import Invalid, SecondOpinion
from sim.violation import Violation

ONE, OTHER = b"\x01" * 32, b"\x02" * 32
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT


class Stage:
    """A network that does not run, and a checker that is shown what its nodes say."""

    def __init__(self, dishonest: tuple[str, ...] = ()) -> None:
        self.network = Network(signing=STUB)
        keys = frozenset(self.network.nodes[name].key.public for name in dishonest)
        self.checker = Checker(self.network.genesis, STUB, keys, Counter())

    def vote(self, name: str, kind: VoteType, round_: int, block_id: bytes) -> None:
        node = self.network.nodes[name]
        message = vote_bytes(self.network.genesis.network, kind, 1, round_, block_id)
        vote = Vote(kind, 1, round_, block_id, node.key.public, node.key.sign(message))
        self.checker.sent(node, (bytes(32),), encode_message(vote))

    def polka(self, round_: int, block_id: bytes, *names: str) -> None:
        for name in names or ("node1", "node2", "node3"):
            self.vote(name, PREVOTE, round_, block_id)


def test_two_votes_at_one_place_are_seen() -> None:
    stage = Stage()
    stage.vote("node1", PREVOTE, 0, ONE)
    stage.vote("node1", PREVOTE, 0, ONE)
    with pytest.raises(Violation, match="no double sign"):
        stage.vote("node1", PREVOTE, 0, NIL)


def test_a_liar_may_sign_what_it_likes() -> None:
    stage = Stage(dishonest=("node1",))
    for block_id in (ONE, OTHER, NIL):
        stage.vote("node1", PREVOTE, 0, block_id)


def test_a_vote_against_ones_lock_is_seen() -> None:
    stage = Stage()
    stage.polka(0, ONE)
    stage.vote("node1", PRECOMMIT, 0, ONE)
    stage.vote("node1", PREVOTE, 1, NIL)
    with pytest.raises(Violation, match="the lock rule"):
        stage.vote("node1", PREVOTE, 2, OTHER)


def test_a_newer_proof_of_lock_frees_from_a_lock() -> None:
    stage = Stage()
    stage.polka(0, ONE)
    stage.vote("node1", PRECOMMIT, 0, ONE)
    stage.polka(1, OTHER, "node2", "node3", "node4")
    stage.vote("node1", PREVOTE, 2, OTHER)


def test_a_precommit_without_a_polka_is_seen() -> None:
    stage = Stage()
    stage.polka(0, ONE, "node1", "node2")
    with pytest.raises(Violation, match="a precommit has a polka"):
        stage.vote("node1", PRECOMMIT, 0, ONE)


def test_an_exception_and_a_halt_are_seen() -> None:
    stage = Stage()
    with pytest.raises(Violation, match="no exception leaves the core"):
        stage.checker.failed(stage.network.nodes["node1"], KeyError(1))
    with pytest.raises(Violation, match="no honest node halts"):
        stage.checker.performed(stage.network.nodes["node1"], Halt("stop"))


def chain() -> tuple[Network, list[Committed]]:
    network = Network(signing=STUB)
    network.start()
    payments = [network.transfer("bob", "carol", amount) for amount in (1, 2, 3)]
    for payment in payments:
        network.submit("node1", payment)
        network.run_until(network.is_final(payment))
    return network, network.nodes["node1"].committed


def follow(network: Network, committed: list[Committed], changed: Committed | None = None) -> SecondOpinion:
    """Follows the chain; `changed` takes the place of its second block."""
    opinion = SecondOpinion(network.genesis, STUB.make(b"", b"").verify)
    app_hashes = [block.stored.record.block.header.app_hash for block in committed[1:]]
    blocks = committed if changed is None else [committed[0], changed]
    for block, app_hash in zip(blocks, app_hashes, strict=False):
        opinion.follow(block, app_hash, opinion.members[1])
    return opinion


def test_the_second_opinion_agrees_with_a_good_chain() -> None:
    network, committed = chain()
    opinion = follow(network, committed)
    assert len(opinion.headers) == len(committed) - 1
    assert opinion.books.is_whole


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("time_ms", 1, "not later"),
        ("parent_id", bytes(32), "parent_id"),
        ("content_root", bytes(32), "content_root"),
        ("results_root", bytes(32), "results_root"),
        ("app_hash", bytes(32), "app_hash"),
        ("proposer", bytes(32), "stranger"),
        ("height", 7, "height"),
    ],
)
def test_the_second_opinion_refuses_a_changed_header(field: str, value: object, reason: str) -> None:
    network, committed = chain()
    stored = committed[1].stored
    block = stored.record.block
    bad = msgspec.structs.replace(block, header=msgspec.structs.replace(block.header, **{field: value}))
    record = msgspec.structs.replace(stored.record, block=bad)
    changed = Committed(type(stored)(record, stored.outcomes, stored.results, stored.closing_events), (), False)
    with pytest.raises(Invalid, match=reason):
        follow(network, committed, changed)


def test_the_second_opinion_refuses_a_commit_of_too_few() -> None:
    network, committed = chain()
    opinion = follow(network, committed)
    commit = committed[0].stored.record.commit
    opinion.check_commit(commit)
    with pytest.raises(Invalid, match="final by 2 of 4"):
        opinion.check_commit(msgspec.structs.replace(commit, signatures=commit.signatures[:2]))
    twice = (commit.signatures[0], commit.signatures[0], commit.signatures[1])
    with pytest.raises(Invalid, match="final by 2 of 4"):
        opinion.check_commit(msgspec.structs.replace(commit, signatures=twice))
