"""Statements that can be checked: `concento-statement-1` holds a statement's lines and what proves its payments.

Every payment is a row under the results root of its block, which the next header carries; the headers follow from
genesis. What is checked: each row is in its block, the rows pay what the lines of that height add up to, each line is
what its shares earn, and the whole adds up to the balances. Nothing that a node says is believed.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from concento.accounts import parse_address
from concento.blocks import Header
from concento.client import Client
from concento.encoding import decode
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.light import Handover, verify_header
from concento.merkle import verify_inclusion
from concento.validators import Validator
from concento.votes import Commit
from state.modules.revenue import FinalisationRow, PayoutRow

FORMAT: Final = "concento-statement-1"
_PAGE: Final = 200


def evidence(client: Client, statement: dict[str, Any]) -> dict[str, Any]:
    """The statement with rows, paths, headers and commits of every block that paid."""
    status = client.status()
    heights = sorted({line["paid_height"] for line in statement["lines"]})
    handovers = list(_pages(client))
    return {
        "format": FORMAT,
        "chain_id": status["chain_id"],
        "genesis_hash": status["genesis_hash"],
        "statement": statement,
        "blocks": [client.call("chain_getRows", height=height) for height in heights],
        "handovers": handovers,
    }


def verify(document: Any, genesis: Genesis) -> dict[str, Any]:
    """Recomputes the statement. Raises Rejected statement.invalid, proof.invalid or commit.invalid."""
    try:
        return _verified(document, genesis)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _refuse(f"it is malformed: {type(error).__name__} {error}")


def _verified(document: Any, genesis: Genesis) -> dict[str, Any]:
    if document["format"] != FORMAT:
        _refuse(f"its format is not {FORMAT}")
    if document["chain_id"] != genesis.chain_id or document["genesis_hash"] != genesis.hash.hex():
        _refuse("it is of another network than this genesis")
    statement = document["statement"]
    account = parse_address(statement["address"], genesis.dev)
    handovers = [_handover(entry) for entry in document["handovers"]]
    proved: dict[int, int] = {}
    signers, rows = None, 0
    for block in document["blocks"]:
        height, paid, count, signed = _verified_block(block, genesis, handovers, account)
        if height in proved:
            _refuse(f"block {height} appears twice")
        proved[height] = paid
        rows += count
        signers = signed if signers is None else min(signers, signed)
    earned = _check_lines(statement, proved)
    _check_sums(statement, earned)
    return {
        "ok": True,
        "who": statement["who"],
        "address": statement["address"],
        "from_height": statement["from_height"],
        "to_height": statement["to_height"],
        "earned_ubeat": str(earned),
        "lines": len(statement["lines"]),
        "blocks": len(proved),
        "rows": rows,
        "signers": signers,
        "validators": len(genesis.validators),
    }


def _verified_block(
    block: Mapping[str, Any], genesis: Genesis, handovers: list[Handover], account: bytes
) -> tuple[int, int, int, int]:
    """(height, ubeat paid to the account, rows, signers) of one block."""
    header = decode(Header, _bytes(block["header"]), "header")
    commit = decode(Commit, _bytes(block["commit"]), "commit")
    height = block["height"]
    if header.height != height + 1:
        _refuse(f"block {height} comes with the header of another height")
    earlier = [handover for handover in handovers if handover.header.height < header.height]
    trusted = verify_header(genesis, header, commit, earlier)
    paid, seen = 0, set()
    for entry in block["rows"]:
        leaf, index = _bytes(entry["row"]), entry["index"]
        if index in seen:
            _refuse(f"a row of block {height} appears twice")
        seen.add(index)
        path = [bytes.fromhex(node) for node in entry["path"]]
        verify_inclusion(header.results_root, leaf, index, block["count"], path)
        row: FinalisationRow = decode(FinalisationRow, leaf, "row")  # type: ignore[arg-type]
        if isinstance(row, PayoutRow):
            paid += sum(payout.amount_ubeat for payout in row.payouts if payout.account == account)
    return height, paid, len(seen), trusted.signers


def _check_lines(statement: Mapping[str, Any], proved: dict[int, int]) -> int:
    """What all lines earn together. Refuses unless every height paid exactly what its lines say."""
    claimed: dict[int, int] = defaultdict(int)
    for line in statement["lines"]:
        amount_ubeat = int(line["amount_ubeat"])
        if amount_ubeat < 0 or not statement["from_height"] <= line["paid_height"] <= statement["to_height"]:
            _refuse(f"a line of height {line['height']} does not belong to the period")
        claimed[line["paid_height"]] += amount_ubeat
    for height in sorted(claimed.keys() | proved.keys()):
        if height not in proved:
            _refuse(f"nothing proves the payments of block {height}")
        if claimed[height] != proved[height]:
            raise Rejected("statement.differs", height=height, claimed=claimed[height], proved=proved[height])
    return sum(claimed.values())


def _check_sums(statement: Mapping[str, Any], earned: int) -> None:
    opening, other = int(statement["opening_ubeat"]), int(statement["other_ubeat"])
    closing = int(statement["closing_ubeat"])
    if int(statement["earned_ubeat"]) != earned:
        _refuse(f"it says that {statement['earned_ubeat']} ubeat were earned, its lines say {earned}")
    if opening + earned + other != closing:
        _refuse(f"opening {opening} + earned {earned} + other {other} is not closing {closing}")


def _pages(client: Client) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = client.call("chain_getHandovers", **{"from": 0}, cursor=cursor, limit=_PAGE)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _handover(entry: Mapping[str, Any]) -> Handover:
    return Handover(
        decode(Header, _bytes(entry["header"]), "header"),
        decode(Commit, _bytes(entry["commit"]), "commit"),
        decode(tuple[Validator, ...], _bytes(entry["validators"]), "validator set"),
    )


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        _refuse("a field is not base64")


def _refuse(reason: str) -> NoReturn:
    raise Rejected("statement.invalid", reason=reason)
