"""The usage reward: every epoch, new money for those whose data others paid to use, never enough to pay oneself.

What an asset gets is its part of the epoch's budget, by the market fees that its metered use caused, and at most
alpha of those fees. More than alpha of them is burnt, so no use that somebody pays to himself earns anything, and the
supply never grows by it. Raw units are no measure: they cost what the seller says. Rules: docs/protocol/rewards.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.encoding import INTEGER_MAX, Integer63, Natural, Record
from concento.genesis import Params
from concento.hashing import tagged_hash
from concento.messages.assets import AssetId
from concento.units import Amount
from state import wheel
from state.calls import Call, Event, Finalised
from state.modules import royalties, tokens
from state.modules.shares import number_key
from state.view import Kind, View

ASSETS_PER_BLOCK_MAX: Final = 256
"""Assets rewarded in one block: some ten records each; the others follow in the next blocks."""

COUNT_WEIGHT: Final = 12
"""A use, its epoch, its place in the list, and at times a timer."""

_WHEEL: Final = b"reward"
_WHOLE_BPS: Final = 10_000


class Epoch(Record):
    """The metered use of one epoch: the fees that it caused, of how many assets, how many are rewarded."""

    fees_ubeat: Amount
    assets: Natural
    paid: Natural


class Use(Record):
    """The metered use of one asset in one epoch."""

    units: Integer63
    fees_ubeat: Amount


class UsedAsset(Record):
    """An asset at its place in the list of an epoch."""

    asset: AssetId


EPOCHS = Kind(b"reward-epoch/", Epoch)
USES = Kind(b"reward-use/", Use)
USED = Kind(b"reward-asset/", UsedAsset)


def count_use(view: View, call: Call, asset: bytes, units: int, fee_ubeat: int) -> None:
    """Remembers metered use until the end of its epoch; owners have no licences, so others paid for it."""
    params = call.params.rewards
    if not params.data_ubeat or not fee_ubeat:
        return
    number = call.time_ms // params.epoch_ms
    epoch = view.find(EPOCHS, number_key(number))
    if epoch is None:
        epoch = Epoch(0, 0, 0)
        wheel.put(view, _WHEEL, (number + 1) * params.epoch_ms, number_key(number))
    use = view.find(USES, number_key(number) + asset)
    if use is None:
        use = Use(0, 0)
        view.put(USED, number_key(number) + number_key(epoch.assets), UsedAsset(asset))
        epoch = replace(epoch, assets=epoch.assets + 1)
    use = Use(min(use.units + units, INTEGER_MAX), use.fees_ubeat + fee_ubeat)
    view.put(USES, number_key(number) + asset, use)
    view.put(EPOCHS, number_key(number), replace(epoch, fees_ubeat=epoch.fees_ubeat + fee_ubeat))


def finalise(view: View, params: Params, _weight: int) -> Finalised:
    """Rewards the oldest epoch that is over, so many assets a block; what it makes enters this block's pass."""
    due = wheel.take(view, _WHEEL, view.time_ms, 1)
    return Finalised([], [_reward(view, params, due[0])] if due else [])


def reward_of(params: Params, fees_ubeat: int, fees_total_ubeat: int) -> int:
    """What an asset gets whose use caused these fees of all."""
    rewards = params.rewards
    return min(rewards.data_ubeat * fees_ubeat // fees_total_ubeat, fees_ubeat * rewards.alpha_bps // _WHOLE_BPS)


def _reward(view: View, params: Params, number: bytes) -> Event:
    epoch = view.get(EPOCHS, number)
    stop = min(epoch.assets, epoch.paid + ASSETS_PER_BLOCK_MAX)
    made = 0
    for index in range(epoch.paid, stop):
        asset = view.get(USED, number + number_key(index)).asset
        amount = reward_of(params, view.get(USES, number + asset).fees_ubeat, epoch.fees_ubeat)
        view.delete(USED, number + number_key(index))
        view.delete(USES, number + asset)
        if amount and tokens.mint(view, amount):
            royalties.pay_reward(view, asset, amount, tagged_hash("reward", number))
            made += amount
    if stop < epoch.assets:
        view.put(EPOCHS, number, replace(epoch, paid=stop))
        wheel.put(view, _WHEEL, view.time_ms, number)
    else:
        view.delete(EPOCHS, number)
    fields = {"epoch": int.from_bytes(number, "big"), "assets": stop - epoch.paid, "amount_ubeat": made}
    return Event("rewards.made", {**fields})
