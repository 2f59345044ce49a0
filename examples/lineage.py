"""Everybody behind a remix is paid when it is sold: dataset, model, AI track, song, remix, and a dispute about it.

A model learns from two people's music; a track is made with it; somebody mixes that track with a song; a stranger buys
the mix. Eight parties are paid in that block. `make testnet` ends with this; alone it starts a network for itself.
It uses the public client and the `concento` command and nothing else, and every OK is computed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from album import make_pieces

from concento.accounts import account_of_key
from concento.client import Client, RpcError, Session, Signer
from concento.client.audio import AudioFile
from concento.client.datasets import parse_splits, scan
from concento.client.lineage import (
    Made,
    authorise_outputs,
    part_of,
    register_model,
    register_output,
    register_remix,
)
from concento.client.rights import buy_licence, create_offer
from concento.development import ACCOUNTS, development_seed
from concento.errors import ConcentoError, Rejected
from concento.keys import public_key
from concento.messages import Action
from concento.messages.assets import (
    OWN,
    AddMembers,
    Description,
    Leg,
    RegisterDataset,
    RegisterRecording,
    RegisterWork,
    SealDataset,
    Split,
)
from concento.messages.disputes import AnswerDispute, OpenDispute, RuleDispute, Ruling
from concento.messages.identity import Admit
from concento.messages.licences import Price, Rate
from concento.messages.lineage import Parent, Training
from concento.messages.tokens import Transfer
from concento.terms import Purpose, make_terms
from concento.transactions import object_id
from concento.units import format_beat, parse_beat

TERMS = make_terms(allow=("analysis", "train-generative", "inference-service", "derive-remix", "sync-display"))
PRICE = parse_beat("100")
SMALL_PRICE = parse_beat("2")
BOND = parse_beat("10")
NEWCOMERS = {"erin": "curator", "gus": "songwriter", "hana": "singer", "fay": "remixer", "sven": "a stranger"}
PAID = ("fay", "gus", "hana", "dana", "bob", "alice", "bea", "erin")
CLAIMED_BPS = 4_000
OWN_LEG = 1
"""Of the remix: behind the leg of gus's song."""


@dataclass(frozen=True)
class Scene:
    """What was made: ids of assets by the name that the story gives them, and the offer of the remix."""

    assets: dict[str, bytes]
    titles: dict[str, str]
    offer: bytes


class Cast:
    """Everybody who acts, and the count of checks that failed."""

    def __init__(self, urls: Sequence[str], say: Callable[..., None]) -> None:
        self.urls = list(urls)
        self.client = Client(*urls)
        self.say = say
        self.failures = 0

    def person(self, name: str) -> Session:
        seed = development_seed(name) if name in ACCOUNTS else sha256(b"examples/lineage.py " + name.encode()).digest()
        return Session(self.client, Signer(name, account_of_key(public_key(seed)), (seed,)))

    def account(self, name: str) -> bytes:
        return self.person(name).signer.account

    def balance(self, name: str) -> int:
        return int(self.client.account(self.person(name).address)["balance_ubeat"])

    def check(self, holds: bool, sentence: str) -> None:
        """Say a sentence and whether what it claims is true."""
        self.failures += not holds
        self.say(f"{sentence} {'OK' if holds else 'FAILED'}")

    def act(self, name: str, *actions: Action, nonce: bytes | None = None) -> dict[str, Any]:
        """A transaction that must succeed."""
        document = self.person(name).send(actions, nonce=nonce)
        must_be_final(name, document)
        return document

    def made(self, name: str, made: Made) -> bytes:
        """The asset that somebody has registered."""
        must_be_final(name, made.tx)
        return made.asset


def must_be_final(name: str, document: dict[str, Any]) -> None:
    if document["status"] != "final":
        error = document["error"] or {"kind": document["status"], "message": f"{name}'s transaction failed"}
        raise RpcError(-32003, error["message"], {"kind": error["kind"]})


def refusal(act: Callable[[], Made]) -> str:
    """The kind under which something is refused."""
    try:
        document = act().tx
    except (RpcError, Rejected) as error:
        return error.kind
    return str(document["error"]["kind"]) if document["error"] else "accepted"


def play(urls: Sequence[str], work: Path, say: Callable[..., None], brief: bool = False) -> int:
    """The whole story; the number of checks that failed."""
    cast = Cast(urls, say)
    admit(cast)
    number = 1 + sum(
        item["kind"] == "model" for item in cast.client.search(owner="bob", tag="harbour", limit=200)["items"]
    )
    scene = make_everything(cast, number, work)
    shares = sale(cast, scene, brief)
    dispute(cast, scene, shares)
    conservation(cast)
    return cast.failures


