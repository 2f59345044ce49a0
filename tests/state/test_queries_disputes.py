"""What people can ask about disputes, and who sees them without being told."""

from __future__ import annotations

from hashlib import sha256

import pytest

from concento.errors import Rejected
from concento.messages.assets import Split
from concento.messages.disputes import AnswerDispute, OpenDispute
from concento.messages.royalties import OpenVault, SealVault
from state.queries import Chain
from state.queries_disputes import dispute_get, dispute_list, taint
from support.ledger import BEAT, account_of
from support.lineage import OPEN, licence, own_right, people, remix_of
from support.node import DecidedLedger
from support.rights import album, recording, register, work


def read(ledger: DecidedLedger) -> Chain:
    return Chain(ledger.kv, ledger.tree, ledger.genesis)


def claim(asset: bytes, evidence: str = "a letter", holder: bytes = b"", shares: int = 0) -> OpenDispute:
    digest = sha256(evidence.encode()).digest()
    return OpenDispute(asset, "ownership", 0, 0 if holder else 5_000, holder, 0, shares, 10 * BEAT, digest)


def opened(ledger: DecidedLedger, action: OpenDispute, who: str = "carol") -> bytes:
    dispute = ledger.run(who, action)[0].fields["dispute"]
    assert isinstance(dispute, bytes)
    return dispute


def family(ledger: DecidedLedger) -> dict[str, bytes]:
    """A work, a recording of it, a data set of that, a remix of the recording and one of the remix; and a stranger."""
    people(ledger, "remixer")
    song = register(ledger, "alice", work("song", terms=OPEN))
    master = register(ledger, "alice", recording("master", song, terms=OPEN))
    pool = album(ledger, [master])
    remix = remix_of(ledger, "remixer", (master, licence(ledger, master, "alice", "remixer", None)))
    again = remix_of(ledger, "remixer", (remix, own_right(ledger, remix, "remixer", None)), name="again")
    other = register(ledger, "bea", recording("other", terms=OPEN))
    return {"song": song, "master": master, "pool": pool, "remix": remix, "again": again, "other": other}


def test_descendants_see_a_dispute_above_them_without_a_transaction_of_their_own() -> None:
    ledger = DecidedLedger()
    assets = family(ledger)
    before = {name: ledger.state()[b"asset/" + asset] for name, asset in assets.items()}
    dispute = opened(ledger, claim(assets["song"]))
    chain = read(ledger)
    told = {name: taint(chain, asset.hex())["tainted_by"] for name, asset in assets.items()}
    expected = [{"asset": assets["song"].hex(), "disputes": [dispute.hex()]}]
    assert {name for name, found in told.items() if found == expected} == {"song", "master", "remix", "again"}
    assert told["other"] == []
    assert {name: ledger.state()[b"asset/" + asset] for name, asset in assets.items()} == before
    ledger.run("alice", AnswerDispute(dispute, True, b""))
    assert taint(read(ledger), assets["again"].hex())["tainted_by"] == []


def test_a_dispute_is_found_by_its_asset_its_state_and_itself() -> None:
    ledger = DecidedLedger()
    song = register(ledger, "alice", work("song"))
    first, second = (opened(ledger, claim(song, evidence)) for evidence in ("one", "two"))
    ledger.run("alice", AnswerDispute(first, True, b""))
    chain = read(ledger)
    assert {item["id"] for item in dispute_list(chain, song.hex(), None, None, None)["items"]} == {
        first.hex(),
        second.hex(),
    }
    assert [item["id"] for item in dispute_list(chain, None, "pending", None, None)["items"]] == [second.hex()]
    assert dispute_get(chain, first.hex())["state"] == "upheld"
    assert dispute_get(chain, second.hex()[:12])["held_ubeat_max"] == str(100 * BEAT)


def test_disputes_of_a_vault_are_found_by_the_vault() -> None:
    ledger = DecidedLedger()
    vault = ledger.run("carol", OpenVault("a fund", (Split(account_of("dana"), 9),)))[0].fields["vault"]
    assert isinstance(vault, bytes)
    ledger.run("carol", SealVault(vault))
    dispute = opened(ledger, claim(vault, holder=account_of("dana"), shares=4), "bob")
    (item,) = dispute_list(read(ledger), vault.hex(), None, None, None)["items"]
    assert (item["id"], item["asset"], item["shares"]) == (dispute.hex(), vault.hex(), "4")
    with pytest.raises(Rejected) as refusal:
        dispute_list(read(ledger), "ab" * 32, None, None, None)
    assert refusal.value.kind == "asset.not_found"
