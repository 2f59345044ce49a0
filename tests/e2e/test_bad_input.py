"""Whatever people, files, peers and other programs get wrong has an answer with a stable kind, and costs nothing."""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy
import pytest
import soundfile

from concento.accounts import account_of_key, address, parse_address
from concento.cids import cid
from concento.client import Client, RpcError, Session, Signer
from concento.client.gateway import GatewaySession, Lane
from concento.development import development_seed
from concento.keys import public_key
from concento.messages.licences import BuyLicence, TopUpLicence
from concento.messages.receipts import OpenAccess
from concento.messages.tokens import Transfer
from concento.transactions import Transaction
from support.localnetwork import PATIENCE_S, ROOT, Network

pytestmark = pytest.mark.e2e

TERMS: Final = "--allow train-generative --deny redistribute --price 40 --per-access 0.05"
USE: Final = "--purpose train-generative"


def account(name: str) -> bytes:
    return account_of_key(public_key(development_seed(name)))


def session(client: Client, name: str, valid_ms: int = 60_000) -> Session:
    return Session(client, Signer(name, account(name), (development_seed(name),)), valid_ms)


@dataclass(frozen=True)
class Scene:
    """A network on which alice has registered an album and bob has licensed it, and files that are no good."""

    network: Network
    folder: Path
    names: dict[str, str]

    def words(self, line: str) -> list[str]:
        return shlex.split(line.format_map(self.names))

    def client(self) -> Client:
        return Client(self.network.url("node1"))


def tone(path: Path, pitch: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, numpy.sin(numpy.arange(80_000) * pitch).astype("float32") * 0.3, 8_000)
    return path


