"""Every cause of income is told in statements that add up and that nobody can bend: rewards, disputes, declarations."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from cli.statement import evidence, verify
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.messages.disputes import DISMISSED, AnswerDispute, OpenDispute, RuleDispute
from concento.messages.licences import Price, ReportRevenue
from state.modules.revenue import FROM_SOURCE, Inflow, LedgerPaymentRow, Source
from support.ledger import BEAT, account_of
from support.lineage import OPEN, licence, people, rel, remix_of
from support.node import DecidedLedger
from support.rights import Reader, buy, offer, recording, register, splits, work
from support.told import Asked

DAY_MS = 24 * 3_600_000
HOUR_MS = 3_600_000


@cache
def rewarded() -> DecidedLedger:
    """bob read alice's track ten times; the hour is over."""
    ledger = DecidedLedger()
    track = register(ledger, "alice", recording("t0", splits=splits(alice=100)))
    sold = offer(ledger, track, pricing=(Price("per-access", 50 * BEAT),), layers=("recording",))
    lane = Reader(ledger, buy(ledger, sold, deposit_ubeat=10 * BEAT), track)
    ledger.run("bob", lane.open_action(10))
    for _ in range(10):
        lane.read(track, "t0")
    lane.anchor()
    ledger.block(time_ms=(ledger.time_ms // HOUR_MS + 1) * HOUR_MS)
    ledger.block()
    ledger.block()
    return ledger


@cache
def disputed() -> DecidedLedger:
    """Of one sale arbiters gave three quarters of what was held back; of another nobody ruled, and all came back."""
    ledger = DecidedLedger()
    song = register(ledger, "alice", work("Song", rows=splits(alice=100)))
    sold = offer(ledger, song, layers=("work",))
    for evidence_of in ("a letter", "another letter"):
        claim = OpenDispute(song, "ownership", 0, 5_000, b"", 0, 0, 10 * BEAT, sha256(evidence_of.encode()).digest())
        dispute = ledger.run("dana", claim)[0].fields["dispute"]
        assert isinstance(dispute, bytes)
        buy(ledger, sold)
        ledger.run("alice", AnswerDispute(dispute, False, b""))
        if evidence_of == "a letter":
            ruling = replace(DISMISSED, upheld=True, escrow_bps=2_500)
            for arbiter in ("arbiter1", "arbiter2"):
                ledger.run(arbiter, RuleDispute(dispute, ruling))
        else:
            ledger.block(time_ms=ledger.time_ms + 31 * DAY_MS)
    ledger.block()
    ledger.block()
    return ledger


@cache
def declared() -> DecidedLedger:
    """The owner of a remix passes on what it earned elsewhere; alice made the song."""
    ledger = DecidedLedger()
    people(ledger, "fay")
    song = register(ledger, "alice", recording("song", terms=OPEN, splits=splits(alice=100)))
    remix = remix_of(ledger, "fay", (song, licence(ledger, song, "alice", "fay", rel(2_500))), splits=splits(fay=100))
    ledger.run("fay", ReportRevenue(remix, b"", 0, ledger.time_ms, 10 * BEAT, b""))
    ledger.block()
    ledger.block()
    return ledger


STORIES: dict[str, Callable[[], DecidedLedger]] = {"reward": rewarded, "dispute": disputed, "declared": declared}


def written(ledger: DecidedLedger) -> dict[str, Any]:
    asked = Asked(ledger)
    return copy.deepcopy(evidence(asked, asked.whole("alice")))  # type: ignore[arg-type]


@pytest.mark.parametrize("cause", STORIES)
def test_income_of_every_cause_adds_up_and_is_recomputed(cause: str) -> None:
    ledger = STORIES[cause]()
    document = written(ledger)
    statement = document["statement"]
    told = [line for line in statement["lines"] if line["source"] == cause]
    assert told
    assert int(statement["earned_ubeat"]) == sum(int(line["amount_ubeat"]) for line in statement["lines"])
    parts = [int(statement[f"{name}_ubeat"]) for name in ("opening", "earned", "other", "closing")]
    assert sum(parts[:3]) == parts[3] == ledger.balance("alice")
    verdict = verify(document, ledger.genesis)
    assert (verdict["ok"], verdict["lines"]) == (True, len(statement["lines"]))


def test_a_reward_has_no_payer_no_transaction_and_no_fee() -> None:
    ledger = rewarded()
    usage, reward = written(ledger)["statement"]["lines"][-2:]
    assert (usage["cause"], usage["amount_ubeat"], usage["fee_ubeat"]) == ("usage", "495000", "5000")
    amount = str(5_000 * ledger.params.rewards.alpha_bps // 10_000)
    assert (reward["cause"], reward["payer"], reward["cause_tx"]) == ("reward", None, None)
    assert (reward["gross_ubeat"], reward["fee_ubeat"], reward["amount_ubeat"]) == (amount, "0", amount)


def test_what_a_dispute_gives_back_is_told_with_the_ruling_or_without_a_transaction() -> None:
    lines = [line for line in written(disputed())["statement"]["lines"] if line["cause"] == "dispute"]
    half = 40 * BEAT * 99 // 100 // 2
    assert [line["amount_ubeat"] for line in lines] == [str(half - half // 4), str(half)]
    ruled, lapsed = lines
    assert ruled["cause_tx"] is not None
    assert lapsed["cause_tx"] is None
    assert {line["payer"] for line in lines} == {None}
    assert {line["fee_ubeat"] for line in lines} == {"0"}


def test_declared_income_stays_declared_upstream_in_what_is_proved() -> None:
    (line,) = written(declared())["statement"]["lines"]
    assert (line["cause"], line["source"], line["amount_ubeat"]) == ("royalty", "declared", str(99 * BEAT // 10 // 4))


def _tell_otherwise(document: dict[str, Any], cause: str, changes: dict[str, Any]) -> None:
    """Every payment of a cause told otherwise, in the records and in the lines."""
    for entry in document["records"]:
        if not bytes.fromhex(entry[0]).startswith(b"hinflow/"):
            continue
        inflows = decode(tuple[Inflow, ...], base64.b64decode(entry[1]))
        entry[1] = base64.b64encode(encode(tuple(_changed(inflow, cause, changes) for inflow in inflows))).decode()
    for line in document["statement"]["lines"]:
        if line["source"] == cause and "cause" in changes:
            line["source"] = changes["cause"]
            line["cause"] = changes["cause"] if line["cause"] == cause else line["cause"]


def _changed(inflow: Inflow, cause: str, changes: dict[str, Any]) -> Inflow:
    source = decode(Source, inflow.origin) if inflow.kind == FROM_SOURCE else None
    if source is None or source.cause != cause:
        return inflow
    return replace(inflow, origin=encode(replace(source, **changes)))


@pytest.mark.parametrize(
    ("story", "cause", "changes"),
    [
        ("reward", "reward", {"cause": "usage"}),
        ("reward", "usage", {"cause": "reward"}),
        ("reward", "reward", {"cause_id": bytes(32)}),
        ("reward", "reward", {"payer": account_of("bob")}),
        ("reward", "usage", {"payer": account_of("carol")}),
        ("dispute", "dispute", {"cause": "reward"}),
        ("dispute", "dispute", {"cause_id": bytes(32)}),
        ("dispute", "dispute", {"payer": account_of("bob")}),
        ("declared", "declared", {"cause": "sale"}),
        ("declared", "declared", {"payer": account_of("alice")}),
    ],
)
def test_a_payment_that_is_told_otherwise_is_found(story: str, cause: str, changes: dict[str, Any]) -> None:
    ledger = STORIES[story]()
    document = written(ledger)
    _tell_otherwise(document, cause, changes)
    with pytest.raises(Rejected) as refusal:
        verify(document, ledger.genesis)
    assert refusal.value.kind == "statement.invalid"


@pytest.mark.parametrize("story", ["reward", "dispute"])
def test_what_the_ledger_pays_itself_needs_its_row(story: str) -> None:
    ledger = STORIES[story]()
    document = written(ledger)
    tag = encode(LedgerPaymentRow(0, 0, "", bytes(32), 0))[:9]
    for block in document["blocks"]:
        block["rows"] = [row for row in block["rows"] if not base64.b64decode(row["row"]).startswith(tag)]
    with pytest.raises(Rejected) as refusal:
        verify(document, ledger.genesis)
    assert refusal.value.kind == "statement.invalid"
