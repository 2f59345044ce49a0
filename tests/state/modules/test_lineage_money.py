"""What everybody upstream is paid when something made from their music is sold: the vectors, by transactions."""

from __future__ import annotations

from dataclasses import dataclass

from state.modules import shares
from state.modules.datasets import DATASETS
from state.modules.lineage import lineage_of
from support.ledger import Ledger, events_of
from support.lineage import (
    OPEN,
    licence,
    model_action,
    nodes,
    output_action,
    own_right,
    people,
    rel,
    remix_action,
    remix_of,
    sell,
    without_market_fee,
)
from support.rights import album, recording, register, splits, tracks, work


@dataclass
class Graph:
    """D and D2 are datasets, S a song; model M <- D 3000, D2 1000; track T <- M 2000; R <- T 1500, S 2500, M 500."""

    ledger: Ledger
    members: list[bytes]
    d: bytes
    d2: bytes
    s: bytes
    m: bytes
    t: bytes
    r: bytes


def make_graph() -> Graph:
    ledger = Ledger()
    people(ledger, "remixer", "stranger")
    members = [
        register(
            ledger, "alice", recording(name, register(ledger, "alice", work(name, terms=OPEN)), size=size, terms=OPEN)
        )
        for name, size in (("first", 5), ("second", 3), ("third", 2))
    ]
    d = album(ledger, members, rule="bytes")
    d2 = album(ledger, tracks(ledger, 2, prefix="other", terms=OPEN))
    s = register(ledger, "bea", recording("song", terms=OPEN))
    manifest = [
        (d, licence(ledger, d, "alice", "bob", rel(3_000))),
        (d2, licence(ledger, d2, "alice", "bob", rel(1_000))),
    ]
    m = register(ledger, "bob", model_action(*manifest, outputs=rel(2_000)))
    t = register(ledger, "dana", output_action(m))
    r = remix_of(
        ledger,
        "remixer",
        (t, licence(ledger, t, "bob", "remixer", rel(1_500))),
        (s, licence(ledger, s, "bea", "remixer", rel(2_500), layers=("recording",))),
        (m, licence(ledger, m, "bob", "remixer", rel(500))),
    )
    return Graph(ledger, members, d, d2, s, m, t, r)


def test_a_sale_of_the_remix_pays_track_song_model_and_both_datasets_in_its_own_block() -> None:
    graph = make_graph()
    outcome = sell(graph.ledger, graph.r, "remixer", "stranger", 1_000_000_007)
    passed = nodes(graph.ledger, outcome)
    keeps = {name: passed[asset].keep for name, asset in zip("rtsm", (graph.r, graph.t, graph.s, graph.m), strict=True)}
    assert keeps == {"r": 544_500_005, "t": 118_800_001, "s": 247_500_001, "m": 47_520_000}
    assert (passed[graph.d].keep, passed[graph.d2].keep) == (23_760_000, 7_920_000)
    fee = next(event.fields["fee_ubeat"] for event in events_of(outcome) if event.kind == "royalties.accrued")
    assert fee == 10_000_000
    everything = [passed[one].keep for one in (graph.r, graph.t, graph.s, graph.m, graph.d, graph.d2)]
    assert sum(everything) + 10_000_000 == 1_000_000_007
    paid = {event.fields["party"] for event in outcome.closing if event.kind == "royalties.paid"}
    assert len(paid) >= 3


def test_members_get_the_floor_of_what_they_earned_in_all_also_through_a_remix() -> None:
    graph = make_graph()
    ledger = graph.ledger
    outcomes = [sell(ledger, graph.r, "remixer", "stranger", 1_000_000_007)]
    outcomes += [sell(ledger, graph.d, "alice", "stranger", price) for price in (7, 1)]
    earned = [
        sum(nodes(ledger, outcome)[member].src for outcome in outcomes if member in nodes(ledger, outcome))
        for member in graph.members
    ]
    assert earned == [11_880_004, 7_128_002, 4_752_001]
    table = shares.find_table(ledger.view(), ledger.view().get(DATASETS, graph.d).table)
    assert (table.total, table.credited, table.credited - table.paid) == (10, 23_760_008, 1)


def test_wrapping_a_remix_into_a_dataset_does_not_shield_it_from_its_parent() -> None:
    ledger = Ledger(params=without_market_fee(Ledger()))
    people(ledger, "remixer", "stranger")
    song = register(ledger, "bea", recording("song", terms=OPEN))
    right = licence(ledger, song, "bea", "remixer", rel(2_500), layers=("recording",))
    remix = remix_of(ledger, "remixer", (song, right), splits=splits(remixer=100))
    wrapped = album(ledger, [remix], owner="remixer")
    outcome = sell(ledger, wrapped, "remixer", "stranger", 1_000_000)
    assert nodes(ledger, outcome)[song].keep == 250_000


def test_a_chain_of_256_generations_is_followed_until_nothing_is_left_to_pass() -> None:
    """At 9,000 basis points: 181 assets earn something, those before them nothing."""
    ledger = Ledger(params=without_market_fee(Ledger()))
    people(ledger, "remixer", "stranger")
    chain = [register(ledger, "remixer", recording("root", terms=OPEN))]
    for number in range(256):
        chain.append(
            remix_of(
                ledger, "remixer", (chain[-1], own_right(ledger, chain[-1], "remixer", rel(9_000))), name=f"r{number}"
            )
        )
    lineage = lineage_of(ledger.view(), chain[-1])
    assert (lineage.depth, len(lineage.ancestors)) == (256, 256)
    passed = nodes(ledger, sell(ledger, chain[-1], "remixer", "stranger", 10**9))
    assert len(passed) == 181
    assert sum(row.keep for row in passed.values()) == 10**9
    right = own_right(ledger, chain[-1], "remixer", rel(9_000))
    assert ledger.refusal("remixer", remix_action((chain[-1], right))) == "lineage.too_many"
