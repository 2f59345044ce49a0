"""Usage-weighted datasets on real receipts: a reader signs what he used, the gateway posts it, members are paid for it.

Reader, gateway and RPC are the real ones over loopback; only consensus is left out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from concento.cids import cid
from concento.client import AsyncClient
from concento.client.fetch import fetch
from concento.client.gateway import GatewaySession
from concento.client.rights import missing_deposit_ubeat
from concento.client.usage import post_usage
from concento.devnet import development_genesis
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.messages.assets import AudioFacts, Part
from concento.messages.licences import Price, Tier
from concento.messages.receipts import UsageRow
from concento.terms import Purpose
from gateway.app import make_app
from gateway.content import Content
from gateway.lanes import Lanes
from gateway.service import Gateway
from support.ledger import BEAT
from support.livechain import LiveChain, live_chain
from support.rights import album, buy, offer, recording, register, splits, work

PURPOSE: Purpose = "train-generative"
PER_ACCESS = BEAT // 20
PEOPLE = ("bea", "carol", "dana")


def without_rewards() -> Genesis:
    """Members get what readers paid and nothing else."""
    found = development_genesis()
    rewards = replace(found.params.rewards, data_ubeat=0)
    return Genesis(replace(found.record, params=replace(found.params, rewards=rewards)))


@contextmanager
def running_gateway(chain: LiveChain, folder: Path) -> Iterator[tuple[Gateway, str]]:
    """gateway1 with a loop of its own; (gateway, URL)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(working: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(working, loop).result(20)

    async def start() -> tuple[Gateway, AsyncClient, Lanes, web.AppRunner]:
        client, session = AsyncClient(chain.url), chain.session("gateway1")
        lanes = Lanes(folder / "lanes")
        gateway = Gateway(client, session, session.signer, Content(folder / "content"), lanes)
        await gateway.start()
        runner = web.AppRunner(make_app(gateway), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return gateway, client, lanes, runner

    gateway, client, lanes, runner = run(start())
    try:
        yield gateway, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        run(runner.cleanup())
        run(client.close())
        lanes.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Market:
    """One recording each of bea, carol and dana, the last two in a dataset inside the one that goes by use."""

    def __init__(self, chain: LiveChain, folder: Path, pricing: tuple[Price, ...], files: int = 1) -> None:
        self.chain = chain
        content = folder / "content"
        content.mkdir()
        self.tracks = {name: self._track(content, name, files) for name in PEOPLE}
        self.inner = album(chain.node, [self.tracks["carol"], self.tracks["dana"]])
        self.dataset = album(chain.node, [self.tracks["bea"], self.inner], rule="usage")
        self.offer = offer(chain.node, self.dataset, pricing=pricing)
        chain.blocks(2)
        self.before = self.balances()

    def _track(self, content: Path, name: str, files: int) -> bytes:
        parts = []
        for number in range(files):
            data = f"{name} {number}".encode()
            digest = sha256(data).digest()
            (content / cid(digest)).write_bytes(data)
            parts.append(Part(f"{name}{number}.flac", "audio/flac", digest, sha256(digest).digest(), len(data)))
        song = register(self.chain.node, "alice", work(name, rows=splits(**{name: 100})))
        facts = AudioFacts(2_000, 8_000, 1)
        made = recording(name, song, parts=tuple(parts), facts=facts, splits=splits(**{name: 100}))
        return register(self.chain.node, "alice", made)

    def balances(self) -> dict[str, int]:
        return {name: self.chain.balance(name) for name in PEOPLE}

    def earned(self) -> dict[str, int]:
        self.chain.blocks(3)
        return {name: balance - self.before[name] for name, balance in self.balances().items()}

    def read(self, url: str, target: Path, asset: bytes | None = None) -> dict[str, Any]:
        session = self.chain.session("bob")
        gateway = self.chain.session("gateway1").address
        return fetch(session, url, gateway, (asset or self.dataset).hex(), target, PURPOSE)


@pytest.fixture
def chain() -> Iterator[LiveChain]:
    with live_chain(without_rewards()) as chain:
        yield chain


METERED = (Price("one-off", BEAT), Price("per-access", PER_ACCESS * 1_000))


def test_members_are_paid_for_what_was_read_as_soon_as_it_is_anchored(chain: LiveChain, tmp_path: Path) -> None:
    market = Market(chain, tmp_path, METERED)
    buy(chain.node, market.offer)
    chain.blocks(3)
    market.before = market.balances()
    with running_gateway(chain, tmp_path) as (gateway, url):
        done = market.read(url, tmp_path / "data")
        assert (len(done["files"]), done["cost_ubeat"]) == (3, str(3 * PER_ACCESS))
        assert gateway.counters["usage_posts"] == 1
    assert chain.session("bob").client.pots()["items"] == []
    net = 3 * PER_ACCESS * 99 // 100
    earned = market.earned()
    # A third each: bea's directly, the other two thirds through the dataset inside.
    assert earned["bea"] == net // 3
    assert earned["carol"] + earned["dana"] == net - net // 3
    assert abs(earned["carol"] - earned["dana"]) <= 1


def test_more_files_than_one_batch_holds_are_posted_batch_by_batch(chain: LiveChain, tmp_path: Path) -> None:
    """The reader must know where each batch of 64 begins, or the rows would not be those that he signed."""
    parts = 15
    market = Market(chain, tmp_path, METERED, files=parts)
    more = [market._track(tmp_path / "content", f"more{number}", parts) for number in range(2)]
    wide = album(chain.node, [*market.tracks.values(), *more], rule="usage")
    buy(chain.node, offer(chain.node, wide, pricing=METERED))
    with running_gateway(chain, tmp_path) as (gateway, url):
        done = market.read(url, tmp_path / "data", wide)
        assert len(done["files"]) == 75
        assert len(done["anchored"]) == gateway.counters["usage_posts"] == 2
    assert chain.session("bob").client.pots()["items"] == []


def test_what_the_gateway_could_not_post_is_posted_by_a_curator(
    chain: LiveChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Market(chain, tmp_path, METERED)
    buy(chain.node, market.offer)

    async def nothing(*_: Any) -> None:
        """A gateway that does not care."""

    with monkeypatch.context() as patched, running_gateway(chain, tmp_path) as (_, url):
        patched.setattr(Gateway, "_post_usage", nothing)
        market.read(url, tmp_path / "data")
    curator = chain.session("alice")
    (pot,) = curator.client.pots(market.dataset.hex())["items"]
    wrong = [UsageRow(0, 3)]
    with pytest.raises(Rejected, match="not those that the reader signed"):
        post_usage(curator, pot["pot"], wrong)
    seen: list[tuple[int, int]] = []
    done = post_usage(curator, pot["pot"], on_rows=lambda rows, total: seen.append((rows, total)))
    assert (done.count, done.transactions, done.final, seen) == (2, 1, True, [(0, 2), (2, 2)])
    assert curator.client.pots()["items"] == []


def test_a_gateway_catches_up_with_usage_that_it_did_not_post(
    chain: LiveChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Market(chain, tmp_path, METERED)
    buy(chain.node, market.offer)

    async def nothing(*_: Any) -> None:
        """Down at that moment."""

    with running_gateway(chain, tmp_path) as (gateway, url):
        with monkeypatch.context() as patched:
            patched.setattr(Gateway, "_post_usage", nothing)
            market.read(url, tmp_path / "data")
        complaints: list[str] = []
        asyncio.run(_catch_up(chain, gateway, complaints))
        assert complaints == []
    assert chain.session("bob").client.pots()["items"] == []


def test_a_reader_who_signs_rows_of_his_own_is_complained_about_once(
    chain: LiveChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Market(chain, tmp_path, METERED)
    buy(chain.node, market.offer)
    monkeypatch.setattr(GatewaySession, "_usage_root", lambda _: bytes(range(32)))
    with running_gateway(chain, tmp_path) as (gateway, url):
        assert len(market.read(url, tmp_path / "data")["files"]) == 3
        complaints: list[str] = []
        for _ in range(2):
            asyncio.run(_catch_up(chain, gateway, complaints))
        assert gateway.counters["usage_posts"] == 0
        assert complaints == []
    (pot,) = chain.session("bob").client.pots()["items"]
    assert pot["rows_posted"] == 0


async def _catch_up(chain: LiveChain, gateway: Gateway, complaints: list[str]) -> None:
    async with AsyncClient(chain.url) as client:
        gateway.client = client
        await gateway.post_waiting(complaints.append)


def test_a_dataset_by_weight_signs_no_usage(chain: LiveChain, tmp_path: Path) -> None:
    market = Market(chain, tmp_path, METERED)
    flat = album(chain.node, [market.tracks["bea"]])
    buy(chain.node, offer(chain.node, flat, pricing=METERED))
    with running_gateway(chain, tmp_path) as (gateway, url):
        assert len(market.read(url, tmp_path / "data", flat)["files"]) == 1
        assert gateway.counters["usage_posts"] == 0


# Deposits


TIERED = (
    Price("one-off", BEAT),
    Price("guarantee", PER_ACCESS),
    Price("per-access", PER_ACCESS * 1_000, (Tier(2, PER_ACCESS * 100),)),
)


def test_fetch_sets_aside_what_tiers_and_guarantee_leave_to_pay_and_no_more(chain: LiveChain, tmp_path: Path) -> None:
    """Three files: two at full price, the third at a tenth; the guarantee has paid for one."""
    market = Market(chain, tmp_path, TIERED)
    buy(chain.node, market.offer)
    chain.blocks(2)
    before = chain.balance("bob")
    with running_gateway(chain, tmp_path) as (_, url):
        done = market.read(url, tmp_path / "data")
    due = 2 * PER_ACCESS + PER_ACCESS // 10 - PER_ACCESS
    assert done["cost_ubeat"] == str(due)
    licence = chain.session("bob").client.licence(done["licence"])
    assert (licence["deposit_ubeat"], licence["advance_ubeat"], licence["units_used"]) == ("0", "0", 3)
    history = chain.session("bob").client.history("bob")["items"]
    deposits = [int(item["amount_ubeat"]) for item in history if item["cause"] == "deposit"]
    assert deposits == [-due]
    assert before - chain.balance("bob") >= due


def test_fetch_uses_the_deposit_that_lies_there(chain: LiveChain, tmp_path: Path) -> None:
    market = Market(chain, tmp_path, METERED)
    licence = buy(chain.node, market.offer, deposit_ubeat=2 * PER_ACCESS)
    with running_gateway(chain, tmp_path) as (_, url):
        market.read(url, tmp_path / "data")
    history = chain.session("bob").client.history("bob")["items"]
    deposits = [int(item["amount_ubeat"]) for item in history if item["cause"] == "deposit"]
    assert deposits == [-PER_ACCESS, -2 * PER_ACCESS]
    assert chain.session("bob").client.licence(licence.hex())["deposit_ubeat"] == "0"


def test_what_other_lanes_have_locked_counts_before_one_s_own() -> None:
    licence = {
        "units_used": 1,
        "units_locked": 1,
        "unit_price_ubeat": str(PER_ACCESS * 1_000),
        "tiers": [{"units": 2, "price_ubeat": str(PER_ACCESS * 500)}],
        "advance_ubeat": str(PER_ACCESS // 2),
        "deposit_ubeat": str(PER_ACCESS),
    }
    # The second unit at full price, the third and fourth at half, less the advance and what lies there.
    assert missing_deposit_ubeat(licence, 2) == PER_ACCESS + PER_ACCESS - PER_ACCESS // 2 - PER_ACCESS
