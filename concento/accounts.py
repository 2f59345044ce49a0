"""Who may act for an account: a policy of m of n keys; and how an account is written down: a bech32m address.

An account is named for ever by the hash of its first policy; the policy itself can be replaced.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta

from concento.encoding import Bytes32, Record, encode
from concento.errors import Rejected
from concento.hashing import tagged_hash
from concento.keys import PublicKey, check_public_key

POLICY_KEYS_MAX = 16
"""Keys of one policy: a board of directors, not a crowd; bounds the signature checks of a transaction."""

ADDRESSES_KEPT: Final = 4_096
"""Addresses written lately: each takes a third of a millisecond to make, and the same accounts are shown again."""
ADDRESS_VERSION: Final = 0
PREFIX: Final = "conc"
PREFIX_DEV: Final = "tconc"

_PLACEHOLDER_PREFIX: Final = bytes(12)
"""96 zero bits: nobody finds a policy with such a hash, so a placeholder is never somebody's account."""

AccountId = Bytes32


class Policy(Record):
    """`threshold` of these keys, sorted and distinct, must sign."""

    threshold: Annotated[int, Meta(ge=1, le=POLICY_KEYS_MAX)]
    keys: Annotated[tuple[PublicKey, ...], Meta(min_length=1, max_length=POLICY_KEYS_MAX)]


def single_key(key: bytes) -> Policy:
    """The policy of an ordinary account: one key."""
    return Policy(1, (key,))


def check_policy(policy: Policy) -> None:
    """Raises Rejected unless the policy can be met and every key is usable."""
    keys = policy.keys
    if policy.threshold > len(keys):
        raise Rejected("policy.invalid", threshold=policy.threshold, keys=len(keys), reason="more signers than keys")
    if any(left >= right for left, right in pairwise(keys)):
        raise Rejected("policy.invalid", threshold=policy.threshold, keys=len(keys), reason="keys unsorted or repeated")
    for key in keys:
        check_public_key(key)


def account_id(first_policy: Policy) -> bytes:
    """The 32-byte name of the account whose first policy this is."""
    return tagged_hash("account", encode(first_policy))


def account_of_key(key: bytes) -> bytes:
    """The account whose first policy is this one key."""
    return account_id(single_key(key))


def placeholder_id(label: bytes) -> bytes:
    """The holder that stands for somebody who is not on board; equal labels are one holder."""
    return _PLACEHOLDER_PREFIX + tagged_hash("placeholder", label)[len(_PLACEHOLDER_PREFIX) :]


def is_placeholder(account: bytes) -> bool:
    """Whether no keys can ever stand behind this name: it is not the hash of a policy."""
    return account.startswith(_PLACEHOLDER_PREFIX)


def meets(policy: Policy, signers: Collection[bytes]) -> bool:
    """Whether exactly as many keys as the policy asks for have signed, all of them its own."""
    return len(signers) == policy.threshold and all(key in policy.keys for key in signers)


@lru_cache(maxsize=ADDRESSES_KEPT)
def address(account: bytes, dev: bool) -> str:
    """The account as people write it: `conc1...`, or `tconc1...` on a development network."""
    return _bech32m_encode(PREFIX_DEV if dev else PREFIX, bytes((ADDRESS_VERSION,)) + account)


def parse_address(text: str, dev: bool) -> bytes:
    """The account that an address names. Raises Rejected for a typo, another network, or something else entirely."""
    prefix, payload = _bech32m_decode(text)
    expected = PREFIX_DEV if dev else PREFIX
    if prefix != expected:
        raise Rejected("address.network", text=text, prefix=prefix, expected=expected)
    if len(payload) != 33 or payload[0] != ADDRESS_VERSION:
        raise Rejected("address.malformed", text=text)
    return payload[1:]


# bech32m, BIP-350

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {character: value for value, character in enumerate(_CHARSET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT: Final = 0x2BC830A3


def _folded(top: int) -> int:
    """What the five bits that fall out of the checksum add to it."""
    added = 0
    for bit, generator in enumerate(_GENERATOR):
        if top >> bit & 1:
            added ^= generator
    return added


_FOLDED: Final = tuple(map(_folded, range(32)))
_LENGTH_MAX: Final = 90


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _FOLDED[checksum >> 25]
    return checksum


def _expand(prefix: str) -> list[int]:
    codes = [ord(character) for character in prefix]
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _regroup(values: bytes | list[int], source: int, target: int, pad: bool) -> list[int] | None:
    pending, bits, groups = 0, 0, []
    for value in values:
        pending = pending << source | value
        bits += source
        while bits >= target:
            bits -= target
            groups.append(pending >> bits & (1 << target) - 1)
        pending &= (1 << bits) - 1
    if pad:
        return [*groups, pending << target - bits & (1 << target) - 1] if bits else groups
    return groups if bits < source and not pending else None


def _bech32m_encode(prefix: str, payload: bytes) -> str:
    data = _regroup(payload, 8, 5, pad=True) or []
    checksum = _polymod([*_expand(prefix), *data, 0, 0, 0, 0, 0, 0]) ^ _CONSTANT
    data += [checksum >> 5 * (5 - position) & 31 for position in range(6)]
    return prefix + "1" + "".join(_CHARSET[value] for value in data)


def _bech32m_values(text: str) -> tuple[str, list[int]]:
    """Prefix and five-bit values without the checksum (BIP-350). Raises Rejected."""
    lower = text.lower()
    prefix, separator, tail = lower.rpartition("1")
    printable = all(33 <= ord(character) <= 126 for character in text)
    if not printable or text not in (lower, text.upper()) or len(text) > _LENGTH_MAX or not separator or not prefix:
        raise Rejected("address.malformed", text=text)
    if len(tail) < 6 or any(character not in _VALUES for character in tail):
        raise Rejected("address.malformed", text=text)
    values = [_VALUES[character] for character in tail]
    if _polymod(_expand(prefix) + values) != _CONSTANT:
        raise Rejected("address.checksum", text=text)
    return prefix, values[:-6]


def _bech32m_decode(text: str) -> tuple[str, bytes]:
    prefix, values = _bech32m_values(text)
    payload = _regroup(values, 5, 8, pad=False)
    if payload is None:
        raise Rejected("address.malformed", text=text)
    return prefix, bytes(payload)
