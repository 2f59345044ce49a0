"""A new node begins with a snapshot: of honest peers, lying ones, slow ones, and after being killed on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from concento.encoding import decode, encode
from concento.errors import Damaged, Rejected
from concento.messages.tokens import Transfer
from consensus.proposers import Turns
from node.replica import join, retention, wire
from node.replica.events import Started
from node.replica.join import Joining, is_half_joined
from node.replica.retention import Retention
from node.snapshots import SnapshotShelf, take
from sim.network import Network, Node
from state import queries_accounts
from state.modules.tokens import movements_part, part_key
from state.queries import Chain
from state.queries_chain import block_at
from state.queries_tx import tx_get
from state.store.blockstore import find_block, find_transaction
from state.store.kept import find_header
from state.store.kv import HISTORY, MemoryKeyValue
from state.store.opening import check_records, open_store
from state.store.snapshots import FILES, PIECE_BYTES, Manifest
from support.ledger import account_of
from support.windows import short_genesis

NEW = "node5"
VALIDATORS = ("node1", "node2", "node3", "node4")


class Consortium:
    """Four validators with a chain behind them and the same snapshot each, and a fifth node that has nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = Network(4, observers=1, genesis=short_genesis())
        self.network.start(*VALIDATORS)
        self.pay(5)
        self.height = self.snapshot()
        self.pay(3)

    def pay(self, count: int = 1) -> list[bytes]:
        network, ids = self.network, []
        for _ in range(count):
            payment = network.transfer("bob", "carol", 1)
            network.submit("node1", payment)
            network.run_until(network.is_final(payment))
            ids.append(payment.id)
        return ids

    def snapshot(self) -> int:
        """Every validator takes one of the same height, while the chain goes on."""
        network = self.network
        network.run(300)
        tip = network.nodes["node1"].height
        network.run_until(network.reached(tip, *VALIDATORS))
        views = {name: network.nodes[name].kv.snapshot() for name in VALIDATORS}
        self.pay(2)
        for name, view in views.items():
            kv = network.nodes[name].kv
            shelf = SnapshotShelf(self.folder / name, 2)
            assert take(network.genesis, kv, shelf, view, lambda: None) == tip
            network.nodes[name].core._shelf = shelf
        return tip

    def join(self, *names: str, kv: MemoryKeyValue | None = None, alone_ms: int = 0) -> Joining:
        network, node = self.network, self.node
        node.epoch += 1
        node.kv = node.kv if kv is None else kv
        joining = Joining(network.genesis, node.kv)
        node.replica = joining  # type: ignore[assignment]
        network._post(0, node, Started())
        network.run(alone_ms)
        for name in names or VALIDATORS:
            network.connect(NEW, name)
        return joining

    @property
    def node(self) -> Node:
        return self.network.nodes[NEW]

    def joined(self, joining: Joining, at_most_ms: int = 60_000) -> None:
        self.network.run_until(lambda: joining.is_done, at_most_ms)
        assert joining.has_joined

    def goes_on(self) -> None:
        """The node starts as a replica, catches up, and has the state of the others."""
        network = self.network
        network.kill(NEW)
        network.start(NEW)
        self.pay(2)
        network.run_until(lambda: self.node.height >= network.nodes["node1"].height)
        assert self.node.app_hash == network.nodes["node1"].app_hash
        network.check_agreement()


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    consortium = Consortium(tmp_path)
    consortium.node.kv = MemoryKeyValue()
    return consortium


def lie(consortium: Consortium, liar: str, twist: Callable[[wire.SnapshotPiece], wire.SnapshotPiece]) -> list[int]:
    """Has one peer send other pieces than those asked for; the files it lied about."""
    network = consortium.network
    told: list[int] = []

    def is_lost(origin: str, to: str, message: object) -> bool:
        if origin == liar and to == NEW and isinstance(message, wire.SnapshotPiece):
            twisted = twist(message)
            if twisted != message:
                told.append(message.file)
                network.inject(origin, to, twisted)
                return True
        return False

    network.is_lost = is_lost
    return told


def test_a_new_node_begins_with_a_snapshot_and_goes_on_with_blocks(consortium: Consortium) -> None:
    joining = consortium.join()
    consortium.joined(joining)
    node, network = consortium.node, consortium.network
    commit = open_store(node.kv, network.genesis.network).commit
    assert (commit.height, commit.oldest_height) == (consortium.height, consortium.height + 1)
    check_records(node.kv, commit, NEW)
    consortium.goes_on()
    assert find_block(node.kv, consortium.height) is None
    assert find_block(node.kv, consortium.height + 1) is not None


