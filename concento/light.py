"""The light client: what an outsider with nothing but the genesis file checks of a node's answer.

Trust goes from the genesis validators over every change of the set (a handover: a header signed by the old set that
names the new one) to one header, and from its app hash over the nodes of a proof to one record. Nothing that a node
says is believed; whatever does not follow raises Rejected("proof.invalid") or Rejected("commit.invalid").
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, NoReturn

from msgspec import Meta

from concento import cometlight
from concento.accounts import Policy
from concento.blocks import Header, block_id
from concento.cometlight import CometCommit, CometHandover, CometHeader
from concento.encoding import Natural, Record, decode, encode
from concento.errors import Rejected
from concento.genesis import PROTOCOL, Genesis
from concento.hashing import Network
from concento.keys import verify
from concento.limits import VALIDATORS_MAX
from concento.merkle import verify_inclusion
from concento.messages.receipts import ReceiptBody, SignedVoucher, receipt_id, voucher_bytes
from concento.proofs import verify_state
from concento.statekeys import RECEIPT, batch_state_key, parse_id, split_key, state_key
from concento.trails import NO_TRAIL, Trail
from concento.units import Amount
from concento.validators import Validator, ValidatorSet
from concento.votes import Commit, verify_commit

FORMAT: Final = "concento-proof-1"
ENGINE: Final = "own"
COMET: Final = "comet"
ENGINES: Final = (ENGINE, COMET)
FIELDS: Final = (
    "format",
    "engine",
    "chain_id",
    "genesis_hash",
    "height",
    "key",
    "value",
    "nodes",
    "header",
    "commit",
    "handovers",
)
NODES_MAX: Final = 65
"""Nodes of one path: half a byte of a hash each, and the page."""

HANDOVERS_MAX: Final = 10_000
"""Changes of the set that one proof may walk through: each costs a quorum of signature checks."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A change of the validator set: the last header of the old set, its commit, and the members of the new set."""

    header: Header
    commit: Commit
    members: tuple[Validator, ...]


class Trust(Record):
    """How far the sets were followed: the height of the last handover, 0 for none, and who decides from then on.

    Who keeps it cannot be led astray by a set that has handed over, even if most of its keys turn bad later.
    """

    height: Natural
    members: Annotated[tuple[Validator, ...], Meta(max_length=VALIDATORS_MAX)]


@dataclass(frozen=True, slots=True)
class Trusted:
    """A header that follows from genesis, how many of how many validators have signed it, and what to keep of it."""

    header: Header
    signers: int
    validators: int
    trust: Trust


@dataclass(frozen=True, slots=True)
class _Root:
    """The root of the state after a height, and who has signed it, whatever the engine."""

    height: int
    app_hash: bytes
    signers: int
    validators: int
    trust: Trust | None = None


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof document shows: the record's bytes after `height`, or None where there is no such record."""

    key: str
    height: int
    value: bytes | None
    signers: int
    validators: int
    trust: Trust | None = None


@dataclass(frozen=True, slots=True)
class ProvedReceipt:
    """A receipt anchored under a head that the licensee's lane key has signed; `value` is its batch record."""

    key: str
    height: int
    value: bytes
    signers: int
    validators: int
    body: ReceiptBody
    trust: Trust | None = None


class BatchValue(Record):
    """The record of anchored receipts: [first, first + count) of a lane's log, whose `size` leaves have root `head`."""

    first: Natural
    count: Natural
    units: Natural
    amount_ubeat: Amount
    head: bytes
    size: Natural
    voucher: SignedVoucher
    height: Natural
    time_ms: Natural
    tx: bytes


class AccountValue(Record):
    """The record of an account: `policy` is None until its keys are first replaced; `trail` leads to its movements."""

    balance_ubeat: Amount
    policy: Policy | None
    trail: Trail = NO_TRAIL


def proof_document(
    network: Network,
    key: str,
    value: bytes | None,
    nodes: Sequence[bytes],
    header: Header,
    commit: Commit,
    handovers: Sequence[Handover],
) -> dict[str, Any]:
    """A proof as it is written: see `verify_proof` for the reader."""
    return {
        "format": FORMAT,
        "engine": ENGINE,
        "chain_id": network.chain_id,
        "genesis_hash": network.genesis_hash.hex(),
        "height": header.height - 1,
        "key": key,
        "value": None if value is None else _base64(value),
        "nodes": [node.hex() for node in nodes],
        "header": _base64(encode(header)),
        "commit": _base64(encode(commit)),
        "handovers": [handover_document(handover) for handover in handovers],
    }


