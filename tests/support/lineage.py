"""Models, outputs and remixes for ledger tests, and what the pass of a block handed to whom."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from concento.genesis import Params
from concento.messages import Action
from concento.messages.assets import AudioFacts
from concento.messages.identity import Admit
from concento.messages.licences import Price, Rate, RenewLicence, ReportRevenue, Tier
from concento.messages.lineage import (
    AmendProvenance,
    AuthoriseOutputs,
    Parent,
    RegisterDerivative,
    RegisterModel,
    RegisterOutput,
    Training,
)
from concento.messages.tokens import Transfer
from concento.terms import LAYERS, PURPOSES, make_terms, permits, terms_hash
from state.modules.assets import RIGHTS
from state.modules.cascade import find_payee
from state.modules.revenue import NodeRow, decode_row
from state.transition import BlockOutcome
from support.ledger import BEAT, Ledger, account_of
from support.rights import album, buy, description, offer, part, recording, register, splits, tracks

OPEN = make_terms(
    allow=("analysis", "train-generative", "fine-tune", "inference-service", "derive-remix", "sync-display")
)
"""Terms that leave every purpose of these tests open."""

FREE = (Price("free", 0),)


def rel(bps: int, ceiling_ubeat: int | None = None) -> Rate:
    return Rate(bps, 0, ceiling_ubeat)


def absolute(bps: int, ceiling_ubeat: int | None = None) -> Rate:
    return Rate(0, bps, ceiling_ubeat)


def people(ledger: Ledger, *names: str, role: Any = "creator") -> None:
    """Admits people who are not in the development genesis, with money for fees and purchases."""
    for name in names:
        ledger.run("treasury", Transfer(account_of(name), 10_000 * BEAT))
        ledger.run("issuer", Admit(account_of(name), name, "person", (role,)))


def licence(ledger: Ledger, asset: bytes, owner: str, buyer: str, rate: Rate | None, **changes: Any) -> bytes:
    """A licence, free unless `pricing` says otherwise, under an offer that asks for this rate upstream."""
    terms = changes.pop("terms", OPEN)
    bought = {key: changes.pop(key) for key in ("purpose", "deposit_ubeat", "price_max_ubeat") if key in changes}
    offer_id = own_right(ledger, asset, owner, rate, terms=terms, **changes)
    purpose = next(name for name in ("derive-remix", *PURPOSES) if permits(terms, name))
    return buy(ledger, offer_id, buyer, **{"terms_hash": terms_hash(terms), "purpose": purpose, **bought})


def model_action(*manifest: tuple[bytes, bytes], **changes: Any) -> RegisterModel:
    """A model of bob's that learnt from (asset, right) pairs; its service is dana."""
    fields: dict[str, Any] = {
        "description": description("Model"),
        "splits": splits(bob=100),
        "terms": OPEN,
        "weights": sha256(b"weights").digest(),
        "service": account_of("dana"),
        "manifest": tuple(Training(asset, right, "train-generative") for asset, right in manifest),
        "outputs": rel(2_000),
        "ancestors": 1_024,
    }
    return RegisterModel(**{**fields, **changes})


def output_action(model: bytes, name: str = "output", **changes: Any) -> RegisterOutput:
    """A track of the model owner's own."""
    fields: dict[str, Any] = {
        "description": description(name),
        "model": model,
        "licence": b"",
        "parameters": sha256(name.encode()).digest(),
        "splits": splits(bob=100),
        "terms": OPEN,
        "parts": (part(name),),
        "facts": AudioFacts(180_000, 44_100, 2),
        "ancestors": 1_024,
    }
    return RegisterOutput(**{**fields, **changes})


def remix_action(*parents: tuple[bytes, bytes], name: str = "remix", **changes: Any) -> RegisterDerivative:
    """A remix of (asset, right) pairs."""
    fields: dict[str, Any] = {
        "description": description(name),
        "isrc": "",
        "parents": tuple(Parent(asset, right) for asset, right in parents),
        "splits": splits(alice=100),
        "terms": OPEN,
        "parts": (part(name),),
        "facts": AudioFacts(180_000, 44_100, 2),
        "ancestors": 1_024,
    }
    return RegisterDerivative(**{**fields, **changes})


def remix_of(ledger: Ledger, owner: str, *parents: tuple[bytes, bytes], name: str = "remix", **changes: Any) -> bytes:
    return register(ledger, owner, remix_action(*parents, name=name, **changes))


def sell(ledger: Ledger, asset: bytes, owner: str, buyer: str, price_ubeat: int) -> BlockOutcome:
    """The block in which somebody buys the asset at this price."""
    pricing = (Price("one-off", price_ubeat),)
    bought = {"price_max_ubeat": price_ubeat}
    licence(ledger, asset, owner, buyer, None, pricing=pricing, **bought)
    return ledger.outcomes[-1]


def nodes(ledger: Ledger, outcome: BlockOutcome) -> dict[bytes, NodeRow]:
    """What the pass of a block did at each asset; one row per asset in these tests."""
    view = ledger.view()
    rows = [decode_row(row) for row in outcome.rows]
    return {find_payee(view, row.rank).asset: row for row in rows if isinstance(row, NodeRow)}


def own_right(ledger: Ledger, asset: bytes, owner: str, rate: Rate | None, **changes: Any) -> bytes:
    """An owner's right to make something of what is already his: one of his offers."""
    layers = LAYERS if ledger.view().get(RIGHTS, asset).work else ("recording",)
    fields: dict[str, Any] = {"pricing": FREE, "terms": OPEN, "upstream": rate, "layers": layers, **changes}
    return offer(ledger, asset, owner, **fields)


def without_market_fee(ledger: Ledger) -> Params:
    """The parameters of a ledger, but what is paid arrives whole."""
    return replace(ledger.params, fees=replace(ledger.params.fees, market_bps=0))


def good_messages(ledger: Ledger) -> tuple[list[tuple[str, Action]], list[bytes]]:
    """One message of each kind about lineage and what comes after a purchase, and the ids that they name."""
    song = register(ledger, "bea", recording("a song", terms=OPEN))
    track = tracks(ledger, 1, prefix="open", terms=OPEN)[0]
    trained = album(ledger, [track])
    pricing = (
        Price("subscription", BEAT),
        Price("guarantee", BEAT),
        Price("per-access", 1_000, (Tier(100, 500),)),
        Price("revenue-share", 0, (), 500),
    )
    timed = replace(OPEN, duration_ms=86_400_000)
    right = licence(ledger, trained, "alice", "bob", rel(3_000), terms=timed, pricing=pricing, price_max_ubeat=2 * BEAT)
    model = register(ledger, "bob", model_action((trained, right)))
    using = licence(ledger, model, "bob", "bea", rel(1_000), terms=timed, purpose="inference-service")
    own = own_right(ledger, track, "alice", rel(2_500))
    remix = remix_of(ledger, "alice", (track, own), name="a remix")
    good: list[tuple[str, Action]] = [
        ("bob", model_action((trained, right), weights=sha256(b"other weights").digest())),
        ("bea", AuthoriseOutputs(using, 3)),
        ("dana", output_action(model, "an output")),
        ("alice", remix_action((track, own), name="another remix")),
        ("bea", AmendProvenance(remix, song, 500, 1_000, 2)),
        ("bob", RenewLicence(right, 2 * BEAT)),
        ("bob", ReportRevenue(trained, right, 0, ledger.time_ms, 10**9, b"")),
    ]
    return good, [song, track, trained, right, model, using, own, remix]
