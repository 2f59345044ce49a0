"""What may be linked to what, and on which right."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from concento.limits import ANCESTORS_MAX, CLAIMS_MAX
from concento.messages import Action
from concento.messages.licences import Price, Rate, RevokeLicence
from concento.messages.lineage import AmendProvenance, AuthoriseOutputs
from concento.terms import LAYERS, make_terms, permits, terms_hash
from concento.transactions import object_id
from state.modules import derivatives, lineage, models, tokens
from state.modules.assets import ASSETS, effective_terms
from support.ledger import BEAT, Ledger, account_of
from support.lineage import (
    FREE,
    OPEN,
    absolute,
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
)
from support.rights import album, buy_action, dataset, offer_action, recording, register, tracks, work


def roots(ledger: Ledger, owner: str, count: int, prefix: str = "root") -> list[bytes]:
    """Recordings of nobody's work."""
    return [register(ledger, owner, recording(f"{prefix}{number}", terms=OPEN)) for number in range(count)]


def rooted(ledger: Ledger, owner: str, count: int, prefix: str, rate: Rate) -> list[tuple[bytes, bytes]]:
    """Many recordings with a right to each, registered thirty at a time."""
    found: list[tuple[bytes, bytes]] = []
    for start in range(0, count, 30):
        actions: list[Action] = []
        nonce = ledger.height + 10**9
        for number in range(start, min(start + 30, count)):
            asset, right = (
                object_id(kind, account_of(owner), nonce.to_bytes(16, "big"), len(actions) + place)
                for place, kind in enumerate(("asset", "offer"))
            )
            actions.append(recording(f"{prefix}{number}", terms=OPEN))
            fields = {"terms": OPEN, "layers": ("recording",), "pricing": FREE, "upstream": rate}
            actions.append(offer_action(asset, **fields))
            found.append((asset, right))
        assert ledger.block(ledger.tx(owner, *actions, nonce=nonce)).results[0].status == "ok"
    return found


def rights(ledger: Ledger, assets: list[bytes], owner: str, rate: Rate | None) -> list[tuple[bytes, bytes]]:
    return [(asset, own_right(ledger, asset, owner, rate)) for asset in assets]


# Models


def test_a_model_needs_a_licence_that_covers_works_and_recordings() -> None:
    ledger = Ledger()
    track = tracks(ledger, 1, terms=OPEN)[0]
    alone = licence(ledger, track, "alice", "bob", rel(1_000), layers=("recording",))
    assert ledger.refusal("bob", model_action((track, alone))) == "lineage.layer_uncovered"
    both = licence(ledger, track, "alice", "bob", rel(1_000), layers=LAYERS)
    register(ledger, "bob", model_action((track, both)))


def test_a_model_that_learnt_from_a_recording_of_an_unknown_work_is_refused() -> None:
    ledger = Ledger()
    track = roots(ledger, "alice", 1)[0]
    right = licence(ledger, track, "alice", "bob", rel(1_000))
    assert ledger.refusal("bob", model_action((track, right))) == "lineage.layer_uncovered"


def test_a_licence_of_the_work_itself_covers_its_layer() -> None:
    ledger = Ledger()
    song = register(ledger, "bea", work("song", terms=replace(OPEN, sublicensable=True)))
    track = register(ledger, "alice", recording("track", song, terms=OPEN))
    master = licence(ledger, track, "alice", "bob", rel(1_000), layers=("recording",))
    paper = licence(ledger, song, "bea", "bob", rel(500), layers=("work",))
    assert ledger.refusal("bob", model_action((track, master))) == "lineage.layer_uncovered"
    model = register(ledger, "bob", model_action((track, master), (song, paper)))
    row = nodes(ledger, sell(ledger, model, "bob", "dana", 1_000_000))
    # 10 % of the net 990,000 goes to the recording's own table alone, 5 % to the work by its own right.
    assert (row[track].rel, row[song].rel, row[song].src) == (99_000, 49_500, 0)


