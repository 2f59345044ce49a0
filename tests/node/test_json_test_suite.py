"""Every file of JSONTestSuite at every door that takes JSON: one answer or one named refusal, soon."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from concento.client import keyfile
from concento.client.wallet import Wallet
from concento.errors import Rejected
from concento.genesis import parse_genesis
from concento.strictjson import loads
from node.config import CONFIG_FILE, read_config
from node.rpc.server import serve
from node.signer import read_key
from support.jsonsuite import FILES
from support.node import DecidedNode

SECONDS_MAX = 1.0


def refusals(read: Callable[[bytes], Any]) -> set[str]:
    """The kinds with which every file is refused. Fails where one is taken, or takes long."""
    kinds = set()
    for file in FILES:
        started = time.process_time()
        with pytest.raises(Rejected) as refused:
            read(file.data)
        assert time.process_time() - started < SECONDS_MAX, file.name
        kinds.add(refused.value.kind)
    return kinds


def is_json(data: bytes) -> bool:
    try:
        loads(data)
    except Rejected:
        return False
    return True


def test_every_file_as_a_body_has_one_answer_and_a_parse_error_where_it_is_no_json() -> None:
    async def run() -> dict[str, Any]:
        server = await serve(DecidedNode(), "127.0.0.1", 0)
        answers = {}
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as client:
                for file in FILES:
                    async with client.post(f"http://127.0.0.1:{server.port}/rpc", data=file.data) as response:
                        assert response.status == 200
                        answers[file.name] = await response.json()
        finally:
            await server.close()
        return answers

    answers = asyncio.run(run())
    assert len(answers) == len(FILES)
    for file in FILES:
        answer = answers[file.name]
        codes = {entry["error"]["code"] for entry in (answer if isinstance(answer, list) else [answer])}
        assert codes == {-32600 if is_json(file.data) else -32700}, file.name
        json.dumps(answer)


def test_no_file_is_a_genesis() -> None:
    assert refusals(parse_genesis) == {"json.invalid", "genesis.invalid"}


def test_no_file_is_a_configuration(tmp_path: Path) -> None:
    """A configuration is TOML. Nothing and a space are a file of no settings in it: all stay at their defaults."""
    path = tmp_path / CONFIG_FILE
    taken, kinds = [], set()
    for file in FILES:
        path.write_bytes(file.data)
        started = time.process_time()
        try:
            read_config(tmp_path, {})
            taken.append(file.name)
        except Rejected as error:
            kinds.add(error.kind)
        assert time.process_time() - started < SECONDS_MAX, file.name
    assert kinds == {"node.config_invalid"}
    assert taken == ["n_single_space.json", "n_structure_no_data.json"]


def test_no_file_is_a_key_of_a_node(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    path.touch(0o600)

    def read(data: bytes) -> Any:
        path.write_bytes(data)
        return read_key(path)

    assert refusals(read) == {"node.key_invalid"}


def test_no_file_is_a_key_of_a_wallet() -> None:
    kinds = refusals(lambda data: keyfile.parse(data, "alice.json"))
    assert kinds == {"wallet.file_cut", "wallet.file_damaged", "wallet.file_foreign"}


def test_no_file_is_an_address_book_but_the_empty_object_and_those_of_texts(tmp_path: Path) -> None:
    wallet = Wallet(tmp_path)
    wallet.folder.mkdir()
    kinds = set()
    for file in FILES:
        (wallet.folder / "contacts.json").write_bytes(file.data)
        try:
            book = wallet.contacts()
        except Rejected as error:
            kinds.add(error.kind)
            continue
        assert all(isinstance(value, str) for value in book.values()), file.name
    assert kinds == {"wallet.contacts_damaged"}
