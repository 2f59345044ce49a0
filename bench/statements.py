"""What a long statement costs: reading 10,000 lines from a node, writing their proofs, recomputing them.

Run with `python -m bench.statements`. A data set of 50 recordings is sold 100 times on four local validators;
its owner has a line for each recording and each work of every sale. Reading must stay below 2 s, recomputing
below 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from bench.networks import concento
from concento.client import Client, Session
from concento.client.wallet import development_signer
from concento.messages import Action
from concento.messages.assets import (
    OWN,
    AddMembers,
    Description,
    Leg,
    Part,
    RegisterDataset,
    RegisterRecording,
    RegisterWork,
    SealDataset,
    Split,
)
from concento.messages.licences import BuyLicence, CreateOffer, Price
from concento.terms import LAYERS, make_terms, terms_hash
from concento.transactions import object_id

BASE_PORT = 27700
PRICE_UBEAT = 1_000_000
TERMS = make_terms(allow=("analysis",))
RECORDINGS_PER_TRANSACTION = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.statements", description=__doc__)
    parser.add_argument("--recordings", type=int, default=50)
    parser.add_argument("--sales", type=int, default=100)
    parser.add_argument("--base-port", type=int, default=BASE_PORT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as home:
        environment = os.environ | {"CONCENTO_HOME": home}
        up = ["testnet", "up", "--detach", "--json", "--base-port", str(options.base_port)]
        network = json.loads(concento(environment, *up))
        environment["CONCENTO_URL"] = network["nodes"][0]["rpc"]
        try:
            measure(environment, Path(home), options.recordings, options.sales)
        finally:
            concento(environment, "testnet", "down")
    return 0


def measure(environment: dict[str, str], home: Path, recordings: int, sales: int) -> None:
    """Prints one line per measurement."""
    client = Client(environment["CONCENTO_URL"])
    alice, bob = (Session(client, development_signer(name)) for name in ("alice", "bob"))
    offer = register(alice, recordings)
    for _ in range(sales):
        bob.send([BuyLicence(offer, terms_hash(TERMS), PRICE_UBEAT, "analysis", 0)])
    began = time.perf_counter()
    lines = read_lines(client)
    print(f"statement of {lines:,} lines, read from a node page by page: {time.perf_counter() - began:6.2f} s")
    file = home / "statement.json"
    began = time.perf_counter()
    concento(environment, "earnings", "alice", "--out", str(file))
    print(f"the same with its proofs, written to a file:            {time.perf_counter() - began:6.2f} s")
    print(f"size of the file:                                       {file.stat().st_size / 1e6:6.1f} MB")
    began = time.perf_counter()
    concento(environment, "earnings", "verify", str(file))
    print(f"recomputed from the genesis file alone:                 {time.perf_counter() - began:6.2f} s")


def read_lines(client: Client) -> int:
    """How many lines alice's statement has."""
    count, cursor = 0, None
    while True:
        page = client.call("earnings_getStatement", who="alice", cursor=cursor, limit=200)
        count += len(page["lines"])
        cursor = page["next"]
        if cursor is None:
            return count


def register(alice: Session, count: int) -> bytes:
    """A data set of so many recordings, each over a work of its own, all of alice's; returns its offer."""
    members: list[bytes] = []
    for first in range(0, count, RECORDINGS_PER_TRANSACTION):
        nonce = sha256(b"recordings %d" % first).digest()[:16]
        actions: list[Action] = []
        for number in range(first, min(first + RECORDINGS_PER_TRANSACTION, count)):
            work = object_id("asset", alice.signer.account, nonce, len(actions))
            members.append(object_id("asset", alice.signer.account, nonce, len(actions) + 1))
            actions += _song(alice, number, work)
        alice.send(actions, nonce=nonce)
    nonce = sha256(b"data set").digest()[:16]
    dataset = object_id("asset", alice.signer.account, nonce, 0)
    alice.send(
        [
            RegisterDataset(_described("Data set"), "equal", 10_000, (), b""),
            AddMembers(dataset, tuple(members)),
            SealDataset(dataset),
            CreateOffer(dataset, TERMS, LAYERS, (Price("one-off", PRICE_UBEAT),), None, None),
        ],
        nonce=nonce,
    )
    return object_id("offer", alice.signer.account, nonce, 3)


def _song(alice: Session, number: int, work: bytes) -> list[Action]:
    title, splits = f"Song {number}", (Split(alice.signer.account, 1_000_000),)
    content = sha256(title.encode()).digest()
    part = Part(f"{title}.flac", "audio/flac", content, content, 1_000)
    legs = (Leg(work, 5_000), Leg(OWN, 5_000))
    return [
        RegisterWork(_described(title), "", splits, TERMS),
        RegisterRecording(_described(title), "", legs, splits, TERMS, (part,), None),
    ]


def _described(title: str) -> Description:
    return Description(title, (), "audio", "", 0)


if __name__ == "__main__":
    sys.exit(main())
