"""What governance can change: who validates, who observes, and when the protocol switches.

A change is checked when it is proposed and again when it is decided; what no longer holds by then fails alone. A key
that left the validators comes back only when no evidence against it can be heard any more, and one that signed twice
never. Rules: docs/protocol/governance.md.
"""

from __future__ import annotations

from typing import Annotated, Final, assert_never

from msgspec import Meta

from concento.accounts import AccountId, is_placeholder
from concento.encoding import Natural, Record
from concento.errors import Rejected
from concento.genesis import Params
from concento.keys import PublicKey, check_public_key
from concento.limits import OBSERVERS_MAX, VALIDATORS_MAX
from concento.messages.governance import (
    AddValidator,
    AdmitObserver,
    CancelUpgrade,
    Change,
    RemoveObserver,
    RemoveValidator,
    ReplaceKey,
    Upgrade,
)
from concento.messages.identity import Name
from concento.texts import check_text
from concento.validators import Validator, ValidatorSet
from state.calls import Event
from state.validators import DEPARTURES, EFFECT_HEIGHTS, Departure, change_set, newest_set
from state.view import Kind, View

SWITCHES_MAX: Final = 1_024
"""Protocol versions of one chain: one a month for a lifetime."""
FIRST_PROTOCOL: Final = 1
"""In force where the state names no other."""


class Observer(Record):
    """A node without a vote: it may connect, and it may be made a validator."""

    key: PublicKey
    name: Name
    account: AccountId


class Observers(Record):
    """All of them, sorted by key."""

    members: Annotated[tuple[Observer, ...], Meta(max_length=OBSERVERS_MAX)]


class Switch(Record):
    """The first height of a protocol version."""

    height: Natural
    protocol: Natural


class Protocols(Record):
    """The versions of the chain, by height; the last may lie ahead."""

    switches: Annotated[tuple[Switch, ...], Meta(max_length=SWITCHES_MAX)]


OBSERVERS = Kind(b"observers/", Observers)
PROTOCOLS = Kind(b"protocols/", Protocols)
ONLY: Final = b""
"""The name of the one record of these kinds."""


# Reading


def observers_of(view: View) -> tuple[Observer, ...]:
    found = view.find(OBSERVERS, ONLY)
    return () if found is None else found.members


def switches_of(view: View) -> tuple[Switch, ...]:
    found = view.find(PROTOCOLS, ONLY)
    return () if found is None else found.switches


def protocol_at(switches: tuple[Switch, ...], height: int) -> int:
    """The version that a block of this height is made by."""
    return next((entry.protocol for entry in reversed(switches) if entry.height <= height), FIRST_PROTOCOL)


def write_first_protocol(view: View, protocol: int) -> None:
    """The version that genesis begins with; the first of all needs no record."""
    if protocol != FIRST_PROTOCOL:
        view.put(PROTOCOLS, ONLY, Protocols((Switch(1, protocol),)))


# Checking


def check_change(view: View, params: Params, change: Change) -> None:
    """Raises Rejected unless the change could take effect now; changes nothing."""
    match change:
        case AdmitObserver():
            _check_admission(view, change)
        case RemoveObserver(key):
            _require_observer(view, key)
        case AddValidator(key):
            _check_candidate(view, params, key)
            if len(newest_set(view)) >= VALIDATORS_MAX:
                raise Rejected("validators.invalid", count=VALIDATORS_MAX + 1, count_max=VALIDATORS_MAX)
        case RemoveValidator(key):
            _require_validator(view, key)
            _check_size(len(newest_set(view)) - 1, params)
        case ReplaceKey(key, new_key):
            _require_validator(view, key)
            _check_candidate(view, params, new_key)
        case Upgrade():
            _check_upgrade(view, change)
        case CancelUpgrade(protocol):
            if _ahead(view) is None or switches_of(view)[-1].protocol != protocol:
                raise Rejected("governance.no_upgrade", protocol=protocol)
        case _:
            assert_never(change)


def _check_admission(view: View, change: AdmitObserver) -> None:
    check_public_key(change.key)
    check_text("name", change.name)
    if is_placeholder(change.account):
        raise Rejected("governance.account_nobodys", name=change.name)
    observers, validators = observers_of(view), newest_set(view)
    if change.key in validators or any(observer.key == change.key for observer in observers):
        raise Rejected("governance.key_in_use", key=change.key)
    names = [*(observer.name for observer in observers), *(member.name for member in validators.members)]
    if change.name in names:
        raise Rejected("governance.name_in_use", name=change.name)
    if len(observers) >= OBSERVERS_MAX:
        raise Rejected("governance.observers_full", count_max=OBSERVERS_MAX)


def _require_observer(view: View, key: bytes) -> Observer:
    for observer in observers_of(view):
        if observer.key == key:
            return observer
    raise Rejected("governance.not_an_observer", key=key)


