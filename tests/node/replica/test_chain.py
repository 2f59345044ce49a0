"""Which blocks are valid, what a height leaves behind, and that replay gives the same chain."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from concento.blocks import Block, block_id, commit_root, content_root, evidence_root
from concento.devnet import development_genesis
from concento.errors import Rejected
from concento.evidence import DoubleVote, double_vote
from concento.genesis import Genesis
from concento.votes import EMPTY_COMMIT, Commit, Vote, VoteType, vote_bytes
from node.replica import wire
from node.replica.chain import Chain
from node.replica.replay import replay
from sim.network import Network
from state.events import decode_events
from state.store.blockstore import find_block
from state.store.kv import MemoryKeyValue

BATCH = b"b" * 32


@pytest.fixture(scope="module")
def network() -> Network:
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run_until(network.is_final(payment))
    network.run(200)
    return network


@pytest.fixture
def chain(network: Network) -> Chain:
    return network.nodes["node1"].core._chain


def proposed(chain: Chain, batches: tuple[bytes, ...] = (), evidence: tuple[DoubleVote, ...] = ()) -> Block:
    return chain.build(0, chain.tip_time_ms + 5, chain.proposers[0], batches, evidence)


def with_header(block: Block, **changes: object) -> Block:
    return msgspec.structs.replace(block, header=msgspec.structs.replace(block.header, **changes))


def test_built_block_is_valid(chain: Chain) -> None:
    chain.check(proposed(chain, (BATCH,)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", "another"),
        ("height", 1),
        ("height", 99),
        ("parent_id", b"p" * 32),
        ("content_root", b"p" * 32),
        ("last_commit_root", b"p" * 32),
        ("evidence_root", b"p" * 32),
        ("validators_hash", b"p" * 32),
        ("next_validators_hash", b"p" * 32),
        ("app_hash", b"p" * 32),
        ("results_root", b"p" * 32),
        ("missed_hash", b"p" * 32),
        ("protocol", 2),
    ],
)
def test_header_that_does_not_follow_from_the_chain_is_invalid(chain: Chain, field: str, value: object) -> None:
    with pytest.raises(Rejected, match=field):
        chain.check(with_header(proposed(chain), **{field: value}))


def test_block_of_the_wrong_proposer_or_round_is_invalid(chain: Chain) -> None:
    block = proposed(chain)
    chain.check(with_header(block, round=4))
    with pytest.raises(Rejected, match="proposer"):
        chain.check(with_header(block, round=1))
    with pytest.raises(Rejected, match="proposer"):
        chain.check(with_header(block, proposer=chain.proposers[1]))


def test_time_must_grow(chain: Chain) -> None:
    block = proposed(chain)
    chain.check(with_header(block, time_ms=chain.tip_time_ms + 1))
    with pytest.raises(Rejected, match="time"):
        chain.check(with_header(block, time_ms=chain.tip_time_ms))


def test_block_time_is_the_clock_but_never_behind_the_parent(chain: Chain) -> None:
    assert chain.block_time(chain.tip_time_ms + 7) == chain.tip_time_ms + 7
    assert chain.block_time(0) == chain.tip_time_ms + 1


def test_batch_named_twice_is_invalid(chain: Chain) -> None:
    with pytest.raises(Rejected, match="twice"):
        chain.check(proposed(chain, (BATCH, BATCH)))


def changed_commit(chain: Chain, change: Callable[[Commit], Commit]) -> Block:
    block = proposed(chain)
    commit = change(block.last_commit)
    return msgspec.structs.replace(with_header(block, last_commit_root=commit_root(commit)), last_commit=commit)


def test_last_commit_may_have_other_signers_but_not_too_few_or_forged_ones(network: Network, chain: Chain) -> None:
    record = chain.tip
    assert record is not None
    votes = {}
    for node in network.nodes.values():
        message = vote_bytes(chain.network, VoteType.PRECOMMIT, chain.height - 1, record.commit.round, chain.tip_id)
        votes[chain.validators.index_of(node.key.public)] = node.key.sign(message)

    def signed_by(*indices: int) -> Callable[[Commit], Commit]:
        entries = tuple(
            msgspec.structs.replace(record.commit.signatures[0], index=index, signature=votes[index])
            for index in indices
        )
        return lambda commit: msgspec.structs.replace(commit, signatures=entries)

    for indices in ((0, 1, 2), (1, 2, 3), (0, 1, 2, 3)):
        chain.check(changed_commit(chain, signed_by(*indices)))
    with pytest.raises(Rejected, match="2 of 4"):
        chain.check(changed_commit(chain, signed_by(0, 1)))
    with pytest.raises(Rejected, match="repeated"):
        chain.check(changed_commit(chain, signed_by(0, 1, 1)))
    votes[2] = votes[1]
    with pytest.raises(Rejected, match="does not verify"):
        chain.check(changed_commit(chain, signed_by(0, 1, 2)))
    with pytest.raises(Rejected, match="another block"):
        chain.check(changed_commit(chain, lambda _commit: EMPTY_COMMIT))


def equivocation(network: Network, name: str, height: int) -> DoubleVote:
    key = network.nodes[name].key
    votes = []
    for identity in (b"1" * 32, b"2" * 32):
        message = vote_bytes(network.genesis.network, VoteType.PREVOTE, height, 0, identity)
        votes.append(Vote(VoteType.PREVOTE, height, 0, identity, key.public, key.sign(message)))
    return double_vote(*votes)


def test_good_evidence_is_valid_and_bad_evidence_makes_a_block_invalid(network: Network, chain: Chain) -> None:
    good = equivocation(network, "node3", 1)
    chain.check(proposed(chain, evidence=(good,)))
    forged = msgspec.structs.replace(good, second=msgspec.structs.replace(good.second, signature=bytes(64)))
    ahead = equivocation(network, "node3", chain.height)
    swapped = DoubleVote(good.second, good.first)
    for bad in (forged, ahead, swapped):
        with pytest.raises(Rejected, match="evidence"):
            chain.check(proposed(chain, evidence=(bad,)))
    with pytest.raises(Rejected, match="twice"):
        chain.check(proposed(chain, evidence=(good, good)))


def test_evidence_that_is_too_old_is_refused(network: Network, chain: Chain) -> None:
    block = proposed(chain, evidence=(equivocation(network, "node3", 1),))
    age_ms = network.genesis.params.consensus.evidence_age_ms
    first = find_block(chain.records, 1)
    assert first is not None
    born_ms = first.block.header.time_ms
    chain.check(with_header(block, time_ms=born_ms + age_ms))
    with pytest.raises(Rejected, match="evidence"):
        chain.check(with_header(block, time_ms=born_ms + age_ms + 1))


def test_reported_equivocation_ends_in_a_block_once_and_costs_its_author_the_fees() -> None:
    network = Network()
    network.start()
    network.run_until(network.reached(2))
    evidence = equivocation(network, "node3", 1)
    network.inject("node2", "node1", wire.EvidenceMessage(evidence))
    network.run(2_000)
    network.inject("node2", "node1", wire.EvidenceMessage(evidence))
    network.run(2_000)
    blocks = [committed.stored.record.block for committed in network.nodes["node4"].committed]
    assert [block.evidence for block in blocks if block.evidence] == [(evidence,)]
    closings = [committed.stored.closing_events for committed in network.nodes["node4"].committed]
    kinds = [event.kind for closing in closings for event in decode_events(closing)]
    assert kinds.count("validators.suspended") == 1
    # Listed as missed: it proposes last, for a day.
    chain = network.nodes["node1"].core._chain
    assert chain.proposers[-1] == network.nodes["node3"].key.public
    assert all(block.header.proposer != chain.proposers[-1] for block in blocks[-3:])
    network.check_agreement()


def test_replay_from_genesis_gives_the_same_store(network: Network) -> None:
    node = network.nodes["node2"]
    target = MemoryKeyValue()
    chain = replay(network.genesis, node.kv, node.files, node.key, target)
    assert chain.store.commit == node.core.store.commit
    for space in (b"s", b"b", b"i", b"t", b"h", b"x", b"m"):
        assert dict(target.scan(space)) == dict(node.kv.scan(space))


def test_replay_stops_at_the_last_block_whose_bodies_are_whole(network: Network) -> None:
    node = network.nodes["node2"]
    record = next(
        found
        for height in range(1, node.height + 1)
        if (found := find_block(node.kv, height)) is not None and found.bodies
    )
    files = node.files.crash()
    place = record.bodies[0]
    files.write_at(files.names()[-1], place.offset, b"\xff" * 8)
    chain = replay(network.genesis, node.kv, files, node.key, MemoryKeyValue())
    assert chain.height == record.block.header.height


def test_replay_refuses_a_block_that_does_not_fit(network: Network) -> None:
    node = network.nodes["node2"]
    other = development_genesis(4, network.genesis.time_ms + 1)
    with pytest.raises(Rejected):
        replay(other, node.kv, node.files, node.key, MemoryKeyValue())


def test_block_id_covers_content_commit_and_evidence(chain: Chain) -> None:
    block = proposed(chain, (BATCH,))
    header = block.header
    assert header.content_root == content_root((BATCH,))
    assert header.last_commit_root == commit_root(block.last_commit)
    assert header.evidence_root == evidence_root(())
    assert block_id(header) != block_id(with_header(block, content_root=content_root(())).header)


def with_short_evidence_age(age_ms: int) -> Network:
    genesis = development_genesis(4)
    consensus = msgspec.structs.replace(genesis.params.consensus, evidence_age_ms=age_ms)
    params = msgspec.structs.replace(genesis.params, consensus=consensus)
    network = Network(genesis=Genesis(msgspec.structs.replace(genesis.record, params=params)))
    network.start()
    network.run_until(network.reached(2))
    return network


def test_evidence_taken_in_time_stops_no_block_when_it_has_grown_too_old() -> None:
    network = with_short_evidence_age(8_000)
    first = find_block(network.nodes["node1"].kv, 1)
    assert first is not None
    network.run(first.block.header.time_ms + 8_000 - 10 - network.now.wall_ms)
    network.kill("node4")
    evidence = equivocation(network, "node4", 1)
    network.partition(["node1"], ["node2"], ["node3"])
    for name in ("node1", "node2", "node3"):
        assert network.nodes[name].core._evidence.add(evidence)
    # No quorum until the piece is too old, by the clock if not by the tip.
    network.run(3_000)
    network.heal()
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run_until(network.is_final(payment, "node1", "node2", "node3"), 20_000)


def test_what_a_removed_validator_signed_at_other_heights_makes_no_blocks() -> None:
    network = Network(5)
    network.start()
    network.run_until(network.reached(2))
    network.inject("node2", "node1", wire.EvidenceMessage(equivocation(network, "node5", 1)))
    network.run_until(lambda: len(network.nodes["node1"].core._chain.validators) == 4, 60_000)
    for _ in range(3):
        network.inject("node2", "node1", wire.EvidenceMessage(equivocation(network, "node5", 2)))
        network.run(1_000)
    blocks = [committed.stored.record.block for committed in network.nodes["node1"].committed]
    assert sum(len(block.evidence) for block in blocks) == 1
