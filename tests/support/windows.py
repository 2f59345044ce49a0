"""A development network whose windows are short, so that a test sees blocks grow too old."""

from __future__ import annotations

import msgspec

from concento.devnet import development_genesis
from concento.genesis import Genesis


def short_genesis(size: int = 4, evidence_age_ms: int = 1_000, replay_window_ms: int = 120_000) -> Genesis:
    genesis = development_genesis(size)
    consensus = msgspec.structs.replace(
        genesis.params.consensus, evidence_age_ms=evidence_age_ms, replay_window_ms=replay_window_ms
    )
    params = msgspec.structs.replace(genesis.params, consensus=consensus)
    return Genesis(msgspec.structs.replace(genesis.record, params=params))
