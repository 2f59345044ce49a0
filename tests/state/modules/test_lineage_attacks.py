"""What people might try with lineage to take more, or leave others with less, than was agreed."""

from __future__ import annotations

from msgspec.structs import replace

from concento.limits import ANCESTORS_MAX, PARENTS_MAX
from concento.messages.licences import Price, Rate
from concento.messages.lineage import AmendProvenance
from concento.messages.royalties import TransferShares
from concento.terms import terms_hash
from concento.transactions import object_id
from state.modules.cascade import rank_of
from state.modules.inbox import INBOXES, PARKED
from state.modules.shares import number_key
from state.router import weight_of
from support.ledger import BEAT, Ledger, account_of, events_of
from support.lineage import (
    OPEN,
    absolute,
    licence,
    nodes,
    own_right,
    people,
    rel,
    remix_action,
    remix_of,
    sell,
    without_market_fee,
)
from support.rights import album, buy_action, offer, offer_action, recording, register


def market() -> Ledger:
    """Nothing is taken on the way, so that rates can be read off."""
    ledger = Ledger(params=without_market_fee(Ledger()))
    people(ledger, "remixer", "stranger")
    return ledger


def song_of(ledger: Ledger, owner: str = "bea", name: str = "song") -> bytes:
    return register(ledger, owner, recording(name, terms=OPEN))


def test_cycles_cannot_be_made_by_amendment() -> None:
    ledger = market()
    song = song_of(ledger)
    remix = remix_of(ledger, "remixer", (song, licence(ledger, song, "bea", "remixer", rel(500))))
    for sender in ("bea", "remixer"):
        assert ledger.refusal(sender, AmendProvenance(song, remix, 500, None, 9)) == "lineage.parent_younger"
    assert ledger.refusal("bea", AmendProvenance(song, song, 500, None, 9)) == "lineage.parent_younger"


def test_cycles_cannot_be_made_through_holders() -> None:
    """A song that held shares of its own remix would be paid by it for ever: only older assets are held."""
    ledger = market()
    song = song_of(ledger)
    remix = remix_of(ledger, "remixer", (song, licence(ledger, song, "bea", "remixer", rel(500))))
    move = TransferShares(song, 0, 0, "asset", remix, 0, 1_000)
    assert ledger.refusal("bea", move) == "royalties.holder_too_young"


def test_a_link_to_oneself_or_to_what_comes_later_in_the_transaction_is_refused() -> None:
    ledger = market()
    future = object_id("asset", account_of("remixer"), (500).to_bytes(16, "big"), 1)
    itself = object_id("asset", account_of("remixer"), (500).to_bytes(16, "big"), 0)
    for parent in (itself, future):
        tx = ledger.tx("remixer", remix_action((parent, bytes(32))), recording("later"), nonce=500)
        assert ledger.block(tx).results[0].kind == "asset.not_found"


def test_rates_over_everything_are_refused_on_diamonds_too() -> None:
    """Every path to a claimant counts once, so a diamond neither doubles a claim nor hides one."""
    ledger = market()
    root = song_of(ledger)
    sides = [
        remix_of(ledger, "remixer", (root, licence(ledger, root, "bea", "remixer", Rate(0, bps, None))), name=f"s{bps}")
        for bps in (3_000, 4_000)
    ]
    parents = [(side, own_right(ledger, side, "remixer", rel(3_001))) for side in sides]
    assert ledger.refusal("remixer", remix_action(*parents)) == "lineage.rates_sum"
    parents = [(side, own_right(ledger, side, "remixer", rel(3_000))) for side in sides]
    top = remix_of(ledger, "remixer", *parents)
    row = nodes(ledger, sell(ledger, top, "remixer", "stranger", 1_000_000))
    assert (row[top].abs_out, row[root].rel, row[top].rel_out) == (400_000, 400_000, 360_000)


