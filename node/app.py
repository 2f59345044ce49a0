"""One node as one process: opens its files, connects replica, peers and clients, and ends in good order.

    run_node(config) -> exit code            raises Rejected where the node cannot even start

SIGTERM and SIGINT end it cleanly within seconds. An invariant that fails ends it at once, with the sentence in the log
and a code other than 0: going on could sign what must not be signed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import uvloop

from concento import __version__
from concento.development import development_keys
from concento.errors import Broken, ConcentoError, Rejected
from concento.genesis import Genesis
from concento.keys import verify_many
from consensus.guard import newest_slot
from node.comet.process import CometNode
from node.config import NodeConfig, load_genesis, observer_keys, parse_address, peer_targets, read_config
from node.counting import Counting
from node.health import LoopLag
from node.lock import lock_home
from node.logs import Log, open_log
from node.narrate import Aside, Narrator
from node.ownbackend import OwnBackend
from node.p2p.handshake import Identity
from node.p2p.peers import Address, Peers
from node.ports import check_port_free, port_error
from node.replica.core import Replica, open_replica
from node.replica.events import Committed, OverrideGuard, PeerDown, PeerMessage, PeerUp, Started
from node.replica.files import GUARD_FILE, DiskFiles, Files, MemoryFiles
from node.replica.join import Joining, clear, is_half_joined
from node.replica.retention import Retention
from node.replica.wire import check_payload
from node.rpc.server import serve
from node.runner import Core, Runner, time_now
from node.signer import NodeKey, read_key
from node.snapshots import SnapshotShelf, Taking, take
from node.verify import VerifyMany, VerifyThread
from state.store.kv import KeyValue, MemoryKeyValue
from state.store.leveldb import LevelDb, staggered_bytes
from state.store.opening import close_store, is_empty

R = TypeVar("R")

EXIT_BROKEN: Final = 1
EXIT_LOCAL: Final = 9
SWITCH_S: Final = 0.0002
"""How long a thread may keep the interpreter: the loop must get it back soon after the verify thread took it."""
GC_THRESHOLDS: Final = (100_000, 20, 50)
"""Collections cost milliseconds and find little: nearly all records are acyclic."""

_MENDS: Final = re.compile(r"concento node (repair|resync)")
"""Commands that want to know which node."""

CoreFactory = Callable[[Replica], Core]
"""Puts something between runner and replica: the simulator's misbehaving nodes are made so."""
DiskFactory = Callable[[LevelDb, DiskFiles], tuple[KeyValue, Files]]
"""Puts something between the node and its disk: the simulator's failing disks are made so."""


def run_node(
    config: NodeConfig,
    core_factory: CoreFactory | None = None,
    sign_from: int | None = None,
    verify: VerifyMany = verify_many,
    disk_factory: DiskFactory | None = None,
) -> int:
    """Runs the node until a signal ends it; the exit code is 128 + the signal, or 1 where an invariant failed.

    `sign_from` is the operator's word that the key of a node without a usable guard has signed nothing at this height
    or above, here or anywhere: if that is wrong, the node signs twice and the network may punish it. `verify` is put
    in only to measure what checking signatures costs.
    """
    if sys.flags.optimize:
        raise Rejected("node.optimised")
    genesis = load_genesis(config)
    key = read_key(config.key_path)
    check_key(config, genesis, key)
    check_guard(config, genesis, key)
    if sign_from is not None and config.engine == "comet":
        raise Rejected("node.config_invalid", field="sign_from", reason="CometBFT keeps a guard of its own")
    with ExitStack() as stack:
        stack.enter_context(lock_home(config.home))
        for setting, listen in (("rpc_listen", config.rpc_listen), ("p2p_listen", config.p2p_listen)):
            address = parse_address(listen, setting)
            check_port_free(address.host, address.port)
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(*GC_THRESHOLDS)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if config.engine == "comet":
                return runner.run(CometNode(config, genesis, key).run())
            return runner.run(_Node(config, genesis, key, core_factory, sign_from, verify, disk_factory).run())


def check_key(config: NodeConfig, genesis: Genesis, key: NodeKey) -> None:
    """Raises Rejected where everybody knows the key of a node of a network that is not for development."""
    if not genesis.dev and key.public in development_keys():
        raise Rejected("node.key_development", path=str(config.key_path))


def check_guard(config: NodeConfig, genesis: Genesis, key: NodeKey) -> None:
    """Raises Rejected where the guard was made for another key or chain: then one of the two files is misplaced.

    A guard that is missing or damaged is the replica's business: the node observes until it is safe to sign.
    """
    path = config.files_path / GUARD_FILE
    slot = newest_slot(path.read_bytes()) if path.exists() else None
    if slot is not None and (slot.key, slot.genesis_hash) != (key.public, genesis.hash):
        raise Rejected("node.guard_foreign", path=str(path))