def test_a_licence_must_be_of_this_asset_of_this_person_for_this_purpose_and_not_over() -> None:
    ledger = Ledger()
    people(ledger, "other", role="developer")
    trained, second = album(ledger, tracks(ledger, 1, terms=OPEN)), tracks(ledger, 1, prefix="t", terms=OPEN)[0]
    right = licence(ledger, trained, "alice", "bob", rel(1_000))
    analysis = licence(ledger, trained, "alice", "bob", None, terms=make_terms(("analysis",)), purpose="analysis")
    assert ledger.refusal("bob", model_action((second, right))) == "lineage.right_foreign"
    assert ledger.refusal("other", model_action((trained, right))) == "licence.not_yours"
    assert ledger.refusal("bob", model_action((trained, analysis))) == "licence.wrong_purpose"
    assert ledger.refusal("bob", model_action((trained, bytes(32)))) == "lineage.no_right"
    offer_id = own_right(ledger, trained, "alice", rel(1_000))
    assert ledger.refusal("bob", model_action((trained, offer_id))) == "lineage.licence_needed"
    assert ledger.refusal("alice", model_action((trained, right))) == "identity.role_required"
    ledger.run("alice", RevokeLicence(right, "breach"))
    assert ledger.refusal("bob", model_action((trained, right))) == "licence.revoked"


def test_an_expired_licence_trains_no_further_model() -> None:
    ledger = Ledger()
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    right = licence(ledger, trained, "alice", "bob", rel(1_000), terms=replace(OPEN, duration_ms=5_000))
    register(ledger, "bob", model_action((trained, right)))
    ledger.block(time_ms=ledger.time_ms + 10_000)
    assert ledger.refusal("bob", model_action((trained, right))) == "licence.expired"


def test_each_model_takes_a_slot_of_its_licence() -> None:
    ledger = Ledger()
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    right = licence(ledger, trained, "alice", "bob", None, terms=replace(OPEN, model_versions_max=2))
    for _ in range(2):
        register(ledger, "bob", model_action((trained, right)))
    assert ledger.refusal("bob", model_action((trained, right))) == "lineage.slots_used"


def test_a_model_keeps_its_manifest_and_is_no_member_of_a_dataset() -> None:
    ledger = Ledger()
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    action = model_action((trained, licence(ledger, trained, "alice", "bob", rel(1_000))))
    model = register(ledger, "bob", action)
    found = ledger.view().get(models.MODELS, model)
    assert (found.manifest, found.weights, found.service) == (action.manifest, action.weights, account_of("dana"))
    assert ledger.view().find(lineage.CHILDREN, trained + model) is not None


# Outputs


def test_only_the_service_registers_outputs_and_a_licensees_output_is_the_licensees() -> None:
    ledger = Ledger()
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    model = register(ledger, "bob", model_action((trained, licence(ledger, trained, "alice", "bob", rel(1_000)))))
    assert ledger.refusal("bob", output_action(model)) == "lineage.not_the_service"
    assert ledger.refusal("dana", output_action(trained)) == "lineage.not_a_model"
    right = licence(ledger, model, "bob", "bea", rel(3_000), purpose="inference-service")
    assert ledger.refusal("dana", output_action(model, licence=right)) == "lineage.output_splits"
    ledger.run("bea", AuthoriseOutputs(right, 1))
    output = register(ledger, "dana", output_action(model, licence=right, splits=()))
    assert ledger.view().get(ASSETS, output).owner == account_of("bea")
    assert ledger.view().get(models.OUTPUTS, output).licence == right
    row = nodes(ledger, sell(ledger, output, "bea", "dana", 1_000_000))[output]
    assert (row.rel_out, row.keep) == (297_000, 693_000)


def test_each_output_takes_a_slot_of_its_licence() -> None:
    ledger = Ledger()
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    model = register(ledger, "bob", model_action((trained, licence(ledger, trained, "alice", "bob", None))))
    one = replace(OPEN, outputs_max=1)
    right = licence(ledger, model, "bob", "bea", None, terms=one, purpose="inference-service")
    ledger.run("bea", AuthoriseOutputs(right, 2))
    register(ledger, "dana", output_action(model, licence=right, splits=()))
    assert ledger.refusal("dana", output_action(model, "two", licence=right, splits=())) == "lineage.slots_used"


def used_model(ledger: Ledger, *pricing: Price, service: str = "dana", **changes: Any) -> tuple[bytes, bytes]:
    """(bob's model, bea's licence of it)."""
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    manifest = (trained, licence(ledger, trained, "alice", "bob", rel(1_000)))
    model = register(ledger, "bob", model_action(manifest, service=account_of(service)))
    wanted = {"purpose": "inference-service", "pricing": pricing or FREE, **changes}
    return model, licence(ledger, model, "bob", "bea", None, **wanted)


