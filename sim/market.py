"""What people do in a run with the production ledger: works and albums, offers, licences, reading, models and remixes,
vaults and shares, disputes and rulings, payouts, misuse of all of them.

Ids are known before a transaction is sent, so that each step builds on the ones before it without asking; what has
not arrived yet, or was refused, makes the next step fail, which is load as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Final

from concento.development import development_account
from concento.encoding import encode
from concento.merkle import consistency_proof, merkle_root
from concento.messages import Action
from concento.messages.assets import (
    OWN,
    AddMembers,
    AudioFacts,
    Description,
    Leg,
    Part,
    RegisterDataset,
    RegisterRecording,
    RegisterWork,
    RetireAsset,
    SealDataset,
    Split,
    UpdateMetadata,
    WeightRule,
)
from concento.messages.disputes import DISMISSED, AnswerDispute, OpenDispute, RaiseBond, RuleDispute
from concento.messages.identity import Admit, SetPayoutPolicy
from concento.messages.licences import (
    BuyLicence,
    CloseOffer,
    CreateOffer,
    Price,
    Rate,
    ReportRevenue,
    RevokeLicence,
    TopUpLicence,
    WithdrawDeposit,
)
from concento.messages.lineage import Parent, RegisterDerivative, RegisterModel, RegisterOutput, Training
from concento.messages.receipts import (
    AnchorReceipts,
    CloseAccess,
    OpenAccess,
    ReceiptBody,
    SignedVoucher,
    Voucher,
    voucher_bytes,
)
from concento.messages.royalties import Claim, OpenVault, SealVault, Sweep, TransferShares
from concento.messages.tokens import Transfer
from concento.terms import LAYERS, Purpose, make_terms, terms_hash
from concento.transactions import Transaction, licence_id, object_id
from sim.network import Network

BEAT: Final = 1_000_000
NONCE_BYTES: Final = 16
TERMS: Final = make_terms(allow=("analysis", "train-generative", "fine-tune", "inference-service", "derive-remix"))
ALICE_AND_BEA: Final = tuple(
    Split(account, shares)
    for account, shares in sorted([(development_account("alice"), 700_000), (development_account("bea"), 300_000)])
)
ARBITERS: Final = ("arbiter1", "arbiter2", "arbiter3")
PURPOSES_BOUGHT: Final[tuple[Purpose, ...]] = ("train-generative", "train-generative", "derive-remix", "redistribute")
DISPUTED: Final = ("ownership", "duplicate", "quality", "payment")


@dataclass
class Lane:
    """A reader's lane: the gateway's log of receipts and how many of them were anchored."""

    licence: bytes
    asset: bytes
    log: list[bytes] = field(default_factory=list)
    anchored: int = 0


@dataclass
class Market:
    """What the people of one run remember of what they sent."""

    network: Network
    dice: Random
    ticks: int = 0
    count: int = 0
    contents: dict[bytes, bytes] = field(default_factory=dict)
    members: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    songs: list[bytes] = field(default_factory=list)
    albums: list[bytes] = field(default_factory=list)
    offers: list[tuple[bytes, bytes]] = field(default_factory=list)
    licences: list[tuple[bytes, bytes]] = field(default_factory=list)
    to_open: list[Lane] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    models: list[bytes] = field(default_factory=list)
    vaults: list[bytes] = field(default_factory=list)
    disputes: list[bytes] = field(default_factory=list)

    def transactions(self) -> list[Transaction]:
        """The next things that people do: what the rest builds on first, and soon several at a time."""
        self.ticks += 1
        steps = [FIRST[self.ticks - 1] if self.ticks <= len(FIRST) else self.dice.choice(STEPS)]
        if self.ticks > 2:
            steps += [self.dice.choice(STEPS) for _ in range(self.dice.choice((0, 2, 4)))]
        found = []
        for step in steps:
            self.count += 1
            done = step(self)
            if done is not None:
                found.append(done)
        return found

    def send(self, sender: str, *actions: Action) -> Transaction:
        return self.network.act(sender, *actions, nonce=self.nonce)

    @property
    def nonce(self) -> bytes:
        return (self.count << 64).to_bytes(NONCE_BYTES, "big")

    def id(self, kind: str, sender: str, index: int = 0) -> bytes:
        """What the action at this position of the transaction being made will create."""
        return object_id(kind, development_account(sender), self.nonce, index)

    def some(self, *found: list[bytes]) -> bytes | None:
        known = [entry for entries in found for entry in entries]
        return self.dice.choice(known) if known else None

    def describe(self, kind: str) -> Description:
        return Description(f"{kind} {self.count}", ("lofi",), "audio", "en", 0)

    def parts(self, song: bytes) -> tuple[Part, ...]:
        content = self.contents[song] = sha256(self.nonce).digest()
        return (Part("track.flac", "audio/flac", content, sha256(content).digest(), 1_000),)

    def pricing(self) -> tuple[Price, ...]:
        one_off = Price("one-off", self.dice.choice((1, 7, BEAT + 1, 40 * BEAT)))
        return (one_off, Price("per-access", 50 * BEAT)) if self.dice.random() < 0.7 else (one_off,)


Step = Callable[[Market], Transaction | None]

_FACTS: Final = AudioFacts(180_000, 44_100, 2)


def _song(market: Market) -> Transaction:
    """A work and a recording of it, and an offer of the recording."""
    work, song, offer = (market.id(kind, "alice", index) for index, kind in enumerate(("asset", "asset", "offer")))
    legs = (Leg(work, 4_999), Leg(OWN, 5_001))
    market.songs.append(song)
    market.offers.append((offer, song))
    return market.send(
        "alice",
        RegisterWork(market.describe("work"), "", ALICE_AND_BEA, TERMS),
        RegisterRecording(market.describe("song"), "", legs, ALICE_AND_BEA, TERMS, market.parts(song), _FACTS),
        CreateOffer(song, TERMS, LAYERS, market.pricing(), None, None, Rate(1_000, 0, None)),
    )


def _album(market: Market) -> Transaction:
    """Songs in a dataset, sealed and offered, in one transaction."""
    if not market.songs:
        return _song(market)
    album, offer = market.id("asset", "alice"), market.id("offer", "alice", 3)
    members = tuple(market.dice.sample(market.songs, market.dice.randint(1, min(4, len(market.songs)))))
    rule: WeightRule = market.dice.choice(("equal", "seconds", "bytes"))
    member_bps = market.dice.choice((10_000, 6_000))
    curators = ALICE_AND_BEA if member_bps < 10_000 else ()
    market.albums.append(album)
    market.members[album] = members
    market.offers.append((offer, album))
    return market.send(
        "alice",
        RegisterDataset(market.describe("album"), rule, member_bps, curators, b""),
        AddMembers(album, members),
        SealDataset(album),
        CreateOffer(album, TERMS, LAYERS, market.pricing(), None, None, Rate(2_000, 0, None)),
    )


def _buy(market: Market) -> Transaction | None:
    if not market.offers:
        return None
    offer, asset = market.dice.choice(market.offers[-4:])
    purpose: Purpose = market.dice.choice(PURPOSES_BOUGHT)
    deposit = market.dice.choice((0, 100 * BEAT))
    transaction = market.send("bob", BuyLicence(offer, terms_hash(TERMS), 60 * BEAT, purpose, deposit))
    licence = licence_id(transaction.id, 0)
    market.licences.append((licence, asset))
    if deposit and market.dice.random() < 0.7:
        market.to_open.append(Lane(licence, asset))
    return transaction


def _open_lane(market: Market) -> Transaction | None:
    if not market.to_open:
        return None
    lane = market.to_open.pop(0)
    market.lanes.append(lane)
    key = market.network.signing.key(_LANE_SEED).public
    return market.send("bob", OpenAccess(lane.licence, development_account("gateway1"), 0, key, 1_000))


def _read(market: Market) -> Transaction | None:
    """Some accesses, anchored by the gateway; now and then the same ones again."""
    if not market.lanes:
        return None
    lane = market.dice.choice(market.lanes)
    first, replayed = lane.anchored, market.dice.random() < 0.15
    for _ in range(market.dice.randint(1, 4)):
        member = market.dice.choice(market.members.get(lane.asset, (lane.asset,)))
        body = ReceiptBody(
            lane.licence, 0, development_account("gateway1"), 0, len(lane.log), lane.asset, member, 0, 0, 1_000, 1,
            "train-generative", bytes(32), market.contents.get(member, bytes(32)), 1,
        )  # fmt: skip
        lane.log.append(encode(body))
    size = len(lane.log)
    grown = tuple(consistency_proof(lane.log, first)) if 0 < first < size else ()
    bodies = tuple(lane.log[first:])
    if not replayed:
        lane.anchored = size
    anchor = AnchorReceipts(lane.licence, 0, first, size - first, _voucher(market, lane), grown, bodies)
    return market.send("gateway1", anchor)


def _voucher(market: Market, lane: Lane) -> SignedVoucher:
    size = len(lane.log)
    key = market.network.signing.key(_LANE_SEED)
    root = merkle_root(lane.log)
    voucher = Voucher(lane.licence, 0, development_account("gateway1"), 0, size, size, root, 1, bytes(32), b"")
    return SignedVoucher(voucher, key.public, key.sign(voucher_bytes(market.network.genesis.network, voucher)))


def _close_lane(market: Market) -> Transaction | None:
    if not market.lanes:
        return None
    lane = market.dice.choice(market.lanes)
    voucher = _voucher(market, lane) if market.dice.random() < 0.5 else None
    sender = market.dice.choice(("bob", "gateway1"))
    return market.send(sender, CloseAccess(lane.licence, development_account("gateway1"), 0, voucher))


def _remix(market: Market) -> Transaction | None:
    """A remix of a song, under one of its owner's offers."""
    if not market.offers:
        return None
    offer, asset = market.dice.choice(market.offers)
    song = market.id("asset", "alice")
    market.songs.append(song)
    return market.send(
        "alice",
        RegisterDerivative(
            market.describe("remix"),
            "",
            (Parent(asset, offer),),
            ALICE_AND_BEA,
            TERMS,
            market.parts(song),
            _FACTS,
            1_024,
        ),
    )


