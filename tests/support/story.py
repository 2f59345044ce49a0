"""What a chain looks like after an album was registered, offered, licensed and read: one of everything for queries."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from concento.messages.disputes import OpenDispute
from concento.messages.licences import TopUpLicence
from concento.messages.receipts import receipt_id
from concento.messages.tokens import Transfer
from support.ledger import BEAT, Ledger, account_of
from support.rights import Reader, album, buy, offer, tracks


@dataclass(frozen=True)
class Scene:
    """The ids of what there is."""

    recordings: list[bytes]
    dataset: bytes
    offer: bytes
    licence: bytes
    receipts: list[bytes]
    transfer: bytes
    dispute: bytes

    def names(self) -> dict[str, str]:
        """What the placeholders of the methods' examples stand for."""
        return {
            "recording": self.recordings[0].hex(),
            "dataset": self.dataset.hex(),
            "offer": self.offer.hex(),
            "licence": self.licence.hex(),
            "receipt": self.receipts[0].hex(),
            "tx": self.transfer.hex(),
            "dispute": self.dispute.hex(),
        }


def play(ledger: Ledger) -> Scene:
    """alice registers two tracks and sells them, bob buys, reads both, and pays carol; dana disputes a track."""
    recordings = tracks(ledger, 2)
    dataset = album(ledger, recordings)
    offer_id = offer(ledger, dataset)
    licence = buy(ledger, offer_id)
    ledger.run("bob", TopUpLicence(licence, BEAT))
    reader = Reader(ledger, licence, dataset)
    ledger.run("bob", reader.open_action(2))
    for number, recording in enumerate(recordings):
        reader.read(recording, f"track{number}")
    receipts = [receipt_id(raw) for raw in reader.log]
    reader.anchor()
    claim = OpenDispute(recordings[0], "ownership", 1, 5_000, b"", 0, 0, 10 * BEAT, bytes(32))
    dispute = ledger.run("dana", claim)[0].fields["dispute"]
    assert isinstance(dispute, bytes)
    transfer = ledger.tx("bob", Transfer(account_of("carol"), 5 * BEAT))
    ledger.block(transfer)
    ledger.block()
    return Scene(recordings, dataset, offer_id, licence, receipts, transfer.id, dispute)


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
