"""Reasons for refusals about receipts, shares, usage and disputes: part of the table in `kinds.py`, by its rules."""

from __future__ import annotations

from typing import Final

REVENUE_KINDS: Final[dict[str, tuple[str, str | None]]] = {
    "dataset.other_members": (
        "dataset {dataset} has {count} members that are not the first of this list",
        "go on with the list that it was begun with; see: concento dataset members {dataset}",
    ),
    "dispute.answered": ("dispute {dispute} is answered already", "see: concento dispute show {dispute}"),
    "dispute.bond_low": ("a bond of {bond_beat} BEAT is below the least, {bond_min_beat}", "set a larger --bond"),
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
    "receipt.bodies": (
        "{count} receipts are anchored with {bodies} bodies",
        "up to 64 receipts all bodies ride along, above that none",
    ),
    "receipt.foreign": ("receipt {seq} is not the one of this lane ({lane}), licence and gateway", None),
    "receipt.foreign_member": ("recording {member} does not belong to asset {asset}", None),
    "receipt.gap": ("the lane's log is anchored up to {size}, it cannot go on at {seq}", "anchor from {size} on"),
    "receipt.head_differs": ("these receipts do not lead to the head that the voucher signs at size {size}", None),
    "receipt.no_path": (
        "not every receipt below the head of receipt {text} is on the chain, so it has no path here",
        "ask the gateway for its log",
    ),
    "receipt.none": ("no receipt would be anchored", None),
    "receipt.not_found": (
        "no receipt {text} is anchored",
        "it appears once its gateway has anchored it: concento receipt list",
    ),
    "receipt.replayed": (
        "receipt {seq} is anchored already: the lane's log stands at {size}",
        "anchor from {size} on; nothing is paid twice",
    ),
    "receipt.units_differ": ("the receipts count {units} units, the voucher {expected}", None),
    "receipt.units_low": ("{count} accesses cost at least one unit each, the voucher adds {units}", None),
    "receipt.window_over": (
        "the time to anchor receipts of licence {licence} is over: it ended at {ended_ms}",
        "anchor within the anchor window next time",
    ),
    "receipt.wrong_content": ("receipt {seq} names bytes that are no file of recording {member}", None),
    "receipt.wrong_purpose": ("receipt {seq} is for {purpose}, which the licence does not permit", None),
    "lineage.ancestors_declared": (
        "the asset has {ancestors} ancestors, {declared} were declared",
        "declare at least {ancestors}: the fee depends on them",
    ),
    "lineage.incompatible": (
        "what the parents' licences permit has nothing in common with these terms",
        "allow a purpose that all of them allow, or leave a parent out",
    ),
    "lineage.layer_uncovered": (
        "the licence for asset {asset} does not cover its {layer}",
        "buy a licence for both layers, or name the work with a licence of its own beside it",
    ),
    "licence.deposit_none_free": (
        "nothing of the deposit of licence {licence}, {deposit}, is free",
        "close its lanes first; what they lock is free after their anchor window",
    ),
    "lineage.licence_needed": (
        "offer {offer} is no right to asset {asset}, which belongs to {owner}",
        "buy a licence under it: concento licence buy {asset}",
    ),
    "lineage.own_offer_needed": (
        "asset {asset} is your own, and no offer of it permits {purpose}: what is made from it would owe nothing fixed",
        "say what it owes in an offer: concento licence offer {asset} --allow {purpose} --price 0 --derived PERCENT",
    ),
    "lineage.no_right": ("there is no licence {right} of asset {asset}", "see: concento licence list"),
    "lineage.not_a_model": ("asset {asset} is a {asset_kind}, not a model", None),
    "lineage.not_concerned": (
        "neither asset {child} nor asset {parent} is yours",
        "the owners of both agree on a link; others open a dispute",
    ),
    "lineage.not_the_service": ("only {service} registers outputs of model {model}", None),
    "lineage.output_splits": (
        "an output under licence {licence} belongs to its licensee alone",
        "leave the splits out; the licensee may pass shares on",
    ),
    "lineage.outputs_unauthorised": (
        "the licensee lets the service register {outputs} outputs under licence {licence}, {used} are registered",
        "the licensee says how many there may be in all: concento licence outputs {licence} COUNT",
    ),
    "lineage.parent_twice": ("asset {asset} is named as a parent twice", None),
    "lineage.parent_younger": (
        "asset {parent} is younger than asset {child}, so it cannot be a parent of it",
        None,
    ),
    "lineage.rate_high": ("asset {child} keeps {left} basis points, {rel_bps} cannot be taken", None),
    "lineage.rate_zero": ("a link without a rate is none", "name a rate above 0"),
    "lineage.rates_sum": (
        "the parents would take {total} of {whole} basis points",
        "leave a parent out, or buy under an offer with a lower rate",
    ),
    "lineage.right_foreign": ("{right} is a right to another asset than {asset}", None),
    "lineage.slots_used": (
        "licence {licence} is for {slots} {what}, which are registered",
        "buy another licence",
    ),
    "lineage.too_many": (
        "the asset would have {count} {what}, {count_max} at most are possible",
        "gather sources in a dataset and name that",
    ),
    "revenue.evidence_invalid": ("evidence is the hash of a document, or nothing", None),
    "revenue.period": (
        "the period from {from_ms} to {until_ms} is empty, not over yet, or begins before {last_ms}",
        "report what comes after the last report, up to now",
    ),
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
    "royalties.vault_open": (
        "vault {vault} is still open",
        "whoever opened it seals it first: concento vault seal {vault}",
    ),
    "royalties.vault_rows": ("vault {vault} has {rows} rows, the chunk begins at {first}", "send what is missing only"),
    "royalties.vault_sealed": ("vault {vault} is sealed and gets no more rows", None),
    "royalties.vault_shares": ("vault {vault} would have {shares} shares in all, more than can be counted", None),
    "rows.invalid": ("{path}, line {line}: {reason}", "correct the line; nothing was sent"),
    "rows.none": ("{path} holds no rows", "a CSV file with a heading line, or JSON Lines"),
    "rows.repeated": ("{path}, line {line}: {text} stands in line {other} already", "put it into one line"),
    "shares.none": ("{account} has no shares of {source}", "see: concento shares list"),
    "shares.short": ("{shares} shares of {source} are there, {wanted} were to go", "see: concento shares list"),
    "shares.which_leg": ("there are shares of several legs of {source}: {legs}", "say which: --leg N"),
    "usage.closed": ("the usage of batch {pot} is closed: the rest was paid by weight", None),
    "usage.no_pot": ("no money waits for usage {pot}", "see: concento usage list"),
    "usage.not_filled": ("the money of usage {pot} is still on its way", "post it after the next block"),
    "usage.order": ("the usage of {pot} goes on at row {next}, not at {start}", "post the rows in order"),
    "usage.not_found": ("no money waits for usage {pot}", "see: concento usage list"),
    "usage.rows_not_found": (
        "usage {pot} cannot be told from receipts on the chain: some are not there, or the reader signed other rows",
        "ask the reader or the gateway for them and post those: concento usage post {pot} --rows FILE",
    ),
    "usage.root_differs": ("the rows are not those that the reader signed", None),
    "usage.units_exceeded": ("the rows use {units} units, {units_total} were paid for", None),
    "usage.unknown_member": ("dataset {asset} has no member {index}", None),
    "wallet.name_development": (
        "{name} is an account of every development network, and this key would stand in its place",
        "choose another name, or act as that account: --from {name}",
    ),
    "vault.other_rows": (
        "vault {vault} has {rows} rows that are not the first rows of this list",
        "go on with the list that it was begun with; see: concento vault rows {vault}",
    ),
    "vault.not_found": ("there is no vault {text}", "see: concento vault list"),
}