def _model(market: Market) -> Transaction | None:
    """A model that learnt from what bob has a licence for."""
    if not market.licences:
        return None
    licence, asset = market.dice.choice(market.licences)
    model = market.id("asset", "bob")
    market.models.append(model)
    rows = (Split(development_account("bob"), 1_000_000),)
    weights = sha256(market.nonce).digest()
    manifest = (Training(asset, licence, "train-generative"),)
    outputs, dana = Rate(2_000, 0, None), development_account("dana")
    return market.send(
        "bob", RegisterModel(market.describe("model"), rows, TERMS, weights, dana, manifest, outputs, 1_024)
    )


def _output(market: Market) -> Transaction | None:
    model = market.some(market.models)
    if model is None:
        return None
    rows = (Split(development_account("bob"), 1_000_000),)
    seed, parts = sha256(market.nonce + b"seed").digest(), market.parts(market.id("asset", "dana"))
    return market.send(
        "dana",
        RegisterOutput(market.describe("output"), model, b"", seed, rows, TERMS, parts, _FACTS, 1_024),
    )


def _vault(market: Market) -> Transaction:
    vault = market.id("vault", "bea")
    rows = tuple(
        Split(account, 3) for account in sorted(development_account(name) for name in ("bea", "carol", "dana"))
    )
    market.vaults.append(vault)
    return market.send("bea", OpenVault("fans", rows), SealVault(vault))


