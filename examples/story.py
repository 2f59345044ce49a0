"""What Concento is for, played on a real local network: an album from registration to payout, and a node's death.

`make testnet` runs this. It uses the public client and the `concento` command and nothing else; every OK is computed,
and every command that it prints works as printed. With FOR=0 it ends after the story: exit 0, or 1 if a check failed.
"""

from __future__ import annotations

import argparse
import base64
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lineage
from album import make_album

from concento.cids import cid
from concento.client import Client, RpcError, Session
from concento.client.datasets import Album, parse_splits, publish, register, scan
from concento.client.fetch import fetch
from concento.client.wallet import development_signer
from concento.development import development_account
from concento.errors import ConcentoError, Rejected
from concento.genesis import parse_genesis
from concento.light import verify_proof
from concento.messages.licences import BuyLicence, Price
from concento.messages.tokens import Transfer
from concento.terms import make_terms
from concento.transactions import decode_transaction
from concento.units import format_beat, parse_beat

PURPOSE = "train-generative"
COMMAND = ".venv/bin/concento"
PRICE, PER_ACCESS = parse_beat("40"), parse_beat("0.05")


class Story:
    """The network and the people; counts what went wrong."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.ready = ready
        self.urls = [node["rpc"] for node in ready["nodes"]]
        self.client = Client(*self.urls)
        self.failures = 0

    def person(self, name: str) -> Session:
        return Session(self.client, development_signer(name))

    def check(self, holds: bool, sentence: str) -> None:
        """Say a sentence and whether what it claims is true."""
        self.failures += not holds
        say(f"{sentence} {'OK' if holds else 'FAILED'}")

    def balances(self, who: str) -> list[int]:
        """The balance on every node, once all of them have the newest state."""
        return on_all_nodes(self.urls, lambda client: int(client.account(who)["balance_ubeat"]))


_PEOPLE = ("alice", "bea", "bob", "carol", "dana")


def play(ready: dict[str, Any], genesis_file: Path, work: Path) -> int:
    """The whole story; the number of checks that failed."""
    story = Story(ready)
    introduce(story)
    number = album_number(story)
    start_height = story.client.status()["height"]
    dataset, offer = upload(story, number, work)
    index_and_refusal(story, dataset, number)
    sale = buy(story, offer)
    usage = access(story, dataset, work)
    payout(story, sale, usage)
    statement(story, start_height)
    proof(story, genesis_file)
    transfer(story)
    death_of_a_node(story)
    conservation(story)
    story.failures += lineage.play(story.urls, work, say, brief=True)
    return story.failures


def introduce(story: Story) -> None:
    block = first_block(story)
    height = block["height"]
    names = {entry["key"]: entry["name"] for entry in story.client.validators(height)["items"]}
    # Under CometBFT the signatures of the newest block come with the next one.
    signers = ", ".join(names[key] for key in block["commit"]["signers"]) or "a quorum"
    hashes = on_all_nodes(story.urls, lambda client: client.block(height=height)["app_hash"])
    story.check(
        len(set(hashes)) == 1,
        f"Block {height} is final after {(block['time_ms'] - story.ready['started_ms']) / 1000:.1f} s: proposed by "
        f"{names[block['proposer']]}, signed by {signers}. All {len(hashes)} nodes hold app hash {hashes[0][:12]}.",
    )
    people = [name for name in story.ready["accounts"] if name in _PEOPLE]
    parts = {"alice": "creator", "bea": "data contributor", "bob": "AI developer", "carol": "operator"}
    say("People: " + " · ".join(f"{name} ({parts.get(name, 'application developer')})" for name in people) + ".")


def first_block(story: Story) -> dict[str, Any]:
    """The first block that was made since the network was started; an idle chain makes one every few seconds."""
    while (status := story.client.status())["time_ms"] <= story.ready["started_ms"]:
        time.sleep(0.02)
    height = status["height"]
    while height > 1 and story.client.block(height=height - 1)["time_ms"] > story.ready["started_ms"]:
        height -= 1
    return dict(story.client.block(height=height))


def album_number(story: Story) -> int:
    """One more than the albums that are on the chain already."""
    owned = story.client.search(owner="alice", tag="night-bus", limit=200)["items"]
    return 1 + sum(item["kind"] == "dataset" for item in owned)


def upload(story: Story, number: int, work: Path) -> tuple[str, str]:
    folder = make_album(number, work / "studio")
    tracks, skipped = scan(folder)
    alice, bea = story.person("alice"), story.person("bea")
    splits = parse_splits([(alice.signer.account, "70"), (bea.signer.account, "30")])
    album = Album(
        title=f"Night Bus {number}",
        splits=splits,
        work_splits=splits,
        work_bps=5_000,
        terms=make_terms(allow=(PURPOSE, "analysis"), duration_ms=365 * 86_400_000),
        pricing=(Price("one-off", PRICE), Price("per-access", PER_ACCESS * 1_000)),
        tags=("lofi", "night-bus"),
    )
    publish(tracks, Path(story.ready["gateway"]["content"]))
    began = time.monotonic()
    done = register(alice, album, tracks)
    finality_ms = round((time.monotonic() - began) * 1000)
    last = done.txs[-1]
    minutes, seconds = divmod(sum(track.facts.duration_ms for track in tracks) // 1000, 60)
    kinds: dict[str, int] = {}
    for track in tracks:
        kind = track.path.suffix[1:].upper()
        kinds[kind] = kinds.get(kind, 0) + 1
    containers = " ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds, key=["WAV", "FLAC", "OGG", "MP3"].index))
    story.failures += bool(skipped) or any(document["status"] != "final" for document in done.txs)
    say(
        f'[1 upload]   alice registers "{album.title}": {len(tracks)} recordings, {minutes}:{seconds:02d}, '
        f"{containers}; splits alice 70 %, bea 30 %. Block {last['height']}, final in {finality_ms} ms.",
        "The audio stays off the chain; on it: CID, chunk root, splits, terms. Dataset "
        f"{done.dataset[:12]} (first CID {cid(tracks[0].content)[:14]}...).",
    )
    return done.dataset, str(done.offer)


def index_and_refusal(story: Story, dataset: str, number: int) -> None:
    found = story.client.search(tag="lofi", purpose=PURPOSE, limit=200)
    everything = story.client.search(limit=200)
    offered = [item for item in everything["items"] if item["offer"]]
    fitting = [item for item in found["items"] if item["offer"]]
    newest = next(item for item in fitting if item["id"] == dataset)
    say(
        f'[2 index]    bob searches tag "lofi", purpose {PURPOSE}: {len(fitting)} of {len(offered)} offers fit, '
        f'newest "{newest["title"]}", {_short(PRICE)} BEAT + {_short(PER_ACCESS)} per file.'
    )
    bob = story.person("bob")
    track = story.client.call("asset_getMembers", id=dataset, limit=1)["items"][0]["asset"]
    try:
        fetch(bob, story.ready["gateway"]["url"], gateway_address(story), track, Path("/nonexistent"), PURPOSE)
        story.check(False, "[3 licence]  bob gets track 1 without a licence")
    except ConcentoError as error:
        story.failures += error.kind != "licence.required"
        say(
            f"[3 licence]  bob asks for track 1 without a licence: refused ({error.kind}). "
            f"Next: concento licence buy {dataset[:12]} --purpose {PURPOSE} --max-price {_short(PRICE)}"
        )


def buy(story: Story, offer: str) -> dict[str, Any]:
    bob = story.person("bob")
    terms = story.client.call("licence_getOffer", id=offer)
    message = BuyLicence(bytes.fromhex(offer), bytes.fromhex(terms["terms_hash"]), PRICE, PURPOSE, 0)
    document = bob.send([message])
    licence = story.client.licence(document["created"][0]["id"])
    allowed = licence["purposes"]
    until = time.strftime("%Y-%m-%d", time.gmtime(licence["expires_ms"] / 1000))
    story.failures += document["status"] != "final" or PURPOSE not in allowed or "redistribute" in allowed
    say(
        f"             bob buys it for {format_beat(PRICE)} BEAT: training allowed, redistribution denied, until "
        f"{until}. Block {document['height']}."
    )
    return document


def access(story: Story, dataset: str, work: Path) -> dict[str, Any]:
    bob = story.person("bob")
    target = work / "training" / dataset[:12]
    done = fetch(bob, story.ready["gateway"]["url"], gateway_address(story), dataset, target, PURPOSE)
    files = [path for path in target.rglob("*") if path.is_file()]
    tracks, _ = scan(target)
    matching = {cid(track.content) for track in tracks} == {entry["cid"] for entry in done["files"]}
    story.check(
        matching and len(files) == len(done["files"]),
        f"[4 access]   bob fetches {len(done['files'])} files ({done['bytes'] / 1e6:.1f} MB) from the gateway; "
        "every byte matches its CID.",
    )
    receipts = [story.client.receipt(entry["receipt"]) for entry in done["files"]]
    signed = all(receipt["signatures"]["gateway"] and receipt["signatures"]["voucher"] for receipt in receipts)
    batch = receipts[-1]["batch"]
    story.failures += not signed
    say(
        f"[5 receipt]  {len(receipts)} receipts, signed by gateway1 and by bob, anchored in block {batch['height']} "
        f"under root {batch['root'][:12]}. {replay(story, batch['tx'])}"
    )
    return dict(story.client.transaction(done["anchored"][-1]))


def replay(story: Story, anchor: str) -> str:
    """The gateway hands in the same receipts again."""
    raw = base64.b64decode(story.client.transaction(anchor)["raw"])
    actions = decode_transaction(raw).body.actions
    gateway = story.person("gateway1")
    try:
        document = gateway.send(actions)
        kind = document["error"]["kind"] if document["error"] else "accepted"
    except (RpcError, Rejected) as error:
        kind = error.kind
    story.failures += kind != "receipt.replayed"
    return f"A seventh, replayed, is refused ({kind})."


def payout(story: Story, sale: dict[str, Any], usage: dict[str, Any]) -> None:
    for document, gross, word, last in (
        (sale, PRICE, "sale", ""),
        (usage, PER_ACCESS * 6, "use", " Nobody claimed anything."),
    ):
        shares = {"alice": 0, "bea": 0}
        fee = gross // 100
        for entry in story.client.block(height=document["height"])["paid"]:
            party = entry["party"].removeprefix("@")
            if party in shares:
                shares[party] += int(entry["amount_ubeat"])
        story.failures += fee + sum(shares.values()) != gross or document["status"] != "final"
        lead = "[6 payout]   " if word == "sale" else "             "
        say(
            f"{lead}Finalising block {document['height']} paid the {word}: {format_beat(gross)} = "
            f"{format_beat(fee)} fee + {format_beat(shares['alice'])} alice + {format_beat(shares['bea'])} bea.{last}"
        )


def statement(story: Story, start_height: int) -> None:
    document = story.client.statement("alice", from_height=start_height + 1)
    opening, earned = int(document["opening_ubeat"]), int(document["earned_ubeat"])
    other, closing = int(document["other_ubeat"]), int(document["closing_ubeat"])
    lines, cursor = list(document["lines"]), document["next"]
    while cursor:
        page = story.client.statement("alice", from_height=start_height + 1, cursor=cursor)
        lines += page["lines"]
        cursor = page["next"]
    balances = story.balances("alice")
    adds_up = opening + earned + other == closing and sum(int(line["amount_ubeat"]) for line in lines) == earned
    story.check(
        adds_up and earned == 27_927_900 and set(balances) == {closing},
        f"alice's statement since block {start_height + 1}: opening {format_beat(opening)} + earned "
        f"{format_beat(earned)} + other {format_beat(other)} = closing {format_beat(closing)}; her balance on all "
        f"{len(balances)} nodes: {format_beat(balances[0])}.",
    )


def proof(story: Story, genesis_file: Path) -> None:
    address = story.client.account("alice")["address"]
    proved = verify_proof(story.client.proof(f"account/{address}"), parse_genesis(genesis_file.read_bytes()))
    story.check(
        proved.value is not None and proved.signers > proved.validators * 2 / 3,
        f"dana checks alice's balance with genesis.json alone: proof at height {proved.height}, "
        f"{proved.signers} of {proved.validators} signatures valid.",
    )


def transfer(story: Story) -> None:
    bob = story.person("bob")
    carol = development_account("carol")
    prepared = bob.build([Transfer(carol, parse_beat("5"))])
    began = time.monotonic()
    story.client.submit(prepared.raw)
    document = bob.wait(prepared)
    finality_ms = round((time.monotonic() - began) * 1000)
    story.failures += document["status"] != "final"
    say(f"bob pays carol 5.000000 BEAT: final in {finality_ms} ms, block {document['height']}.")


def death_of_a_node(story: Story) -> None:
    name = story.ready["nodes"][2]["name"] if len(story.ready["nodes"]) > 3 else None
    if name is None:
        say("With fewer than 4 validators none may fail; nobody is killed.")
        return
    url = story.ready["nodes"][2]["rpc"]
    concento("testnet", "kill", name)
    others = [other for other in story.urls if other != url]
    client = Client(*others)
    first = client.status()["height"]
    bob = Session(client, story.person("bob").signer)
    dana = development_account("dana")
    for _ in range(3):
        bob.send([Transfer(dana, 1)])
    last = client.status()["height"]
    began = time.monotonic()
    concento("testnet", "start", name)
    while Client(url).status()["height"] < last:
        time.sleep(0.02)
    back_s = time.monotonic() - began
    height = min(Client(each).status()["height"] for each in story.urls)
    hashes = on_all_nodes(story.urls, lambda node: node.block(height=height)["app_hash"])
    story.check(
        last >= first + 3 and len(set(hashes)) == 1,
        f"{name} is killed (kill -9): blocks go on, {first} to {last}. {name} is back after {back_s:.1f} s with the "
        "same app hash.",
    )


def conservation(story: Story) -> None:
    supply = story.client.call("chain_getSupply")
    parts = sum(int(supply[name]) for name in ("balances_ubeat", "escrow_ubeat", "pools_ubeat", "burnt_ubeat"))
    minted = int(supply["minted_ubeat"])
    story.check(parts == minted, f"Minted {format_beat(minted)} BEAT = balances + escrow + pools + burnt.")


def on_all_nodes(urls: list[str], ask: Callable[[Client], Any], seconds: float = 5.0) -> list[Any]:
    """The answer of every node, asked again until all of them have the same tip or the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        tips, answers = [], []
        for url in urls:
            with Client(url) as client:
                try:
                    answers.append(ask(client))
                    tips.append(client.status()["height"])
                except RpcError:
                    tips.append(-1)
        if len(set(tips)) == 1 or time.monotonic() > deadline:
            return answers
        time.sleep(0.05)