def test_a_service_spends_no_deposit_and_takes_no_slot_that_the_licensee_has_not_given_it() -> None:
    """Attack: the service of a model registers tracks that nobody ordered and is paid for each of them."""
    ledger = Ledger()
    price = Price("per-output", BEAT)
    model, right = used_model(ledger, price, price_max_ubeat=BEAT, deposit_ubeat=9 * BEAT)
    forced = output_action(model, licence=right, splits=())
    assert ledger.refusal("dana", forced) == "lineage.outputs_unauthorised"
    ledger.run("bea", AuthoriseOutputs(right, 1))
    register(ledger, "dana", forced)
    assert ledger.refusal("dana", output_action(model, "two", licence=right, splits=())) == (
        "lineage.outputs_unauthorised"
    )
    assert tokens.escrowed(ledger.view(), right) == 8 * BEAT


def test_an_authorisation_is_a_number_in_all_so_that_sending_it_twice_gives_nothing_more() -> None:
    ledger = Ledger()
    model, right = used_model(ledger)
    ledger.run("bea", AuthoriseOutputs(right, 2))
    register(ledger, "dana", output_action(model, "one", licence=right, splits=()))
    ledger.run("bea", AuthoriseOutputs(right, 2))
    assert ledger.view().get(models.ALLOWANCES, right) == models.Allowance(2, 1)
    register(ledger, "dana", output_action(model, "two", licence=right, splits=()))
    three = output_action(model, "three", licence=right, splits=())
    assert ledger.refusal("dana", three) == "lineage.outputs_unauthorised"
    ledger.run("bea", AuthoriseOutputs(right, 3))
    ledger.run("bea", AuthoriseOutputs(right, 0))
    assert ledger.refusal("dana", three) == "lineage.outputs_unauthorised"


def test_nobody_but_the_licensee_authorises_a_service_and_only_of_a_model() -> None:
    ledger = Ledger()
    _, right = used_model(ledger)
    for other in ("dana", "bob", "alice"):
        assert ledger.refusal(other, AuthoriseOutputs(right, 9)) == "licence.not_yours"
    track = tracks(ledger, 1, prefix="t", terms=OPEN)[0]
    remixing = licence(ledger, track, "alice", "bea", None)
    assert ledger.refusal("bea", AuthoriseOutputs(remixing, 9)) == "lineage.not_a_model"


def test_a_licensee_who_runs_the_service_needs_no_word_of_his_own() -> None:
    ledger = Ledger()
    model, right = used_model(ledger, service="bea")
    register(ledger, "bea", output_action(model, licence=right, splits=()))


# Terms


def test_a_child_is_bound_by_the_terms_of_all_its_parents() -> None:
    ledger = Ledger()
    first, second = roots(ledger, "alice", 2)
    left = own_right(ledger, first, "alice", None, terms=make_terms(("derive-remix", "analysis"), duration_ms=9_000))
    right = own_right(ledger, second, "alice", None, terms=make_terms(("derive-remix", "sync-display"), accesses_max=5))
    remix = remix_of(ledger, "alice", (first, left), (second, right))
    terms = effective_terms(ledger.view(), remix, LAYERS)
    assert terms is not None
    allowed = [name for name in ("derive-remix", "analysis", "sync-display") if permits(terms, name)]
    assert (allowed, terms.duration_ms) == (["derive-remix"], 9_000)
    # How often the licensee himself may read the parent does not bind those who license the remix.
    assert terms.accesses_max is None


def test_parents_that_permit_nothing_in_common_cannot_be_mixed() -> None:
    ledger = Ledger()
    track = roots(ledger, "alice", 1)[0]
    right = own_right(ledger, track, "alice", None)
    action = remix_action((track, right), terms=make_terms(("research-only",)))
    assert ledger.refusal("alice", action) == "lineage.incompatible"


# Caps


