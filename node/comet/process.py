"""One node under CometBFT as one process of ours and one of its: opens, connects, and ends both in good order."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from concento import __version__
from concento.errors import Broken
from concento.genesis import Genesis
from concento.keys import Check
from node.comet.application import Application
from node.comet.backend import CometBackend
from node.comet.blocks import Decided
from node.comet.engine import Engine
from node.comet.home import check, comet_home, find_binary, write_settings
from node.comet.proofs import comet_methods
from node.comet.server import Server
from node.comet.snapshots import CometShelf, Restoring, take
from node.config import NodeConfig, parse_address
from node.health import LoopLag
from node.logs import Log, open_log
from node.narrate import Narrator
from node.ports import port_error
from node.replica.chain import create_chain_store
from node.replica.events import Committed
from node.replica.join import clear, is_half_joined
from node.rpc.server import serve
from node.signer import NodeKey
from node.snapshots import Taking
from node.verify import VerifyThread
from state.store.leveldb import LevelDb, staggered_bytes
from state.store.opening import close_store, is_empty, open_store

EXIT_BROKEN: Final = 1
SOCKET_FOLDER_CHARACTERS_MAX: Final = 90
"""A socket's path may have 103 bytes on macOS, 107 on Linux; ours add four."""


class CometNode:
    """Everything that a running node holds."""

    def __init__(self, config: NodeConfig, genesis: Genesis, key: NodeKey) -> None:
        self._config = config
        self._genesis = genesis
        self._key = key
        self._binary = find_binary(config)
        check(config)
        write_settings(config, genesis)
        self._log: Log = open_log(config.name, config.log_level, config.log_format, config.log_path)

    async def run(self) -> int:
        """Runs until a signal comes, or the engine ends; the exit code."""
        stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _resolve, stop, 128 + number)
        buffer_bytes = staggered_bytes(self._key.public, self._genesis.validators.keys)
        kv = LevelDb.open(self._config.store_path, buffer_bytes)
        verifier = VerifyThread()
        sockets, is_temporary = _socket_folder(comet_home(self._config))
        try:
            if is_half_joined(kv):
                clear(kv)
            if is_empty(kv):
                create_chain_store(self._genesis, kv)
            store = open_store(kv, self._genesis.network)
            application = Application(self._genesis, store, _wall_ms)
            if self._config.sync == "snapshot":
                application.restoring = Restoring(self._genesis, kv, self._config.snapshots_path / "incoming")
            code = await self._serve(application, verifier, sockets, stop)
            close_store(application.store)
            return code
        except Broken as error:
            self._log.error("node.broken", reason=str(error))
            print(f"error: {error}", file=sys.stderr)
            return EXIT_BROKEN
        finally:
            verifier.close()
            # A thread that still reads is stopped by now, and must be out of the store before that goes.
            await asyncio.get_running_loop().shutdown_default_executor()
            kv.close()
            if is_temporary:
                shutil.rmtree(sockets, ignore_errors=True)

    async def _serve(
        self, application: Application, verifier: VerifyThread, sockets: Path, stop: asyncio.Future[int]
    ) -> int:
        config = self._config
        log_file = config.home / "logs" / "cometbft.log"
        engine = Engine(self._binary, comet_home(config), sockets / "app", sockets / "rpc", log_file, config.comet_rpc)
        lag = LoopLag()
        backend = CometBackend(config, self._genesis, self._key.public, application, engine, lag)
        application.shelf = shelf = CometShelf(config.snapshots_path / "comet", config.snapshots_kept)
        taken = partial(take, self._genesis, shelf)
        taking = Taking(application.store.kv, shelf, taken, config.snapshot_ms, self._log)
        application.on_commit = _teller(backend, Narrator(self._log, backend), taking)
        server = Server(application, _verifying(verifier))
        rpc_at = parse_address(config.rpc_listen, "rpc_listen")
        rpc = None
        tasks: list[asyncio.Task[None]] = []
        lag.start()
        try:
            await server.start(sockets / "app")
            await engine.start()
            try:
                rpc = await serve(
                    backend, rpc_at.host, rpc_at.port, methods=comet_methods(engine), hosts=config.rpc_hosts
                )
            except OSError as error:
                raise port_error(rpc_at.host, rpc_at.port, error) from None
            self._log.info(
                "node.started", version=__version__, role=backend.role, height=application.store.commit.height,
                rpc=config.rpc_listen, p2p=config.p2p_listen, key=self._key.public, engine=self._binary,
            )  # fmt: skip
            tasks = [asyncio.ensure_future(engine.ended()), asyncio.ensure_future(backend.follow_engine())]
            ends: list[asyncio.Future[Any]] = [stop, server.failed, tasks[0]]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in (server.failed, tasks[0]):
                if end.done():
                    end.result()
            self._log.info("node.stopping", signal=stop.result() - 128)
            return stop.result()
        finally:
            lag.stop()
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Broken):
                    await task
            if rpc is not None:
                await rpc.close()
            await engine.stop()
            await server.close()
            await taking.stop()


def _socket_folder(home: Path) -> tuple[Path, bool]:
    """Where both sockets lie, and whether it goes with the process: in the home, unless that lies too deep."""
    if len(str(home)) > SOCKET_FOLDER_CHARACTERS_MAX:
        return Path(tempfile.mkdtemp(prefix="concento-")), True
    for name in ("app", "rpc"):
        (home / name).unlink(missing_ok=True)
    return home, False


def _teller(backend: CometBackend, narrator: Narrator, taking: Taking) -> Any:
    def tell(decided: Decided) -> None:
        narrator.tell(Committed(decided.stored, decided.transactions, synced=False))
        backend.committed(decided)
        taking.committed(decided.stored.record.block.header)

    return tell


def _verifying(verifier: VerifyThread) -> Any:
    async def verify(checks: Sequence[Check], is_block: bool) -> Sequence[bool]:
        done: asyncio.Future[tuple[bool, ...]] = asyncio.get_running_loop().create_future()
        verifier.submit(checks, lambda verdicts: None if done.done() else done.set_result(verdicts), of_batch=is_block)
        return await done

    return verify


def _resolve(stop: asyncio.Future[int], code: int) -> None:
    if not stop.done():
        stop.set_result(code)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