def test_a_cheap_intermediate_does_not_dilute_an_absolute_claim() -> None:
    """A friend's remix at one basis point between song and hit: the song gets its floor from the hit all the same."""
    ledger = market()
    song = song_of(ledger)
    right = licence(ledger, song, "bea", "remixer", absolute(1_000))
    cheap = remix_of(ledger, "remixer", (song, right), name="cheap")
    for number in range(3):
        cheap = remix_of(ledger, "remixer", (cheap, own_right(ledger, cheap, "remixer", rel(1))), name=f"c{number}")
    row = nodes(ledger, sell(ledger, cheap, "remixer", "stranger", 1_000_000))
    assert row[song].rel == 100_000


def test_without_the_floor_a_cheap_intermediate_dilutes() -> None:
    """The known weakness of relative rates alone, kept in sight: this is why the floor exists."""
    ledger = market()
    song = song_of(ledger)
    between = remix_of(ledger, "remixer", (song, licence(ledger, song, "bea", "remixer", rel(1_000))), name="between")
    hit = remix_of(ledger, "remixer", (between, own_right(ledger, between, "remixer", rel(1))), name="hit")
    row = nodes(ledger, sell(ledger, hit, "remixer", "stranger", 1_000_000))
    assert row[song].rel == 10


def test_wrapping_in_datasets_upon_datasets_shields_nothing() -> None:
    ledger = market()
    song = song_of(ledger)
    remix = remix_of(ledger, "remixer", (song, licence(ledger, song, "bea", "remixer", rel(2_500))))
    wrapped = album(ledger, [remix], owner="remixer")
    for _ in range(3):
        wrapped = album(ledger, [wrapped], owner="remixer")
    assert nodes(ledger, sell(ledger, wrapped, "remixer", "stranger", 1_000_000))[song].keep == 250_000


def test_a_price_or_rate_cannot_move_under_a_buyers_hands() -> None:
    """A better offer is another offer: what the buyer names is what he gets, rate included."""
    ledger = market()
    song = song_of(ledger)
    fields = {"terms": OPEN, "layers": ("recording",), "pricing": (Price("one-off", BEAT),)}
    offer_id = offer(ledger, song, "bea", upstream=rel(500), **fields)
    buy = buy_action(offer_id, terms_hash=terms_hash(OPEN), price_max_ubeat=BEAT, purpose="derive-remix")
    raised = offer_action(song, **{**fields, "pricing": (Price("one-off", 9 * BEAT),)}, upstream=rel(9_000))
    outcome = ledger.block(ledger.tx("bea", raised), ledger.tx("remixer", buy))
    assert [result.status for result in outcome.results] == ["ok", "ok"]
    right = events_of(outcome, 1)[0].fields["licence"]
    assert isinstance(right, bytes)
    remix = remix_of(ledger, "remixer", (song, right))
    assert nodes(ledger, sell(ledger, remix, "remixer", "stranger", 1_000_000))[song].rel == 50_000
    assert ledger.refusal("remixer", replace(buy, price_max_ubeat=BEAT - 1)) == "licence.price_above_max"


def test_a_heavy_graph_is_paid_for_by_who_links_to_it() -> None:
    """Sixty-four parents with a thousand ancestors weigh some hundred times what a first remix weighs."""
    parents = [(number.to_bytes(32, "big"), bytes(32)) for number in range(PARENTS_MAX)]
    ledger = market()
    heavy = ledger.tx("remixer", remix_action(*parents, ancestors=ANCESTORS_MAX))
    light = ledger.tx("remixer", remix_action(parents[0], ancestors=1))
    assert weight_of(heavy.body) > 50 * weight_of(light.body)
    # Nobody declares less than there are: the count is refused, not believed.
    song = song_of(ledger)
    right = licence(ledger, song, "bea", "remixer", rel(500))
    assert ledger.refusal("remixer", remix_action((song, right), ancestors=0)) == "lineage.ancestors_declared"