def test_rates_never_sum_to_more_than_everything() -> None:
    ledger = Ledger()
    first, second = roots(ledger, "alice", 2)
    parents = rights(ledger, [first], "alice", Rate(4_000, 2_000, None)) + rights(ledger, [second], "alice", rel(4_001))
    assert ledger.refusal("alice", remix_action(*parents)) == "lineage.rates_sum"
    parents[1] = rights(ledger, [second], "alice", rel(4_000))[0]
    remix = remix_of(ledger, "alice", *parents)
    assert (
        nodes(ledger, sell(ledger, remix, "alice", "bob", 1_000_000))[remix].keep
        == 990_000 - 198_000 - 792_000 * 8 // 10
    )


def test_inherited_claims_count_towards_the_sum() -> None:
    ledger = Ledger()
    root = roots(ledger, "alice", 1)[0]
    child = remix_of(ledger, "alice", *rights(ledger, [root], "alice", absolute(2_000)), name="child")
    parent = rights(ledger, [child], "alice", rel(8_001))
    assert ledger.refusal("alice", remix_action(*parent)) == "lineage.rates_sum"


def test_a_parent_is_named_once_and_the_count_of_ancestors_is_declared() -> None:
    ledger = Ledger()
    first, second = roots(ledger, "alice", 2)
    parents = rights(ledger, [first, second], "alice", rel(100))
    assert ledger.refusal("alice", remix_action(parents[0], parents[0])) == "lineage.parent_twice"
    assert ledger.refusal("alice", remix_action(*parents, ancestors=1)) == "lineage.ancestors_declared"
    remix_of(ledger, "alice", *parents, ancestors=2)


def test_more_than_32_absolute_claims_are_refused() -> None:
    ledger = Ledger()
    found = roots(ledger, "alice", CLAIMS_MAX + 1)
    parents = rights(ledger, found, "alice", absolute(10))
    assert ledger.refusal("alice", remix_action(*parents)) == "lineage.too_many"
    remix_of(ledger, "alice", *parents[1:])


def test_1024_ancestors_work_and_one_more_is_refused() -> None:
    ledger = Ledger()
    tops: list[bytes] = []
    for number in range(16):
        found = rooted(ledger, "alice", 63, f"r{number}-", rel(100))
        tops.append(remix_of(ledger, "alice", *found, name=f"top{number}"))
    parents = rights(ledger, tops, "alice", rel(500))
    remix = remix_of(ledger, "alice", *parents)
    assert len(lineage.lineage_of(ledger.view(), remix).ancestors) == ANCESTORS_MAX
    extra = rights(ledger, roots(ledger, "alice", 1, "extra"), "alice", rel(1))
    assert ledger.refusal("alice", remix_action(*parents, *extra, name="other")) == "lineage.too_many"
    passed = nodes(ledger, sell(ledger, remix, "alice", "bob", 10**9))
    assert len(passed) == ANCESTORS_MAX + 1
    assert sum(row.keep for row in passed.values()) == 990_000_000


def test_earlier_actions_of_the_same_transaction_are_parents_already() -> None:
    ledger = Ledger()
    tx = ledger.tx("alice", recording("mine", terms=OPEN), nonce=77)
    song = object_id("asset", account_of("alice"), tx.body.nonce, 0)
    offer_id = object_id("offer", account_of("alice"), tx.body.nonce, 1)
    both = ledger.tx(
        "alice",
        recording("mine", terms=OPEN),
        offer_action(song, terms=OPEN, layers=("recording",), upstream=rel(500)),
        remix_action((song, offer_id)),
        nonce=77,
    )
    assert ledger.block(both).results[0].status == "ok"
    late = ledger.tx("alice", remix_action((song, offer_id)), nonce=78)
    assert ledger.block(late).results[0].kind == "asset.duplicate_content"


def test_an_unsealed_dataset_is_no_parent() -> None:
    ledger = Ledger()
    opened = register(ledger, "alice", dataset("open"))
    assert ledger.refusal("alice", remix_action((opened, bytes(32)))) == "asset.not_sealed"


# Ceilings


def test_a_ceiling_is_counted_over_sales_and_what_it_refuses_stays_with_the_child() -> None:
    ledger = Ledger()
    root = roots(ledger, "alice", 1)[0]
    right = own_right(ledger, root, "alice", Rate(1_000, 1_000, 250_000))
    remix = remix_of(ledger, "alice", (root, right))
    given = []
    for _ in range(3):
        row = nodes(ledger, sell(ledger, remix, "alice", "bob", 1_000_000))[remix]
        given.append((row.abs_out, row.rel_out))
        assert row.abs_out + row.rel_out + row.keep == 990_000
    assert given == [(99_000, 89_100), (61_900, 0), (0, 0)]


