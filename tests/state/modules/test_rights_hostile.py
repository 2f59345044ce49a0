"""Whatever a stranger puts into the fields of a message: it is refused or done, and every record stays readable."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import pytest
from msgspec.structs import astuple

from concento.encoding import Record, encode
from concento.errors import Rejected
from concento.messages.assets import AddMembers, RetireAsset, SealDataset, UpdateMetadata
from concento.messages.licences import CloseOffer, RevokeLicence, TopUpLicence, WithdrawDeposit
from state.modules import assets, datasets, lanes, licences, offers, receipts, tokens
from state.transition import check_conservation
from state.view import Kind
from support.ledger import BEAT, Ledger
from support.rights import (
    Reader,
    album,
    buy,
    buy_action,
    dataset,
    description,
    offer,
    offer_action,
    recording,
    register,
    tracks,
    work,
)

NUMBERS: Final = (0, 1, 2, 63, 64, 65, 1_000, 10_000, 2**32 - 1, 2**47, 2**53 - 1, 10**18)
TEXTS: Final = ("", "x", "T0345246801", "é" * 60, "a/b", "\u200b", "equal", "per-second", "work")
KINDS: Final[tuple[Kind[Any], ...]] = (
    assets.ASSETS,
    assets.RIGHTS,
    assets.TERMS,
    datasets.DATASETS,
    datasets.MEMBERS,
    offers.OFFERS,
    licences.LICENCES,
    lanes.LANES,
    receipts.BATCHES,
    tokens.DEPOSITS,
)


class World:
    """Something of every kind, and messages that would be accepted."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        song = register(self.ledger, "alice", work())
        self.tracks = tracks(self.ledger, 2)
        self.album = album(self.ledger, self.tracks)
        self.open = register(self.ledger, "alice", dataset(rule="bytes"))
        self.offer = offer(self.ledger, self.album)
        self.licence = buy(self.ledger, self.offer, deposit_ubeat=BEAT)
        self.reader = Reader(self.ledger, self.licence, self.album)
        self.ledger.run("bob", self.reader.open_action(10))
        self.reader.read(self.tracks[0], "track0")
        self.ids = (song, *self.tracks, self.album, self.open, self.offer, self.licence, self.reader.gateway, b"")
        self.serial = 0

    def actions(self) -> list[tuple[str, Any]]:
        self.serial += 1
        fresh = recording(f"fresh{self.serial}", self.ids[0])
        return [
            ("alice", work()),
            ("alice", fresh),
            ("alice", dataset()),
            ("alice", AddMembers(self.open, (self.tracks[0],))),
            ("alice", SealDataset(self.open)),
            ("alice", UpdateMetadata(self.album, 1, description())),
            ("alice", RetireAsset(self.tracks[1])),
            ("alice", offer_action(self.album)),
            ("alice", CloseOffer(self.offer)),
            ("bob", buy_action(self.offer)),
            ("bob", TopUpLicence(self.licence, 1)),
            ("bob", WithdrawDeposit(self.licence, 1)),
            ("alice", RevokeLicence(self.licence, "why")),
            ("bob", self.reader.open_action(1)),
            ("gateway1", self.reader.anchor_action()),
            ("bob", self.reader.close_action(self.reader.voucher())),
        ]


def changed(random: Random, value: Any, ids: tuple[bytes, ...]) -> Any:
    """The value with one thing in it replaced by something unlikely."""
    match value:
        case Record():
            fields = list(astuple(value))
            if fields:
                at = random.randrange(len(fields))
                fields[at] = changed(random, fields[at], ids)
            return type(value)(*fields)
        case tuple() if value and random.random() < 0.8:
            at = random.randrange(len(value))
            return (*value[:at], changed(random, value[at], ids), *value[at + 1 :])
        case tuple():
            return value * 2 if random.random() < 0.5 else ()
        case bool():
            return not value
        case int():
            return random.choice(NUMBERS)
        case bytes():
            return random.choice((*ids, random.randbytes(32), value))
        case str():
            return random.choice(TEXTS)
        case _:
            return random.choice((None, 1, 2**53 - 1))


@pytest.mark.parametrize("seed", range(12))
def test_a_strange_message_is_refused_or_done(seed: int) -> None:
    random, world = Random(seed), World()
    ledger = world.ledger
    for _ in range(40):
        sender, action = random.choice(world.actions())
        for _ in range(random.randrange(3)):
            action = changed(random, action, world.ids)
        try:
            transaction = ledger.tx(sender, action)
        except Rejected:
            continue
        assert ledger.block(transaction).results[0].status in ("ok", "failed", "skipped")
        if random.random() < 0.05:
            ledger.block(time_ms=ledger.time_ms + 3_600_000)
    check_conservation(ledger.view())
    for key, value in ledger.state().items():
        for kind in KINDS:
            if key.startswith(kind.prefix):
                assert encode(kind.decode(value)) == value
