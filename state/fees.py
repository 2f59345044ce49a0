"""What a transaction costs, and where fees go: a part is burnt, the rest is shared equally by the validators.

A fee is known before execution: bytes and declared weight. It is taken first and kept whatever happens then.
Rules: docs/protocol/fees.md.
"""

from __future__ import annotations

from typing import Final

from concento.genesis import FeeParams
from concento.validators import ValidatorSet
from state.calls import Event
from state.modules import tokens
from state.validators import earns_fees
from state.view import View

BPS: Final = 10_000


def transaction_fee(params: FeeParams, raw_bytes: int, weight: int) -> int:
    """The fee in ubeat of a transaction of this size and weight."""
    return params.per_byte_ubeat * raw_bytes + params.per_weight_ubeat * weight


def distribute(view: View, collected_ubeat: int, validators: ValidatorSet, burn_bps: int) -> list[Event]:
    """Burns a part of what this block brought into bucket "fees" and shares the bucket out; the remainder stays.

    A block that collected nothing changes nothing, even where an older remainder could be shared by fewer.
    """
    if collected_ubeat == 0:
        return []
    burnt = collected_ubeat * burn_bps // BPS
    tokens.bucket_add(view, "fees", -burnt)
    tokens.bucket_add(view, "burnt", burnt)
    earners = [member for member in validators.members if earns_fees(view, member.key)]
    share = tokens.bucket(view, "fees") // len(earners) if earners else 0
    for member in earners:
        tokens.credit(view, member.rewards_to, share, "reward")
    tokens.bucket_add(view, "fees", -share * len(earners))
    return [
        Event(
            "fees.distributed",
            {
                "collected_ubeat": collected_ubeat,
                "burnt_ubeat": burnt,
                "share_ubeat": share,
                "validators": len(earners),
            },
        )
    ]
