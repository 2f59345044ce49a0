"""Load for a network: transfers signed beforehand, handed in by batches, counted where they count: in blocks."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.request import Request, urlopen

import msgpack

from concento.accounts import account_of_key
from concento.client import Client, Session, Signer
from concento.hashing import Network
from concento.keys import public_key
from concento.messages.tokens import Transfer
from concento.transactions import Body, sign_transaction

BATCH: Final = 250
SENDERS: Final = 200
"""Accounts that pay."""
RECEIVERS: Final = 10_000
"""Accounts that are paid, unless said otherwise; each comes into being with its first payment."""
VALID_MS: Final = 110_000
STRIDE: Final = 7_919
"""Receivers follow each other by this prime, so that every block touches accounts all over the state."""
FEE_UBEAT_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Sustained:
    """What the blocks of a run say."""

    transactions: int
    seconds: float
    blocks: int

    @property
    def rate(self) -> float:
        return self.transactions / self.seconds


def senders(client: Client, payer: Signer) -> list[Signer]:
    """Accounts with money for the run, which the payer gives them."""
    signers = []
    for number in range(SENDERS):
        seed = number.to_bytes(4, "big") * 8
        signers.append(Signer(f"sender{number}", account_of_key(public_key(seed)), (seed,)))
    session = Session(client, payer)
    for start in range(0, SENDERS, 50):
        session.send([Transfer(signer.account, 100_000_000) for signer in signers[start : start + 50]])
    return signers


def sign_transfers(
    network: Network, signers: list[Signer], count: int, receivers: int = RECEIVERS, first: int = 0
) -> list[bytes]:
    """Encoded transfers of 1 ubeat each, valid from now on; other `first` numbers give other transfers."""
    until = time.time_ns() // 1_000_000 + VALID_MS
    # Also where two runs follow each other on one network.
    run = time.time_ns().to_bytes(8, "big")
    paid = [sha256(number.to_bytes(8, "big")).digest() for number in range(receivers)]
    raws = []
    for number in range(first, first + count):
        sender = signers[number % len(signers)]
        body = Body(
            chain_id=network.chain_id,
            genesis_prefix=network.genesis_hash[:8],
            sender=sender.account,
            nonce=run + number.to_bytes(8, "big"),
            valid_until_ms=until,
            max_fee_ubeat=FEE_UBEAT_MAX,
            actions=(Transfer(paid[number * STRIDE % receivers], 1),),
            memo="",
        )
        raws.append(sign_transaction(network, body, sender.seeds).raw)
    return raws


def sustain(urls: list[str], raws: list[bytes]) -> Sustained:
    """Hands everything in as fast as the nodes take it; ends when all of it is final, or after two minutes."""
    client = Client(urls[0])
    first = client.status()["height"]
    began = time.perf_counter()
    with ThreadPoolExecutor(len(urls)) as pool:
        shares = [raws[index :: len(urls)] for index in range(len(urls))]
        list(pool.map(_hand_in, urls, shares))
    counted = _wait_included(client, first, len(raws))
    seconds = time.perf_counter() - began
    blocks = sum(1 for _, count in counted if count)
    return Sustained(sum(count for _, count in counted), seconds, blocks)


def idle_finality_ms(client: Client, signers: list[Signer], rounds: int) -> list[float]:
    """Milliseconds from handing in one transfer to knowing that it is final, one after the other, sorted."""
    network = Session(client, signers[0]).network
    found = []
    for number, raw in enumerate(sign_transfers(network, signers, rounds)):
        began = time.perf_counter()
        answer = client.submit(raw)
        client.transaction(answer["tx"], wait_ms=10_000)
        found.append((time.perf_counter() - began) * 1000)
        time.sleep(0.05 if number % 2 else 0.08)
    return sorted(found)


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the sorted values lies."""
    return values[min(len(values) - 1, int(len(values) * share))]


def _hand_in(url: str, raws: list[bytes]) -> None:
    for start in range(0, len(raws), BATCH):
        waiting = raws[start : start + BATCH]
        while waiting:
            waiting = _post(url, waiting)
            if waiting:
                time.sleep(0.02)


def _post(url: str, raws: list[bytes]) -> list[bytes]:
    """Hand a batch in; what the node was too busy for."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "tx_submitBatch", "params": {"txs": raws}}
    body = msgpack.packb(request, use_bin_type=True)
    with urlopen(Request(f"{url}/rpc", body, {"Content-Type": "application/msgpack"}), timeout=60) as answer:
        items = json.loads(answer.read())["result"]["items"]
    refused = [item for item in items if item["error"] and not item["error"]["data"]["retryable"]]
    if refused:
        raise RuntimeError(f"a transfer was refused: {refused[0]['error']}")
    return [raw for raw, item in zip(raws, items, strict=True) if item["error"]]


def _wait_included(client: Client, after: int, wanted: int) -> list[tuple[int, int]]:
    """(height, transactions) of the blocks after a height, until as many as wanted are included."""
    counted: list[tuple[int, int]] = []
    deadline = time.monotonic() + 120
    height = after
    while sum(count for _, count in counted) < wanted and time.monotonic() < deadline:
        tip = client.status()["height"]
        while height < tip:
            height += 1
            block = client.block(height=height)
            counted.append((height, sum(entry["status"] == "final" for entry in block["txs"])))
        time.sleep(0.02)
    return counted
