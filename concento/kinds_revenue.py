"""Reasons for refusals about shares, usage and disputes: a part of the table in `kinds.py`, by the same rules."""

from __future__ import annotations

from typing import Final

REVENUE_KINDS: Final[dict[str, tuple[str, str | None]]] = {
    "dispute.answered": ("dispute {dispute} is answered already", "see: concento dispute show {dispute}"),
    "dispute.bond_low": ("a bond of {bond} ubeat is below the least, {bond_min}", "set a larger --bond"),
    "dispute.claim_empty": ("a dispute of this kind claims nothing", "claim a part of a leg, or shares of a holder"),
    "dispute.claim_form": ("a claim is on a leg, in bps, or on a holder's shares, not on both", None),
    "dispute.conflict": ("{account} takes part in dispute {dispute} and cannot judge it", None),
    "dispute.evidence_repeated": (
        "this evidence was judged or is being judged in dispute {dispute}",
        "bring something new; see: concento dispute show {dispute}",
    ),
    "dispute.late": ("the time for this ended at {deadline_ms}", "see: concento dispute show {dispute}"),
    "dispute.not_found": ("there is no dispute {text}", "see: concento dispute list"),
    "dispute.not_open": ("dispute {dispute} is over: {state}", "see: concento dispute show {dispute}"),
    "dispute.not_ready": (
        "dispute {dispute} waits for an answer until {deadline_ms}",
        "rule when it is answered",
    ),
    "dispute.not_yours": ("dispute {dispute} is between {claimant} and {respondent}", None),
    "dispute.ruling_form": ("the ruling does not fit dispute {dispute}: {reason}", None),
    "dispute.self": ("nobody disputes what is his own", None),
    "dispute.too_many": (
        "asset {asset} has {count} open disputes, no more are heard at once",
        "wait for a ruling; see: concento dispute list",
    ),
    "dispute.voted": ("{account} has ruled in dispute {dispute} so already", None),
    "royalties.holder_too_young": ("a table holds accounts, vaults and older assets only, not {rank}", None),
    "royalties.no_leg": ("asset {asset} has no table behind leg {leg}", "see its legs: concento asset show {asset}"),
    "royalties.no_page": ("table {table} has no page {page}, it has {pages}", None),
    "royalties.not_sealed": ("asset {asset} cannot earn yet: it is unknown or not sealed", None),
    "royalties.record_missing": ("record {key} of the revenue state is missing", None),
    "royalties.rows_few": ("the table has {rows} rows, {given} are paid for", "name all rows: a sweep visits each"),
    "royalties.shares_short": ("the holder has {shares} shares in table {table}, fewer than are moved", None),
    "royalties.split_full": (
        "table {table} has {rows_max} rows already",
        "move a whole row, or move it to a vault first: a table of its own for wide ownership",
    ),
    "royalties.table_exhausted": ("table {table} cannot count any more income", None),
    "royalties.vault_empty": ("vault {vault} has no rows", "add some before it is sealed"),
    "royalties.vault_not_found": ("there is no vault {vault}", None),
    "royalties.vault_not_yours": ("vault {vault} was opened by {owner}", None),
    "royalties.vault_open": ("vault {vault} is still open", "whoever opened it seals it first"),
    "royalties.vault_rows": ("vault {vault} has {rows} rows, the chunk begins at {first}", "send what is missing only"),
    "royalties.vault_sealed": ("vault {vault} is sealed and gets no more rows", None),
    "royalties.vault_shares": ("vault {vault} would have {shares} shares in all, more than can be counted", None),
    "usage.closed": ("the usage of batch {pot} is closed: the rest was paid by weight", None),
    "usage.no_pot": ("no money waits for usage {pot}", None),
    "usage.not_filled": ("the money of usage {pot} is still on its way", "post it after the next block"),
    "usage.order": ("the usage of {pot} goes on at row {next}, not at {start}", "post the rows in order"),
    "usage.root_differs": ("the rows are not those that the reader signed", None),
    "usage.units_exceeded": ("the rows use {units} units, {units_total} were paid for", None),
    "usage.unknown_member": ("dataset {asset} has no member {index}", None),
}