def admit(cast: Cast) -> None:
    """Five people more than the development accounts, with some money; on a kept chain they are there already."""
    known = {item["name"] for item in cast.client.call("identity_list", limit=200)["items"]}
    for name in NEWCOMERS:
        if name not in known:
            cast.act("treasury", Transfer(cast.account(name), parse_beat("1000")))
            cast.act("issuer", Admit(cast.account(name), name, "person", ("creator",)))
        elif cast.balance(name) < 3 * PRICE:
            cast.act("treasury", Transfer(cast.account(name), parse_beat("1000")))


# What is made from what


def make_everything(cast: Cast, number: int, work: Path) -> Scene:
    names = ("Pier", "Low Water", "Fog Signal", "Fog Signal (fay's mix)")
    tracks, _ = scan(make_pieces(f"harbour/{number}", names, work / f"harbour-{number}"))
    pier, song_audio, track_audio, mix_audio = tracks
    titles: dict[str, str] = {}

    dataset = make_dataset(cast, number, pier, titles)
    right = buy(cast, "bob", make_offer(cast, "alice", dataset, 3_000), "train-generative")
    refused = refusal(lambda: train(cast, number, dataset, bytes(32)))
    model = cast.made("bob", train(cast, number, dataset, right))
    titles[model.hex()] = f"Harbour Model {number}"

    licence = buy(cast, "dana", make_offer(cast, "bob", model, 2_000), "inference-service")
    must_be_final("dana", authorise_outputs(cast.person("dana"), licence, 1))
    track = cast.made("carol", generate(cast, model, licence, track_audio))
    titles[track.hex()] = track_audio.title
    song = make_song(cast, song_audio, titles)

    rights = [
        buy(cast, "fay", make_offer(cast, owner, asset, rate), "derive-remix")
        for asset, owner, rate in ((track, "dana", 1_500), (song, "gus", 2_500))
    ]
    remix = cast.made("fay", mix(cast, [track, song], rights, mix_audio))
    titles[remix.hex()] = mix_audio.title
    offer = make_offer(cast, "fay", remix, 0, PRICE)
    cast.failures += refused in ("accepted", "tx.invalid")
    cast.say(
        f"[7 lineage]  bob trains a model on alice's dataset (refused without a licence: {refused}); carol's service "
        f"makes dana's track with it;",
        f'fay mixes that with gus and hana\'s song: "{mix_audio.title}", {len(titles)} assets of '
        f"{len(PAID)} people. They owe upstream 30 %, 20 %, 15 % and 25 %.",
    )
    return Scene({"remix": remix, "track": track, "song": song, "model": model}, titles, offer)


def make_dataset(cast: Cast, number: int, audio: AudioFile, titles: dict[str, str]) -> bytes:
    """alice's piece, sung by bea, in a dataset that erin curates for a tenth."""
    nonce = sha256(audio.content).digest()[:16]
    alice = cast.account("alice")
    work, recording, dataset = (object_id("asset", alice, nonce, index) for index in range(3))
    curator = parse_splits([(cast.account("erin"), "100")])
    title = f"Harbour Tapes {number}"
    cast.act(
        "alice",
        RegisterWork(described(audio.title, "work"), "", all_of(cast, "alice"), TERMS),
        a_recording(audio, work, parse_splits([(alice, "40"), (cast.account("bea"), "60")])),
        RegisterDataset(described(title, "music"), "equal", 9_000, curator, b""),
        AddMembers(dataset, (recording,)),
        SealDataset(dataset),
        nonce=nonce,
    )
    titles.update({work.hex(): audio.title, recording.hex(): audio.title, dataset.hex(): title})
    return dataset


def make_song(cast: Cast, audio: AudioFile, titles: dict[str, str]) -> bytes:
    """gus wrote it, hana sings it."""
    nonce = sha256(audio.content).digest()[:16]
    work, recording = (object_id("asset", cast.account("gus"), nonce, index) for index in range(2))
    cast.act(
        "gus",
        RegisterWork(described(audio.title, "work"), "", all_of(cast, "gus"), TERMS),
        a_recording(audio, work, all_of(cast, "hana")),
        nonce=nonce,
    )
    titles.update({work.hex(): audio.title, recording.hex(): audio.title})
    return recording


def a_recording(audio: AudioFile, work: bytes, splits: tuple[Split, ...]) -> RegisterRecording:
    legs = (Leg(work, 5_000), Leg(OWN, 5_000))
    return RegisterRecording(described(audio.title, "audio"), "", legs, splits, TERMS, (part_of(audio),), audio.facts)


