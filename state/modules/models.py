"""Models and what they make: a model version with its training manifest, and the tracks that its service registers.

A model is refused unless licences cover everything that it learnt from, both the works and the recordings, for the
way in which it learnt. An output names its model and commits to the parameters that made it. What it costs is the
licensee's, so the service registers as many under a licence as the licensee has authorised.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import Bytes32, Natural, Record
from concento.errors import Rejected
from concento.messages.assets import AssetId
from concento.messages.licences import Rate
from concento.messages.lineage import AuthoriseOutputs, RegisterModel, RegisterOutput, Training
from concento.terms import LAYERS, check_terms
from state.calls import Call, Event
from state.modules import charges, royalties
from state.modules.assets import (
    ASSETS,
    check_description,
    check_parts,
    check_splits,
    effective_terms,
    new_asset_id,
    new_record,
    require_asset,
    split_rows,
)
from state.modules.identity import require_party, require_role
from state.modules.licences import require_licence, require_own
from state.modules.lineage import (
    Basis,
    Plan,
    check_layers,
    check_slots,
    find_basis,
    plan_links,
    register_child,
    use_licence,
    weigh_links,
)
from state.modules.offers import OFFERS, per_output_ubeat
from state.view import Kind, View


class Model(Record):
    """What is special to a model version. `outputs` is what outputs of its owner's own owe it."""

    service: AccountId
    weights: Bytes32
    manifest: tuple[Training, ...]
    outputs: Rate


class Output(Record):
    """What is special to an output: who made it with which licence (empty for the owner's own), and how."""

    model: AssetId
    licence: bytes
    parameters: Bytes32


class Allowance(Record):
    """How many outputs a licensee lets the service register under a licence in all, and how many are registered."""

    outputs: Natural
    used: Natural


MODELS = Kind(b"model/", Model)
OUTPUTS = Kind(b"output/", Output)
ALLOWANCES = Kind(b"output-allowance/", Allowance)
"""By licence."""

_NOTHING: Final = Allowance(0, 0)


# Models


def check_register_model(view: View, call: Call, message: RegisterModel) -> None:
    require_role(view, call.sender, "developer")
    new_asset_id(view, call)
    check_description(message.description)
    check_splits("splits", message.splits)
    check_terms(message.terms)
    require_party(view, message.service)
    bases = _training(view, call, message)
    check_layers(view, bases, both=True)
    for basis in bases:
        check_slots(basis, models=1)
    plan_links(view, bases, message.terms, message.ancestors)


def apply_register_model(view: View, call: Call, message: RegisterModel) -> list[Event]:
    asset_id = new_asset_id(view, call)
    bases = _training(view, call, message)
    plan = plan_links(view, bases, message.terms, message.ancestors)
    for basis in bases:
        use_licence(view, basis, models=1)
    asset = new_record(call, "model", message.description, "", ())
    view.put(MODELS, asset_id, Model(message.service, message.weights, message.manifest, message.outputs))
    return register_child(view, call, asset_id, asset, plan, split_rows(message.splits))


def weigh_register_model(message: RegisterModel) -> int:
    """As a work, and the model's own record; its links."""
    return 9 + len(message.splits) + weigh_links(len(message.manifest), message.ancestors)


def _training(view: View, call: Call, message: RegisterModel) -> list[Basis]:
    return [find_basis(view, call, call.sender, line.asset, line.right, line.purpose) for line in message.manifest]


# Outputs


def check_authorise_outputs(view: View, call: Call, message: AuthoriseOutputs) -> None:
    licence = require_own(view, call, message.licence)
    _require_model(view, licence.asset)


def apply_authorise_outputs(view: View, call: Call, message: AuthoriseOutputs) -> list[Event]:
    """A number in all and not one more: sent twice, or beside an output on its way, it says the same."""
    allowance = replace(_allowance(view, message.licence), outputs=message.outputs)
    view.put(ALLOWANCES, message.licence, allowance)
    model = require_licence(view, message.licence).asset
    return [
        Event(
            "lineage.outputs_authorised",
            {
                "licence": message.licence,
                "asset": model,
                "licensee": call.sender,
                "service": view.get(MODELS, model).service,
                "outputs": allowance.outputs,
                "used": allowance.used,
            },
        )
    ]


def weigh_authorise_outputs(_message: AuthoriseOutputs) -> int:
    return 1


def _allowance(view: View, licence: bytes) -> Allowance:
    return view.find(ALLOWANCES, licence) or _NOTHING