def _require_validator(view: View, key: bytes) -> Validator:
    for member in newest_set(view).members:
        if member.key == key:
            return member
    raise Rejected("governance.not_in_the_set", key=key)


def _check_candidate(view: View, params: Params, key: bytes) -> None:
    """An observer whose key could not be punished for what it signed as a validator."""
    if key in newest_set(view):
        raise Rejected("governance.key_in_use", key=key)
    _require_observer(view, key)
    left = view.find(DEPARTURES, key)
    if left is None or left.was == "observer":
        return
    if left.was == "offender":
        raise Rejected("governance.key_spent", key=key)
    until_ms = left.time_ms + params.consensus.evidence_age_ms
    if view.time_ms <= until_ms:
        raise Rejected("governance.key_recent", key=key, until_ms=until_ms)


def _check_size(count: int, params: Params) -> None:
    count_min = max(1, params.consensus.validators_min)
    if count < count_min:
        raise Rejected("governance.too_few", count=count, count_min=count_min)


def _check_upgrade(view: View, change: Upgrade) -> None:
    in_force = protocol_at(switches_of(view), view.height)
    if change.protocol <= in_force:
        raise Rejected("governance.protocol_old", protocol=change.protocol, in_force=in_force)
    earliest = view.height + EFFECT_HEIGHTS + 1
    if change.height < earliest:
        raise Rejected("governance.height_near", height=change.height, height_min=earliest)
    if _ahead(view) is None and len(switches_of(view)) >= SWITCHES_MAX:
        raise Rejected("governance.too_many_upgrades", count_max=SWITCHES_MAX)


def _ahead(view: View) -> Switch | None:
    """The upgrade that is decided and can still be taken back: nobody has acted on it yet."""
    switches = switches_of(view)
    return switches[-1] if switches and switches[-1].height > view.height + EFFECT_HEIGHTS else None


# Changing


def apply_change(view: View, change: Change) -> list[Event]:
    """Makes the change; called only after its check passed on the same view."""
    match change:
        case AdmitObserver(key, name, account):
            _write_observers(view, (*observers_of(view), Observer(key, name, account)))
            return [Event("observers.admitted", {"observer": name, "key": key, "account": account})]
        case RemoveObserver(key):
            observer = _drop_observer(view, key)
            if view.find(DEPARTURES, key) is None:
                view.put(DEPARTURES, key, Departure("observer", view.time_ms))
            return [Event("observers.removed", {"observer": observer.name, "key": key})]
        case AddValidator(key):
            observer = _drop_observer(view, key)
            added = Validator(key, observer.name, observer.account)
            change_set(view, ValidatorSet((*newest_set(view).members, added)))
            return [_told(view, "validators.added", added)]
        case RemoveValidator(key):
            left = _leave(view, key, None)
            return [_told(view, "validators.left", left)]
        case ReplaceKey(key, new_key):
            _drop_observer(view, new_key)
            left = _leave(view, key, new_key)
            event = _told(view, "validators.key_replaced", left)
            return [Event(event.kind, {**event.fields, "new_key": new_key})]
        case Upgrade(protocol, height):
            _write_switches(view, (*_reached(view), Switch(height, protocol)))
            return [Event("protocol.scheduled", {"protocol": protocol, "at_height": height})]
        case CancelUpgrade(protocol):
            _write_switches(view, _reached(view))
            return [Event("protocol.cancelled", {"protocol": protocol})]
        case _:
            assert_never(change)


def _leave(view: View, key: bytes, successor: bytes | None) -> Validator:
    """A validator's key goes, and its successor, if any, goes on in its name."""
    member = _require_validator(view, key)
    members = [other for other in newest_set(view).members if other.key != key]
    if successor is not None:
        members.append(Validator(successor, member.name, member.rewards_to))
    view.put(DEPARTURES, key, Departure("validator", view.time_ms))
    change_set(view, ValidatorSet(members))
    return member


def _drop_observer(view: View, key: bytes) -> Observer:
    found = _require_observer(view, key)
    _write_observers(view, tuple(observer for observer in observers_of(view) if observer.key != key))
    return found


def _write_observers(view: View, observers: tuple[Observer, ...]) -> None:
    if observers:
        view.put(OBSERVERS, ONLY, Observers(tuple(sorted(observers, key=lambda observer: observer.key))))
    else:
        view.delete(OBSERVERS, ONLY)


def _write_switches(view: View, switches: tuple[Switch, ...]) -> None:
    if switches:
        view.put(PROTOCOLS, ONLY, Protocols(switches))
    else:
        view.delete(PROTOCOLS, ONLY)


def _reached(view: View) -> tuple[Switch, ...]:
    """The switches that can no longer be taken back."""
    switches = switches_of(view)
    return switches[:-1] if _ahead(view) is not None else switches


def _told(view: View, kind: str, member: Validator) -> Event:
    from_height = view.height + EFFECT_HEIGHTS
    return Event(kind, {"validator": member.name, "key": member.key, "from_height": from_height})
