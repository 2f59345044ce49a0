"""The ledger as an ABCI 2.0 application: a pure answer to each request, and one write, in Commit.

    CheckTx             whether a transaction may wait in CometBFT's mempool: form, signatures, and the state now
    PrepareProposal     the proposer's choice among those that wait
    ProcessProposal     REJECT for what no honest proposer would propose, and for nothing else: it depends on bytes only
    FinalizeBlock       the transition; whatever the block contains there is one result per transaction
    Commit              one atomic, synced batch: records, block, height and app hash together

Nothing is executed whose signatures this node has not checked. A crash between FinalizeBlock and Commit leaves the
store at the height before, and CometBFT asks again: the same bytes give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from concento import __version__
from concento.cometlight import POWER, chain_id_of
from concento.encoding import encode
from concento.errors import Broken, ConcentoError, Rejected
from concento.genesis import Genesis
from concento.transactions import Transaction
from concento.validators import ValidatorSet
from node.comet import messages as abci
from node.comet.blocks import Decided, decide, tip_time_ms
from node.comet.signatures import Signatures
from node.comet.snapshots import CometShelf, Restoring
from state.replay import check_window
from state.store.blockstore import find_transaction
from state.store.kv import STATE
from state.store.opening import OpenStore
from state.transition import bill_of, check_transaction
from state.view import open_view

CODE_FAILED: Final = 1
CODE_SKIPPED: Final = 2
CODE_UNREADABLE: Final = 3
"""ExecTxResult and CheckTx codes besides 0: no effect but the fee; no effect at all; not even a transaction."""
PROOF_TYPE: Final = "concento:state-1"
REFUSALS_MAX: Final = 20_000
"""Refused transactions whose reason is kept for whoever submitted them here."""


@dataclass(slots=True)
class Waiting:
    """A transaction in CometBFT's mempool; `skipped` is why the last block that held it passed over it."""

    transaction: Transaction
    skipped: str | None = None


