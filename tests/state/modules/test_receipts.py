"""Lanes, vouchers, anchoring: what is served is paid once, and only what both sides signed."""

from __future__ import annotations

from support.ledger import BEAT, Ledger
from support.rights import Reader, album, buy, offer, tracks


def test_the_story_pays_a_sale_and_six_accesses_to_the_unit() -> None:
    ledger = Ledger()
    members = tracks(ledger, 6)
    asset = album(ledger, members)
    offer_id = offer(ledger, asset)
    alice, bea = ledger.balance("alice"), ledger.balance("bea")
    licence = buy(ledger, offer_id, deposit_ubeat=BEAT)
    assert ledger.balance("alice") - alice == 27_720_000
    assert ledger.balance("bea") - bea == 11_880_000
    reader = Reader(ledger, licence, asset)
    ledger.run("bob", reader.open_action(6))
    for number, member in enumerate(members):
        reader.read(member, f"track{number}")
    alice, bea = ledger.balance("alice"), ledger.balance("bea")
    reader.anchor()
    assert ledger.balance("alice") - alice == 207_900
    assert ledger.balance("bea") - bea == 89_100
