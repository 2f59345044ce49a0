"""Messages about income that waits: anybody may pull it forward; nobody has to."""

from __future__ import annotations

from concento.encoding import Bytes32, Natural, Record


class Claim(Record, tag="royalties.claim"):
    """Settle one page of an asset's table now, and its parked income with it."""

    asset: Bytes32
    page: Natural


class Sweep(Record, tag="royalties.sweep"):
    """Queue an asset's table for settlement below its threshold; the sender's fee pays for the rows."""

    asset: Bytes32
