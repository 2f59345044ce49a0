"""Addresses are bech32m with one prefix per network; policies ask for exactly m of n keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.accounts import (
    Policy,
    _bech32m_values,
    account_id,
    account_of_key,
    address,
    check_policy,
    meets,
    parse_address,
)
from concento.errors import Rejected
from concento.keys import public_key

KEYS = sorted(public_key(bytes([number]) * 32) for number in range(1, 6))
ACCOUNT = account_of_key(KEYS[0])

BIP_350_VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
BIP_350_INVALID = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
]


@pytest.mark.parametrize("text", BIP_350_VALID)
def test_the_valid_strings_of_bip_350_have_a_right_checksum(text: str) -> None:
    prefix, _ = _bech32m_values(text)
    assert prefix == text.lower().rpartition("1")[0]


@pytest.mark.parametrize("text", BIP_350_INVALID)
def test_the_invalid_strings_of_bip_350_are_refused(text: str) -> None:
    with pytest.raises(Rejected):
        _bech32m_values(text)


@given(st.binary(min_size=32, max_size=32), st.booleans())
def test_an_address_names_its_account(account: bytes, dev: bool) -> None:
    text = address(account, dev)
    assert text.startswith("tconc1q" if dev else "conc1q")
    assert parse_address(text, dev) == account
    assert parse_address(text.upper(), dev) == account


@given(st.integers(0, 60), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_wrong_character_is_refused(position: int, character: str) -> None:
    text = address(ACCOUNT, dev=False)
    place = len("conc1") + position % (len(text) - 5)
    if text[place] != character:
        with pytest.raises(Rejected) as refused:
            parse_address(text[:place] + character + text[place + 1 :], dev=False)
        assert refused.value.kind == "address.checksum"


def test_an_address_of_another_network_is_refused_by_name() -> None:
    with pytest.raises(Rejected) as refused:
        parse_address(address(ACCOUNT, dev=True), dev=False)
    assert refused.value.kind == "address.network"
    assert refused.value.numbers["prefix"] == "tconc"


@pytest.mark.parametrize(
    "text", ["", "alice", "conc1", "Conc1qqqq", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "conc1é"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse_address(text, dev=False)
    assert refused.value.kind.startswith("address.")


def test_a_policy_is_met_by_exactly_as_many_of_its_keys_as_it_asks() -> None:
    policy = Policy(2, tuple(KEYS[:3]))
    assert meets(policy, KEYS[:2])
    assert meets(policy, KEYS[1:3])
    assert not meets(policy, KEYS[:1])
    assert not meets(policy, KEYS[:3])
    assert not meets(policy, KEYS[2:4])


@pytest.mark.parametrize(
    "policy",
    [
        Policy(3, tuple(KEYS[:2])),
        Policy(1, (KEYS[1], KEYS[0])),
        Policy(1, (KEYS[0], KEYS[0])),
        Policy(1, (bytes([1]) + bytes(31),)),
    ],
    ids=["more signers than keys", "unsorted", "repeated", "small order"],
)
def test_impossible_policies_are_refused(policy: Policy) -> None:
    with pytest.raises(Rejected):
        check_policy(policy)


def test_an_account_is_named_by_its_first_policy() -> None:
    assert account_id(Policy(1, (KEYS[0],))) == ACCOUNT
    assert account_id(Policy(1, tuple(KEYS[:2]))) != account_id(Policy(2, tuple(KEYS[:2])))
