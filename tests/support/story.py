"""What a chain looks like after an album was registered, offered, licensed and read: one of everything for queries."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from concento.messages.assets import Split
from concento.messages.disputes import OpenDispute
from concento.messages.governance import AdmitObserver, Propose
from concento.messages.licences import TopUpLicence
from concento.messages.lineage import AmendProvenance
from concento.messages.receipts import receipt_id
from concento.messages.royalties import OpenVault, SealVault
from concento.messages.tokens import Transfer
from concento.usage import signed_root, usage_rows
from support.ledger import BEAT, Ledger, account_of, key_of
from support.rights import Reader, album, buy, offer, register, splits, tracks, work


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


def share(ledger: Ledger) -> dict[str, str]:
    """What comes after: a vault, a batch that waits for its usage, a link that waits for a word; names as above."""
    rows = tuple(Split(account_of(name), 50) for name in ("alice", "bob", "carol"))
    vault = ledger.run("alice", OpenVault("Friends of Night Bus", rows))[0].fields["vault"]
    assert isinstance(vault, bytes)
    ledger.run("alice", SealVault(vault))
    older = register(ledger, "bea", work("Pier Song", rows=splits(bea=100)))
    (member,) = tracks(ledger, 1, prefix="used")
    ledger.run("alice", AmendProvenance(member, older, 500, None, 8))
    used = album(ledger, [member], rule="usage")
    licence = buy(ledger, offer(ledger, used), deposit_ubeat=BEAT)
    reader = Reader(ledger, licence, used)
    ledger.run("bob", reader.open_action(2))
    reader.read(member, "used0")
    ledger.run("gateway1", reader.anchor_action(reader.voucher(usage_root=signed_root(0, usage_rows([(0, 1)])))))
    ledger.run("treasury", Transfer(account_of("node1"), BEAT))
    observer = AdmitObserver(key_of("node5"), "node5", account_of("node5"))
    proposal = ledger.run("node1", Propose(observer, ledger.time_ms + 3_600_000))[0].fields["proposal"]
    assert isinstance(proposal, bytes)
    ledger.block()
    ledger.block()
    return {"vault": vault.hex(), "proposal": proposal.hex()}


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
