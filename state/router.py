"""Which functions treat which message, and what happens at the end of a block: two literal tables."""

from __future__ import annotations

from typing import Final

from concento.messages import Action
from concento.messages import identity as identity_messages
from concento.messages import tokens as tokens_messages
from concento.transactions import Body
from state.calls import Finalise, Route
from state.modules import identity, tokens

ROUTES: Final[dict[type, Route]] = {
    identity_messages.Admit: Route(identity.check_admit, identity.apply_admit, identity.weigh_admit),
    identity_messages.RevokeRoles: Route(identity.check_revoke_roles, identity.apply_revoke_roles, identity.weigh_one),
    identity_messages.BindPlaceholder: Route(
        identity.check_bind_placeholder, identity.apply_bind_placeholder, identity.weigh_one
    ),
    identity_messages.RotateKeys: Route(identity.check_rotate_keys, identity.apply_rotate_keys, identity.weigh_one),
    identity_messages.SetPayoutPolicy: Route(
        identity.check_set_payout_policy, identity.apply_set_payout_policy, identity.weigh_one
    ),
    tokens_messages.Transfer: Route(tokens.check_transfer, tokens.apply_transfer, tokens.weigh_transfer),
}

STAGES: Final[tuple[tuple[str, Finalise], ...]] = ()
"""The end of a block, in this order; then misbehaviour is punished and fees are shared out."""


def route_of(action: Action) -> Route:
    return ROUTES[type(action)]


def weight_of(body: Body) -> int:
    """About how many state records the transaction writes, its fee's included: known before it runs."""
    return 1 + sum(ROUTES[type(action)].weight(action) for action in body.actions)
