"""The ledger as an ABCI application: an engine's calls in their order, crashes, blocks that nobody should make."""

from __future__ import annotations

import pytest

from concento.blocks import TransactionResult
from concento.cometlight import address_of
from concento.encoding import decode
from concento.errors import Broken, Rejected
from concento.evidence import evidence_height, offender
from concento.messages.governance import AddValidator, AdmitObserver, Approve, Change, Propose, ReplaceKey, Upgrade
from concento.messages.tokens import Transfer
from concento.proofs import verify_state
from concento.transactions import Transaction, decode_transaction, object_id
from concento.votes import Vote, VoteType, vote_bytes
from node.comet import messages as abci
from node.comet.application import CODE_FAILED, CODE_SKIPPED, CODE_UNREADABLE, Application, app_state
from node.comet.blocks import find_bodies
from sim.network import Network
from state.modules import tokens
from state.modules.identity import ACCOUNTS
from state.store.blockstore import find_block
from state.view import open_view
from support.comet import BLOCK_MS, Comet, account, misbehavior, opened, timestamp
from support.ledger import key_of

BEAT = 1_000_000


def pay(comet: Comet, amount_beat: int = 1, sender: str = "bob") -> Transaction:
    return comet.tx(sender, Transfer(account("carol"), amount_beat * BEAT))


def forged(transaction: Transaction) -> bytes:
    """The same body with a signature that nobody made."""
    raw = bytearray(transaction.raw)
    raw[-1] ^= 1
    assert decode_transaction(bytes(raw)).id == transaction.id
    return bytes(raw)


def balance(comet: Comet, name: str) -> int:
    return tokens.balance(open_view(comet.kv), account(name))


def codes(answer: abci.FinalizeBlockAnswer) -> list[int]:
    return [result.code for result in answer.results]


# The order of calls


def test_a_new_chain_is_at_height_zero_and_begins_with_the_root_of_genesis() -> None:
    comet = Comet()
    info = comet.application.info()
    assert (info.height, info.app_hash) == (0, b"")
    first = comet.application.init_chain(comet.init_chain())
    assert first.app_hash == comet.ledger.tree.root
    assert comet.application.init_chain(comet.init_chain()) == first


@pytest.mark.parametrize("field", ["chain_id", "app_state", "validators"])
def test_a_genesis_that_was_not_made_from_ours_is_refused(field: str) -> None:
    comet = Comet()
    right = comet.init_chain()
    wrong = {"chain_id": "other-1", "app_state": app_state(comet.genesis)[:-1], "validators": right.validators[1:]}
    values = {name: getattr(right, name) for name in right.__dataclass_fields__} | {field: wrong[field]}
    with pytest.raises(Broken, match="was not made from"):
        comet.application.init_chain(abci.InitChain(**values))


def test_a_block_is_seen_by_nobody_before_commit_and_by_everybody_after() -> None:
    comet = Comet()
    before = comet.application.store.commit, comet.application.store.tree.root, dict(comet.kv.scan(b""))
    answer = comet.application.finalize(comet.request([pay(comet).raw]))
    assert (comet.application.store.commit, comet.application.store.tree.root, dict(comet.kv.scan(b""))) == before
    comet.application.commit()
    info = comet.application.info()
    assert (info.height, info.app_hash) == (1, answer.app_hash)
    assert balance(comet, "carol") == comet.ledger.balance("carol") + BEAT
    assert opened(comet.genesis, comet.kv).commit == comet.application.store.commit


def test_a_crash_between_finalize_and_commit_gives_the_same_bytes_again() -> None:
    comet = Comet()
    comet.block(pay(comet).raw)
    request = comet.request([pay(comet).raw, b"nonsense", forged(pay(comet))], misbehavior=())
    first = abci.encode_response(comet.application.finalize(request))
    assert abci.encode_response(comet.application.finalize(request)) == first
    comet.restarted()
    assert comet.application.info().height == 1
    assert abci.encode_response(comet.application.finalize(request)) == first
    comet.application.commit()
    assert comet.application.info().height == 2


def test_an_engine_that_skips_a_height_or_commits_nothing_ends_the_node() -> None:
    comet = Comet()
    request = comet.request([])
    comet.block()
    with pytest.raises(Broken, match="height 1, this node is at 1"):
        comet.application.finalize(request)
    with pytest.raises(Broken, match="never gave"):
        comet.application.commit()
    with pytest.raises(Broken, match="begins a chain"):
        comet.application.init_chain(comet.init_chain())