class Application:
    """One node's ledger behind CometBFT. `wall_ms` is the clock that CheckTx judges windows by."""

    def __init__(self, genesis: Genesis, store: OpenStore, wall_ms: Callable[[], int]) -> None:
        self.genesis = genesis
        self.store = store
        self.signatures = Signatures(genesis.network)
        self.waiting: dict[bytes, Waiting] = {}
        """By id: what CometBFT's mempool holds, as far as this process knows."""
        self.refusals: dict[bytes, ConcentoError] = {}
        """By digest: why CheckTx refused it last."""
        self.on_commit: Callable[[Decided], None] = lambda decided: None
        self.shelf: CometShelf | None = None
        """Where this node's snapshots lie; None: it gives none."""
        self.restoring: Restoring | None = None
        """Takes one; None: this node begins with the first block."""
        self._wall_ms = wall_ms
        self._decided: Decided | None = None
        self._tip_view = open_view(store.kv)
        self._tip_ms = tip_time_ms(genesis, store.kv, store.commit.height)

    def answer(self, request: Any) -> Any:
        """The response to any request. Broken where the engine and this node contradict each other."""
        match request:
            case abci.CheckTx():
                return self.check(request)
            case abci.FinalizeBlock():
                return self.finalize(request)
            case abci.Commit():
                return self.commit()
            case abci.PrepareProposal():
                return self.prepare(request)
            case abci.ProcessProposal():
                return self.process(request)
            case abci.Info():
                return self.info()
            case abci.InitChain():
                return self.init_chain(request)
            case abci.Query():
                return self.query(request)
            case abci.ListSnapshots() | abci.OfferSnapshot() | abci.LoadSnapshotChunk() | abci.ApplySnapshotChunk():
                return self.snapshots(request)
            case _:
                return _plain_answer(request)

    # What the engine knows of us

    def info(self) -> abci.InfoAnswer:
        """What the last completed Commit wrote."""
        commit = self.store.commit
        app_hash = commit.app_hash if commit.height else b""
        return abci.InfoAnswer("concento", __version__, self.genesis.protocol, commit.height, app_hash)

    def init_chain(self, request: abci.InitChain) -> abci.InitChainAnswer:
        """The root of the genesis state, once the engine's genesis turns out to be made from ours."""
        if self.store.commit.height:
            raise Broken("the engine begins a chain that is at height {height} here", height=self.store.commit.height)
        theirs = sorted((update.key.ed25519 if update.key else b"", update.power) for update in request.validators)
        ours = [(key, POWER) for key in self.genesis.validators.keys]
        if (request.chain_id, request.app_state, request.initial_height, theirs) != (
            *(chain_id_of(self.genesis), app_state(self.genesis), 1),
            ours,
        ):
            raise Broken("the genesis of CometBFT was not made from the genesis of this node")
        return abci.InitChainAnswer(self.store.tree.root)

    def query(self, request: abci.Query) -> abci.QueryAnswer:
        """A record of the committed state by its key; path "/state". The proof holds against header height + 1."""
        commit = self.store.commit
        if request.path not in ("", "/state"):
            return abci.QueryAnswer(
                code=1, log=f"there is no path {request.path[:100]}, only /state", codespace="query"
            )
        if request.height not in (0, commit.height):
            return abci.QueryAnswer(
                code=1, log="only the newest state is kept", height=commit.height, codespace="query"
            )
        proof = None
        if request.prove:
            nodes = encode(tuple(self.store.tree.prove(request.data)))
            proof = abci.ProofOps((abci.ProofOp(PROOF_TYPE, request.data, nodes),))
        value = self.store.kv.get(STATE + request.data)
        return abci.QueryAnswer(key=request.data, value=value or b"", proof=proof, height=commit.height)

    # Snapshots

    def snapshots(self, request: Any) -> Any:
        """What this node has, and what it is offered while it has no block."""
        match request:
            case abci.ListSnapshots():
                return abci.ListSnapshotsAnswer(self.shelf.listed() if self.shelf else ())
            case abci.LoadSnapshotChunk():
                found = self.shelf.chunk(request.height, request.format, request.chunk) if self.shelf else b""
                return abci.LoadSnapshotChunkAnswer(found)
            case abci.OfferSnapshot():
                verdict = self.restoring.offer(request) if self.restoring else abci.SnapshotVerdict.REJECT
                return abci.OfferSnapshotAnswer(verdict)
            case _ if self.restoring is None:
                return abci.ApplySnapshotChunkAnswer(abci.ChunkVerdict.ABORT)
            case _:
                answer, store = self.restoring.apply(request)
                if store is not None:
                    self._begin_with(store)
                return answer

    def _begin_with(self, store: OpenStore) -> None:
        """Goes on from the height of a snapshot."""
        self.store.tree.become(store.tree)
        self.store.commit = store.commit
        self._tip_view = open_view(self.store.kv)
        self._tip_ms = tip_time_ms(self.genesis, self.store.kv, store.commit.height)

    # Transactions that wait

    def check(self, request: abci.CheckTx) -> abci.CheckTxAnswer:
        """0 admits. A recheck drops only what can never come into the chain any more, so that answers do not swing."""
        try:
            transaction = self.signatures.decode(request.tx)
        except Rejected as refusal:
            return _check_answer(CODE_UNREADABLE, refusal)
        try:
            if request.type == abci.CheckType.RECHECK:
                self._recheck(transaction)
            else:
                self._check(transaction)
        except Rejected as refusal:
            self._note_refusal(transaction, refusal)
            return _check_answer(CODE_SKIPPED, refusal)
        return abci.CheckTxAnswer()

    def _check(self, transaction: Transaction) -> None:
        if not self.signatures.is_good(transaction):
            raise Rejected("tx.signature", index=0)
        genesis, height = self.genesis, self.store.commit.height + 1
        time_ms = self._time_ms(self._wall_ms())
        check_transaction(self._tip_view, transaction, height, time_ms, genesis.params, genesis.network)
        self.waiting.setdefault(transaction.id, Waiting(transaction))
        self.refusals.pop(transaction.digest, None)

    def _recheck(self, transaction: Transaction) -> None:
        if find_transaction(self.store.kv, transaction.id) is not None:
            raise Rejected("tx.duplicate", tx=transaction.id)
        check_window(transaction.body, self._time_ms(0), self.genesis.params.consensus.replay_window_ms)

    def _note_refusal(self, transaction: Transaction, refusal: Rejected) -> None:
        held = self.waiting.get(transaction.id)
        if held is not None and held.transaction.digest == transaction.digest:
            del self.waiting[transaction.id]
        self.refusals[transaction.digest] = refusal
        if len(self.refusals) > REFUSALS_MAX:
            del self.refusals[next(iter(self.refusals))]

    # Proposals

    def prepare(self, request: abci.PrepareProposal) -> abci.PrepareProposalAnswer:
        """Those whose window is open at this time, each once, in order, as many as there is room and weight for.

        Behind them come those that can never be included any more, as far as they fit: a block is the only way out of
        a mempool that is not rechecked, and they are passed over without a trace.
        """
        time_ms = self._time_ms(request.time.ms if request.time else 0)
        window_ms, weight_max = self.genesis.params.consensus.replay_window_ms, self.genesis.params.limits.block_weight
        room, weight = request.bytes_max, 0
        chosen: list[bytes] = []
        stale: list[bytes] = []
        ids: set[bytes] = set()
        for raw in request.txs:
            transaction = self._readable(raw)
            if transaction is None or transaction.id in ids:
                continue
            if transaction.body.valid_until_ms < time_ms or find_transaction(self.store.kv, transaction.id) is not None:
                stale.append(raw)
                continue
            cost = bill_of(transaction, self.genesis.params).weight
            if transaction.body.valid_until_ms > time_ms + window_ms or _size(raw) > room or weight + cost > weight_max:
                continue
            ids.add(transaction.id)
            chosen.append(raw)
            room, weight = room - _size(raw), weight + cost
        for raw in stale:
            identity = self.signatures.decode(raw).id
            if _size(raw) <= room and identity not in ids:
                ids.add(identity)
                chosen.append(raw)
                room -= _size(raw)
        return abci.PrepareProposalAnswer(tuple(chosen))

    def process(self, request: abci.ProcessProposal) -> abci.ProcessProposalAnswer:
        """ACCEPT unless something in it is no transaction of this chain, has a bad signature, or comes twice."""
        found = [self._readable(raw) for raw in request.txs]
        ids = {transaction.id for transaction in found if transaction is not None}
        verdict = abci.Verdict.ACCEPT if len(ids) == len(found) else abci.Verdict.REJECT
        return abci.ProcessProposalAnswer(verdict)

    def _readable(self, raw: bytes) -> Transaction | None:
        """The transaction, if it is one and all its signatures are good."""
        try:
            transaction = self.signatures.decode(raw)
        except Rejected:
            return None
        return transaction if self.signatures.is_good(transaction) else None

    # Blocks

    def finalize(self, request: abci.FinalizeBlock) -> abci.FinalizeBlockAnswer:
        """Executes a decided block; nothing is written, and asking again gives the same answer."""
        if request.height != self.store.commit.height + 1:
            raise Broken(
                "the engine has decided height {height}, this node is at {found}",
                height=request.height,
                found=self.store.commit.height,
            )
        readable = [self._readable(raw) for raw in request.txs]
        if self._decided is None or self._decided.request != request:
            found = tuple(transaction for transaction in readable if transaction is not None)
            self._decided = decide(self.genesis, self.store, request, found)
        decided = self._decided
        outcomes = iter(decided.outcome.results)
        results = tuple(_UNREADABLE if one is None else _result(next(outcomes)) for one in readable)
        return abci.FinalizeBlockAnswer(
            results, _updates(decided.validators_before, decided.outcome.validators), decided.next.tree.root
        )

    def commit(self) -> abci.CommitAnswer:
        """Writes the block of the last FinalizeBlock: after this, and not before, every reader sees it."""
        decided = self._decided
        if decided is None:
            raise Broken("the engine commits a block that it never gave")
        self.store.kv.write(decided.batch)
        self.store.tree.become(decided.next.tree)
        self.store.commit = decided.next.commit
        self._decided = None
        self._tip_view = open_view(self.store.kv)
        self._tip_ms = decided.stored.record.block.header.time_ms
        self._settle(decided)
        self.on_commit(decided)
        return abci.CommitAnswer()

    def _settle(self, decided: Decided) -> None:
        """What is in the chain waits no more; what found no room has left the mempool, too, and must be sent again."""
        for result in decided.outcome.results:
            self.waiting.pop(result.id, None)
        if len(self.waiting) > REFUSALS_MAX:
            now_ms = decided.stored.record.block.header.time_ms
            stale = [key for key, held in self.waiting.items() if held.transaction.body.valid_until_ms < now_ms]
            for key in stale:
                del self.waiting[key]

    def _time_ms(self, engine_ms: int) -> int:
        return max(engine_ms, self._tip_ms + 1)


