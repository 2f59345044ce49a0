"""Remixes pay the works behind their parents: writers have the part of a remix that they have of the original."""

from __future__ import annotations

from msgspec.structs import replace

from concento.limits import LEGS_MAX, PARENTS_MAX
from concento.messages.assets import OWN, Leg, RegisterRecording
from concento.messages.licences import Price, Rate
from state.modules.assets import ASSETS
from state.modules.cascade import find_payee
from state.modules.royalties import rank_of
from state.modules.shares import held_asset
from support.ledger import Ledger
from support.lineage import OPEN, licence, nodes, own_right, people, rel, remix_action, remix_of, sell
from support.lineage import without_market_fee as no_fee
from support.rights import album, recording, register, splits, work


def market() -> Ledger:
    ledger = Ledger(params=no_fee(Ledger()))
    people(ledger, "writer", "remixer", "stranger")
    return ledger


def song(ledger: Ledger, name: str = "song", writer: str = "writer") -> bytes:
    """A work that anybody may record."""
    terms = replace(OPEN, sublicensable=True)
    return register(ledger, writer, work(name, terms=terms, rows=splits(**{writer: 100})))


def track(ledger: Ledger, name: str, *works: tuple[bytes, int], owner: str = "alice") -> bytes:
    """A recording of works, each with its part."""
    own = 10_000 - sum(bps for _, bps in works)
    legs = (*(Leg(one, bps) for one, bps in works), Leg(OWN, own))
    action: RegisterRecording = recording(name, terms=OPEN, legs=legs, splits=splits(**{owner: 100}))
    return register(ledger, owner, action)


def legs_of(ledger: Ledger, asset: bytes) -> list[tuple[bytes, int]]:
    return [(leg.target, leg.bps) for leg in ledger.view().get(ASSETS, asset).legs]


def test_a_remix_leaves_the_work_the_part_that_it_has_in_the_recording() -> None:
    ledger = market()
    tune = song(ledger)
    master = track(ledger, "master", (tune, 5_000))
    right = licence(ledger, master, "alice", "remixer", rel(2_000))
    remix = remix_of(ledger, "remixer", (master, right), splits=splits(remixer=100))
    assert legs_of(ledger, remix) == [(tune, 5_000), (OWN, 5_000)]
    row = nodes(ledger, sell(ledger, remix, "remixer", "stranger", 1_000_000))
    # Half of the recording's rate and half of what the remix keeps: half of everything, as of the recording itself.
    assert (row[remix].rel_out, row[master].rel, row[tune].src) == (200_000, 200_000, 500_000)


def test_an_owner_who_asks_nothing_for_himself_cannot_leave_the_writers_out() -> None:
    """Attack: a recording's owner remixes his own recording at no rate, and sells only the remix."""
    ledger = market()
    tune = song(ledger)
    master = track(ledger, "master", (tune, 4_000))
    remix = remix_of(ledger, "alice", (master, own_right(ledger, master, "alice", None)))
    again = remix_of(ledger, "alice", (remix, own_right(ledger, remix, "alice", None)), name="again")
    row = nodes(ledger, sell(ledger, again, "alice", "stranger", 1_000_000))
    assert row[tune].src == 400_000


def test_parents_without_works_take_nothing_from_the_writers() -> None:
    """Attack: padding a remix with recordings of one's own."""
    ledger = market()
    tune = song(ledger)
    master = track(ledger, "master", (tune, 6_000))
    padding = [track(ledger, f"noise{number}", owner="remixer") for number in range(5)]
    parents = [(one, own_right(ledger, one, "remixer", None)) for one in padding]
    parents.append((master, licence(ledger, master, "alice", "remixer", rel(100))))
    remix = remix_of(ledger, "remixer", *parents)
    assert legs_of(ledger, remix) == [(tune, 6_000), (OWN, 4_000)]


def test_the_works_of_several_parents_share_one_works_part_as_their_parts_are() -> None:
    ledger = market()
    one, two, three = (song(ledger, name) for name in ("one", "two", "three"))
    first = track(ledger, "first", (one, 3_000), (two, 3_000))
    second = track(ledger, "second", (two, 1_000), (three, 2_000))
    parents = [(asset, licence(ledger, asset, "alice", "remixer", rel(100))) for asset in (first, second)]
    remix = remix_of(ledger, "remixer", *parents)
    assert legs_of(ledger, remix) == [(one, 2_250), (two, 2_250), (three, 1_500), (OWN, 4_000)]