def handover_document(handover: Handover) -> dict[str, str]:
    return {
        "header": _base64(encode(handover.header)),
        "commit": _base64(encode(handover.commit)),
        "validators": _base64(encode(handover.members)),
    }


def verify_proof(document: Mapping[str, Any], genesis: Genesis, trust: Trust | None = None) -> Proved:
    """What the document proves on the network of this genesis. Raises Rejected for anything forged or malformed.

    `trust` is what an earlier proof has left: the way goes on from there. Of CometBFT's headers nothing is kept.
    """
    fields = _checked_fields(document, genesis.network)
    key = _text(fields["key"], "key")
    if split_key(key)[0] == RECEIPT:
        _refuse("it is a receipt's: check it with verify_receipt_proof")
    trusted, value = _proved_value(fields, genesis, state_key(key, genesis.dev), trust)
    return Proved(key, trusted.height, value, trusted.signers, trusted.validators, trusted.trust)


def verify_receipt_proof(document: Mapping[str, Any], genesis: Genesis, trust: Trust | None = None) -> ProvedReceipt:
    """What the document of a receipt proves: that it was anchored, and that both sides have signed it. Raises Rejected.

    The gateway signed by anchoring the batch; the lane key of the licensee signed the voucher in the batch record.
    """
    fields = _checked_fields(document, genesis.network)
    key, entry = _text(fields["key"], "key"), fields.get("receipt")
    if split_key(key)[0] != RECEIPT or not isinstance(entry, Mapping):
        _refuse("it is not a receipt's")
    raw = _bytes(entry.get("body"), "receipt")
    body: ReceiptBody = _record(ReceiptBody, entry.get("body"), "receipt")
    if receipt_id(raw) != parse_id(key.partition("/")[2]):
        _refuse("its receipt has another id")
    first = entry.get("first")
    if type(first) is not int or not 0 <= first <= body.seq:
        _refuse("its batch begins after the receipt")
    where = batch_state_key(body.licence, body.gateway, body.lane, first)
    trusted, value = _proved_value(fields, genesis, where, trust)
    if value is None:
        _refuse("the batch is not in the state")
    _check_anchored(genesis.network, decode(BatchValue, value, "batch"), body, raw, entry)
    return ProvedReceipt(key, trusted.height, value, trusted.signers, trusted.validators, body, trusted.trust)


def verify_header(
    genesis: Genesis, header: Header, commit: Commit, handovers: Sequence[Handover], trust: Trust | None = None
) -> Trusted:
    """The header as something to rely on. Raises Rejected unless it follows from genesis, or from earlier trust.

    A header below what is trusted already is judged from genesis.
    """
    network = genesis.network
    start = Trust(0, genesis.validators.members)
    if trust is not None and trust.height < header.height:
        start = trust
    validators, last = _set_of(start.members), start.height
    for handover in handovers:
        if handover.header.height <= start.height:
            continue
        if not last < handover.header.height < header.height:
            _refuse("its handovers are not in order")
        last = handover.header.height
        _check_signed(network, validators, handover.header, handover.commit)
        validators = _set_of(handover.members)
        if validators.hash != handover.header.next_validators_hash:
            _refuse("a handover names another validator set")
    signers = _check_signed(network, validators, header, commit)
    reached = Trust(last, validators.members)
    return Trusted(header, signers, len(validators), reached if trust is None or last >= trust.height else trust)


def account_value(value: bytes | None) -> AccountValue:
    """An account's proved record; an account that is not there has nothing."""
    return AccountValue(0, None) if value is None else decode(AccountValue, value, "account")


def _proved_value(
    fields: Mapping[str, Any], genesis: Genesis, where: bytes, trust: Trust | None
) -> tuple[_Root, bytes | None]:
    """The value that the document proves under a state key, and the root that it is proved by."""
    trusted = _comet_root(fields, genesis) if fields["engine"] == COMET else _own_root(fields, genesis, trust)
    if fields["height"] != trusted.height:
        _refuse("its height is not the one that its header proves")
    value = None if fields["value"] is None else _bytes(fields["value"], "value")
    nodes = [_hex(node) for node in _list(fields["nodes"], "nodes", NODES_MAX)]
    verify_state(trusted.app_hash, where, value, nodes)
    return trusted, value