class _Node:
    """Everything that a running node holds, and the order in which it comes and goes."""

    def __init__(
        self,
        config: NodeConfig,
        genesis: Genesis,
        key: NodeKey,
        core_factory: CoreFactory | None,
        sign_from: int | None,
        verify: VerifyMany,
        disk_factory: DiskFactory | None,
    ) -> None:
        self._verify = verify
        self._disk_factory = disk_factory or (lambda kv, files: (kv, files))
        self._config = config
        self._genesis = genesis
        self._key = key
        self._core_factory = core_factory or (lambda replica: replica)
        self._sign_from = sign_from
        self._log = open_log(config.name, config.log_level, config.log_format, config.log_path)
        self._shelf = SnapshotShelf(config.snapshots_path, config.snapshots_kept)

    async def run(self) -> int:
        stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _resolve, stop, 128 + number)
        buffer_bytes = staggered_bytes(self._key.public, self._genesis.validators.keys)
        kv = LevelDb.open(self._config.store_path, buffer_bytes)
        files = DiskFiles(self._config.files_path)
        verifier = VerifyThread(self._verify)
        try:
            store, folder = self._disk_factory(kv, files)
            if self._config.sync == "snapshot" and (is_empty(kv) or is_half_joined(kv)):
                if (code := await self._join(kv, verifier, stop)) is not None:
                    return code
            elif is_half_joined(kv):
                clear(kv)
            config, shelf = self._config, self._shelf
            replica = open_replica(
                self._genesis, self._key.public, store, folder, self._key, time_now(),
                retention=Retention(config.retain_ms, shelf.oldest), shelf=shelf,
            )  # fmt: skip
            runner = Runner(self._core_factory(replica), store, folder, verifier, self._log)
            taken = partial(take, self._genesis, kv, shelf)
            taking = Taking(kv, shelf, taken, config.snapshot_ms, self._log)
            runner.watch(partial(_tell_decided, taking))
            try:
                code = await self._serve(replica, runner, verifier, stop)
            finally:
                await taking.stop()
            close_store(replica.store)
            return code or 0
        except Broken as error:
            self._log.error("node.broken", reason=str(error))
            print(f"error: {error}", file=sys.stderr)
            return EXIT_BROKEN
        finally:
            verifier.close()
            files.close()
            # A thread that still reads is stopped by now, and must be out of the store before that goes.
            await asyncio.get_running_loop().shutdown_default_executor()
            kv.close()

    async def _join(self, kv: LevelDb, verifier: VerifyThread, stop: asyncio.Future[int]) -> int | None:
        """Fills the empty store with a snapshot of the peers; the exit code where a signal ended that.

        Clients see a node that is syncing, at genesis. Where no peer has a snapshot the store is left empty.
        """
        joining = Joining(self._genesis, kv)
        files = MemoryFiles()
        replica = open_replica(self._genesis, None, MemoryKeyValue(), files, self._key, time_now())
        code = await self._serve(replica, Runner(joining, kv, files, verifier, self._log), verifier, stop, joining)
        if code is None and not joining.has_joined:
            self._log.warning("snapshot.blocks_instead")
        return code

    async def _serve(
        self,
        replica: Replica,
        runner: Runner,
        verifier: VerifyThread,
        stop: asyncio.Future[int],
        joining: Joining | None = None,
    ) -> int | None:
        """Runs until a signal ends it, whose exit code it gives, or until the joining is done: None."""
        config, genesis, log = self._config, self._genesis, self._log
        lag = LoopLag()
        identity = Identity(genesis.network, genesis.protocol, self._key.public, self._key.sign)
        door = _Door(runner, log)
        peers = Peers(identity, peer_targets(config, genesis, self._key.public), (), _inspect, door)
        backend = OwnBackend(config, genesis, self._key.public, replica, runner, peers, verifier, lag, joining)
        door.open(backend)
        runner.connect(peers)
        allowance = _Allowance(replica, peers, observer_keys(config))
        runner.watch(allowance.update)
        telling = Aside(Narrator(log, backend).tell, runner.fail)
        runner.watch(telling.note)
        allowance.refresh()
        lag.start()
        listen, rpc = parse_address(config.p2p_listen, "p2p_listen"), parse_address(config.rpc_listen, "rpc_listen")
        server = None
        counting = None
        try:
            runner.post(Started())
            if self._sign_from is not None:
                runner.post(OverrideGuard(self._sign_from))
            server = await _listening(rpc, serve(backend, rpc.host, rpc.port, hosts=config.rpc_hosts))
            await _listening(listen, peers.start(listen.host, listen.port))
            log.info(
                "node.started", version=__version__, role=backend.role, height=replica.status().height,
                rpc=config.rpc_listen, p2p=config.p2p_listen, key=self._key.public,
            )  # fmt: skip
            # What was made while starting lives as long as the node: no collection need look at it again.
            gc.collect()
            gc.freeze()
            if not replica.store.is_counted:
                counting = Counting(replica.store, runner.fail)
            ends: list[asyncio.Future[Any]] = [stop, runner.failed, runner.finished]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if runner.failed.done():
                runner.failed.result()
            if not stop.done():
                return None
            log.info("node.stopping", signal=stop.result() - 128)
            return stop.result()
        finally:
            telling.finish()
            runner.stop()
            lag.stop()
            if counting is not None:
                await counting.stop()
            await peers.stop()
            if server is not None:
                await server.close()


