"""Who validates: every set of validators there was, by the first height at which it votes, and what misbehaviour costs.

A change decided at a height takes effect two heights later, so that the header in between can announce it.
Rules: docs/protocol/validators.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from concento.encoding import Natural, Record
from concento.validators import Validator, ValidatorSet
from state.calls import Event, Value
from state.view import Kind, View

EFFECT_HEIGHTS: Final = 2
"""From the height that decides a change to the first at which it holds: next_validators_hash announces it between."""

SUSPENSION_MS: Final = 24 * 3_600_000
"""How long a misbehaving validator that cannot be spared earns no fees, in block time: a day's work of its peers."""


class SetRecord(Record):
    """A set of validators, sorted by key."""

    members: tuple[Validator, ...]


class NewestRecord(Record):
    """The first height of the newest set; it may lie ahead."""

    first_height: Natural


class Punishment(Record):
    """Marks that a key was punished for what it signed at a height; `height` is that of the punishing block."""

    height: Natural


class Suspension(Record):
    """A validator that earns no fees while block time is not past `until_ms`."""

    until_ms: Natural


class Departure(Record):
    """A key that stood in a set, or among the observers, and left: by a vote, or for signing twice."""

    was: Literal["observer", "validator", "offender"]
    time_ms: Natural


SETS = Kind(b"validators/", SetRecord)
NEWEST = Kind(b"validators-newest/", NewestRecord)
PUNISHMENTS = Kind(b"punishment/", Punishment)
SUSPENSIONS = Kind(b"suspension/", Suspension)
DEPARTURES = Kind(b"departure/", Departure)
NEWEST_KEY: Final = b""


def write_set(view: View, first_height: int, validators: ValidatorSet) -> None:
    """Makes this the newest set."""
    view.put(SETS, height_key(first_height), SetRecord(validators.members))
    view.put(NEWEST, NEWEST_KEY, NewestRecord(first_height))


def change_set(view: View, validators: ValidatorSet) -> None:
    """From two heights on, these validate."""
    write_set(view, view.height + EFFECT_HEIGHTS, validators)


def changes_set(view: View) -> bool:
    """Whether this block has decided on another set."""
    return view.get(NEWEST, NEWEST_KEY).first_height == view.height + EFFECT_HEIGHTS


def newest_set(view: View) -> ValidatorSet:
    """The set of height + 2, and of every height after it until it changes again."""
    newest = view.get(NEWEST, NEWEST_KEY)
    return ValidatorSet(view.get(SETS, height_key(newest.first_height)).members)


def height_key(height: int) -> bytes:
    return height.to_bytes(8, "big")


def punish(view: View, evidence: Sequence[tuple[bytes, int]], validators_min: int) -> list[Event]:
    """Punishes each (key, height) once: removal while enough validators remain, else a day without fees."""
    events: list[Event] = []
    validators = newest = newest_set(view)
    for key, height in evidence:
        name = key + height_key(height)
        if view.find(PUNISHMENTS, name) is not None:
            continue
        if key not in validators:
            events += _ban(view, key, height)
            continue
        view.put(PUNISHMENTS, name, Punishment(view.height))
        member = next(member for member in validators.members if member.key == key)
        fields: dict[str, Value] = {"validator": member.name, "key": key, "height": height}
        if len(validators) > validators_min:
            validators = ValidatorSet(member for member in validators.members if member.key != key)
            view.put(DEPARTURES, key, Departure("offender", view.time_ms))
            events.append(Event("validators.removed", {**fields, "from_height": view.height + EFFECT_HEIGHTS}))
        else:
            until_ms = view.time_ms + SUSPENSION_MS
            view.put(SUSPENSIONS, key, Suspension(until_ms))
            events.append(Event("validators.suspended", {**fields, "until_ms": until_ms}))
    if validators != newest:
        change_set(view, validators)
    return events


def left_unpunished(view: View, key: bytes) -> bool:
    """Whether the key was voted out or replaced, and nothing is held against it."""
    left = view.find(DEPARTURES, key)
    return left is not None and left.was == "validator"


def _ban(view: View, key: bytes, height: int) -> list[Event]:
    """Who left before it was found out never validates again; that is said once, for whatever it signed."""
    if not left_unpunished(view, key):
        return []
    view.put(PUNISHMENTS, key + height_key(height), Punishment(view.height))
    view.put(DEPARTURES, key, Departure("offender", view.get(DEPARTURES, key).time_ms))
    return [Event("validators.banned", {"key": key, "height": height})]


def earns_fees(view: View, key: bytes) -> bool:
    """Whether the validator is not suspended."""
    suspension = view.find(SUSPENSIONS, key)
    return suspension is None or suspension.until_ms < view.time_ms
