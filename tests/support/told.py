"""A ledger with income that came a long way, and a client that asks its queries directly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from concento.messages.assets import AddMembers, SealDataset
from state.evidence import statement_evidence
from state.queries import Chain
from state.queries_chain import handover_list, rows_get
from state.queries_proofs import claim_of, proof_get
from state.statements import statement
from support.ledger import Ledger
from support.lineage import OPEN, licence, model_action, output_action, people, rel, remix_of, sell
from support.node import DecidedLedger
from support.rights import dataset, register, splits, tracks


class Asked:
    """Answers as a node's RPC does, without the node."""

    def __init__(self, ledger: DecidedLedger) -> None:
        self.ledger = ledger
        self.chain = Chain(ledger.kv, ledger.tree, ledger.genesis)
        self.methods: dict[str, Callable[..., Any]] = {
            "earnings_getStatement": lambda **params: statement(self.chain, **params),
            "earnings_getEvidence": lambda **params: statement_evidence(self.chain, **params),
            "chain_getRows": lambda height, txs=(): rows_get(self.chain, height, txs),
            "chain_getHandovers": self._handovers,
            "state_getProof": lambda key: proof_get(self.chain, claim_of(self.chain, key)),
            "node_getStatus": self.status,
        }

    def call(self, method: str, /, **params: Any) -> Any:
        return self.methods[method](**{name: value for name, value in params.items() if value is not None})

    def status(self) -> dict[str, Any]:
        network = self.ledger.genesis.network
        return {"chain_id": network.chain_id, "genesis_hash": network.genesis_hash.hex(), "height": self.chain.height}

    def proof(self, key: str) -> Any:
        return self.call("state_getProof", key=key)

    def statement(self, who: str, first: int | None = None, last: int | None = None, cursor: str | None = None) -> Any:
        return self.call("earnings_getStatement", who=who, from_height=first, to_height=last, cursor=cursor, limit=200)

    def whole(self, who: str, first: int | None = None, last: int | None = None) -> dict[str, Any]:
        """All pages of a statement put together."""
        document = self.statement(who, first, last)
        lines, following = list(document["lines"]), document["next"]
        while following is not None:
            page = self.statement(who, document["from_height"], document["to_height"], following)
            lines += page["lines"]
            following = page["next"]
        return {**document, "lines": lines, "next": None}

    def _handovers(self, **params: Any) -> Any:
        return handover_list(self.chain, params["from"], params.get("cursor"), params.get("limit"))


def remix_of_a_model(ledger: Ledger) -> bytes:
    """dataset of alice and bea -> bob's model -> its output -> fay's remix: the remix."""
    members = tracks(ledger, 2, prefix="harbour", terms=OPEN)
    trained = register(ledger, "alice", dataset(member_bps=9_000, curator_splits=splits(carol=100)))
    ledger.run("alice", AddMembers(trained, tuple(members)), SealDataset(trained))
    model = register(ledger, "bob", model_action((trained, licence(ledger, trained, "alice", "bob", rel(3_000)))))
    track = register(ledger, "dana", output_action(model))
    people(ledger, "fay")
    return remix_of(ledger, "fay", (track, licence(ledger, track, "bob", "fay", rel(1_500))), splits=splits(fay=100))


def sold(sales: int = 3, price_ubeat: int = 100_000_007) -> DecidedLedger:
    """The remix sold some times, with other movements before, between and after."""
    ledger = DecidedLedger()
    remix = remix_of_a_model(ledger)
    for _ in range(sales):
        sell(ledger, remix, "fay", "dana", price_ubeat)
    ledger.block()
    ledger.block()
    return ledger
