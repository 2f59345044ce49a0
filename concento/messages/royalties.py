"""Messages about income that waits: anybody may pull it forward; nobody has to."""

from __future__ import annotations

from concento.encoding import Bytes32, Natural, Record


class Claim(Record, tag="royalties.claim"):
    """Settle one page of the table behind an asset's leg now, the asset's parked income and one's own waiting money."""

    asset: Bytes32
    leg: Natural
    page: Natural


class Sweep(Record, tag="royalties.sweep"):
    """Queue the table behind an asset's leg below its threshold; the fee pays for `rows`, at least all of its rows."""

    asset: Bytes32
    leg: Natural
    rows: Natural