def _own_root(fields: Mapping[str, Any], genesis: Genesis, trust: Trust | None) -> _Root:
    header = _record(Header, fields["header"], "header")
    commit = _record(Commit, fields["commit"], "commit")
    handovers = [_handover(entry) for entry in _list(fields["handovers"], "handovers", HANDOVERS_MAX)]
    trusted = verify_header(genesis, header, commit, handovers, trust)
    return _Root(header.height - 1, header.app_hash, trusted.signers, trusted.validators, trusted.trust)


def _comet_root(fields: Mapping[str, Any], genesis: Genesis) -> _Root:
    header = _record(CometHeader, fields["header"], "header")
    commit = _record(CometCommit, fields["commit"], "commit")
    handovers = [_comet_handover(entry) for entry in _list(fields["handovers"], "handovers", HANDOVERS_MAX)]
    signers, validators = cometlight.verify_header(genesis, header, commit, handovers)
    return _Root(header.height - 1, header.app_hash, signers, validators)


def _check_anchored(
    network: Network, batch: BatchValue, body: ReceiptBody, raw: bytes, entry: Mapping[str, Any]
) -> None:
    """The receipt is one of the batch, lies under its head, and the head is what the voucher signs."""
    if not batch.first <= body.seq < batch.first + batch.count:
        _refuse("the receipt is not one of its batch")
    path = [_hex(node) for node in _list(entry.get("path"), "path", NODES_MAX)]
    verify_inclusion(batch.head, raw, body.seq, batch.size, path)
    signed = batch.voucher
    named = (signed.voucher.licence, signed.voucher.gateway, signed.voucher.lane)
    if named != (body.licence, body.gateway, body.lane) or signed.voucher.head != batch.head:
        _refuse("its voucher is of another log")
    if not verify(signed.key, voucher_bytes(network, signed.voucher), signed.signature):
        _refuse("the signature of its voucher does not verify")


def _check_signed(network: Network, validators: ValidatorSet, header: Header, commit: Commit) -> int:
    if header.chain_id != network.chain_id:
        _refuse("a header is of another chain")
    if header.protocol > PROTOCOL:
        _refuse(f"a header is of protocol {header.protocol}, and this program knows up to {PROTOCOL}")
    if header.validators_hash != validators.hash:
        _refuse("a header was decided by a validator set that does not follow from genesis")
    return verify_commit(network, validators, commit, header.height, block_id(header))


def _checked_fields(document: Mapping[str, Any], network: Network) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        _refuse("it is not an object")
    for name in FIELDS:
        if name not in document:
            _refuse(f"the field {name} is missing")
    if document["format"] != FORMAT:
        _refuse(f"its format is not {FORMAT}")
    if document["engine"] not in ENGINES:
        _refuse("it is of a consensus engine that this program does not know")
    if document["chain_id"] != network.chain_id or document["genesis_hash"] != network.genesis_hash.hex():
        _refuse("it is of another network than this genesis")
    return document


def _comet_handover(entry: Any) -> CometHandover:
    if not isinstance(entry, Mapping):
        _refuse("a handover is not an object")
    return CometHandover(
        _record(CometHeader, entry.get("header"), "header"),
        _record(CometCommit, entry.get("commit"), "commit"),
        _record(tuple[Validator, ...], entry.get("validators"), "validator set"),
    )


def _handover(entry: Any) -> Handover:
    if not isinstance(entry, Mapping):
        _refuse("a handover is not an object")
    return Handover(
        _record(Header, entry.get("header"), "header"),
        _record(Commit, entry.get("commit"), "commit"),
        _record(tuple[Validator, ...], entry.get("validators"), "validator set"),
    )


def _record(kind: Any, text: Any, what: str) -> Any:
    try:
        return decode(kind, _bytes(text, what), what)
    except Rejected as error:
        _refuse(str(error))


def _set_of(members: Sequence[Validator]) -> ValidatorSet:
    try:
        return ValidatorSet(members)
    except Rejected as error:
        _refuse(str(error))


def _bytes(text: Any, what: str) -> bytes:
    try:
        return base64.b64decode(_text(text, what), validate=True)
    except binascii.Error:
        _refuse(f"the {what} is not base64")


def _hex(text: Any) -> bytes:
    try:
        found = bytes.fromhex(_text(text, "node"))
    except ValueError:
        _refuse("a node is not hex")
    if found.hex() != text:
        _refuse("a node is not hex")
    return found


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.isascii():
        _refuse(f"the {what} is not text")
    return value


def _list(value: Any, what: str, count_max: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > count_max:
        _refuse(f"the {what} are not a list of at most {count_max}")
    return value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _refuse(reason: str) -> NoReturn:
    raise Rejected("proof.invalid", reason=reason)