def _check_authorised(view: View, call: Call, basis: Basis) -> None:
    """Raises Rejected("lineage.outputs_unauthorised") where the service would spend what nobody gave it."""
    if basis.licence is None or basis.licence.licensee == call.sender:
        return
    allowance = _allowance(view, basis.right)
    if allowance.used >= allowance.outputs:
        raise Rejected(
            "lineage.outputs_unauthorised", licence=basis.right, outputs=allowance.outputs, used=allowance.used
        )


def _use_allowance(view: View, call: Call, basis: Basis) -> None:
    if basis.licence is not None and basis.licence.licensee != call.sender:
        allowance = _allowance(view, basis.right)
        view.put(ALLOWANCES, basis.right, replace(allowance, used=allowance.used + 1))


def check_register_output(view: View, call: Call, message: RegisterOutput) -> None:
    model = _require_model(view, message.model)
    if model.service != call.sender:
        raise Rejected("lineage.not_the_service", model=message.model, service=model.service)
    require_party(view, call.sender)
    new_asset_id(view, call)
    check_description(message.description)
    if message.licence:
        if message.splits:
            raise Rejected("lineage.output_splits", licence=message.licence)
    else:
        check_splits("splits", message.splits)
    check_terms(message.terms)
    check_parts(view, message.parts)
    basis = _output_basis(view, call, message, model)
    _check_authorised(view, call, basis)
    check_slots(basis, outputs=1)
    plan_links(view, [basis], message.terms, message.ancestors)
    if basis.licence is not None:
        charges.check_deposit_covers(view, basis.right, basis.licence, _fee_ubeat(view, basis))


def apply_register_output(view: View, call: Call, message: RegisterOutput) -> list[Event]:
    asset_id = new_asset_id(view, call)
    basis = _output_basis(view, call, message, _require_model(view, message.model))
    plan: Plan = plan_links(view, [basis], message.terms, message.ancestors)
    use_licence(view, basis, outputs=1)
    _use_allowance(view, call, basis)
    owner = view.get(ASSETS, message.model).owner if basis.licence is None else basis.licence.licensee
    asset = new_record(call, "output", message.description, "", (), message.parts, message.facts, owner)
    rows = split_rows(message.splits) or [(royalties.account_holder(owner), royalties.SPLIT_SHARES)]
    view.put(OUTPUTS, asset_id, Output(message.model, message.licence, message.parameters))
    events = register_child(view, call, asset_id, asset, plan, rows)
    fee = 0 if basis.licence is None else _fee_ubeat(view, basis)
    return events + charges.charge_deposit(view, call, basis.right, fee, "usage") if fee else events


def weigh_register_output(message: RegisterOutput) -> int:
    """As a model; its files; the licensee's allowance; the fee that a licensee pays for it."""
    own = 10 + max(1, len(message.splits)) + len(message.parts) + 3 + royalties.PAY_WEIGHT
    return own + weigh_links(1, message.ancestors)


def _require_model(view: View, model: bytes) -> Model:
    asset = require_asset(view, model)
    if asset.kind != "model":
        raise Rejected("lineage.not_a_model", asset=model, asset_kind=asset.kind)
    return view.get(MODELS, model)


def _output_basis(view: View, call: Call, message: RegisterOutput, model: Model) -> Basis:
    """The licence that the output is made under; the owner's own is bound by the model's terms."""
    if message.licence:
        licensee = require_licence(view, message.licence).licensee
        return find_basis(view, call, licensee, message.model, message.licence, "inference-service")
    terms = effective_terms(view, message.model, LAYERS)
    if terms is None:
        raise Rejected("asset.not_sealed", asset=message.model)
    return Basis(message.model, b"", None, "inference-service", terms, LAYERS, model.outputs, royalties.ALL)


def _fee_ubeat(view: View, basis: Basis) -> int:
    if basis.licence is None:
        return 0
    return per_output_ubeat(view.get(OFFERS, basis.licence.offer).pricing)


__all__ = [
    "ALLOWANCES",
    "MODELS",
    "OUTPUTS",
    "Allowance",
    "Model",
    "Output",
    "apply_authorise_outputs",
    "apply_register_model",
    "apply_register_output",
    "check_authorise_outputs",
    "check_register_model",
    "check_register_output",
    "weigh_authorise_outputs",
    "weigh_register_model",
    "weigh_register_output",
]