def test_it_joins_where_the_others_keep_no_block_below_the_snapshot(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BLOCKS_KEPT_MIN", 5)
    network = consortium.network
    for name in VALIDATORS:
        network.nodes[name].core._chain.retention = Retention(1, network.nodes[name].core._shelf.oldest)
    network.run(500_000)
    oldest = {network.nodes[name].core.store.commit.oldest_height for name in VALIDATORS}
    assert oldest == {consortium.height + 1}
    consortium.joined(consortium.join())
    consortium.goes_on()


def test_ids_that_may_not_come_back_are_known_after_joining(consortium: Consortium) -> None:
    network = consortium.network
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run_until(network.is_final(payment, *VALIDATORS))
    consortium.height = consortium.snapshot()
    consortium.joined(consortium.join())
    assert find_transaction(consortium.node.kv, payment.id) is not None
    network.kill(NEW)
    network.start(NEW)
    assert consortium.node.core._chain.is_included(payment.id)


def test_headers_that_evidence_is_judged_by_are_known_after_joining(consortium: Consortium) -> None:
    consortium.joined(consortium.join())
    kv, other = consortium.node.kv, consortium.network.nodes["node1"].kv
    newest, before = (find_header(other, height) for height in (consortium.height, consortium.height - 1))
    assert find_header(kv, consortium.height) == newest
    assert find_header(kv, consortium.height - 1) == before


@pytest.mark.parametrize(
    "twist",
    [
        lambda piece: msgspec.structs.replace(piece, data=piece.data[:-1] + bytes((piece.data[-1] ^ 1,))),
        lambda piece: msgspec.structs.replace(piece, data=encode(())) if len(piece.data) > 10 else piece,
        lambda piece: msgspec.structs.replace(piece, data=b"\xff" * PIECE_BYTES),
    ],
    ids=["flipped byte", "nothing in it", "nonsense"],
)
def test_a_peer_that_lies_about_a_file_is_banned_and_the_others_asked(
    consortium: Consortium, twist: Callable[[wire.SnapshotPiece], wire.SnapshotPiece]
) -> None:
    told = lie(consortium, "node2", twist)
    consortium.joined(consortium.join())
    assert told
    liar = consortium.network.nodes["node2"].key.public
    assert {peer for peer, _ in consortium.node.disconnected} == {liar}
    consortium.network.is_lost = None
    consortium.goes_on()


@pytest.mark.parametrize("what", ["other root", "other turns", "unsigned", "other block", "not a manifest"])
def test_a_forged_manifest_is_refused_and_its_author_banned(consortium: Consortium, what: str) -> None:
    network = consortium.network
    raw = network.nodes["node2"].core._shelf.manifest(0)
    assert raw is not None
    good = decode(Manifest, raw, "manifest")
    replace = msgspec.structs.replace
    commit = replace(good.commit, signatures=good.commit.signatures[:1])
    bad = {
        "other root": replace(good, header=replace(good.header, app_hash=bytes(32))),
        "other turns": replace(good, turns=encode(Turns((), good.commit.signatures and (bytes(32),)))),
        "unsigned": replace(good, commit=commit),
        "other block": replace(good, block=replace(good.block, batches=(bytes(32),))),
        "not a manifest": None,
    }[what]
    forged = b"nonsense" if bad is None else encode(bad)

    def is_lost(origin: str, to: str, message: object) -> bool:
        if origin == "node2" and to == NEW and isinstance(message, wire.SnapshotOffer) and message.manifest != forged:
            network.inject(origin, to, wire.SnapshotOffer(forged))
            return True
        return False

    network.is_lost = is_lost
    consortium.joined(consortium.join())
    assert {peer for peer, _ in consortium.node.disconnected} <= {network.nodes["node2"].key.public}
    if what != "other turns":
        assert consortium.node.disconnected


def test_a_peer_that_answers_nothing_is_switched_away_from(consortium: Consortium) -> None:
    network = consortium.network
    network.is_lost = lambda origin, to, message: (
        origin == "node2" and to == NEW and isinstance(message, wire.SnapshotPiece)
    )
    consortium.joined(consortium.join())
    assert any(entry.name == "snapshot.slow_peer" for entry in consortium.node.logs)
    assert not consortium.node.disconnected


def test_a_join_that_was_killed_goes_on_where_it_was(consortium: Consortium) -> None:
    network = consortium.network
    joining = consortium.join("node1")
    network.run_until(lambda: joining.done_count > 100)
    network.kill(NEW)
    assert is_half_joined(consortium.node.kv)
    asked: list[int] = []

    def is_lost(_origin: str, _to: str, message: object) -> bool:
        if isinstance(message, wire.PieceRequest):
            asked.append(message.file)
        return False

    network.is_lost = is_lost
    consortium.joined(consortium.join("node3"))
    assert len(asked) <= FILES - 100
    consortium.goes_on()


def test_a_half_joined_store_is_no_store_and_can_be_emptied(consortium: Consortium) -> None:
    joining = consortium.join()
    consortium.network.run_until(lambda: joining.done_count > 10)
    consortium.network.kill(NEW)
    with pytest.raises(Rejected):
        open_store(consortium.node.kv, consortium.network.genesis.network)
    join.clear(consortium.node.kv)
    assert next(consortium.node.kv.scan(b""), None) is None


def test_a_snapshot_that_nobody_has_any_more_is_given_up_for_another(consortium: Consortium) -> None:
    network = consortium.network
    joining = consortium.join()
    network.run_until(lambda: joining.done_count > 50)
    network.kill(NEW)
    old = consortium.height
    for name in VALIDATORS:
        network.nodes[name].core._shelf._kept = 1
    consortium.pay(2)
    consortium.folder = consortium.folder / "later"
    consortium.height = consortium.snapshot()
    assert consortium.height > old
    joining = consortium.join()
    consortium.joined(joining, 200_000)
    assert joining.height == consortium.height
    consortium.goes_on()


def test_it_waits_for_offers_from_the_moment_on_at_which_somebody_is_there(consortium: Consortium) -> None:
    consortium.network.delays = lambda _origin, _to, _payload: (120,)
    consortium.joined(consortium.join(alone_ms=join.PATIENCE_MS + 5_050))


def test_what_it_has_of_a_snapshot_outlives_a_line_that_is_down_for_long(consortium: Consortium) -> None:
    network = consortium.network
    joining = consortium.join("node1")
    network.run_until(lambda: joining.done_count > 100)
    network.disconnect(NEW, "node1")
    network.run(join.STALE_MS + 1_000)
    before = joining.done_count
    network.delays = lambda _origin, _to, _payload: (120,)
    network.connect(NEW, "node2")
    network.run(200)
    assert (joining.height, joining.done_count >= before) == (consortium.height, True)
    consortium.joined(joining)


def test_a_chain_that_fell_silent_gives_snapshots_though_its_last_payments_are_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BLOCKS_KEPT_MIN", 5)
    network = Network(4, genesis=short_genesis())
    network.start()
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run_until(network.is_final(payment))
    node = network.nodes["node1"]
    node.core._chain.retention = Retention(1)
    network.run(500_000)
    assert find_transaction(node.kv, payment.id) is None
    view, height = node.kv.snapshot(), node.height
    network.run(10_000)
    assert take(network.genesis, node.kv, SnapshotShelf(tmp_path, 2), view, lambda: None) == height


def test_where_nobody_has_a_snapshot_the_node_begins_with_the_first_block(consortium: Consortium) -> None:
    network = consortium.network
    for name in VALIDATORS:
        network.nodes[name].core._shelf = SnapshotShelf(consortium.folder / "none", 1)
    joining = consortium.join()
    network.run_until(lambda: joining.is_done)
    assert not joining.has_joined
    consortium.goes_on()
    assert find_block(consortium.node.kv, 1) is not None


def test_what_it_cannot_know_it_says_and_does_not_guess(consortium: Consortium) -> None:
    network = consortium.network
    before = network.nodes["node1"].kv
    old = find_block(before, consortium.height - 1)
    assert old is not None
    consortium.joined(consortium.join())
    consortium.goes_on()
    store = consortium.node.core.store
    chain = Chain(store.kv, store.tree, network.genesis)
    carol = queries_accounts.account_get(chain, "carol")
    assert carol["accrued_ubeat"] is None
    assert int(carol["balance_ubeat"]) > 0
    refused = {
        "history.pruned": lambda: queries_accounts.account_history(chain, "carol", None, 1_000),
        "block.pruned": lambda: block_at(chain, consortium.height),
        "tx.pruned": lambda: tx_get(chain, bytes(32), lambda _place: None, None),
    }
    for kind, ask in refused.items():
        with pytest.raises(Rejected) as refusal:
            ask()
        assert refusal.value.kind == kind
    assert queries_accounts.account_history(chain, "carol", None, 1)["items"]


def test_whoever_moved_only_since_has_a_whole_history_there(consortium: Consortium) -> None:
    network = consortium.network
    consortium.joined(consortium.join())
    consortium.goes_on()
    newcomer = account_of("newcomer")
    for amount in (1, 2):
        payment = network.act("bob", Transfer(newcomer, amount))
        network.submit("node1", payment)
        network.run_until(network.is_final(payment))
    network.run_until(lambda: consortium.node.height >= network.nodes["node1"].height)
    store = consortium.node.core.store
    chain = Chain(store.kv, store.tree, network.genesis)
    found = queries_accounts.account_history(chain, chain.address(newcomer), None, 1_000)
    assert [item["balance_ubeat"] for item in found["items"]] == ["3", "1"]
    assert found["next"] is None
    height = found["items"][0]["height"]
    store.kv.write({HISTORY + part_key(height, movements_part(newcomer)): None})
    with pytest.raises(Damaged):
        queries_accounts.account_history(chain, chain.address(newcomer))