def _tell_decided(taking: Taking, committed: Committed) -> None:
    """A node that catches up takes no snapshots."""
    if not committed.synced:
        taking.committed(committed.stored.record.block.header)


class _Door:
    """Takes what the peers do to the runner, and notes it."""

    def __init__(self, runner: Runner, log: Log) -> None:
        self._runner = runner
        self._log = log
        self._backend: OwnBackend | None = None

    def open(self, backend: OwnBackend) -> None:
        self._backend = backend

    def peer_up(self, peer: bytes) -> None:
        self._note(peer, is_up=True)
        self._log.limited("info", "peer.up", peer=self._name(peer))
        self._runner.post(PeerUp(peer))

    def peer_down(self, peer: bytes, reason: str) -> None:
        self._note(peer, is_up=False)
        self._log.limited("info", "peer.down", peer=self._name(peer), reason=reason)
        self._runner.post(PeerDown(peer))

    def peer_message(self, peer: bytes, payload: bytes, handled: Callable[[], None]) -> None:
        if self._backend is not None:
            self._backend.counts.received(len(payload))
        self._runner.post(PeerMessage(peer, payload), handled)

    def peer_refused(self, address: str, reason: str) -> None:
        if self._backend is not None:
            self._backend.counts.refused()
        self._log.limited("info", "peer.refused", address=address, reason=reason)

    def _name(self, peer: bytes) -> str:
        return peer.hex() if self._backend is None else self._backend.name_of(peer)

    def _note(self, peer: bytes, is_up: bool) -> None:
        if self._backend is not None:
            self._backend.note_peer(peer, is_up)
            if not is_up:
                self._backend.counts.lost()


class _Allowance:
    """Keeps the allow-list what the chain says: validators and observers, and whom the operator named.

    A peer that the operator wants dialled is let in, too, while the chain does not say that it has left: a node that
    begins from genesis does not know yet who validates now.
    """

    def __init__(self, replica: Replica, peers: Peers, observers: frozenset[bytes]) -> None:
        self._replica = replica
        self._peers = peers
        self._observers = observers
        self._allowed: frozenset[bytes] = frozenset()
        self._known: tuple[object, ...] = ()

    def update(self, _committed: Committed) -> None:
        status = self._replica.status()
        if (status.validators, status.next_validators, status.observers) != self._known:
            self.refresh()

    def refresh(self) -> None:
        status = self._replica.status()
        self._known = (status.validators, status.next_validators, status.observers)
        members = (*status.validators.keys, *status.next_validators.keys)
        named = (key for key in self._peers.targets if not self._replica.has_left(key))
        allowed = frozenset((*members, *(node.key for node in status.observers), *named)) | self._observers
        if allowed != self._allowed:
            self._allowed = allowed
            self._peers.allow(allowed)


def _inspect(payload: bytes) -> tuple[int, int]:
    return payload[0], check_payload(payload).per_second


async def _listening(address: Address, start: Awaitable[R]) -> R:
    try:
        return await start
    except OSError as error:
        raise port_error(address.host, address.port, error) from None


def _resolve(stop: asyncio.Future[int], code: int) -> None:
    if not stop.done():
        stop.set_result(code)


def main(arguments: list[str] | None = None) -> int:
    """`python -m node.app --home DIR`: the same as `concento node run`, without its options."""
    parser = argparse.ArgumentParser(prog="python -m node.app", description="Run one node in the foreground.")
    parser.add_argument(
        "--home", type=Path, required=True, help="the folder with node.toml and all of the node's files"
    )
    try:
        chosen = parser.parse_args(arguments)
        return run_node(read_config(chosen.home))
    except ConcentoError as error:
        return complain(error, chosen.home)


def complain(error: ConcentoError, home: Path) -> int:
    """Says on stderr why a node does not run, with the commands that mend it as they are typed for this home."""
    print(f"error: {error} ({error.kind})", file=sys.stderr)
    if error.hint:
        print(f"hint: {_MENDS.sub(lambda found: f'{found.group()} --node-home {home}', error.hint)}", file=sys.stderr)
    return EXIT_LOCAL


if __name__ == "__main__":
    sys.exit(main())