# Parents found later


def amended(ledger: Ledger) -> tuple[bytes, bytes]:
    """(child of alice's, older song of bea's)."""
    song = roots(ledger, "bea", 1, "song")[0]
    return roots(ledger, "alice", 1, "child")[0], song


def test_both_owners_agree_on_a_parent_found_later_and_it_counts_from_the_next_block() -> None:
    ledger = Ledger()
    child, song = amended(ledger)
    pact = AmendProvenance(child, song, 2_000, None, 1)
    assert ledger.run("bea", pact)[0].kind == "lineage.amendment_proposed"
    assert nodes(ledger, sell(ledger, child, "alice", "bob", 1_000_000))[child].rel_out == 0
    assert ledger.refusal("dana", pact) == "lineage.not_concerned"
    other = replace(pact, rel_bps=1_000)
    assert ledger.run("alice", other)[0].kind == "lineage.amendment_proposed"
    event = ledger.run("bea", other)[0]
    assert (event.kind, event.fields["from_height"]) == ("lineage.amended", ledger.height + 1)
    assert nodes(ledger, sell(ledger, child, "alice", "bob", 1_000_000))[song].rel == 99_000
    assert ledger.refusal("bea", pact) == "lineage.parent_twice"


def test_a_sale_in_the_block_of_the_amendment_does_not_count_yet() -> None:
    ledger = Ledger()
    child, song = amended(ledger)
    pact = AmendProvenance(child, song, 2_000, None, 1)
    ledger.run("bea", pact)
    offer_id = own_right(ledger, child, "alice", None, pricing=(Price("one-off", 1_000_000),))
    sale = ledger.tx("bob", buy_action(offer_id, terms_hash=terms_hash(OPEN), purpose="analysis"))
    outcome = ledger.block(ledger.tx("alice", pact), sale)
    assert [result.status for result in outcome.results] == ["ok", "ok"]
    assert nodes(ledger, outcome)[child].rel_out == 0


def test_one_owner_of_both_needs_no_second_word_and_a_proposal_can_be_taken_back() -> None:
    ledger = Ledger()
    child, song = amended(ledger)
    mine = roots(ledger, "alice", 1, "mine")[0]
    assert ledger.run("alice", AmendProvenance(mine, child, 1_000, 5, 1))[0].kind == "lineage.amended"
    pact = AmendProvenance(child, song, 2_000, None, 1)
    assert ledger.refusal("bea", replace(pact, rel_bps=0)) == "lineage.rate_zero"
    ledger.run("bea", pact)
    ledger.run("bea", replace(pact, rel_bps=0))
    assert ledger.run("alice", pact)[0].kind == "lineage.amendment_proposed"


def test_a_proposal_waits_a_month_and_no_longer() -> None:
    ledger = Ledger()
    child, song = amended(ledger)
    pact = AmendProvenance(child, song, 2_000, None, 1)
    ledger.run("bea", pact)
    ledger.block(time_ms=ledger.time_ms + derivatives.PROPOSAL_MS)
    assert ledger.run("alice", pact)[0].kind == "lineage.amendment_proposed"


def test_an_amendment_takes_no_more_than_the_child_still_keeps() -> None:
    ledger = Ledger()
    song = roots(ledger, "bea", 1, "song")[0]
    root = roots(ledger, "alice", 1)[0]
    remix = remix_of(ledger, "alice", (root, own_right(ledger, root, "alice", Rate(6_000, 3_000, None))))
    assert ledger.refusal("bea", AmendProvenance(remix, song, 1_001, None, 2)) == "lineage.rate_high"
    ledger.run("bea", AmendProvenance(remix, song, 1_000, None, 2))
    ledger.run("alice", AmendProvenance(remix, song, 1_000, None, 2))
    row = nodes(ledger, sell(ledger, remix, "alice", "bob", 1_000_000))[remix]
    assert row.keep == 990_000 - 297_000 - 693_000 * 6 // 10 - 69_300