def test_a_gas_bomb_of_diamonds_is_visited_once_an_asset() -> None:
    """Twelve layers of three, each made from all three below: half a million paths, 37 visits."""
    ledger = market()
    layer = [song_of(ledger, "remixer", f"root{number}") for number in range(3)]
    for depth in range(12):
        parents = [(one, own_right(ledger, one, "remixer", rel(3_000))) for one in layer]
        layer = [remix_of(ledger, "remixer", *parents, name=f"{depth}-{number}") for number in range(3)]
    outcome = sell(ledger, layer[0], "remixer", "stranger", 10**9)
    assert len(nodes(ledger, outcome)) == 37
    assert sum(row.keep for row in nodes(ledger, outcome).values()) == 10**9


def test_dust_costs_its_sender_more_than_it_moves_and_visits_nobody_upstream() -> None:
    """Attack: a payment of one ubeat after another, to make the ledger walk a deep graph for nothing."""
    ledger = market()
    ledger.params = replace(ledger.params, revenue=replace(ledger.params.revenue, dust=1_000))
    top = song_of(ledger)
    for number in range(9):
        top = remix_of(ledger, "bea", (top, own_right(ledger, top, "bea", rel(5_000))), name=f"r{number}")
    for number in range(1, 4):
        before, bea = ledger.balance("stranger"), ledger.balance("bea")
        outcome = sell(ledger, top, "bea", "stranger", 300)
        assert nodes(ledger, outcome) == {}
        assert before - ledger.balance("stranger") > 2 * 300
        assert ledger.balance("bea") <= bea
        parked = ledger.view().get(PARKED, number_key(rank_of(ledger.view(), top) or 0))
        assert (parked.src, parked.rel) == (300 * number, 0)
    # What was parked is nobody's loss: it goes on with the payment that makes it worth a visit.
    row = nodes(ledger, sell(ledger, top, "bea", "stranger", 10**6))
    assert (len(row), row[top].src) == (10, 10**6 + 900)


def test_a_price_cut_into_slices_that_bear_no_market_fee_costs_more_than_the_fee() -> None:
    """Attack: a hundred payments of 99 ubeat, each too small for a fee of one per cent."""
    ledger = Ledger()
    people(ledger, "stranger")
    song = song_of(ledger)
    sell(ledger, song, "bea", "stranger", 99)
    accrued = next(event for event in events_of(ledger.outcomes[-1]) if event.kind == "royalties.accrued")
    fee = ledger.outcomes[-1].results[0].fee_ubeat
    assert accrued.fields["fee_ubeat"] == 0
    assert fee > 99 * ledger.params.fees.market_bps // 10_000
    assert fee > 99


def test_an_amendment_can_neither_be_forced_nor_forged() -> None:
    ledger = market()
    song, mine = song_of(ledger), song_of(ledger, "remixer", "mine")
    claim = AmendProvenance(mine, song, 5_000, None, 9)
    for _ in range(3):
        assert ledger.run("bea", claim)[0].kind == "lineage.amendment_proposed"
    assert ledger.refusal("stranger", claim) == "lineage.not_concerned"
    row = nodes(ledger, sell(ledger, mine, "remixer", "stranger", 1_000_000))
    assert song not in row


def test_everything_drains_where_the_budget_is_tiny() -> None:
    ledger = market()
    params = replace(ledger.params, revenue=replace(ledger.params.revenue, work=3))
    ledger.params = params
    song = song_of(ledger)
    top = song
    for number in range(9):
        top = remix_of(ledger, "bea", (top, own_right(ledger, top, "bea", rel(5_000))), name=f"r{number}")
    sell(ledger, top, "bea", "stranger", 1_000_000)
    waiting = INBOXES.prefix
    blocks = 0
    while any(key.startswith(waiting) for key in ledger.state()):
        ledger.block()
        blocks += 1
        assert blocks < 100
    assert blocks > 3
