"""Statements of a network that CometBFT decides: what its headers bind is proved, and of the rest it is said."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from cli.statement import SOURCES, evidence, verify
from cli.text.earnings import verified
from concento.blocks import Header
from concento.encoding import decode, encode
from concento.errors import Rejected
from support.comet_signed import commit, header
from support.told import Asked, sold


class CometAsked(Asked):
    """The same ledger, whose roots CometBFT's validators have signed."""

    def __init__(self) -> None:
        super().__init__(sold())
        self.methods["state_getProof"] = self._proof
        self.methods["chain_getRows"] = self._rows
        self._own = Asked(self.ledger)

    def _rows(self, height: int, txs: Any = ()) -> Any:
        raise Rejected("proof.engine")

    def _proof(self, key: str) -> dict[str, Any]:
        document: dict[str, Any] = self._own.proof(key)
        own: Header = decode(Header, base64.b64decode(document["header"]), "header")
        genesis = self.ledger.genesis
        signed = header(genesis, own.height, genesis.validators, app_hash=own.app_hash)
        shown = {
            "header": base64.b64encode(encode(signed)).decode(),
            "commit": base64.b64encode(encode(commit(signed, genesis.validators))).decode(),
        }
        return {**document, "engine": "comet", **shown}


@cache
def _written() -> str:
    asked = CometAsked()
    return json.dumps(evidence(asked, asked.whole("alice")))  # type: ignore[arg-type]


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads(_written())  # type: ignore[no-any-return]


def test_amounts_are_proved_and_every_column_that_is_not_is_named(document: dict[str, Any]) -> None:
    verdict = verify(document, sold().genesis)
    lines = document["statement"]["lines"]
    assert verdict["ok"] is True
    assert verdict["earned_ubeat"] == str(sum(int(line["amount_ubeat"]) for line in lines)) != "0"
    assert (verdict["lines"], verdict["blocks"], verdict["signers"], verdict["validators"]) == (12, 0, 4, 4)
    proved = {"shares", "shares_total", "amount_ubeat", "paid_height"}
    assert set(verdict["unproved"]) == set(SOURCES) == set(lines[0]) - proved
    said = " ".join(str(piece) for piece in verified(verdict))
    assert "signed by at least 4 of 4 validators" in said
    assert "Nothing proves the columns height, index" in said


def _more(document: dict[str, Any]) -> None:
    document["statement"]["lines"][0]["amount_ubeat"] = "9999999"


def _left_out(document: dict[str, Any]) -> None:
    del document["statement"]["lines"][3]


def _closing(document: dict[str, Any]) -> None:
    document["statement"]["closing_ubeat"] = "1"


def _movement_left_out(document: dict[str, Any]) -> None:
    del document["movements"][2]


def _other_lines(document: dict[str, Any]) -> None:
    found = next(item for item in document["movements"] if any(item["lines"]))
    found["lines"] = [[] for _ in found["lines"]]


def _own_engine(document: dict[str, Any]) -> None:
    document["account"]["engine"] = "own"


@pytest.mark.parametrize("lie", [_more, _left_out, _closing, _movement_left_out, _other_lines, _own_engine])
def test_whatever_a_liar_changes_of_what_is_proved_is_found(
    document: dict[str, Any], lie: Callable[[dict[str, Any]], None]
) -> None:
    changed = copy.deepcopy(document)
    lie(changed)
    with pytest.raises(Rejected) as caught:
        verify(changed, sold().genesis)
    assert caught.value.kind in ("statement.invalid", "statement.differs", "proof.invalid", "commit.invalid")