def bad_files(folder: Path) -> dict[str, str]:
    """A folder for each way in which music can be unusable."""
    for name in ("nothing", "text", "cut", "album"):
        (folder / name).mkdir()
    for number, kind in enumerate(("wav", "mp3"), 1):
        whole = tone(folder / "album" / f"{number} Ü.{kind}", number / 7)
        (folder / "cut" / f"half.{kind}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (folder / "text" / "notes.txt").write_text("no music here")
    (folder / "text" / "lies.mp3").write_text("neither is this " * 1000)
    return {name: str(folder / name) for name in ("nothing", "text", "cut", "album")}


def bad_geneses(folder: Path) -> dict[str, str]:
    """A genesis file for each mistake, made from the network's own."""
    right = json.loads((ROOT / "genesis.json").read_text())
    first, second, *others = right["validators"]
    wrong = {
        "twice": right | {"validators": [first, second | {"key": first["key"]}, *others]},
        "deserted": right | {"validators": []},
        "chatty": right | {"colour": "red"},
        "foreign": right | {"time_ms": 1},
    }
    for name, document in wrong.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return {name: str(folder / f"{name}.json") for name in wrong}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("files")
    names = {**bad_files(folder), **bad_geneses(folder), "new": str(folder / "new"), "use": USE, "terms": TERMS}
    carol = address(account("carol"), dev=True)
    names |= {"typo": carol[:-1] + ("q" if carol[-1] != "q" else "p"), "mainnet": address(account("carol"), dev=False)}
    network = Network(tmp_path_factory.mktemp("network"))
    network.up()
    try:
        added = network.done(
            *("asset", "add", names["album"], "--title", "Album", "--split", "alice=70,bea=30"),
            *(*TERMS.split(), "--from", "alice"),
        )
        bought = network.done(
            *("licence", "buy", added["dataset"], *USE.split(), "--max-price", "40", "--from", "bob"),
        )
        names |= {"dataset": added["dataset"], "licence": bought["licence"]}
        yield Scene(network, folder, names)
    finally:
        network.command("testnet", "down")


MISTAKES: Final = {
    "an empty folder": ("asset add {nothing} --title T --split alice=100 {terms} --from alice", 9, "dataset.no_audio"),
    "a folder without audio": (
        "asset add {text} --title T --split alice=100 {terms} --from alice",
        9,
        "dataset.no_audio",
    ),
    "truncated files only": ("asset add {cut} --title T --split alice=100 {terms} --from alice", 9, "dataset.no_audio"),
    "no folder": ("asset add {new} --title T --split alice=100 {terms} --from alice", 6, "dataset.no_folder"),
    "a file of somebody else": (
        "asset add {album} --title Mine --split bea=100 {terms} --from bea",
        4,
        "asset.duplicate_content",
    ),
    "a split of 90 %": ("asset add {album} --title T --split alice=70,bea=20 {terms} --from alice", 2, "split.sum"),
    "a split of 110 %": ("asset add {album} --title T --split alice=70,bea=40 {terms} --from alice", 2, "split.sum"),
    "an offer of somebody else's asset": ("licence offer {dataset} {terms} --from bea", 8, "asset.not_owner"),
    "a wrong checksum": ("wallet send {typo} 1 --from bob", 2, "address.checksum"),
    "an address of another network": ("wallet send {mainnet} 1 --from bob", 2, "address.network"),
    "too little balance": ("wallet send carol 99999999 --from bob", 4, "tokens.balance_low"),
    "more decimals than there are": ("wallet send carol 0.0000001 --from bob", 2, "amount.decimals"),
    "nothing to send": ("wallet send carol 0 --from bob", 4, "tokens.amount_zero"),
    "no role": ("identity admit dana --role gateway --from bob", 8, "identity.role_required"),
    "no licence": ("fetch {dataset} {new} {use} --from dana", 8, "licence.required"),
    "a price above the maximum": (
        "licence buy {dataset} {use} --max-price 39.999999 --from dana",
        4,
        "licence.price_above_max",
    ),
    "a purpose that the terms deny": (
        "licence buy {dataset} --purpose redistribute --max-price 40 --from dana",
        8,
        "licence.wrong_purpose",
    ),
    "a purpose that does not exist": (
        "licence buy {dataset} --purpose train --max-price 40 --from dana",
        2,
        "terms.unknown_purpose",
    ),
    "reading for another purpose": (
        "fetch {dataset} {new} --purpose redistribute --from bob",
        8,
        "licence.wrong_purpose",
    ),
    "an asset that does not exist": ("asset show 00000000", 6, "asset.not_found"),
    "a validator twice in genesis": ("node init --node-home {new} --genesis {twice}", 9, "genesis.invalid"),
    "no validator in genesis": ("node init --node-home {new} --genesis {deserted}", 9, "genesis.invalid"),
    "an unknown field in genesis": ("node init --node-home {new} --genesis {chatty}", 9, "genesis.invalid"),
    "a genesis of another network": ("testnet up --detach --genesis {foreign}", 9, "testnet.other_genesis"),
    "a method with a wrong parameter": ("rpc account_get whom=bob", 2, "rpc.param_unknown"),
    "no node": ("wallet balance bob --url http://127.0.0.1:1", 3, "node.unreachable"),
    "no gateway": ("gateway status --gateway http://127.0.0.1:1", 3, "gateway.unreachable"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_has_a_kind_an_exit_code_and_no_price(scene: Scene, mistake: str) -> None:
    line, code, kind = MISTAKES[mistake]
    with scene.client() as client:
        before = [client.account(name)["balance_ubeat"] for name in ("alice", "bea", "bob", "dana")]
        assert scene.network.refused(*scene.words(line))[:2] == (code, kind)
        assert [client.account(name)["balance_ubeat"] for name in ("alice", "bea", "bob", "dana")] == before
    assert not Path(scene.names["new"]).exists()


def test_what_cannot_be_read_is_named_and_the_rest_is_registered(scene: Scene, tmp_path: Path) -> None:
    tone(tmp_path / "CD 1" / "whole.flac", 0.3)
    for path in Path(scene.names["cut"]).iterdir():
        shutil.copy(path, tmp_path)
    added = scene.network.done(
        *scene.words(f"asset add {tmp_path} --title Mixed --split alice=100 {TERMS} --from alice")
    )
    assert [entry["path"] for entry in added["recordings"]] == ["CD 1/whole.flac"]
    assert {(entry["path"], entry["kind"]) for entry in added["skipped"]} == {
        ("half.mp3", "audio.truncated"),
        ("half.wav", "audio.truncated"),
    }


def refusal(act: Callable[[], Any]) -> RpcError:
    with pytest.raises(RpcError) as refused:
        act()
    return refused.value


def test_an_expired_transaction_is_refused(scene: Scene) -> None:
    with scene.client() as client:
        late = session(client, "bob", valid_ms=-120_000)
        stale = late.build([Transfer(account("carol"), 1)], max_fee_ubeat=100_000)
        assert refusal(lambda: client.submit(stale.raw)).kind == "tx.expired"


def test_the_same_transaction_twice_is_known_and_pays_once(scene: Scene) -> None:
    with scene.client() as client:
        bob = session(client, "bob")
        transfer = bob.build([Transfer(account("carol"), 5)])
        client.submit(transfer.raw)
        first = bob.wait(transfer)
        paid = client.account("bob")["balance_ubeat"]
        second = client.submit(transfer.raw)
        assert (second["known"], second["tx"], second["height"]) == (True, first["tx"], first["height"])
        assert client.account("bob")["balance_ubeat"] == paid


def changed(transfer: Transaction) -> bytes:
    return transfer.raw[:-1] + bytes([transfer.raw[-1] ^ 1])


def test_a_changed_transaction_is_refused(scene: Scene) -> None:
    with scene.client() as client:
        forged = changed(session(client, "bob").build([Transfer(account("carol"), 5)]))
        assert refusal(lambda: client.submit(forged)).kind == "tx.signature"
        assert refusal(lambda: client.submit(b"\x00garbage")).kind.startswith(("tx.", "encoding."))


def test_a_licence_is_not_sold_under_other_terms_or_above_the_price_that_the_buyer_saw(scene: Scene) -> None:
    with scene.client() as client:
        (offer,) = client.asset(scene.names["dataset"])["offers"]
        dana, offer_id = session(client, "dana"), bytes.fromhex(offer["id"])
        before = int(client.account("dana")["balance_ubeat"])

        def buys(terms: bytes, price_ubeat: int) -> str:
            action = BuyLicence(offer_id, terms, price_ubeat, "train-generative", 0)
            answer = client.simulate(dana.build([action]).raw)
            assert answer["status"] == "failed"
            return str(answer["error"]["kind"])

        assert buys(bytes(32), 40_000_000) == "licence.terms_changed"
        assert buys(bytes.fromhex(offer["terms_hash"]), 39_999_999) == "licence.price_above_max"
        assert int(client.account("dana")["balance_ubeat"]) == before


def test_a_gateway_that_is_down_is_exit_3_and_takes_nothing(scene: Scene, tmp_path: Path) -> None:
    scene.network.done("testnet", "kill", "gateway")
    try:
        line = f"fetch {scene.names['dataset']} {tmp_path / 'music'} --from bob"
        assert scene.network.refused(*scene.words(line))[:2] == (3, "gateway.unreachable")
    finally:
        scene.network.done("testnet", "start", "gateway")
    assert not (tmp_path / "music").exists()


def test_one_changed_byte_in_the_gateways_store_is_refused_and_not_paid_for(scene: Scene, tmp_path: Path) -> None:
    name = cid(sha256((Path(scene.names["album"]) / "2 Ü.mp3").read_bytes()).digest())
    path = scene.network.home / "testnet" / "gateway" / "content" / name
    right = path.read_bytes()
    line = f"fetch {scene.names['dataset']} {tmp_path / 'music'} --from bob"
    path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    try:
        assert scene.network.refused(*scene.words(line))[:2] == (8, "gateway.content_changed")
    finally:
        path.write_bytes(right)
    rest = scene.network.done(*scene.words(line))
    received = sorted(file.read_bytes() for file in (tmp_path / "music").iterdir())
    assert received == sorted(file.read_bytes() for file in Path(scene.names["album"]).iterdir())
    assert right in received
    assert rest["files"] != []


def test_a_session_of_somebody_else_opens_nothing(scene: Scene) -> None:
    about = scene.network.done("testnet", "status")
    with scene.client() as client:
        bob = session(client, "bob")
        gateway = parse_address(client.account("gateway1")["address"], dev=True)
        licence, seed, number = bytes.fromhex(scene.names["licence"]), secrets.token_bytes(32), 77
        opened = bob.send([TopUpLicence(licence, 50_001), OpenAccess(licence, gateway, number, public_key(seed), 1)])
        assert opened["status"] == "final"
        time_ms = int(client.status()["time_ms"])

        def enter(key: bytes, lane: int) -> None:
            asked = Lane(licence, 0, gateway, lane, key, bytes.fromhex(scene.names["dataset"]))
            with GatewaySession(about["gateway"]["url"], bob.network, asked, "train-generative", time_ms):
                pass

        assert refusal(lambda: enter(development_seed("dana"), number)).kind == "gateway.session_foreign"
        assert refusal(lambda: enter(seed, number + 1)).kind == "gateway.session_foreign"
        enter(seed, number)


def speak(port: int, words: bytes) -> None:
    """Say something to a node's door for peers, and wait until it closes, or give up."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as line:
        try:
            line.sendall(words)
            while line.recv(65_536):
                pass
        except OSError:
            return


def talk(line: socket.socket) -> None:
    """Send nonsense until the other side has had enough."""
    while True:
        line.sendall(secrets.token_bytes(65_536))


def test_strangers_at_the_peers_door_stop_nobody(scene: Scene) -> None:
    base = scene.network.base_port
    silent = socket.create_connection(("127.0.0.1", base + 20))
    try:
        for words in (b"GET / HTTP/1.1\r\n\r\n", secrets.token_bytes(200_000), b"\x16\x03\x01\xff\xff" + bytes(70_000)):
            speak(base + 20, words)
        unknown = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unknown.check_hostname, unknown.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", base + 20), timeout=PATIENCE_S) as line,
            unknown.wrap_socket(line) as stranger,
            pytest.raises(OSError),
        ):
            talk(stranger)
        assert scene.network.pay()["status"] == "final"
        assert all(node["peers"] == 3 for node in scene.network.done("testnet", "status")["nodes"])
    finally:
        silent.close()


def test_a_client_that_stops_reading_stops_nobody(scene: Scene) -> None:
    request = json.dumps([{"jsonrpc": "2.0", "id": n, "method": "chain_getBlocks"} for n in range(100)]).encode()
    head = f"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(request)}\r\n\r\n"
    lines = [socket.create_connection(("127.0.0.1", scene.network.base_port)) for _ in range(4)]
    try:
        for line in lines:
            line.sendall(head.encode() + request)
        started = time.monotonic()
        assert scene.network.pay()["status"] == "final"
        assert time.monotonic() - started < PATIENCE_S / 3
    finally:
        for line in lines:
            line.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700),
        (b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}', -32600),
        (b"[]", -32600),
        (b'{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', -32601),
        (b'{"jsonrpc": "2.0", "method": "account_get", "params": {"whom": 1}, "id": "1"}', -32602),
        (b"\xff\xfe", -32700),
    ],
)
def test_malformed_requests_are_answered_as_the_specification_says(scene: Scene, body: bytes, code: int) -> None:
    with socket.create_connection(("127.0.0.1", scene.network.base_port), timeout=PATIENCE_S) as line:
        head = f"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        answer = b""
        while chunk := line.recv(65_536):
            answer += chunk
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == code


def start_by_hand(home: Path) -> tuple[int, str]:
    """Exit code and words of a node that should refuse to start."""
    found = subprocess.run(
        [sys.executable, "-m", "node.app", "--home", str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in found.stderr
    return found.returncode, found.stderr


def test_a_home_that_is_in_use_damaged_or_of_another_chain_is_refused_and_left_as_it_is(scene: Scene) -> None:
    network, home = scene.network, scene.network.home / "testnet" / "node4"
    code, words = start_by_hand(home)
    assert (code, "running already" in words) == (9, True)

    network.done("testnet", "kill", "node4")
    genesis = home.parent / "genesis.json"
    right = genesis.read_bytes()
    shutil.copytree(home / "store", scene.folder / "store")
    try:
        genesis.write_bytes(Path(scene.names["foreign"]).read_bytes())
        code, words = start_by_hand(home)
        assert code == 9
        assert "another chain" in words or "belongs to" in words
        genesis.write_bytes(right)
        (home / "store" / "CURRENT").write_text("MANIFEST-000000\n")
        code, words = start_by_hand(home)
        assert code == 9
        assert "concento node repair" in words or "concento node resync" in words
    finally:
        genesis.write_bytes(right)
        shutil.rmtree(home / "store")
        shutil.copytree(scene.folder / "store", home / "store")
    network.done("testnet", "start", "node4")
    paid = network.pay()
    assert len(set(network.until_level(paid["height"]))) == 1


def test_a_taken_port_is_named_with_its_process(scene: Scene, tmp_path: Path) -> None:
    second = Network(tmp_path)
    code, kind, words = second.refused("testnet", "up", "--detach", "--base-port", str(scene.network.base_port))
    assert (code, kind) == (9, "port.in_use")
    holder = scene.network.done("testnet", "status")["nodes"][0]["pid"]
    assert f"process {holder}" in words