# One result per transaction


def test_every_transaction_has_one_result_in_order_whatever_it_is() -> None:
    comet = Comet()
    good, poor, twice = pay(comet), pay(comet, 10**9), pay(comet)
    raws = [b"", good.raw, b"\xff" * 50, forged(pay(comet)), poor.raw, twice.raw, twice.raw, b"\x92" + good.raw]
    before = balance(comet, "carol")
    answer = comet.block(*raws)
    unreadable = CODE_UNREADABLE
    expected = [unreadable, 0, unreadable, unreadable, CODE_FAILED, 0, CODE_SKIPPED, unreadable]
    assert codes(answer) == expected
    outcomes = [decode(TransactionResult, result.data) for result in answer.results if result.data]
    assert [outcome.id for outcome in outcomes] == [good.id, poor.id, twice.id, twice.id]
    assert [result.codespace for result in answer.results][6] == "tx.duplicate"
    assert balance(comet, "carol") == before + 2 * BEAT
    assert find_bodies(comet.kv, 1) == (good.raw, poor.raw, twice.raw, twice.raw)


def test_a_forged_transaction_moves_nothing_though_a_block_contains_it() -> None:
    comet = Comet()
    transaction = pay(comet)
    before = balance(comet, "bob"), comet.application.store.tree.root
    answer = comet.block(forged(transaction))
    assert codes(answer) == [CODE_UNREADABLE]
    assert (balance(comet, "bob"), comet.application.store.tree.root) == before
    assert codes(comet.block(transaction.raw)) == [0]


def test_a_good_transaction_seen_before_does_not_vouch_for_forged_signatures() -> None:
    comet = Comet()
    transaction = pay(comet)
    assert comet.application.check(abci.CheckTx(transaction.raw)).code == 0
    bad = forged(transaction)
    assert comet.application.check(abci.CheckTx(bad)).codespace == "tx.signature"
    assert comet.application.process(abci.ProcessProposal((bad,))).status == abci.Verdict.REJECT
    assert codes(comet.block(bad)) == [CODE_UNREADABLE]


# Proposals


def test_an_honest_proposal_is_accepted_and_one_with_anything_forged_is_not() -> None:
    comet = Comet()
    good, other = pay(comet), pay(comet, 10**9)
    process = comet.application.process
    assert process(abci.ProcessProposal()).status == abci.Verdict.ACCEPT
    assert process(abci.ProcessProposal((good.raw, other.raw))).status == abci.Verdict.ACCEPT
    for bad in (b"", b"nonsense", forged(pay(comet)), other.raw):
        assert process(abci.ProcessProposal((good.raw, bad, other.raw))).status == abci.Verdict.REJECT


def test_a_proposer_takes_what_may_run_in_order_and_leaves_the_rest_out() -> None:
    comet = Comet()
    included, first, second = pay(comet), pay(comet), pay(comet)
    late = comet.ledger.tx("bob", Transfer(account("carol"), 1), valid_ms=10**9)
    comet.block(included.raw)
    listed = (first.raw, b"nonsense", forged(second), late.raw, second.raw, first.raw, included.raw)
    request = abci.PrepareProposal(10_000, listed, 2, timestamp(comet.time_ms + BLOCK_MS))
    prepared = comet.application.prepare(request).txs
    assert prepared == (first.raw, second.raw, included.raw)
    assert comet.application.process(abci.ProcessProposal(prepared)).status == abci.Verdict.ACCEPT
    assert codes(comet.block(*prepared)) == [0, 0, CODE_SKIPPED]


