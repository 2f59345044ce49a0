"""Which functions treat which message, and what happens at the end of a block: two literal tables."""

from __future__ import annotations

from typing import Final

from concento.messages import Action
from concento.messages import assets as assets_messages
from concento.messages import disputes as disputes_messages
from concento.messages import governance as governance_messages
from concento.messages import identity as identity_messages
from concento.messages import licences as licences_messages
from concento.messages import lineage as lineage_messages
from concento.messages import receipts as receipts_messages
from concento.messages import royalties as royalties_messages
from concento.messages import tokens as tokens_messages
from concento.transactions import Body
from state.calls import Call, Event, Finalise, Route
from state.modules import (
    assets,
    charges,
    datasets,
    derivatives,
    disputes,
    governance,
    identity,
    lanes,
    licences,
    models,
    offers,
    receipts,
    rewards,
    royalties,
    rulings,
    tokens,
    usage,
    vaults,
)
from state.view import View


def _check_bind_placeholder(view: View, call: Call, message: identity_messages.BindPlaceholder) -> None:
    """An account that stands for a dispute is nobody's until a ruling says whose."""
    identity.check_bind_placeholder(view, call, message)
    disputes.check_not_held(view, message.placeholder)


def _apply_bind_placeholder(view: View, call: Call, message: identity_messages.BindPlaceholder) -> list[Event]:
    """What waits for the placeholder moves on at the end of this block."""
    events = identity.apply_bind_placeholder(view, call, message)
    royalties.touch(view, message.placeholder)
    return events


def _apply_set_payout_policy(view: View, call: Call, message: identity_messages.SetPayoutPolicy) -> list[Event]:
    """What waits for the sender is looked at again under its new policy."""
    events = identity.apply_set_payout_policy(view, call, message)
    royalties.touch(view, call.sender)
    return events