def test_a_work_that_has_a_right_of_its_own_is_paid_by_its_rate() -> None:
    """Whoever makes a deal with the writers themselves owes what they ask, and the recording's own layer its rate."""
    ledger = market()
    tune = song(ledger)
    master = track(ledger, "master", (tune, 5_000))
    paper = licence(ledger, tune, "writer", "remixer", rel(3_000), layers=("work",))
    tape = licence(ledger, master, "alice", "remixer", rel(1_000), layers=("recording",))
    remix = remix_of(ledger, "remixer", (tune, paper), (master, tape))
    assert legs_of(ledger, remix) == [(OWN, 10_000)]
    row = nodes(ledger, sell(ledger, remix, "remixer", "stranger", 1_000_000))
    assert (row[tune].rel, row[tune].src, row[master].keep, row[remix].keep) == (300_000, 0, 100_000, 600_000)


def test_whatever_the_parts_are_something_is_left_for_the_remix_and_for_each_work() -> None:
    ledger = market()
    songs = [song(ledger, f"s{number}") for number in range(2 * LEGS_MAX - 2)]
    half = len(songs) // 2
    parts = [9_993, *[1] * (half - 1)]
    tapes = [
        track(ledger, name, *zip(part, parts, strict=True))
        for name, part in (("first", songs[:half]), ("second", songs[half:]))
    ]
    remix = remix_of(ledger, "alice", *((one, own_right(ledger, one, "alice", None)) for one in tapes))
    legs = legs_of(ledger, remix)
    assert sum(bps for _, bps in legs) == 10_000
    assert min(bps for _, bps in legs) >= 1
    assert {target for target, _ in legs[:-1]} == set(songs)


def test_a_remix_of_as_many_tracks_as_there_may_be_pays_all_of_their_works() -> None:
    ledger = market()
    tapes = [track(ledger, f"t{number}", (song(ledger, f"s{number}"), 5_000)) for number in range(PARENTS_MAX)]
    remix = remix_of(ledger, "alice", *((one, own_right(ledger, one, "alice", None)) for one in tapes))
    payee = find_payee(ledger.view(), rank_of(ledger.view(), remix) or 0)
    assert len(payee.legs) == PARENTS_MAX + 1
    assert all(held_asset(leg.target) is not None for leg in payee.legs[:-1])
    row = nodes(ledger, sell(ledger, remix, "alice", "stranger", 1_000_000))
    assert sum(one.keep for one in row.values()) - row[remix].keep + row[remix].credits[0].after == 1_000_000


def test_more_works_than_a_remix_can_pay_are_refused() -> None:
    ledger = market()
    tapes = [
        track(ledger, f"t{number}", (song(ledger, f"a{number}"), 2_500), (song(ledger, f"b{number}"), 2_500))
        for number in range(33)
    ]
    action = remix_action(*((one, own_right(ledger, one, "alice", None)) for one in tapes))
    assert ledger.refusal("alice", action) == "lineage.too_many"


def test_what_is_made_by_a_model_or_from_a_dataset_has_no_works_of_its_own() -> None:
    """Behind a dataset are its members: they and their works have their part of the rate that its offer asks for."""
    ledger = market()
    tune = song(ledger)
    bundle = album(ledger, [track(ledger, "master", (tune, 5_000))])
    right = licence(ledger, bundle, "alice", "remixer", Rate(2_000, 0, None))
    remix = remix_of(ledger, "remixer", (bundle, right))
    assert legs_of(ledger, remix) == [(OWN, 10_000)]
    row = nodes(ledger, sell(ledger, remix, "remixer", "stranger", 1_000_000))
    assert (row[bundle].rel, row[tune].src) == (200_000, 100_000)


def test_a_licence_of_the_remix_alone_leaves_its_works_out_as_one_of_a_recording_does() -> None:
    ledger = market()
    tune = song(ledger)
    master = track(ledger, "master", (tune, 5_000))
    remix = remix_of(ledger, "alice", (master, own_right(ledger, master, "alice", None)))
    sold = {"layers": ("recording",), "pricing": (Price("one-off", 1_000_000),), "price_max_ubeat": 1_000_000}
    licence(ledger, remix, "alice", "stranger", None, **sold)
    row = nodes(ledger, ledger.outcomes[-1])
    assert tune not in row
    assert row[remix].keep == 1_000_000
