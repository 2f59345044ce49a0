"""Albums, offers, licences and lanes for ledger tests: the shortest way to each."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from concento.encoding import encode
from concento.keys import public_key, sign
from concento.merkle import consistency_proof, merkle_root
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
    SealDataset,
    Split,
)
from concento.messages.licences import BuyLicence, CreateOffer, Price
from concento.messages.receipts import (
    AnchorReceipts,
    CloseAccess,
    OpenAccess,
    ReceiptBody,
    SignedVoucher,
    Voucher,
    voucher_bytes,
)
from concento.terms import LAYERS, Terms, make_terms, terms_hash
from support.ledger import BEAT, Ledger, account_of, key_of, seed_of

TRAINING = make_terms(allow=("train-generative", "analysis"))

PRICING = (Price("one-off", 40 * BEAT), Price("per-access", 50 * BEAT))
"""40 BEAT, and 0.05 BEAT an access."""

LANE_KEY = "reader"


def description(title: str = "Night Bus", tags: tuple[str, ...] = ("lofi",)) -> Description:
    return Description(title, tags, "audio", "en", 0)


def splits(**shares: int) -> tuple[Split, ...]:
    """Rows from percentages by name, in their canonical order."""
    rows = ((account_of(name), percent * 10_000) for name, percent in shares.items())
    return tuple(Split(account, count) for account, count in sorted(rows))


ALICE_AND_BEA = splits(alice=70, bea=30)


def part(name: str, size: int = 1_000) -> Part:
    content = sha256(name.encode()).digest()
    return Part(f"{name}.flac", "audio/flac", content, sha256(content).digest(), size)


def work(title: str = "Song", iswc: str = "", terms: Terms = TRAINING, rows: tuple[Split, ...] = ALICE_AND_BEA) -> Any:
    return RegisterWork(description(title), iswc, rows, terms)


def recording(name: str, *works: bytes, duration_ms: int = 180_000, size: int = 1_000, **changes: Any) -> Any:
    """A recording over works that share half of it."""
    bps = 5_000 // len(works) if works else 0
    fields: dict[str, Any] = {
        "description": description(name),
        "isrc": "",
        "legs": (*(Leg(one, bps) for one in works), Leg(OWN, 10_000 - bps * len(works))),
        "splits": ALICE_AND_BEA,
        "terms": TRAINING,
        "parts": (part(name, size),),
        "facts": AudioFacts(duration_ms, 44_100, 2),
    }
    return RegisterRecording(**{**fields, **changes})


def dataset(title: str = "Night Bus", rule: Any = "equal", **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "description": description(title),
        "weight_rule": rule,
        "member_bps": 10_000,
        "curator_splits": (),
        "previous": b"",
    }
    return RegisterDataset(**{**fields, **changes})


def register(ledger: Ledger, owner: str, action: Any) -> bytes:
    """The id of what the action registers."""
    asset = ledger.run(owner, action)[0].fields["asset"]
    assert isinstance(asset, bytes)
    return asset


def tracks(ledger: Ledger, count: int, owner: str = "alice", prefix: str = "track", **changes: Any) -> list[bytes]:
    """Recordings, each over a work of its own."""
    ids = []
    for number in range(count):
        song = register(ledger, owner, work(f"{prefix} {number}", terms=changes.get("terms", TRAINING)))
        ids.append(register(ledger, owner, recording(f"{prefix}{number}", song, **changes)))
    return ids


def album(ledger: Ledger, members: list[bytes], owner: str = "alice", rule: str = "equal", **changes: Any) -> bytes:
    """A sealed dataset."""
    asset = register(ledger, owner, dataset(rule=rule, **changes))
    ledger.run(owner, AddMembers(asset, tuple(members)), SealDataset(asset))
    return asset


def offer_action(asset: bytes, **changes: Any) -> CreateOffer:
    fields: dict[str, Any] = {
        "asset": asset,
        "terms": TRAINING,
        "layers": LAYERS,
        "pricing": PRICING,
        "expires_ms": None,
        "supply": None,
    }
    return CreateOffer(**{**fields, **changes})


def offer(ledger: Ledger, asset: bytes, owner: str = "alice", **changes: Any) -> bytes:
    found = ledger.run(owner, offer_action(asset, **changes))[0].fields["offer"]
    assert isinstance(found, bytes)
    return found


def buy_action(offer_id: bytes, **changes: Any) -> BuyLicence:
    fields: dict[str, Any] = {
        "offer": offer_id,
        "terms_hash": terms_hash(TRAINING),
        "price_max_ubeat": 40 * BEAT,
        "purpose": "train-generative",
        "deposit_ubeat": 0,
    }
    return BuyLicence(**{**fields, **changes})


def buy(ledger: Ledger, offer_id: bytes, buyer: str = "bob", **changes: Any) -> bytes:
    found = ledger.run(buyer, buy_action(offer_id, **changes))[0].fields["licence"]
    assert isinstance(found, bytes)
    return found


class Reader:
    """A lane as its two ends keep it: the gateway's log of receipts, the licensee's vouchers."""

    def __init__(
        self, ledger: Ledger, licence: bytes, asset: bytes, number: int = 0, gateway: str = "gateway1", epoch: int = 0
    ) -> None:
        self.ledger, self.licence, self.asset, self.number, self.epoch = ledger, licence, asset, number, epoch
        self.gateway = account_of(gateway)
        self.log: list[bytes] = []
        self.units = 0
        self.anchored = 0

    def open_action(self, units: int, key: bytes | None = None) -> OpenAccess:
        return OpenAccess(self.licence, self.gateway, self.number, key or key_of(LANE_KEY), units)

    def body(self, member: bytes, name: str, units: int = 1, **changes: Any) -> ReceiptBody:
        """The receipt that the gateway would write next for a file of this name."""
        fields: dict[str, Any] = {
            "licence": self.licence,
            "epoch": self.epoch,
            "gateway": self.gateway,
            "lane": self.number,
            "seq": len(self.log),
            "asset": self.asset,
            "member": member,
            "part": 0,
            "offset": 0,
            "length": 1_000,
            "units": units,
            "purpose": "train-generative",
            "request_hash": sha256(b"request").digest(),
            "content": part(name).content,
            "height": self.ledger.height,
        }
        return ReceiptBody(**{**fields, **changes})

    def read(self, member: bytes, name: str, units: int = 1, **changes: Any) -> None:
        """One access."""
        self.log.append(encode(self.body(member, name, units, **changes)))
        self.units += units

    def voucher(self, size: int | None = None, seed: bytes | None = None, **changes: Any) -> SignedVoucher:
        """The licensee's word on the first `size` receipts."""
        size = len(self.log) if size is None else size
        fields: dict[str, Any] = {
            "licence": self.licence,
            "epoch": self.epoch,
            "gateway": self.gateway,
            "lane": self.number,
            "size": size,
            "units": self.units,
            "head": merkle_root(self.log[:size]),
            "height": self.ledger.height,
            "block_id": bytes(32),
            "usage_root": b"",
        }
        voucher = Voucher(**{**fields, **changes})
        seed = seed or seed_of(LANE_KEY)
        signature = sign(seed, voucher_bytes(self.ledger.genesis.network, voucher))
        return SignedVoucher(voucher, public_key(seed), signature)

    def anchor_action(self, voucher: SignedVoucher | None = None, **changes: Any) -> AnchorReceipts:
        """Everything that is not anchored yet."""
        size = len(self.log)
        count = size - self.anchored
        grown = 0 < self.anchored < size
        fields: dict[str, Any] = {
            "licence": self.licence,
            "lane": self.number,
            "first": self.anchored,
            "count": count,
            "voucher": voucher or self.voucher(),
            "consistency": tuple(consistency_proof(self.log, self.anchored)) if grown else (),
            "bodies": tuple(self.log[self.anchored :]) if count <= 64 else (),
        }
        return AnchorReceipts(**{**fields, **changes})

    def anchor(self) -> list[Any]:
        """Anchors them; the events."""
        events = self.ledger.run("gateway1", self.anchor_action())
        self.anchored = len(self.log)
        return events

    def close_action(self, voucher: SignedVoucher | None = None) -> CloseAccess:
        return CloseAccess(self.licence, self.gateway, self.number, voucher)
