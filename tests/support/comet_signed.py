"""Headers of CometBFT as a test wants them, signed by development keys."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from concento.cometlight import (
    CometBlockId,
    CometCommit,
    CometHeader,
    CometSignature,
    CometTime,
    address_of,
    chain_id_of,
    header_hash,
    sign_bytes,
    validators_hash,
)
from concento.development import development_seed, validator_names
from concento.genesis import Genesis
from concento.keys import public_key, sign
from concento.validators import ValidatorSet

HASH = bytes(range(32))
SEEDS = {public_key(development_seed(name)): development_seed(name) for name in validator_names(5)}


def header(
    genesis: Genesis, height: int, of: ValidatorSet, following: ValidatorSet | None = None, **changes: Any
) -> CometHeader:
    found = CometHeader(
        11, 1, chain_id_of(genesis), height, CometTime(1_793_491_200, 5), CometBlockId(HASH, 1, HASH), HASH, HASH,
        validators_hash(of), validators_hash(following or of), HASH, HASH, HASH, HASH, bytes(20),
    )  # fmt: skip
    return replace(found, **changes)


def commit(signed: CometHeader, of: ValidatorSet, count: int | None = None, round_: int = 0) -> CometCommit:
    """Signed by the first so many of the set, by all without a count."""
    block = CometBlockId(header_hash(signed), 1, HASH)
    unsigned = CometCommit(round_, block, ())
    signatures = []
    for number, key in enumerate(of.keys[:count]):
        time = CometTime(1_793_491_201, number)
        message = sign_bytes(signed.chain_id, signed.height, unsigned, time)
        signatures.append(CometSignature(address_of(key), time, sign(SEEDS[key], message)))
    return CometCommit(round_, block, tuple(signatures))
