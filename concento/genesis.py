"""The first state of a network: who validates, who is admitted, who holds what, and every parameter.

The genesis hash is over the canonical encoding of the decoded record, never over a file's bytes, so white space and
key order do not matter and every field does.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any, Final, Literal, NoReturn, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from concento.accounts import AccountId, account_of_key, address, parse_address
from concento.development import development_keys
from concento.encoding import BasisPoints, Natural, Record, encode
from concento.errors import Rejected
from concento.hashing import Network, tagged_hash
from concento.keys import PublicKey, check_public_key
from concento.limits import VALIDATORS_MAX
from concento.messages.identity import Name, PartyKind, Roles
from concento.strictjson import loads
from concento.texts import fault_of
from concento.units import AMOUNT_UBEAT_MAX, Amount
from concento.validators import Validator, ValidatorSet

FORMAT: Final = "concento-genesis-1"
PROTOCOL: Final = 1
"""The newest protocol that this software speaks; it speaks all before it, for a chain begins with an older one."""
PARTIES_MAX: Final = 10_000
BALANCES_MAX: Final = 60_000

Duration = Annotated[int, Meta(ge=1, le=10 * 365 * 86_400_000)]
Count = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class ConsensusParams(Record):
    """Timeouts and windows, all in milliseconds; all of block time but the three timeouts and the heartbeat."""

    propose_ms: Duration
    propose_delta_ms: Duration
    propose_ms_max: Duration
    vote_ms: Duration
    vote_delta_ms: Duration
    vote_ms_max: Duration
    heartbeat_ms: Duration
    block_spacing_min_ms: Duration
    clock_precision_ms: Duration
    replay_window_ms: Duration
    evidence_age_ms: Duration
    validators_min: Annotated[int, Meta(ge=1, le=VALIDATORS_MAX)]


class FeeParams(Record):
    """What a transaction costs, and where fees go. The market fee is taken from every payment to an asset."""

    per_byte_ubeat: Amount
    per_weight_ubeat: Amount
    burn_bps: BasisPoints
    market_bps: BasisPoints


class RevenueParams(Record):
    """Bounds of the payment pass: `dust` parks less, `work` and `v_min` bound a block, `row_threshold` a sweep."""

    dust: Amount
    work: Count
    v_min: Count
    row_threshold: Count


class AccessParams(Record):
    """Gateways: how long after a licence's end receipts may still be anchored, and how much may be unsigned."""

    anchor_window_ms: Duration
    unsigned_units_max: Count


class LimitParams(Record):
    """Bounds on one block. One unit of weight is about one state record written."""

    block_weight: Count


class RewardParams(Record):
    """Every `epoch_ms` up to `data_ubeat` is made for those whose data others paid to use.

    Nobody gets more than `alpha_bps` of the market fees that this use caused, and less than that is burnt of them: who
    pays himself loses.
    """

    epoch_ms: Duration
    data_ubeat: Amount
    alpha_bps: BasisPoints


class DisputeParams(Record):
    """Disputes: the least bond, how long an answer and a ruling may take, how many arbiters must agree.

    `open_max` disputes of one asset are heard at once; what one holds is at most `hold_factor` times its bond.
    """

    bond_min_ubeat: Amount
    hold_factor: Annotated[int, Meta(ge=1, le=1_000)]
    answer_ms: Duration
    ruling_ms: Duration
    open_max: Annotated[int, Meta(ge=1, le=64)]
    arbiters_min: Annotated[int, Meta(ge=1, le=64)]


class Params(Record):
    """Everything that governance may change one day; fixed by genesis today."""

    consensus: ConsensusParams
    fees: FeeParams
    revenue: RevenueParams
    access: AccessParams
    limits: LimitParams
    rewards: RewardParams
    disputes: DisputeParams


class GenesisValidator(Record):
    """A first validator; its share of the fees goes to `rewards_to`."""

    name: Name
    key: PublicKey
    rewards_to: AccountId


class GenesisParty(Record):
    """A party that is admitted from the start; issuers exist only here."""

    name: Name
    key: PublicKey
    kind: PartyKind
    roles: Roles


class GenesisBalance(Record):
    account: AccountId
    amount_ubeat: Amount


class _GenesisRecord(Record):
    format: Literal["concento-genesis-1"]
    chain_id: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{2,40}$")]
    dev: bool
    time_ms: Natural
    protocol: Natural
    validators: Annotated[tuple[GenesisValidator, ...], Meta(max_length=VALIDATORS_MAX)]
    parties: Annotated[tuple[GenesisParty, ...], Meta(max_length=PARTIES_MAX)]
    balances: Annotated[tuple[GenesisBalance, ...], Meta(max_length=BALANCES_MAX)]
    params: Params