def gateway_address(story: Story) -> str:
    return str(story.ready["accounts"]["gateway1"]["address"])


def concento(*words: str) -> str:
    """The `concento` command, as a person would type it."""
    return subprocess.run([sys.executable, "-m", "cli", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def say(*lines: str) -> None:
    for number, line in enumerate(lines):
        print(line if number == 0 else "             " + line, flush=True)


def _short(amount_ubeat: int) -> str:
    return format_beat(amount_ubeat).rstrip("0").rstrip(".")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--base-port", type=int, default=None, help="RPC port of node1")
    parser.add_argument("--for", dest="seconds", type=float, default=None, help="stop this long after the story")
    parser.add_argument("--reset", action="store_true", help="delete the network first and start a new chain")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concento-story-") as folder:
        work = Path(folder)
        ready_file = work / "ready.json"
        say(
            f"Starting {options.nodes} validators from genesis.json (chain concento-dev-1, round-robin BFT, "
            f"{options.nodes * 2 // 3 + 1} of {options.nodes} must sign)."
        )
        up = ["testnet", "up", "--detach", "--nodes", str(options.nodes), "--ready-file", str(ready_file)]
        if options.base_port is not None:
            up += ["--base-port", str(options.base_port)]
        if options.reset:
            up += ["--reset", "--yes"]
        try:
            concento(*up)
        except subprocess.CalledProcessError as error:
            return error.returncode
        ready = json.loads(ready_file.read_text())
        failures = 1
        try:
            failures = play(ready, Path(ready["genesis"]), work)
            farewell(ready, options.seconds == 0)
            stay(options.seconds)
        except ConcentoError as error:
            print(f"error: {error.message}\nhint: {error.hint or 'see the logs'}", file=sys.stderr)
        except (KeyboardInterrupt, BrokenPipeError):
            pass
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            subprocess.run(
                [sys.executable, "-m", "cli", "testnet", "down", "--quiet"], check=False, stdout=subprocess.DEVNULL
            )
    return 1 if failures else 0


def farewell(ready: dict[str, Any], ends: bool) -> None:
    """What to try; where the network ends with the story, first how it comes back."""
    url = ready["nodes"][0]["rpc"]
    if ends:
        say(f"The network stops now, its state is kept. Bring it back: {COMMAND} testnet up --detach")
    request = '{"jsonrpc":"2.0","id":1,"method":"node_getStatus"}'
    say(f"Look: {url}/ · try: {COMMAND} earnings alice · curl -s {url}/rpc -d '{request}'")
    say(
        f"      logs {COMMAND} testnet logs node1 · metrics {url}/metrics · stop: Ctrl-C (state kept) · "
        "new chain: make testnet RESET=1"
    )


def stay(seconds: float | None) -> None:
    """Keep the network and its live table up until a signal, or until the time is over."""
    if seconds != 0:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        limit = [] if seconds is None else ["--for", str(seconds)]
        subprocess.run([sys.executable, "-m", "cli", "testnet", "watch", *limit], check=False)


if __name__ == "__main__":
    sys.exit(main())