def train(cast: Cast, number: int, dataset: bytes, right: bytes) -> Made:
    """bob's model learns from a dataset; carol's service will make its outputs."""
    return register_model(
        cast.person("bob"),
        described(f"Harbour Model {number}", "model"),
        manifest=[Training(dataset, right, "train-generative")],
        splits=all_of(cast, "bob"),
        terms=TERMS,
        weights=sha256(b"weights %d" % number).digest(),
        service=cast.account("carol"),
        outputs=Rate(2_000, 0, None),
    )


def generate(cast: Cast, model: bytes, licence: bytes, audio: AudioFile) -> Made:
    """A track that belongs to dana, whose licence it was made with."""
    parameters = sha256(b"prompt, seed, temperature").digest()
    about = described(audio.title, "audio")
    return register_output(cast.person("carol"), about, model, licence, parameters, audio, TERMS)


def mix(cast: Cast, parents: Sequence[bytes], rights: Sequence[bytes], audio: AudioFile) -> Made:
    return register_remix(
        cast.person("fay"),
        described(audio.title, "audio"),
        [Parent(asset, right) for asset, right in zip(parents, rights, strict=True)],
        all_of(cast, "fay"),
        TERMS,
        audio,
    )


def described(title: str, data_type: str) -> Description:
    return Description(title, ("harbour",), data_type, "", 0)


def all_of(cast: Cast, name: str) -> tuple[Split, ...]:
    return parse_splits([(cast.account(name), "100")])


def fresh_nonce(name: str) -> bytes:
    return sha256(name.encode() + time.time_ns().to_bytes(8, "big")).digest()[:16]


def make_offer(cast: Cast, owner: str, asset: bytes, rel_bps: int, price_ubeat: int = SMALL_PRICE) -> bytes:
    """`rel_bps` is what anything made of the asset will owe it."""
    upstream = Rate(rel_bps, 0, None) if rel_bps else None
    offer, document = create_offer(cast.person(owner), asset, TERMS, [Price("one-off", price_ubeat)], upstream)
    must_be_final(owner, document)
    return offer


def buy(cast: Cast, name: str, offer: bytes, purpose: Purpose) -> bytes:
    """The licence."""
    licence, document = buy_licence(cast.person(name), cast.client.offer(offer.hex()), purpose, SMALL_PRICE)
    must_be_final(name, document)
    return licence


# The sale


@dataclass(frozen=True)
class Payment:
    """What somebody was paid for the sale, and the lines of the statement that say so, the largest first."""

    amount_ubeat: int
    lines: list[dict[str, Any]]


def sale(cast: Cast, scene: Scene, brief: bool) -> dict[str, int]:
    """A stranger buys the remix; what each party gets of it."""
    height, finality_ms, payments = sell(cast, scene)
    fee = PRICE // 100
    shares = {name: payment.amount_ubeat for name, payment in payments.items()}
    expected = split_by_hand(PRICE - fee)
    cast.check(
        shares == expected and fee + sum(shares.values()) == PRICE,
        f"[8 cascade]  sven, {NEWCOMERS['sven']}, buys it for {format_beat(PRICE)} BEAT: final in {finality_ms} ms. "
        f"In that block, {height}, {len(shares)} parties are paid, and {format_beat(fee)} fee:",
    )
    if brief:
        told = [f"{name} {format_beat(amount)}" for name, amount in shares.items()]
        for at in range(0, len(told), 4):
            cast.say("             " + " · ".join(told[at : at + 4]))
    else:
        for name, payment in payments.items():
            cast.say(f"             {name:5}{format_beat(payment.amount_ubeat):>10}  {why(scene, payment.lines)}")
    return shares


def sell(cast: Cast, scene: Scene) -> tuple[int, int, dict[str, Payment]]:
    """(height, milliseconds, who was paid what for it) of one sale of the remix."""
    seen = cast.client.offer(scene.offer.hex())
    began = time.monotonic()
    _, document = buy_licence(cast.person("sven"), seen, "sync-display", PRICE)
    must_be_final("sven", document)
    finality_ms = round((time.monotonic() - began) * 1000)
    height = document["height"]
    payments: dict[str, Payment] = {}
    for name in PAID:
        statement = cast.client.statement(name, from_height=height, to_height=height)
        lines = [line for line in statement["lines"] if line["cause_tx"] == document["tx"]]
        if lines:
            lines.sort(key=lambda line: -int(line["amount_ubeat"]))
            payments[name] = Payment(sum(int(line["amount_ubeat"]) for line in lines), lines)
    return height, finality_ms, payments


