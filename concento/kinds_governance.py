"""Reasons for refusals about proposals and who runs the network: part of the table in `kinds.py`, by its rules."""

from __future__ import annotations

from typing import Final

GOVERNANCE_KINDS: Final[dict[str, tuple[str, str | None]]] = {
    "governance.account_nobodys": ("the account of {name} is a placeholder, nobody could speak for the node", None),
    "governance.approved_already": (
        "{account} has approved proposal {proposal} already",
        "see who has not: concento gov show {proposal}",
    ),
    "governance.expiry": (
        "a proposal cannot end at {expires_ms} when block time is {time_ms}",
        "let it end within 90 days",
    ),
    "governance.height_near": (
        "an upgrade at height {height} comes too soon, {height_min} is the earliest",
        "choose a height that leaves every operator time to install the release",
    ),
    "governance.key_in_use": ("the key {key} is in use already", "see: concento gov validators"),
    "governance.key_recent": (
        "the key {key} has left the validators and may still be accused until {until_ms}",
        "use a new key: concento node init",
    ),
    "governance.key_spent": (
        "the key {key} has signed twice and never validates again",
        "use a new key: concento node init",
    ),
    "governance.name_in_use": ("another node is called {name}", "choose another name"),
    "governance.no_upgrade": ("no upgrade to protocol {protocol} lies ahead", "see: concento gov upgrades"),
    "governance.not_a_validator": (
        "{account} speaks for no validator",
        "act --from the account that a validator's rewards go to; see: concento gov validators",
    ),
    "governance.not_an_observer": (
        "the node {key} is no observer",
        "first: concento gov propose observer add {key} --name NAME",
    ),
    "governance.not_found": ("there is no proposal {text}", "see: concento gov list"),
    "governance.not_in_the_set": ("no validator has the key {key}", "see: concento gov validators"),
    "governance.not_open": ("proposal {proposal} is over: {state}", "see: concento gov show {proposal}"),
    "governance.observers_full": ("there are {count_max} observers, no more fit", "remove one that is not needed"),
    "governance.proposed_already": (
        "the same is proposed already, as {proposal}",
        "approve it: concento gov approve {proposal}",
    ),
    "governance.protocol_old": ("protocol {protocol} is not above {in_force}, which is in force", None),
    "governance.too_few": (
        "{count} validators would remain, at least {count_min} must",
        "add another first, or replace the key",
    ),
    "governance.too_many": ("you have {count} open proposals, no more are heard at once", "see: concento gov list"),
    "governance.too_many_upgrades": ("a chain has at most {count_max} protocol versions", None),
}
