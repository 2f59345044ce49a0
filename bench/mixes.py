"""What is offered: streams of transactions signed before the clock starts, and what the chain must hold for them.

transfers   one payment each, from 200 payers to accounts all over the state
access      half purchases of a licence, half anchorings of eight receipts that reader and gateway signed
datasets    one dataset of a thousand recordings each: registered, filled and sealed in one transaction
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol

from msgspec.structs import replace

from bench.load import hand_in
from bench.targets import Item, LedgerNode
from concento.accounts import account_of_key
from concento.cids import chunk_root
from concento.client import Client, Session, Signer
from concento.client.wallet import development_signer
from concento.devnet import development_genesis
from concento.encoding import encode
from concento.genesis import Genesis, GenesisBalance, GenesisParty
from concento.hashing import Network
from concento.keys import public_key, sign
from concento.limits import LANES_MAX
from concento.merkle import merkle_root
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
    SealDataset,
    Split,
)
from concento.messages.licences import BuyLicence, CreateOffer, Price
from concento.messages.receipts import AnchorReceipts, OpenAccess, ReceiptBody, SignedVoucher, Voucher, voucher_bytes
from concento.messages.tokens import Transfer
from concento.terms import LAYERS, make_terms, terms_hash
from concento.transactions import Body, licence_id, object_id, sign_transaction
from concento.units import UBEAT_PER_BEAT

SENDERS: Final = 200
"""Accounts that pay: few enough to be funded in genesis, enough that no order among them matters."""
STRIDE: Final = 7_919
"""Receivers follow each other by this prime, so that every block touches accounts all over the state."""
VALID_MS: Final = 110_000
"""How long what is signed may wait: close to the replay window of 120 s."""
FEE_UBEAT_MAX: Final = 50_000_000
TRANSFER_FEE_UBEAT_MAX: Final = 5_000
RICH_UBEAT: Final = 10**6 * UBEAT_PER_BEAT
"""Of those who sign thousands of transactions: a node sets the highest fee of each aside until it is final."""
PER_TRANSACTION: Final = 60
"""Actions of one transaction where many small things are prepared."""
MEMBERS: Final = 1_000
BODIES: Final = 8
"""Receipts of one anchoring: a reader signs every file, a gateway anchors a few at a time."""
TERMS: Final = make_terms(allow=("train-generative", "analysis"))
PRICE_UBEAT: Final = UBEAT_PER_BEAT


@dataclass(frozen=True, slots=True)
class Mix:
    """`prepare` makes what the chain must hold, once per network; `sign` gives so many more transactions."""

    name: str
    prepare: Callable[[Client, int], Callable[[int], list[Item]]]


def bench_genesis(nodes: int) -> Genesis:
    """The development network's, born now, with 200 payers who are admitted parties."""
    genesis = development_genesis(nodes, time.time_ns() // 1_000_000)
    keys = [public_key(seed) for seed in sender_seeds()]
    parties = tuple(
        GenesisParty(f"sender{number}", key, "organisation", ("developer",)) for number, key in enumerate(keys)
    )
    balances = tuple(GenesisBalance(account_of_key(key), 100_000 * UBEAT_PER_BEAT) for key in keys)
    record = genesis.record
    busy = {development_signer(name).account for name in ("alice", "gateway1")}
    old = tuple(
        replace(entry, amount_ubeat=RICH_UBEAT) if entry.account in busy else entry for entry in record.balances
    )
    merged = tuple(sorted((*old, *balances), key=lambda entry: entry.account))
    return Genesis(replace(record, parties=record.parties + parties, balances=merged))


def sender_seeds() -> list[bytes]:
    return [(number + 1).to_bytes(4, "big") * 8 for number in range(SENDERS)]


def senders() -> list[Signer]:
    return [
        Signer(f"sender{number}", account_of_key(public_key(seed)), (seed,))
        for number, seed in enumerate(sender_seeds())
    ]


def receivers(count: int) -> list[bytes]:
    return [sha256(number.to_bytes(8, "big")).digest() for number in range(count)]


def fund(client: Client, payer: Signer) -> None:
    """Gives the payers money where genesis did not: on any network, from an account that has it."""
    session = Session(client, payer)
    signers = senders()
    for start in range(0, SENDERS, PER_TRANSACTION):
        chunk = signers[start : start + PER_TRANSACTION]
        _done(session.send([Transfer(signer.account, 100 * UBEAT_PER_BEAT) for signer in chunk]))


def fill(client: Client, accounts: int, report: Callable[[str], None]) -> None:
    """Gives the state so many accounts: transactions of many payments each, from everybody in turn."""
    network, signers = network_of(client), senders()
    paid = receivers(accounts)
    chunks = [paid[start : start + PER_TRANSACTION] for start in range(0, accounts, PER_TRANSACTION)]
    nonces = _nonces()
    for start in range(0, len(chunks), 200):
        items = [
            _signed(network, signers[at % SENDERS], nonces, *(Transfer(account, 1) for account in chunk))
            for at, chunk in enumerate(chunks[start : start + 200])
        ]
        _send_all(client, items)
        report(f"accounts {min(accounts, (start + 200) * PER_TRANSACTION):,} of {accounts:,}")


class SignTransfers(Protocol):
    def __call__(self, count: int, later_ms: int = 0) -> list[Item]:
        """So many more transfers, to be handed in so much later."""
        ...


def transfers(client: Client, accounts: int) -> SignTransfers:
    network, signers, paid, nonces = network_of(client), senders(), receivers(accounts), _nonces()
    place = iter(range(10**12))

    def sign_more(count: int, later_ms: int = 0) -> list[Item]:
        return [
            _signed(
                network,
                signers[at % SENDERS],
                nonces,
                Transfer(paid[at * STRIDE % accounts], 1),
                fee_ubeat_max=TRANSFER_FEE_UBEAT_MAX,
                later_ms=later_ms,
            )
            for at, _ in zip(place, range(count), strict=False)
        ]

    return sign_more


def _datasets(client: Client, _accounts: int) -> Callable[[int], list[Item]]:
    alice = development_signer("alice")
    network, nonces = network_of(client), _nonces()
    members = _recordings(client, alice, "datasets", MEMBERS)

    def sign_more(count: int) -> list[Item]:
        items = []
        for at in range(count):
            nonce = next(nonces)
            asset = object_id("asset", alice.account, nonce, 0)
            actions: tuple[Action, ...] = (
                RegisterDataset(_description(f"Bench {at}"), "equal", 10_000, (), b""),
                AddMembers(asset, tuple(members)),
                SealDataset(asset),
            )
            items.append(_signed(network, alice, iter([nonce]), *actions))
        return items

    return sign_more


def _access(client: Client, _accounts: int) -> Callable[[int], list[Item]]:
    """A hundred licensees; licences are bought and lanes opened as they are needed, outside the measured time."""
    alice, gateway = development_signer("alice"), development_signer("gateway1")
    network, signers, nonces = network_of(client), senders()[:100], _nonces()
    members = _recordings(client, alice, "access", BODIES)
    session = Session(client, alice)
    nonce = next(nonces)
    dataset, offer = (object_id(kind, alice.account, nonce, at) for kind, at in (("asset", 0), ("offer", 3)))
    pricing = (Price("one-off", PRICE_UBEAT), Price("per-access", 50 * UBEAT_PER_BEAT // 1_000))
    _done(session.send(
        [
            RegisterDataset(_description("Bench"), "equal", 10_000, (), b""),
            AddMembers(dataset, tuple(members)),
            SealDataset(dataset),
            CreateOffer(dataset, TERMS, LAYERS, pricing, None, None),
        ],
        nonce,
    ))  # fmt: skip
    purchase = BuyLicence(offer, terms_hash(TERMS), PRICE_UBEAT, "train-generative", 0)
    deposit = replace(purchase, deposit_ubeat=100 * UBEAT_PER_BEAT)
    licences: list[bytes] = []
    reader = sha256(b"lane key").digest()
    numbers = iter(range(10**9))

    def sign_more(count: int) -> list[Item]:
        wanted = [lane_place(next(numbers), len(signers)) for _ in range(count // 2)]
        while len(licences) <= max((place for place, _ in wanted), default=-1):
            bought = [_signed(network, signer, nonces, deposit) for signer in signers]
            _send_all(client, bought)
            licences.extend(licence_id(bytes.fromhex(item.key), 0) for item in bought)
        opened: dict[int, list[Action]] = {}
        for place, lane in wanted:
            open_lane = OpenAccess(licences[place], gateway.account, lane, public_key(reader), BODIES)
            opened.setdefault(place % len(signers), []).append(open_lane)
        _send_all(
            client,
            [
                _signed(network, signers[who], nonces, *actions[start : start + PER_TRANSACTION])
                for who, actions in opened.items()
                for start in range(0, len(actions), PER_TRANSACTION)
            ],
        )
        height = client.status()["height"]
        items = []
        for number, (place, lane) in enumerate(wanted):
            anchor = _anchor(network, reader, gateway.account, licences[place], lane, dataset, members, height)
            items.append(_signed(network, gateway, nonces, anchor))
            items.append(_signed(network, signers[number % len(signers)], nonces, purchase))
        return items

    return sign_more


def lane_place(number: int, licensees: int) -> tuple[int, int]:
    """(place of the licence, lane under it) of the lane that is opened so late: one after the other of the licensees in
    turn, and each buys another licence when its last one has as many lanes as one may."""
    generation, within = divmod(number, licensees * LANES_MAX)
    lane, licensee = divmod(within, licensees)
    return generation * licensees + licensee, lane


def kvstore_pairs() -> Callable[[int], list[Item]]:
    """Pairs for CometBFT's example, as long as one of our transfers."""
    run, place = time.time_ns(), iter(range(10**12))

    def sign_more(count: int) -> list[Item]:
        keys = [f"bench{run}-{at}" for at, _ in zip(place, range(count), strict=False)]
        return [Item(key, key.encode() + b"=" + b"v" * (TRANSFER_BYTES - len(key) - 1)) for key in keys]

    return sign_more


TRANSFER_BYTES: Final = 249
"""An encoded transfer of the development network, signature included."""

MIXES: Final = {
    "transfers": Mix("transfers", transfers),
    "access": Mix("access", _access),
    "datasets": Mix("datasets", _datasets),
}


def network_of(client: Client) -> Network:
    status = client.status()
    return Network(status["chain_id"], bytes.fromhex(status["genesis_hash"]))


def _nonces() -> Iterator[bytes]:
    """Other ones in every run, also where two runs follow each other on one network."""
    run = time.time_ns().to_bytes(8, "big")
    return (run + number.to_bytes(8, "big") for number in range(10**12))


def _signed(
    network: Network,
    signer: Signer,
    nonces: Iterator[bytes],
    *actions: Action,
    fee_ubeat_max: int = FEE_UBEAT_MAX,
    later_ms: int = 0,
) -> Item:
    body = Body(
        chain_id=network.chain_id,
        genesis_prefix=network.genesis_hash[:8],
        sender=signer.account,
        nonce=next(nonces),
        valid_until_ms=time.time_ns() // 1_000_000 + VALID_MS + later_ms,
        max_fee_ubeat=fee_ubeat_max,
        actions=actions,
        memo="",
    )
    transaction = sign_transaction(network, body, signer.seeds)
    return Item(transaction.id.hex(), transaction.raw)


def _send_all(client: Client, items: Sequence[Item]) -> None:
    """Hands everything in and waits until all of it is final. Raises RuntimeError where one is not."""
    hand_in(LedgerNode(client.url), items)
    for item in items:
        _done(client.transaction(item.key, wait_ms=20_000))


def _done(document: dict[str, Any]) -> None:
    if document["status"] != "final":
        raise RuntimeError(f"preparing failed: {document}")


def _recordings(client: Client, owner: Signer, label: str, count: int) -> list[bytes]:
    """Recordings of one work, registered for the members of datasets: their ids."""
    network, nonces = network_of(client), _nonces()
    nonce = next(nonces)
    work = object_id("asset", owner.account, nonce, 0)
    rows = (Split(owner.account, 1_000_000),)
    _send_all(client, [_signed(network, owner, iter([nonce]), RegisterWork(_description("Song"), "", rows, TERMS))])
    items, ids = [], []
    for start in range(0, count, PER_TRANSACTION):
        numbers = range(start, min(count, start + PER_TRANSACTION))
        nonce = next(nonces)
        items.append(
            _signed(network, owner, iter([nonce]), *(_recording(owner, work, label, number) for number in numbers))
        )
        ids += [object_id("asset", owner.account, nonce, at) for at in range(len(numbers))]
    _send_all(client, items)
    return ids


def _content(label: str, number: int) -> bytes:
    return sha256(f"{label} {number}".encode()).digest()


def _recording(owner: Signer, work: bytes, label: str, number: int) -> RegisterRecording:
    content = _content(label, number)
    return RegisterRecording(
        description=_description(f"Take {number}"),
        isrc="",
        legs=(Leg(work, 5_000), Leg(OWN, 5_000)),
        splits=(Split(owner.account, 1_000_000),),
        terms=TERMS,
        parts=(Part(f"{number}.flac", "audio/flac", content, chunk_root([content]), 1_000),),
        facts=AudioFacts(180_000, 44_100, 2),
    )


def _description(title: str) -> Description:
    return Description(title, (), "audio", "en", 0)


def _anchor(
    network: Network,
    reader: bytes,
    gateway: bytes,
    licence: bytes,
    lane: int,
    asset: bytes,
    members: Sequence[bytes],
    height: int,
) -> AnchorReceipts:
    """The first receipts of a lane, under the voucher of its key."""
    bodies = [
        encode(ReceiptBody(
            licence=licence, epoch=0, gateway=gateway, lane=lane, seq=seq, asset=asset, member=members[seq], part=0,
            offset=0, length=1_000, units=1, purpose="train-generative", request_hash=bytes(32),
            content=_content("access", seq), height=height,
        ))
        for seq in range(BODIES)
    ]  # fmt: skip
    voucher = Voucher(
        licence=licence, epoch=0, gateway=gateway, lane=lane, size=BODIES, units=BODIES, head=merkle_root(bodies),
        height=height, block_id=bytes(32), usage_root=b"",
    )  # fmt: skip
    signature = sign(reader, voucher_bytes(network, voucher))
    signed = SignedVoucher(voucher, public_key(reader), signature)
    return AnchorReceipts(licence, lane, 0, BODIES, signed, (), tuple(bodies))
