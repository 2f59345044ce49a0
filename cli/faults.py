"""Faults made on purpose in a local network of a development chain: lines cut and slowed, nodes that lie.

What was asked for is kept in `faults.json` beside the network, so that a node that comes back meets the same lines;
the nodes themselves forget it when they end.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from cli import localnet
from cli.localnet import Layout
from concento.client import Client
from concento.errors import ConcentoError, Rejected
from sim.liars import mode_names

HONEST: Final = "honest"
DELAY_MS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong on purpose. `parts` empty: nothing is cut. `delays_ms`: of every message from or to a node."""

    parts: tuple[tuple[str, ...], ...] = ()
    delays_ms: dict[str, int] = field(default_factory=dict)
    byzantine: dict[str, str] = field(default_factory=dict)
    changed_ms: int = 0

    def cuts(self, one: str, other: str) -> bool:
        return any((one in part) != (other in part) for part in self.parts)

    def links(self, name: str, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """The lines of this node as `dev_setLinks` takes them."""
        found: dict[str, dict[str, int]] = {}
        for other in names:
            delay_ms = max(self.delays_ms.get(name, 0), self.delays_ms.get(other, 0))
            if other != name and (self.cuts(name, other) or delay_ms):
                found[other] = {"cut": int(self.cuts(name, other)), "delay_ms": delay_ms}
        return found


def read(layout: Layout) -> Faults:
    """What was asked for so far."""
    document = localnet.read_faults(layout)
    parts = tuple(tuple(part) for part in document.get("parts", ()))
    return Faults(
        parts, document.get("delays_ms", {}), document.get("byzantine", {}), int(document.get("changed_ms", 0))
    )


def partition(layout: Layout, text: str) -> Faults:
    """Cuts the network into the parts that `text` names: `node1,node2/node3,node4`. Who is not named is one more."""
    return _set(layout, replace(read(layout), parts=parse_parts(layout.names, text)))


def delay(layout: Layout, names: Sequence[str], delay_ms: int) -> Faults:
    """Slows every message from and to these nodes; 0 takes that back."""
    faults = read(layout)
    kept = {name: ms for name, ms in faults.delays_ms.items() if name not in names}
    added = {_node(layout, name): delay_ms for name in names} if delay_ms else {}
    return _set(layout, replace(faults, delays_ms=kept | added))


def heal(layout: Layout) -> Faults:
    """All lines are whole and fast again. Nodes that lie go on lying."""
    return _set(layout, replace(read(layout), parts=(), delays_ms={}))


def make_byzantine(layout: Layout, name: str, mode: str) -> Faults:
    """Starts a node again as a liar of this kind, or honest again; one that is down lies when it is started."""
    _check_engine(layout)
    _node(layout, name)
    if mode not in (HONEST, *mode_names()):
        raise Rejected("testnet.mode_unknown", mode=mode, modes=", ".join((HONEST, *sorted(mode_names()))))
    faults = read(layout)
    liars = {liar: how for liar, how in faults.byzantine.items() if liar != name}
    faults = replace(faults, byzantine=liars if mode == HONEST else liars | {name: mode})
    _keep(layout, faults)
    if localnet.pid_of(layout, name) is not None:
        localnet.signal_one(layout, name, signal.SIGKILL)
        localnet.start_one(layout, name)
        renew(layout)
    return faults


def renew(layout: Layout) -> None:
    """Tells every node that answers of its lines again: one that was started anew knows nothing of them."""
    if layout.engine == "own":
        _tell(layout, read(layout))


def parse_parts(names: Sequence[str], text: str) -> tuple[tuple[str, ...], ...]:
    """The parts of a split. Raises Rejected where a name is unknown, twice there, or nothing would be cut."""
    parts: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for written in text.replace(" ", "").split("/"):
        part = tuple(name for name in written.split(",") if name)
        if not part:
            raise Rejected("testnet.split_invalid", text=text, reason="a part of it is empty")
        for name in part:
            if name not in names:
                raise Rejected("testnet.no_such_node", name=name, names=", ".join(names))
            if name in seen:
                raise Rejected("testnet.split_invalid", text=text, reason=f"{name} is in it twice")
            seen.add(name)
        parts.append(part)
    rest = tuple(name for name in names if name not in seen)
    if rest:
        parts.append(rest)
    if len(parts) < 2:
        raise Rejected("testnet.split_invalid", text=text, reason="all nodes are in one part")
    return tuple(parts)


def _set(layout: Layout, faults: Faults) -> Faults:
    _check_engine(layout)
    _keep(layout, faults)
    _tell(layout, faults)
    return faults


def _keep(layout: Layout, faults: Faults) -> None:
    document: dict[str, Any] = asdict(replace(faults, changed_ms=time.time_ns() // 1_000_000))
    localnet.write_faults(layout, document)


def _tell(layout: Layout, faults: Faults) -> None:
    for name in layout.names:
        if localnet.state_of(layout, name) != "up":
            continue
        # One that does not answer is told when it is started or goes on; its peers keep their side cut meanwhile.
        try:
            with Client(layout.url(name), timeout_s=2) as client:
                client.call("dev_setLinks", links=faults.links(name, layout.names))
        except ConcentoError:
            if localnet.state_of(layout, name) == "up":
                raise


def _node(layout: Layout, name: str) -> str:
    if name not in layout.names:
        raise Rejected("testnet.no_such_node", name=name, names=", ".join(layout.names))
    return name


def _check_engine(layout: Layout) -> None:
    if layout.engine != "own":
        raise Rejected("testnet.engine", engine=layout.engine)
