"""Keys from words, as BIP-39 and SLIP-10 say."""

import pytest
from mnemonic import Mnemonic

from concento.derivation import account_path, derive, seed_of_phrase
from concento.development import ACCOUNTS, PHRASE, development_keys, development_seed
from concento.keys import public_key

SLIP_10 = [
    (
        (),
        "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
        "a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed",
    ),
    (
        (0,),
        "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
        "8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c",
    ),
    (
        (0, 1),
        "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
        "1932a5270f335bed617d5b935c80aedb1a35bd9fc1e31acafd5372c30f5c1187",
    ),
    (
        (0, 1, 2),
        "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
        "ae98736566d30ed0e9d2f4486a64bc95740d89c7db33f52121f8ea8f76ff0fc1",
    ),
    (
        (0, 1, 2, 2),
        "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662",
        "8abae2d66361c879b900d204ad2cc4984fa2aa344dd7ddc46007329ac76c429c",
    ),
    (
        (0, 1, 2, 2, 1_000_000_000),
        "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
        "3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a",
    ),
]


@pytest.mark.parametrize(("path", "private", "public"), SLIP_10)
def test_slip_10_vector_1_for_ed25519(path: tuple[int, ...], private: str, public: str) -> None:
    seed = derive(bytes(range(16)), path)
    assert seed.hex() == private
    assert public_key(seed).hex() == public


def test_bip_39_seed_of_the_reference_vectors() -> None:
    phrase = "abandon " * 11 + "about"
    assert (
        seed_of_phrase(phrase, "TREZOR")
        .hex()
        .startswith("c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553")
    )
    phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    assert (
        seed_of_phrase(phrase, "TREZOR")
        .hex()
        .startswith("2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6f")
    )


def test_the_seed_agrees_with_the_library_for_random_phrases() -> None:
    words = Mnemonic("english")
    for strength in (128, 256):
        phrase = words.generate(strength)
        assert seed_of_phrase(phrase) == words.to_seed(phrase)


def test_the_development_phrase_is_a_valid_phrase_and_gives_distinct_keys() -> None:
    assert Mnemonic("english").check(PHRASE)
    assert len(development_keys()) == len(ACCOUNTS) + 16


def test_development_accounts_stand_at_fixed_paths() -> None:
    assert development_seed("alice") == derive(seed_of_phrase(PHRASE), account_path(0))
    assert development_seed("node2") == derive(seed_of_phrase(PHRASE), account_path(102))
