"""What people type as terms, prices, layers and roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from cli.nearest import nearest
from concento.errors import Rejected

if TYPE_CHECKING:
    from concento.messages.licences import Price, Rate, Tier
    from concento.terms import Purpose, Terms

DAY_MS: Final = 86_400_000
UNITS_PER_PRICE: Final = 1_000
"""A metered price is written into the chain per 1,000 units."""


def parse_purpose(purpose: str) -> Purpose:
    """A purpose by its name. Raises Rejected terms.unknown_purpose, naming the one that was probably meant."""
    from concento.terms import PURPOSES

    for known in PURPOSES:
        if known == purpose:
            return known
    error = Rejected("terms.unknown_purpose", purpose=purpose)
    meant = nearest(purpose, PURPOSES)
    error.hint = f"did you mean {meant}?" if meant else "one of: " + ", ".join(PURPOSES)
    raise error


def parse_terms(
    allow: Sequence[str], deny: Sequence[str], constrained: Sequence[str], duration_days: int | None
) -> Terms:
    """Terms that permit what is named; everything else is denied. Raises Rejected, or a usage error."""
    from concento.terms import make_terms

    named = [*_split(allow), *_split(deny), *_split(constrained)]
    for purpose in named:
        parse_purpose(purpose)
        if named.count(purpose) > 1:
            raise click.UsageError(f"{purpose} is named twice: say it once, in --allow, --constrained or --deny.")
    if not allow and not constrained:
        raise click.UsageError("A licence must permit something: say --allow PURPOSE, for example train-generative.")
    duration_ms = None if duration_days is None else duration_days * DAY_MS
    return make_terms(tuple(_split(allow)), tuple(_split(constrained)), duration_ms)


def parse_pricing(
    price: str | None,
    per_access: str | None,
    per_second: str | None,
    per_output: str | None = None,
    per_period: str | None = None,
    guarantee: str | None = None,
    share: str | None = None,
    tiers: Sequence[str] = (),
) -> tuple[Price, ...]:
    """The lines of an offer's pricing; nothing at all means: no offer."""
    from concento.messages.licences import Price
    from concento.units import parse_beat

    if per_access and per_second:
        raise click.UsageError("Use is priced per access or per second, not both.")
    if price and per_period:
        raise click.UsageError("A licence is bought once or by the period, not both.")
    if tiers and not (per_access or per_second):
        raise click.UsageError("A --tier is of a price for use: say --per-access or --per-second too.")
    steps = _tiers(tiers)
    lines = []
    if price:
        amount_ubeat = parse_beat(price)
        lines.append(Price("one-off", amount_ubeat) if amount_ubeat else Price("free", 0))
    if per_period:
        lines.append(Price("subscription", parse_beat(per_period)))
    if guarantee:
        lines.append(Price("guarantee", parse_beat(guarantee)))
    if per_access:
        lines.append(Price("per-access", parse_beat(per_access) * UNITS_PER_PRICE, steps))
    if per_second:
        lines.append(Price("per-second", parse_beat(per_second) * UNITS_PER_PRICE, steps))
    if per_output:
        lines.append(Price("per-output", parse_beat(per_output)))
    if share:
        lines.append(Price("revenue-share", 0, (), parse_bps(share)))
    return tuple(lines)


def _tiers(rows: Sequence[str]) -> tuple[Tier, ...]:
    """Volume prices from rows such as "1000=0.02", in order of their units."""
    from concento.messages.licences import Tier
    from concento.units import parse_beat

    found = []
    for row in rows:
        units, equals, price = row.partition("=")
        if not equals or not (units.isascii() and units.isdigit()) or not int(units):
            raise click.UsageError(f"{row} is no tier such as 1000=0.02: beyond 1,000 units one costs 0.02 BEAT.")
        found.append(Tier(int(units), parse_beat(price) * UNITS_PER_PRICE))
    return tuple(sorted(found, key=lambda tier: tier.units))


def parse_upstream(derived: str | None, floor: str | None, ceiling: str | None) -> Rate | None:
    """What is owed by what licensees make of an asset; nothing where neither rate is named."""
    from concento.messages.licences import Rate
    from concento.units import parse_beat

    if not derived and not floor:
        if ceiling:
            raise click.UsageError("A ceiling bounds a rate: name --derived or --floor too.")
        return None
    return Rate(
        parse_bps(derived) if derived else 0,
        parse_bps(floor) if floor else 0,
        parse_beat(ceiling) if ceiling else None,
    )


def parse_bps(text: str) -> int:
    """Basis points from a percentage with at most two decimals, such as "12.5" or "12.5%"."""
    whole, dot, fraction = text.strip().removesuffix("%").strip().partition(".")
    digits = whole.isascii() and whole.isdigit() and (not dot or (fraction.isascii() and fraction.isdigit()))
    if not digits or len(fraction) > 2 or len(whole) > 3:
        raise click.UsageError(f"{text} is no percentage with at most two decimals.")
    bps = int(whole) * 100 + int(fraction.ljust(2, "0"))
    if bps > 10_000:
        raise click.UsageError(f"{text} is more than 100 %.")
    return bps


def parse_layers(text: str) -> int:
    """The work's part in basis points from "work=50,recording=50". Raises Rejected split.layers_malformed."""
    parts: dict[str, int] = {}
    for row in text.split(","):
        layer, _, percent = row.strip().partition("=")
        whole, dot, fraction = percent.removesuffix("%").partition(".")
        digits = whole + fraction
        if not digits.isascii() or not digits.isdigit() or not whole or len(fraction) > 2 or (dot and not fraction):
            raise Rejected("split.layers_malformed", text=text)
        parts[layer] = int(whole) * 100 + int(fraction.ljust(2, "0") or "0")
    if set(parts) != {"work", "recording"} or sum(parts.values()) != 10_000:
        raise Rejected("split.layers_malformed", text=text)
    if parts["work"] in (0, 10_000):
        raise Rejected("split.layers", work_bps=parts["work"])
    return parts["work"]


def _split(values: Sequence[str]) -> list[str]:
    """Repeated options and comma-separated lists come to the same."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