def _move_shares(market: Market) -> Transaction | None:
    """Shares of an asset or a vault go to a person, another asset or a vault."""
    source = market.some(market.songs, market.albums, market.vaults)
    if source is None:
        return None
    kind, to = "account", development_account(market.dice.choice(("carol", "dana", "bob")))
    if market.vaults and market.dice.random() < 0.4:
        kind, to = "vault", market.dice.choice(market.vaults)
    elif market.dice.random() < 0.2:
        kind, to = "asset", market.some(market.songs) or source
    leg = market.dice.choice((0, 1))
    count = market.dice.choice((1, 50, 1_000))
    sender = market.dice.choice(("alice", "bea"))
    return market.send(sender, TransferShares(source, leg, 0, kind, to, 0, count))  # type: ignore[arg-type]


def _claim(market: Market) -> Transaction | None:
    asset = market.some(market.songs, market.albums)
    if asset is None:
        return None
    leg = market.dice.choice((0, 1))
    action = Claim(asset, leg, 0) if market.dice.random() < 0.5 else Sweep(asset, leg, 64)
    return market.send(market.dice.choice(("alice", "dana")), action)


def _payout(market: Market) -> Transaction:
    mode, amount, period = market.dice.choice((("now", 0, 0), ("min", BEAT, 0), ("every", 0, 3_600_000)))
    return market.send(market.dice.choice(("alice", "bea")), SetPayoutPolicy(mode, amount, period))  # type: ignore[arg-type]