ROUTES: Final[dict[type, Route]] = {
    identity_messages.Admit: Route(identity.check_admit, identity.apply_admit, identity.weigh_admit),
    identity_messages.RevokeRoles: Route(identity.check_revoke_roles, identity.apply_revoke_roles, identity.weigh_one),
    identity_messages.BindPlaceholder: Route(
        _check_bind_placeholder, _apply_bind_placeholder, identity.weigh_income_change
    ),
    identity_messages.RotateKeys: Route(identity.check_rotate_keys, identity.apply_rotate_keys, identity.weigh_one),
    identity_messages.SetPayoutPolicy: Route(
        identity.check_set_payout_policy, _apply_set_payout_policy, identity.weigh_income_change
    ),
    tokens_messages.Transfer: Route(tokens.check_transfer, tokens.apply_transfer, tokens.weigh_transfer),
    assets_messages.RegisterWork: Route(
        assets.check_register_work, assets.apply_register_work, assets.weigh_register_work
    ),
    assets_messages.RegisterRecording: Route(
        assets.check_register_recording, assets.apply_register_recording, assets.weigh_register_recording
    ),
    assets_messages.RegisterDataset: Route(
        datasets.check_register_dataset, datasets.apply_register_dataset, datasets.weigh_register_dataset
    ),
    assets_messages.AddMembers: Route(
        datasets.check_add_members, datasets.apply_add_members, datasets.weigh_add_members
    ),
    assets_messages.SealDataset: Route(
        datasets.check_seal_dataset, datasets.apply_seal_dataset, datasets.weigh_seal_dataset
    ),
    assets_messages.UpdateMetadata: Route(assets.check_update_metadata, assets.apply_update_metadata, assets.weigh_one),
    assets_messages.RetireAsset: Route(assets.check_retire_asset, assets.apply_retire_asset, assets.weigh_one),
    licences_messages.CreateOffer: Route(
        offers.check_create_offer, offers.apply_create_offer, offers.weigh_create_offer
    ),
    licences_messages.CloseOffer: Route(offers.check_close_offer, offers.apply_close_offer, offers.weigh_close_offer),
    licences_messages.BuyLicence: Route(None, licences.buy_licence, licences.weigh_buy_licence),
    licences_messages.TopUpLicence: Route(licences.check_top_up, licences.apply_top_up, licences.weigh_deposit),
    licences_messages.WithdrawDeposit: Route(licences.check_withdraw, licences.apply_withdraw, licences.weigh_deposit),
    licences_messages.RevokeLicence: Route(licences.check_revoke, licences.apply_revoke, licences.weigh_revoke),
    licences_messages.RenewLicence: Route(
        charges.check_renew_licence, charges.apply_renew_licence, charges.weigh_renew_licence
    ),
    licences_messages.ReportRevenue: Route(
        charges.check_report_revenue, charges.apply_report_revenue, charges.weigh_report_revenue
    ),
    lineage_messages.RegisterModel: Route(
        models.check_register_model, models.apply_register_model, models.weigh_register_model
    ),
    lineage_messages.AuthoriseOutputs: Route(
        models.check_authorise_outputs, models.apply_authorise_outputs, models.weigh_authorise_outputs
    ),
    lineage_messages.RegisterOutput: Route(
        models.check_register_output, models.apply_register_output, models.weigh_register_output
    ),
    lineage_messages.RegisterDerivative: Route(
        derivatives.check_register_derivative,
        derivatives.apply_register_derivative,
        derivatives.weigh_register_derivative,
    ),
    lineage_messages.AmendProvenance: Route(
        derivatives.check_amend_provenance, derivatives.apply_amend_provenance, derivatives.weigh_amend_provenance
    ),
    receipts_messages.OpenAccess: Route(lanes.check_open_access, lanes.apply_open_access, lanes.weigh_open_access),
    receipts_messages.AnchorReceipts: Route(
        receipts.check_anchor_receipts, receipts.apply_anchor_receipts, receipts.weigh_anchor_receipts
    ),
    receipts_messages.CloseAccess: Route(lanes.check_close_access, lanes.apply_close_access, lanes.weigh_close_access),
    receipts_messages.PostUsage: Route(usage.check_post_usage, usage.apply_post_usage, usage.weigh_post_usage),
    royalties_messages.Claim: Route(royalties.check_claim, royalties.apply_claim, royalties.weigh_claim),
    royalties_messages.Sweep: Route(royalties.check_sweep, royalties.apply_sweep, royalties.weigh_sweep),
    royalties_messages.TransferShares: Route(
        vaults.check_transfer_shares, vaults.apply_transfer_shares, vaults.weigh_transfer_shares
    ),
    royalties_messages.OpenVault: Route(vaults.check_open_vault, vaults.apply_open_vault, vaults.weigh_open_vault),
    royalties_messages.AddVaultRows: Route(
        vaults.check_add_vault_rows, vaults.apply_add_vault_rows, vaults.weigh_add_vault_rows
    ),
    royalties_messages.SealVault: Route(vaults.check_seal_vault, vaults.apply_seal_vault, vaults.weigh_seal_vault),
    disputes_messages.OpenDispute: Route(
        disputes.check_open_dispute, disputes.apply_open_dispute, disputes.weigh_open_dispute
    ),
    disputes_messages.AnswerDispute: Route(
        disputes.check_answer_dispute, rulings.apply_answer_dispute, rulings.weigh_answer_dispute
    ),
    disputes_messages.RaiseBond: Route(disputes.check_raise_bond, disputes.apply_raise_bond, disputes.weigh_raise_bond),
    disputes_messages.RuleDispute: Route(
        rulings.check_rule_dispute, rulings.apply_rule_dispute, rulings.weigh_rule_dispute
    ),
    governance_messages.Propose: Route(governance.check_propose, governance.apply_propose, governance.weigh),
    governance_messages.Approve: Route(governance.check_approve, governance.apply_approve, governance.weigh),
}

STAGES: Final[tuple[tuple[str, Finalise], ...]] = (
    ("rewards", rewards.finalise),
    ("lanes", lanes.finalise),
    ("licences", licences.finalise),
    ("disputes", rulings.finalise),
    ("royalties", royalties.finalise),
    ("purses", rulings.divide_purses),
)
"""The end of a block, in this order: whatever pays assets comes before the pass.

Then misbehaviour is punished, proposals are decided, fees are shared out.
"""


def route_of(action: Action) -> Route:
    return ROUTES[type(action)]


def weight_of(body: Body) -> int:
    """About how many state records the transaction writes, its fee's included: known before it runs."""
    weight = 1
    for action in body.actions:
        weight += ROUTES[type(action)].weight(action)
    return weight