def app_state(genesis: Genesis) -> bytes:
    """What stands as `app_state` in CometBFT's genesis file, byte for byte: which genesis it was made from."""
    return b'{"genesis_hash":"' + genesis.hash.hex().encode() + b'"}'


_UNREADABLE: Final = abci.ExecTxResult(CODE_UNREADABLE, b"", "no transaction, or a bad signature", "tx.malformed")


def _result(result: Any) -> abci.ExecTxResult:
    """`data` is our own record, so that CometBFT's header commits to it."""
    code = {"ok": 0, "failed": CODE_FAILED, "skipped": CODE_SKIPPED}[result.status]
    return abci.ExecTxResult(code, encode(result), result.status, result.kind)


def _updates(before: ValidatorSet, after: ValidatorSet) -> tuple[abci.ValidatorUpdate, ...]:
    """What changes from the set of height + 1 to that of height + 2: CometBFT, too, counts from two heights on."""
    removed = [abci.ValidatorUpdate(abci.PublicKey(key), 0) for key in before.keys if key not in after]
    added = [abci.ValidatorUpdate(abci.PublicKey(key), POWER) for key in after.keys if key not in before]
    return (*removed, *added)


def _check_answer(code: int, refusal: Rejected) -> abci.CheckTxAnswer:
    return abci.CheckTxAnswer(code, str(refusal), refusal.kind)


def _size(raw: bytes) -> int:
    """What a transaction adds to a block: its bytes, a tag and its length."""
    return len(raw) + 1 + max(1, (len(raw).bit_length() + 6) // 7)


def _plain_answer(request: Any) -> Any:
    """What needs no state. Vote extensions are not used."""
    match request:
        case abci.Echo():
            return abci.EchoAnswer(request.message)
        case abci.Flush():
            return abci.FlushAnswer()
        case abci.ExtendVote():
            return abci.ExtendVoteAnswer()
        case abci.VerifyVoteExtension():
            verdict = abci.Verdict.REJECT if request.extension else abci.Verdict.ACCEPT
            return abci.VerifyVoteExtensionAnswer(verdict)
        case _:
            raise Broken("there is no answer to {request}", request=type(request).__name__)


def raws_of(request: Any) -> Sequence[bytes]:
    """The transactions whose signatures a request will ask about."""
    match request:
        case abci.CheckTx() if request.type == abci.CheckType.NEW:
            return (request.tx,)
        case abci.PrepareProposal() | abci.ProcessProposal() | abci.FinalizeBlock():
            return request.txs
        case _:
            return ()
