"""Messages about what was made from what: models, their outputs, derivatives, and links found later.

Every link names the right that it rests on: a licence of the parent, or an offer of one's own where the sender owns
the parent. The rates that the child owes stand in that offer; nobody chooses them when linking.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from concento.accounts import AccountId
from concento.encoding import BasisPoints, Bytes32, Natural, Record
from concento.limits import PARENTS_MAX, PARTS_MAX, SPLIT_ROWS_MAX
from concento.messages.assets import AssetId, AudioFacts, Description, Identifier, Part, Split, Splits
from concento.messages.licences import Rate
from concento.terms import Terms
from concento.units import AMOUNT_UBEAT_MAX

RightId = Bytes32
"""A licence, or an offer of the sender's own."""

TrainingPurpose = Literal["train-generative", "train-other", "fine-tune"]


class Training(Record):
    """A line of a training manifest: what the model learnt from, under which licence, how."""

    asset: AssetId
    right: RightId
    purpose: TrainingPurpose


class Parent(Record):
    """What a derivative is made from, under which licence."""

    asset: AssetId
    right: RightId


class RegisterModel(Record, tag="lineage.register_model"):
    """A model version. `weights` commits to it; only `service` may register its outputs.

    `outputs` is owed by outputs of the owner's own; others owe what their licence says. `ancestors` is at least the
    number of distinct ancestors: the fee depends on it.
    """

    description: Description
    splits: Splits
    terms: Terms
    weights: Bytes32
    service: AccountId
    manifest: Annotated[tuple[Training, ...], Meta(min_length=1, max_length=PARENTS_MAX)]
    outputs: Rate
    ancestors: Natural


class AuthoriseOutputs(Record, tag="lineage.authorise_outputs"):
    """The licensee of a model lets its service register so many outputs under the licence, in all; 0 for no more.

    Each takes up one of the licence's outputs, costs its price from the deposit, and belongs to the licensee.
    """

    licence: RightId
    outputs: Natural


class RegisterOutput(Record, tag="lineage.register_output"):
    """A track that a model made, by the model's service. `parameters` commits to how.

    With a licence of the model it belongs to the licensee alone (no splits), who has authorised so many or is the
    service itself; else to the model's owner (`licence` is empty).
    """

    description: Description
    model: AssetId
    licence: Annotated[bytes, Meta(max_length=32)]
    parameters: Bytes32
    splits: Annotated[tuple[Split, ...], Meta(max_length=SPLIT_ROWS_MAX)]
    terms: Terms
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=PARTS_MAX)]
    facts: AudioFacts | None
    ancestors: Natural


class RegisterDerivative(Record, tag="lineage.register_derivative"):
    """A remix or another recording made from others; `isrc` is empty or 12 characters."""

    description: Description
    isrc: Identifier
    parents: Annotated[tuple[Parent, ...], Meta(min_length=1, max_length=PARENTS_MAX)]
    splits: Splits
    terms: Terms
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=PARTS_MAX)]
    facts: AudioFacts | None
    ancestors: Natural


class AmendProvenance(Record, tag="lineage.amend"):
    """A parent found later. Both owners send the same message; the second one links, from the next height on.

    A rate of nothing takes a proposal back, or declines it.
    """

    child: AssetId
    parent: AssetId
    rel_bps: BasisPoints
    ceiling_ubeat: Annotated[int, Meta(ge=1, le=AMOUNT_UBEAT_MAX)] | None
    ancestors: Natural