class Genesis:
    """A checked genesis record."""

    def __init__(self, record: _GenesisRecord) -> None:
        self.record = record
        self.chain_id = record.chain_id
        self.dev = record.dev
        self.time_ms = record.time_ms
        self.protocol = record.protocol
        self.parties = record.parties
        self.balances = record.balances
        self.params = record.params
        _check(record)

    @cached_property
    def hash(self) -> bytes:
        return tagged_hash("genesis", encode(self.record))

    @cached_property
    def network(self) -> Network:
        return Network(self.chain_id, self.hash)

    @cached_property
    def validators(self) -> ValidatorSet:
        return ValidatorSet(Validator(entry.key, entry.name, entry.rewards_to) for entry in self.record.validators)

    @property
    def supply_ubeat(self) -> int:
        return sum(balance.amount_ubeat for balance in self.balances)


def parse_genesis(data: bytes | str) -> Genesis:
    """The genesis in a JSON text. Raises Rejected naming the field that is wrong."""
    document = loads(data, "genesis")
    if not isinstance(document, dict):
        raise Rejected("genesis.invalid", field="(file)", reason="not a JSON object")
    dev = document.get("dev")
    if not isinstance(dev, bool):
        raise Rejected("genesis.invalid", field="dev", reason="must be true or false")
    _check_names("", document, tuple(_GenesisRecord.__struct_fields__))
    plain = dict(document)
    plain["validators"] = [
        _validator(entry, f"validators[{index}]", dev) for index, entry in enumerate(_items(document, "validators"))
    ]
    plain["parties"] = [_party(entry, f"parties[{index}]") for index, entry in enumerate(_items(document, "parties"))]
    balances = document["balances"]
    if not isinstance(balances, dict):
        raise Rejected("genesis.invalid", field="balances", reason="must be an object of address: amount")
    plain["balances"] = sorted(
        (_account(text, f"balances.{text}", dev), _ubeat(amount, f"balances.{text}"))
        for text, amount in balances.items()
    )
    plain["params"] = _fields(Params, document["params"], "params")
    try:
        record = msgspec.convert([plain[name] for name in _GenesisRecord.__struct_fields__], _GenesisRecord)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        raise Rejected("genesis.invalid", field=_field_name(place), reason=reason) from None
    return Genesis(record)


def make_genesis(
    chain_id: str,
    dev: bool,
    time_ms: int,
    validators: tuple[GenesisValidator, ...],
    parties: tuple[GenesisParty, ...],
    balances: dict[bytes, int],
    params: Params,
) -> Genesis:
    """A genesis from its parts. Raises Rejected as `parse_genesis` does."""
    amounts = tuple(GenesisBalance(account, amount) for account, amount in sorted(balances.items()))
    record = _GenesisRecord(FORMAT, chain_id, dev, time_ms, PROTOCOL, validators, parties, amounts, params)
    return Genesis(record)