def _dispute(market: Market) -> Transaction | None:
    asset = market.some(market.songs, market.albums)
    if asset is None:
        return None
    market.disputes.append(market.id("dispute", "dana"))
    reason, by_leg = market.dice.choice(DISPUTED), market.dice.random() < 0.6
    holder, shares = (b"", 0) if by_leg else (development_account("alice"), 100)
    bond = market.dice.choice((10 * BEAT, 50 * BEAT, 1))
    evidence = sha256(market.nonce).digest()
    bps = 5_000 if by_leg else 0
    return market.send("dana", OpenDispute(asset, reason, 0, bps, holder, 0, shares, bond, evidence))  # type: ignore[arg-type]


def _answer(market: Market) -> Transaction | None:
    dispute = market.some(market.disputes)
    if dispute is None:
        return None
    if market.dice.random() < 0.3:
        return market.send("dana", RaiseBond(dispute, BEAT))
    return market.send("alice", AnswerDispute(dispute, market.dice.random() < 0.3, b""))


def _rule(market: Market) -> Transaction | None:
    if not market.disputes:
        return None
    dispute = market.disputes[-1]
    sender = market.dice.choice(ARBITERS)
    return market.send(sender, RuleDispute(dispute, DISMISSED))


def _mind(market: Market) -> Transaction | None:
    """Somebody changes his mind: deposits, offers, licences, descriptions, assets, declared revenue."""
    if not market.offers or not market.licences:
        return None
    offer, asset = market.dice.choice(market.offers)
    licence, licensed = market.dice.choice(market.licences)
    choices: tuple[tuple[str, Action], ...] = (
        ("bob", TopUpLicence(licence, BEAT)),
        ("bob", WithdrawDeposit(licence, market.dice.choice((1, 100 * BEAT)))),
        ("alice", RevokeLicence(licence, "a breach")),
        ("alice", CloseOffer(offer)),
        ("alice", UpdateMetadata(asset, 1, market.describe("renamed"))),
        ("alice", RetireAsset(asset)),
        ("bob", ReportRevenue(licensed, licence, 0, market.network.now.wall_ms, BEAT, b"")),
        ("issuer", Admit(development_account("treasury"), "treasury", "organisation", ("developer",))),
    )
    return market.send(*market.dice.choice(choices))


def _two_purchases(market: Market) -> Transaction:
    """Two payments of which the second cannot be made when another of its kind came first: what it did is undone."""
    whole = Transfer(development_account("carol"), 600 * BEAT)
    return market.send("dana", Transfer(development_account("bea"), 3), whole)


FIRST: Final[tuple[Step, ...]] = (_song, _album, _buy, _open_lane, _read, _model, _output, _remix, _dispute)
"""What a run begins with, more or less in this order: everything else needs it."""
STEPS: Final[tuple[Step, ...]] = (
    _song, _album, _buy, _buy, _buy, _open_lane, _open_lane, _read, _read, _close_lane, _remix, _model, _output, _vault,
    _move_shares, _move_shares, _claim, _payout, _dispute, _answer, _rule, _mind, _mind, _two_purchases,
)  # fmt: skip

_LANE_SEED: Final = sha256(b"lane").digest()
