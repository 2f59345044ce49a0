"""What can be asked of the ledger: one file per ledger module, one record per message, one union of them all."""

from __future__ import annotations

from typing import TypeAlias

from concento.hashing import Network
from concento.keys import Check
from concento.messages import assets, disputes, governance, identity, licences, lineage, receipts, royalties, tokens

Action: TypeAlias = (
    identity.Admit
    | identity.RevokeRoles
    | identity.BindPlaceholder
    | identity.RotateKeys
    | identity.SetPayoutPolicy
    | tokens.Transfer
    | assets.RegisterWork
    | assets.RegisterRecording
    | assets.RegisterDataset
    | assets.AddMembers
    | assets.SealDataset
    | assets.UpdateMetadata
    | assets.RetireAsset
    | licences.CreateOffer
    | licences.CloseOffer
    | licences.BuyLicence
    | licences.TopUpLicence
    | licences.WithdrawDeposit
    | licences.RevokeLicence
    | licences.RenewLicence
    | licences.ReportRevenue
    | lineage.RegisterModel
    | lineage.AuthoriseOutputs
    | lineage.RegisterOutput
    | lineage.RegisterDerivative
    | lineage.AmendProvenance
    | receipts.OpenAccess
    | receipts.AnchorReceipts
    | receipts.CloseAccess
    | receipts.PostUsage
    | royalties.Claim
    | royalties.Sweep
    | royalties.TransferShares
    | royalties.OpenVault
    | royalties.AddVaultRows
    | royalties.SealVault
    | disputes.OpenDispute
    | disputes.AnswerDispute
    | disputes.RaiseBond
    | disputes.RuleDispute
    | governance.Propose
    | governance.Approve
)


def kind_of(action: Action) -> str:
    """The stable name of a message, such as "tokens.transfer"."""
    tag = action.__struct_config__.tag
    if not isinstance(tag, str):
        raise TypeError(f"{type(action).__name__} has no tag")
    return tag


def signatures(network: Network, action: Action) -> list[Check]:
    """Signatures inside a message, checked with those of its transaction (vouchers; the rest has none)."""
    match action:
        case receipts.AnchorReceipts() | receipts.CloseAccess():
            return receipts.signatures(network, action)
        case _:
            return []