@pytest.mark.parametrize("room", range(0, 1200, 97))
def test_a_proposal_is_never_larger_than_the_engine_allows(room: int) -> None:
    comet = Comet()
    listed = tuple(pay(comet).raw for _ in range(4))
    request = abci.PrepareProposal(room, listed, 1, timestamp(comet.time_ms + BLOCK_MS))
    prepared = comet.application.prepare(request).txs
    # As CometBFT counts: each transaction is a field of the block's data.
    assert sum(len(raw) + 1 + (1 if len(raw) < 128 else 2) for raw in prepared) <= room
    assert prepared == listed[: len(prepared)]
    assert len(prepared) == min(4, room // (len(listed[0]) + 3))


# The mempool


def test_admission_says_why_not_and_changes_nothing() -> None:
    comet = Comet()
    application = comet.application
    before = dict(comet.kv.scan(b""))
    good = pay(comet)
    assert application.check(abci.CheckTx(good.raw)).code == 0
    assert list(application.waiting) == [good.id]
    poor = pay(comet, 10**9)
    assert application.check(abci.CheckTx(poor.raw)).codespace == "tokens.balance_low"
    assert application.refusals[poor.digest].kind == "tokens.balance_low"
    assert application.check(abci.CheckTx(b"nonsense")).code == CODE_UNREADABLE
    assert dict(comet.kv.scan(b"")) == before
    comet.block(good.raw)
    assert application.check(abci.CheckTx(good.raw)).codespace == "tx.duplicate"
    assert not application.waiting


def test_a_recheck_drops_what_is_in_the_chain_or_expired_and_nothing_else() -> None:
    comet = Comet()
    application = comet.application
    waiting, included = pay(comet), pay(comet)
    drained = pay(comet, 49_999)
    for transaction in (waiting, included, drained):
        assert application.check(abci.CheckTx(transaction.raw)).code == 0
    comet.block(included.raw)
    rechecks = [abci.CheckTx(entry.raw, abci.CheckType.RECHECK) for entry in (waiting, included, drained)]
    assert [application.check(request).codespace for request in rechecks] == ["", "tx.duplicate", ""]
    comet.time_ms += 200_000
    comet.block()
    assert application.check(rechecks[0]).codespace == "tx.expired"
    assert waiting.id not in application.waiting


# Validators, queries, the rest


def test_misbehaviour_is_punished_once_and_the_engine_is_told() -> None:
    network = Network(5)
    comet = Comet(network.genesis)
    comet.block()
    comet.block()
    key = comet.genesis.validators.keys[0]
    request = comet.request([], misbehavior=(misbehavior(key, 1), misbehavior(key, 1)))
    answer = comet.application.finalize(request)
    assert answer.validators == (abci.ValidatorUpdate(abci.PublicKey(key), 0),)
    comet.application.commit()
    comet.time_ms += BLOCK_MS
    again = comet.application.finalize(comet.request([], misbehavior=(misbehavior(key, 1),)))
    assert again.validators == ()
    comet.application.commit()
    record = find_block(comet.kv, 4)
    assert record is not None
    assert record.block.header.next_validators_hash != record.block.header.validators_hash


def test_a_query_answers_the_committed_state_with_a_proof() -> None:
    comet = Comet()
    comet.block(pay(comet).raw)
    key = ACCOUNTS.key(account("carol"))
    comet.application.finalize(comet.request([pay(comet).raw]))
    for name in (key, ACCOUNTS.key(bytes(32))):
        answer = comet.application.query(abci.Query(name, "/state", 0, 1))
        assert answer.proof is not None
        nodes = decode(tuple[bytes, ...], answer.proof.ops[0].data)
        verify_state(comet.application.info().app_hash, name, answer.value or None, nodes)
    assert comet.application.query(abci.Query(key)).value == comet.kv.get(b"s" + key)
    assert comet.application.query(abci.Query(key, "/other")).code != 0
    assert comet.application.query(abci.Query(key, "", 7)).code != 0


def test_every_kind_of_request_has_the_answer_of_its_kind() -> None:
    comet = Comet()
    fields = {abci.InitChain: comet.init_chain(), abci.FinalizeBlock: comet.request([])}
    order = sorted(abci.REQUESTS, key=lambda number: (abci.REQUESTS[number] is abci.Commit, number))
    for number in order:
        kind = abci.REQUESTS[number]
        answer = comet.application.answer(fields.get(kind, kind()))
        assert type(answer).__name__ == kind.__name__ + "Answer"
        assert abci.decode_response(abci.encode_response(answer)) == answer


def test_snapshots_and_vote_extensions_are_answered_with_no() -> None:
    application = Comet().application
    assert application.answer(abci.OfferSnapshot(abci.Snapshot(1))).result == abci.SnapshotVerdict.REJECT
    assert application.answer(abci.ApplySnapshotChunk(1, b"x")).result == abci.ChunkVerdict.ABORT
    assert application.answer(abci.VerifyVoteExtension()).status == abci.Verdict.ACCEPT
    assert application.answer(abci.VerifyVoteExtension(extension=b"x")).status == abci.Verdict.REJECT


# The same ledger


def test_blocks_that_our_own_engine_decided_give_the_same_app_hashes() -> None:
    network = Network(5)
    network.start()
    network.run_until(network.reached(1))
    key = network.nodes["node3"].key
    height = network.nodes["node1"].height + 1
    votes = []
    for identity in (b"1" * 32, b"2" * 32):
        message = vote_bytes(network.genesis.network, VoteType.PREVOTE, height, 0, identity)
        votes.append(Vote(VoteType.PREVOTE, height, 0, identity, key.public, key.sign(message)))
    network.kill("node3")
    for vote in votes:
        network.inject("node4", "node1", vote)
    for amount in range(1, 8):
        for name in ("node1", "node2"):
            network.submit(name, *(network.transfer("bob", "carol", amount * 10**9 + more) for more in range(3)))
        network.run(1_000)
    network.run(6_000)
    core = network.nodes["node1"].core
    comet = Comet(network.genesis)
    application: Application = comet.application
    evidence = 0
    for number in range(1, core.status().height + 1):
        record = find_block(core.store.kv, number)
        assert record is not None
        header = record.block.header
        assert application.store.tree.root == header.app_hash
        raws = [core.body(number, index) or b"" for index in range(len(record.transactions))]
        punished = tuple(misbehavior(offender(piece), evidence_height(piece)) for piece in record.block.evidence)
        evidence += len(punished)
        answer = application.finalize(
            abci.FinalizeBlock(
                tuple(raws), punished, b"", number, timestamp(header.time_ms), address_of(header.proposer)
            )
        )
        assert len(answer.results) == len(raws)
        application.commit()
    assert application.store.commit.app_hash == core.store.commit.app_hash
    assert application.store.commit.transactions == core.store.commit.transactions > 20
    assert evidence == 1


# Governance


def decided(comet: Comet, change: Change) -> abci.FinalizeBlockAnswer:
    """Proposed by one operator and approved by the others: the answer of the block that decides."""
    propose = comet.tx("node1", Propose(change, comet.time_ms + 3_600_000))
    assert codes(comet.block(propose.raw)) == [0]
    proposal = object_id("proposal", account("node1"), propose.body.nonce, 0)
    answer = comet.block(*(comet.tx(name, Approve(proposal)).raw for name in ("node2", "node3")))
    assert codes(answer) == [0, 0]
    return answer


def with_operators() -> Comet:
    comet = Comet()
    names = ("node1", "node2", "node3", "node4")
    comet.block(comet.tx("treasury", *(Transfer(account(name), 50 * BEAT) for name in names)).raw)
    return comet


def test_the_engine_is_told_of_validators_that_come_and_go_with_the_block_that_decides() -> None:
    comet = with_operators()
    new = key_of("zoe")
    assert decided(comet, AdmitObserver(new, "zoe", account("zoe"))).validators == ()
    added = decided(comet, AddValidator(new)).validators
    assert added == (abci.ValidatorUpdate(abci.PublicKey(new), 1),)
    # Two heights later ours knows the new set; the engine's own rule is the same.
    at = comet.application.store.commit.height
    comet.block()
    comet.block()
    record = find_block(comet.kv, at + 1)
    assert record is not None
    assert record.block.header.next_validators_hash != record.block.header.validators_hash
    after = find_block(comet.kv, at + 2)
    assert after is not None
    assert after.block.header.validators_hash == record.block.header.next_validators_hash


def test_a_replaced_key_is_one_removal_and_one_addition() -> None:
    comet = with_operators()
    old, new = key_of("node4"), key_of("zoe")
    decided(comet, AdmitObserver(new, "zoe", account("zoe")))
    updates = decided(comet, ReplaceKey(old, new)).validators
    assert updates == (abci.ValidatorUpdate(abci.PublicKey(old), 0), abci.ValidatorUpdate(abci.PublicKey(new), 1))


def test_a_block_of_a_protocol_that_this_release_does_not_know_is_not_executed() -> None:
    comet = with_operators()
    at = comet.application.store.commit.height + 6
    decided(comet, Upgrade(2, at))
    while comet.application.store.commit.height < at - 1:
        comet.block()
    with pytest.raises(Rejected) as refusal:
        comet.block()
    assert refusal.value.kind == "node.protocol_new"
    assert comet.application.store.commit.height == at - 1
