"""Terms: one form, one name, and how those of many owners combine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from concento.errors import Rejected
from concento.terms import (
    EACH_ITS_OWN,
    NOWHERE,
    PURPOSES,
    SEVERAL_TEXTS,
    Permission,
    Terms,
    check_terms,
    combine,
    excess,
    make_terms,
    permission,
    permits,
    terms_hash,
)

LIMITS = ("duration_ms", "accesses_max", "bytes_max", "seconds_max", "model_versions_max", "outputs_max")

limits = st.none() | st.integers(1, 3)
terms = st.builds(
    Terms,
    purposes=st.tuples(*[st.integers(0, 2)] * len(PURPOSES)),
    territories=st.sets(st.sampled_from(["DE", "NO", "SE"])).map(lambda places: tuple(sorted(places))),
    duration_ms=limits,
    accesses_max=limits,
    bytes_max=limits,
    seconds_max=limits,
    model_versions_max=limits,
    outputs_max=limits,
    exclusive=st.booleans(),
    purge_after_training=st.booleans(),
    transferable=st.booleans(),
    sublicensable=st.booleans(),
    audience_tier=st.integers(0, 3),
    attribution=st.sampled_from(["", "alice", "bea"]),
    text_hash=st.sampled_from([b"", b"\1" * 32, b"\2" * 32]),
)

FREE = make_terms(allow=PURPOSES)


def test_ordinary_terms_deny_what_they_do_not_name() -> None:
    made = make_terms(allow=("train-generative",), constrained=("analysis",), duration_ms=5, accesses_max=7)
    assert permission(made, "train-generative") is Permission.ALLOW
    assert permission(made, "analysis") is Permission.CONSTRAINED
    assert [purpose for purpose in PURPOSES if permits(made, purpose)] == ["analysis", "train-generative"]
    assert (made.duration_ms, made.accesses_max) == (5, 7)


def test_a_purpose_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(Rejected) as error:
        make_terms(allow=("train",))
    assert error.value.kind == "terms.unknown_purpose"


def test_any_change_gives_terms_another_name() -> None:
    made = make_terms(allow=("analysis",))
    assert terms_hash(made) == terms_hash(make_terms(allow=("analysis",)))
    assert terms_hash(made) != terms_hash(replace(made, audience_tier=1))


# Combining


@settings(max_examples=40)
@given(terms, terms, terms)
def test_neither_order_nor_grouping_matters(one: Terms, two: Terms, three: Terms) -> None:
    assert combine(one, two) == combine(two, one)
    assert combine(combine(one, two), three) == combine(one, combine(two, three))
    assert combine(one, one) == one


@settings(max_examples=40)
@given(terms, terms)
def test_what_both_permit_stays_within_each(one: Terms, two: Terms) -> None:
    both = combine(one, two)
    if both.territories != NOWHERE:
        # Credits and texts of several owners are named by a placeholder, which no single owner asked for.
        both = replace(both, attribution=one.attribution, text_hash=one.text_hash)
        assert excess(both, one) is None


@settings(max_examples=40)
@given(terms, terms)
def test_any_denial_wins(one: Terms, two: Terms) -> None:
    both = combine(one, two)
    for purpose in PURPOSES:
        if not (permits(one, purpose) and permits(two, purpose)):
            assert not permits(both, purpose)


@pytest.mark.parametrize("field", LIMITS)
def test_the_tightest_limit_stays(field: str) -> None:
    one, two = replace(FREE, **{field: 3}), replace(FREE, **{field: 5})
    assert getattr(combine(one, two), field) == 3
    assert getattr(combine(one, FREE), field) == 3
    assert getattr(combine(FREE, FREE), field) is None


def test_terms_without_a_common_place_permit_nothing() -> None:
    one, two = replace(FREE, territories=("DE", "SE")), replace(FREE, territories=("NO", "SE"))
    assert combine(one, two).territories == ("SE",)
    assert combine(one, FREE).territories == ("DE", "SE")
    nowhere = combine(one, replace(FREE, territories=("NO",)))
    assert nowhere.territories == NOWHERE
    assert not any(permits(nowhere, purpose) for purpose in PURPOSES)
    assert combine(nowhere, FREE) == nowhere


def test_different_credits_and_texts_are_looked_up_per_member() -> None:
    one = replace(FREE, attribution="alice", text_hash=b"\1" * 32)
    two = replace(FREE, attribution="bea", text_hash=b"\2" * 32)
    both = combine(one, two)
    assert (both.attribution, both.text_hash) == (EACH_ITS_OWN, SEVERAL_TEXTS)
    assert combine(one, FREE) == one


# Staying within


@pytest.mark.parametrize(
    ("bounds", "wider", "field"),
    [
        ({"purposes": (0,) + (2,) * 11}, {}, "search-index"),
        ({"territories": ("SE",)}, {}, "territories"),
        ({"territories": ("SE",)}, {"territories": ("NO",)}, "territories"),
        ({"audience_tier": 2}, {"audience_tier": 1}, "audience_tier"),
        ({"purge_after_training": True}, {}, "purge_after_training"),
        ({}, {"exclusive": True}, "exclusive"),
        ({}, {"transferable": True}, "transferable"),
        ({}, {"sublicensable": True}, "sublicensable"),
        ({"attribution": "alice"}, {"attribution": "bea"}, "attribution"),
        ({"attribution": EACH_ITS_OWN}, {}, "attribution"),
        ({"text_hash": b"\1" * 32}, {}, "text_hash"),
        *(({name: 3}, {name: 4}, name) for name in LIMITS),
        *(({name: 3}, {}, name) for name in LIMITS),
    ],
)
def test_what_goes_beyond_is_named(bounds: dict[str, Any], wider: dict[str, Any], field: str) -> None:
    assert excess(replace(FREE, **wider), replace(FREE, **bounds)) == field


@settings(max_examples=40)
@given(terms)
def test_terms_stay_within_themselves(one: Terms) -> None:
    assert excess(one, one) is None


def test_one_credit_may_speak_for_several() -> None:
    assert excess(replace(FREE, attribution="various"), replace(FREE, attribution=EACH_ITS_OWN)) is None
    assert excess(replace(FREE, attribution=EACH_ITS_OWN), replace(FREE, attribution=EACH_ITS_OWN)) is None


# One form


@settings(max_examples=40)
@given(terms)
def test_ordinary_forms_are_accepted(one: Terms) -> None:
    check_terms(one)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"territories": ("SE", "NO")}, "terms.invalid"),
        ({"territories": ("NO", "NO")}, "terms.invalid"),
        ({"territories": NOWHERE}, "terms.invalid"),
        ({"text_hash": b"\1" * 31}, "terms.invalid"),
        ({"attribution": "é" * 101}, "terms.invalid"),
        ({"attribution": "al\u200bice"}, "text.invalid"),
    ],
)
def test_other_forms_are_refused(changes: dict[str, Any], kind: str) -> None:
    with pytest.raises(Rejected) as error:
        check_terms(replace(FREE, **changes))
    assert error.value.kind == kind