def split_by_hand(net: int) -> dict[str, int]:
    """Who should get what of a sale: the rates of the story, worked out without the ledger."""
    track, song = net * 15 // 100, net * 25 // 100
    model = track * 20 // 100
    dataset = model * 30 // 100
    members = dataset * 90 // 100
    work = members // 2
    alice = (members - work) * 40 // 100 + work
    # Half of the song is gus's, who wrote it, and so is half of what its remix keeps.
    mix = net - track - song
    return {
        "fay": mix - mix // 2,
        "gus": song // 2 + mix // 2,
        "hana": song - song // 2,
        "dana": track - model,
        "bob": model - dataset,
        "alice": alice,
        "bea": members - alice,
        "erin": dataset - members,
    }


def why(scene: Scene, lines: list[dict[str, Any]]) -> str:
    """The path that the money took, and what share of the last asset's part was the reader's."""
    line = lines[0]
    path = " > ".join(scene.titles.get(asset, asset[:8]) for asset in line["path"])
    passed = f", after {format_beat(int(line['upstream_ubeat']))} to those before it" * (line["upstream_ubeat"] != "0")
    others = "".join(f"; {percent_of(other)} of the {other['layer']}" for other in lines[1:])
    return f"{percent_of(line)} of the {line['layer']} of {path}{passed}{others}"


def percent_of(line: dict[str, Any]) -> str:
    return f"{int(line['shares']) * 100 // int(line['shares_total'])} %"


# The dispute


def dispute(cast: Cast, scene: Scene, before: dict[str, int]) -> None:
    """carol claims a part of the remix: that part waits, everybody else is paid on, until arbiters have ruled."""
    nonce = fresh_nonce("carol")
    remix, case = scene.assets["remix"], object_id("dispute", cast.account("carol"), nonce, 0)
    claim = OpenDispute(remix, "ownership", OWN_LEG, CLAIMED_BPS, b"", 0, 0, BOND, sha256(nonce).digest())
    cast.act("carol", claim, nonce=nonce)
    height, _, payments = sell(cast, scene)
    held = before["fay"] * CLAIMED_BPS // 10_000
    after = {name: payment.amount_ubeat for name, payment in payments.items()}
    cast.check(
        after == {**before, "fay": before["fay"] - held},
        f"[9 dispute]  carol says that she plays on the remix and claims {CLAIMED_BPS // 100} % of it. It is sold "
        f"again, block {height}: {format_beat(held)} of fay's wait, the other seven are paid as before.",
    )
    rule(cast, case, held)


def rule(cast: Cast, case: bytes, held: int) -> None:
    """fay answers; two of three arbiters give carol half of what is held."""
    cast.act("fay", AnswerDispute(case, False, sha256(case).digest()))
    ruling = Ruling(True, 5_000, 0, (), b"", 0, b"", False, 0)
    cast.act("arbiter1", RuleDispute(case, ruling))
    owned = {name: cast.balance(name) for name in ("carol", "fay")}
    height = cast.act("arbiter2", RuleDispute(case, ruling))["height"]
    gained = {name: cast.balance(name) - owned[name] for name in owned}
    # The loser's bond is the winner's.
    expected = {"carol": held // 2 + 2 * BOND, "fay": held - held // 2}
    cast.check(
        gained == expected,
        f"             fay answers; arbiter1 and arbiter2 rule that half is hers, and block {height} moves the money: "
        f"carol {format_beat(held // 2)} and both bonds, fay {format_beat(held - held // 2)}.",
    )


def conservation(cast: Cast) -> None:
    supply = cast.client.call("chain_getSupply")
    parts = sum(int(supply[name]) for name in ("balances_ubeat", "escrow_ubeat", "pools_ubeat", "burnt_ubeat"))
    minted = int(supply["minted_ubeat"])
    cast.check(parts == minted, f"Still {format_beat(minted)} BEAT = balances + escrow + pools + burnt.")


def main() -> int:
    """A network of its own home and ports, as the environment says."""
    with tempfile.TemporaryDirectory(prefix="concento-lineage-") as folder:
        work = Path(folder)
        ready_file = work / "ready.json"
        up = ["testnet", "up", "--detach", "--ready-file", str(ready_file), *sys.argv[1:]]
        started = subprocess.run([sys.executable, "-m", "cli", *up], check=False, stdout=subprocess.DEVNULL)
        if started.returncode:
            return started.returncode
        try:
            urls = [node["rpc"] for node in json.loads(ready_file.read_text())["nodes"]]
            return 1 if play(urls, work, say) else 0
        except ConcentoError as error:
            print(f"error: {error.message}\nhint: {error.hint or 'see the logs'}", file=sys.stderr)
            return 1
        finally:
            subprocess.run([sys.executable, "-m", "cli", "testnet", "down", "--quiet"], check=False)


def say(*lines: str) -> None:
    for number, line in enumerate(lines):
        print(line if number == 0 else "             " + line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
