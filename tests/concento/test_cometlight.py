"""CometBFT's headers and commits: what a real network has signed, and everything that a forger may try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from concento.accounts import account_of_key
from concento.cometlight import (
    CometBlockId,
    CometCommit,
    CometHandover,
    CometHeader,
    CometTime,
    address_of,
    header_hash,
    sign_bytes,
    validators_hash,
    verify_header,
)
from concento.development import development_seed
from concento.devnet import development_genesis
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.keys import public_key, verify
from concento.validators import Validator, ValidatorSet
from node.comet.proofs import commit_of, header_of
from support import comet_signed
from support.comet_signed import commit

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "cometbft-commit.json").read_text())
GENESIS = development_genesis(5)


def members(*names: str) -> tuple[Validator, ...]:
    keys = [public_key(development_seed(name)) for name in names]
    return tuple(
        sorted((Validator(key, name, account_of_key(key)) for key, name in zip(keys, names, strict=True)), key=_key)
    )


def _key(member: Validator) -> bytes:
    return member.key


def header(height: int, of: ValidatorSet, following: ValidatorSet | None = None, **changes: Any) -> CometHeader:
    return comet_signed.header(GENESIS, height, of, following, **changes)


# What a real network has signed


def test_a_real_header_has_the_hash_that_its_network_gave_it() -> None:
    signed = VECTOR["signed_header"]
    assert header_hash(header_of(signed["header"])).hex().upper() == signed["commit"]["block_id"]["hash"]


def test_a_real_set_of_validators_has_the_hash_that_its_header_names() -> None:
    keys = [bytes.fromhex(key) for key in VECTOR["keys"]]
    found = ValidatorSet(Validator(key, "x", bytes(32)) for key in keys)
    assert validators_hash(found).hex().upper() == VECTOR["signed_header"]["header"]["validators_hash"]


def test_real_precommits_verify_over_our_canonical_votes() -> None:
    signed = VECTOR["signed_header"]
    found, keys = commit_of(signed["commit"]), {address_of(key): key for key in map(bytes.fromhex, VECTOR["keys"])}
    assert len(found.signatures) >= 3
    for entry in found.signatures:
        message = sign_bytes(signed["header"]["chain_id"], int(signed["header"]["height"]), found, entry.time)
        assert verify(keys[entry.address], message, entry.signature)


# What follows from genesis, and what does not


@pytest.mark.parametrize("round_", [0, 3])
def test_a_header_signed_by_a_quorum_of_genesis_follows_from_it(round_: int) -> None:
    signed = header(9, GENESIS.validators)
    assert verify_header(GENESIS, signed, commit(signed, GENESIS.validators, 4, round_), ()) == (4, 5)


def test_a_handover_carries_trust_to_a_new_set() -> None:
    new = ValidatorSet(members("node1", "node2", "node3", "node4"))
    last = header(5, GENESIS.validators, new)
    handover = CometHandover(last, commit(last, GENESIS.validators), new.members)
    signed = header(9, new)
    assert verify_header(GENESIS, signed, commit(signed, new, 3), [handover]) == (3, 4)
    with pytest.raises(Rejected, match="does not follow from genesis"):
        verify_header(GENESIS, signed, commit(signed, new), [])
    other = CometHandover(last, commit(last, GENESIS.validators), members("node1", "node2", "node3", "node5"))
    with pytest.raises(Rejected, match="names another validator set"):
        verify_header(GENESIS, signed, commit(signed, new), [other])
    with pytest.raises(Rejected, match="not in order"):
        verify_header(GENESIS, signed, commit(signed, new), [handover, handover])


def _other_genesis() -> Genesis:
    return development_genesis(5, 1)


FORGERIES: dict[str, Callable[[CometHeader, CometCommit], tuple[Genesis, CometHeader, CometCommit]]] = {
    "for another block": lambda signed, by: (GENESIS, msgspec.structs.replace(signed, app_hash=bytes(32)), by),
    "of another chain": lambda signed, by: (_other_genesis(), signed, by),
    "3 of 5 have signed": lambda signed, by: (
        GENESIS,
        signed,
        msgspec.structs.replace(by, signatures=by.signatures[:3]),
    ),
    "repeated": lambda signed, by: (
        GENESIS,
        signed,
        msgspec.structs.replace(by, signatures=(*by.signatures[:3], by.signatures[0])),
    ),
    "does not verify": lambda signed, by: (GENESIS, signed, msgspec.structs.replace(by, round=7)),
}


@pytest.mark.parametrize("reason", FORGERIES)
def test_a_forged_header_or_commit_is_refused(reason: str) -> None:
    signed = header(9, GENESIS.validators)
    with pytest.raises(Rejected, match=reason):
        verify_header(*FORGERIES[reason](signed, commit(signed, GENESIS.validators)), ())


def another(value: Any) -> Any:
    """A value like this one, and not the same."""
    match value:
        case int():
            return value + 1
        case bytes():
            return value[:-1] + b"\x77"
        case CometTime():
            return CometTime(value.seconds, value.nanos + 1)
        case CometBlockId():
            return CometBlockId(value.hash, value.parts + 1, value.parts_hash)
        case _:
            raise TypeError(type(value).__name__)


@pytest.mark.parametrize("field", [name for name in CometHeader.__struct_fields__ if name != "chain_id"])
def test_every_field_of_a_header_is_under_its_signatures(field: str) -> None:
    signed = header(9, GENESIS.validators)
    value = getattr(signed, field)
    other: Any = (
        value + 1 if isinstance(value, int) else bytes(value[:-1]) + b"\x77" if isinstance(value, bytes) else None
    )
    if isinstance(value, CometTime):
        other = CometTime(value.seconds, value.nanos + 1)
    if isinstance(value, CometBlockId):
        other = CometBlockId(value.hash, value.parts + 1, value.parts_hash)
    changed = msgspec.structs.replace(signed, **{field: other})
    with pytest.raises(Rejected):
        verify_header(GENESIS, changed, commit(signed, GENESIS.validators), ())