def genesis_json(genesis: Genesis) -> str:
    """The genesis as the file that `parse_genesis` reads, with a line end."""
    record = genesis.record
    dev = record.dev
    document = {
        "format": record.format,
        "chain_id": record.chain_id,
        "dev": dev,
        "time_ms": record.time_ms,
        "protocol": record.protocol,
        "validators": [
            {"name": entry.name, "key": entry.key.hex(), "rewards_to": address(entry.rewards_to, dev)}
            for entry in record.validators
        ],
        "parties": [
            {"name": entry.name, "key": entry.key.hex(), "kind": entry.kind, "roles": list(entry.roles)}
            for entry in record.parties
        ],
        "balances": {address(entry.account, dev): str(entry.amount_ubeat) for entry in record.balances},
        "params": params_json(record.params),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def params_json(params: Record) -> dict[str, Any]:
    """Parameters as nested objects of field name to value."""
    return {
        name: params_json(value) if isinstance(value, Record) else value
        for name, value in ((name, getattr(params, name)) for name in params.__struct_fields__)
    }


DEFAULT_PARAMS: Final = Params(
    consensus=ConsensusParams(
        propose_ms=500,
        propose_delta_ms=250,
        propose_ms_max=3_000,
        vote_ms=250,
        vote_delta_ms=125,
        vote_ms_max=1_500,
        heartbeat_ms=5_000,
        block_spacing_min_ms=10,
        clock_precision_ms=5_000,
        replay_window_ms=120_000,
        evidence_age_ms=24 * 3_600_000,
        validators_min=4,
    ),
    fees=FeeParams(per_byte_ubeat=1, per_weight_ubeat=10, burn_bps=5_000, market_bps=100),
    revenue=RevenueParams(dust=1, work=50_000, v_min=300, row_threshold=1_000),
    access=AccessParams(anchor_window_ms=3_600_000, unsigned_units_max=64),
    limits=LimitParams(block_weight=100_000),
    rewards=RewardParams(epoch_ms=3_600_000, data_ubeat=1_000_000_000, alpha_bps=4_000),
    disputes=DisputeParams(
        bond_min_ubeat=10_000_000,
        hold_factor=10,
        answer_ms=7 * 24 * 3_600_000,
        ruling_ms=30 * 24 * 3_600_000,
        open_max=4,
        arbiters_min=2,
    ),
)
"""Parameters of a development network, and the starting point of any other."""


def _check(record: _GenesisRecord) -> None:
    if not 1 <= record.protocol <= PROTOCOL:
        _refuse("protocol", f"this software speaks protocols up to {PROTOCOL}, not {record.protocol}")
    if not record.validators:
        _refuse("validators", "at least one validator is needed")
    _distinct("validators", "name", [entry.name for entry in record.validators])
    _distinct("validators", "key", [entry.key.hex() for entry in record.validators])
    _distinct("parties", "name", [entry.name for entry in record.parties])
    _distinct("parties", "key", [entry.key.hex() for entry in record.parties])
    _distinct("balances", "account", [entry.account.hex() for entry in record.balances])
    for name, _ in _keys(record):
        fault = fault_of(name)
        if fault is not None:
            _refuse(f"name {name!r}", fault)
    for name, key in _keys(record):
        try:
            check_public_key(key)
        except Rejected:
            _refuse(f"key of {name}", "not a usable Ed25519 key")
    for party in record.parties:
        if list(party.roles) != sorted(set(party.roles)):
            _refuse(f"roles of {party.name}", "must be sorted and distinct")
    if sum(entry.amount_ubeat for entry in record.balances) > AMOUNT_UBEAT_MAX:
        _refuse("balances", f"the supply is above {AMOUNT_UBEAT_MAX} ubeat")
    revenue, fees = record.params.revenue, record.params.fees
    if revenue.row_threshold * fees.market_bps < fees.per_weight_ubeat * 10_000:
        _refuse("params.revenue.row_threshold", "the fee on a row's income would not pay for visiting the row")
    if record.params.rewards.alpha_bps >= fees.burn_bps and record.params.rewards.data_ubeat:
        _refuse("params.rewards.alpha_bps", "must be less than fees.burn_bps, or paying oneself would pay")
    if not record.dev:
        _check_no_development_key(record)


def _keys(record: _GenesisRecord) -> list[tuple[str, bytes]]:
    return [(entry.name, entry.key) for entry in record.validators] + [
        (party.name, party.key) for party in record.parties
    ]


def _check_no_development_key(record: _GenesisRecord) -> None:
    known = development_keys()
    for name, key in _keys(record):
        if key in known:
            _refuse(f"key of {name}", "a development key, known to everybody; only a dev genesis may use it")
    accounts = {account_of_key(key) for key in known}
    if any(balance.account in accounts for balance in record.balances):
        _refuse("balances", "a development account, open to everybody; only a dev genesis may use it")


def _validator(entry: Any, path: str, dev: bool) -> list[Any]:
    _check_names(path, entry, ("name", "key", "rewards_to"))
    return [
        entry["name"],
        _key(entry["key"], f"{path}.key"),
        _account(entry["rewards_to"], f"{path}.rewards_to", dev),
    ]


def _party(entry: Any, path: str) -> list[Any]:
    _check_names(path, entry, ("name", "key", "kind", "roles"))
    return [entry["name"], _key(entry["key"], f"{path}.key"), entry["kind"], entry["roles"]]


def _items(document: dict[str, Any], name: str) -> list[Any]:
    items = document[name]
    if not isinstance(items, list):
        _refuse(name, "must be a list")
    return list(items)


def _fields(kind: type[Record], value: Any, path: str) -> list[Any]:
    _check_names(path, value, tuple(kind.__struct_fields__))
    hints = get_type_hints(kind, include_extras=False)
    return [
        _fields(hints[name], value[name], f"{path}.{name}")
        if isinstance(hints[name], type) and issubclass(hints[name], Record)
        else value[name]
        for name in kind.__struct_fields__
    ]


def _check_names(path: str, value: Any, names: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        _refuse(path, "must be an object")
    dotted = f"{path}." if path else ""
    for name in value:
        if name not in names:
            _refuse(dotted + name, "unknown field")
    for name in names:
        if name not in value:
            _refuse(dotted + name, "missing")


def _key(text: Any, path: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except (TypeError, ValueError):
        key = b""
    if len(key) != 32 or key.hex() != text:
        _refuse(path, "must be 64 lower-case hex digits")
    return key


def _account(text: Any, path: str, dev: bool) -> bytes:
    try:
        return parse_address(text, dev)
    except (Rejected, AttributeError, TypeError) as error:
        _refuse(path, str(error))


def _ubeat(text: Any, path: str) -> int:
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > 19:
        _refuse(path, "must be a string of digits, in ubeat")
    return int(text)


def _distinct(where: str, what: str, values: list[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            _refuse(where, f"{what} {value} appears twice")
        seen.add(value)


def _refuse(field: str, reason: str) -> NoReturn:
    raise Rejected("genesis.invalid", field=field, reason=reason)


def _field_name(place: str) -> str:
    """`$[8][0][2]` as `params.consensus.propose_ms_max`."""
    kind: Any = _GenesisRecord
    name = ""
    for index in place.strip("`$[]").replace("][", " ").split():
        if isinstance(kind, type) and issubclass(kind, Record) and index.isdigit():
            field = kind.__struct_fields__[int(index)]
            name = f"{name}.{field}" if name else field
            kind = get_type_hints(kind)[field]
        else:
            name += f"[{index}]"
            kind = next((item for item in get_args(kind) if item is not Ellipsis), None) if get_origin(kind) else None
    return name or "(file)"
