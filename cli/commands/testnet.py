"""`concento testnet`: a network of real processes on this machine."""

from __future__ import annotations

import functools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from cli import faults, localnet, netview
from cli.context import Context, with_context
from cli.grammar import Noun
from cli.localnet import Layout
from cli.text import testnet as text
from concento.genesis import parse_genesis

LINE_S: Final = 10.0
"""How often the network is described in one line where there is no terminal."""
TABLE_S: Final = 0.5

Update = Callable[[dict[str, Any]], None]
"""Shows the network as it is now."""


@click.group(cls=Noun)
def testnet() -> None:
    """A network of real processes on this machine.

    State is kept in HOME/testnet until `up --reset`. Development accounts need no key file: see `wallet list`.
    """


@testnet.command()
@click.option("--nodes", type=click.IntRange(1, 16), default=None, help="How many validators [4].")
@click.option("--base-port", type=click.IntRange(1024, 65_000), default=None, help="RPC port of node1 [26600].")
@click.option("--genesis", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Start from this file.")
@click.option("--engine", type=click.Choice(["own", "comet"]), help="What decides blocks: own, or CometBFT [own].")
@click.option("--reset", is_flag=True, help="Delete the network first; the new chain is another one.")
@click.option("--detach", is_flag=True, help="Return when every node is ready.")
@click.option("--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Write ready.json here too.")
@with_context
def up(
    context: Context,
    nodes: int | None,
    base_port: int | None,
    genesis: Path | None,
    engine: str | None,
    reset: bool,
    detach: bool,
    ready_file: Path | None,
) -> int | None:
    """Start the network, or attach to the one that runs. Ctrl-C stops it and keeps its state."""
    layout = _layout(context) if reset else _layout(context, nodes, base_port, engine)
    chosen = parse_genesis(genesis.read_bytes()) if genesis else None
    if reset:
        if (engine or layout.engine) == "comet":
            localnet.check_comet(layout)
        size = nodes or localnet.genesis_size(layout)
        _reset(context, layout)
        engine = engine or layout.engine
        layout = Layout(context.home.absolute(), size, base_port or layout.base_port, engine)
        chosen = chosen or localnet.fresh_genesis(layout.nodes)
    running = [name for name in layout.names if localnet.pid_of(layout, name) is not None]
    localnet.check_ports(layout)
    localnet.prepare(layout, chosen)
    if running:
        context.printer.note(f"Attached: {len(running)} of {layout.nodes} nodes are running already.")
    started = time.monotonic()
    localnet.start_all(layout, lambda name: context.printer.detail(f"{name} is ready"))
    faults.renew(layout)
    if ready_file is not None:
        localnet.write_ready(layout, ready_file)
    context.printer.note(f"{layout.nodes} nodes and the gateway are ready after {time.monotonic() - started:.1f} s.")
    if detach:
        context.printer.result(localnet.describe(layout), text.described)
        return None
    return _stay(context, layout, None)


@testnet.command()
@with_context
def status(context: Context) -> None:
    """Every node, the gateway, the accounts."""
    context.printer.result(localnet.describe(localnet.require(context.home)), text.described)


@testnet.command()
@click.option("--for", "seconds", type=click.FloatRange(min=0), help="Stop watching after this many seconds.")
@with_context
def watch(context: Context, seconds: float | None) -> int | None:
    """Follow the network: a live table on a terminal, else a line every 10 s. Ctrl-C ends the watching only."""
    _follow(context, localnet.require(context.home), seconds)
    return None


@testnet.command()
@with_context
def down(context: Context) -> None:
    """Stop every process; the state is kept."""
    layout = localnet.require(context.home)
    stopped = localnet.stop_all(layout)
    context.printer.result(
        {"stopped": stopped, "home": str(layout.folder)},
        lambda document: [f"Stopped {', '.join(stopped) or 'nothing: it was down'}. State is kept in {layout.folder}."],
    )


@testnet.command()
@click.argument("name")
@with_context
def kill(context: Context, name: str) -> None:
    """Kill a node as a power cut would (SIGKILL)."""
    _signalled(context, name, signal.SIGKILL, "was killed", "concento testnet start")


@testnet.command()
@click.argument("name")
@with_context
def pause(context: Context, name: str) -> None:
    """Freeze a node (SIGSTOP): it holds its connections and says nothing."""
    _signalled(context, name, signal.SIGSTOP, "is frozen", "concento testnet resume")


@testnet.command()
@click.argument("name")
@with_context
def resume(context: Context, name: str) -> None:
    """Let a frozen node go on (SIGCONT)."""
    _signalled(context, name, signal.SIGCONT, "goes on", "")
    faults.renew(localnet.require(context.home))


@testnet.command()
@click.argument("name")
@with_context
def start(context: Context, name: str) -> None:
    """Start a node that was stopped or killed, and wait until it is ready."""
    layout = localnet.require(context.home)
    began = time.monotonic()
    localnet.start_one(layout, name)
    faults.renew(layout)
    document = {
        "name": name,
        "pid": localnet.pid_of(layout, name),
        "ready_ms": round((time.monotonic() - began) * 1000),
    }
    context.printer.result(document, lambda found: [f"{name} is ready after {found['ready_ms']} ms."])


@testnet.command("add-node")
@with_context
def add_node(context: Context) -> None:
    """Add a node while the network runs: admitted, synced, proposed, approved, and at work when this returns."""
    from cli.members import add_node as add

    layout = localnet.require(context.home.absolute())
    context.printer.result(add(layout, context.printer.note), text.added)


@testnet.command("remove-node")
@click.argument("name")
@with_context
def remove_node(context: Context, name: str) -> None:
    """Take the node NAME out again: the validators vote it out, then its process ends."""
    from cli.members import remove_node as remove

    layout = localnet.require(context.home.absolute())
    context.printer.result(remove(layout, name, context.printer.note), text.removed)


@testnet.command()
@click.argument("parts", nargs=-1, required=True, metavar="A,B/C,D")
@with_context
def partition(context: Context, parts: tuple[str, ...]) -> None:
    """Cut the network into parts that do not hear each other. Nodes that are not named are a part of their own.

    Development networks only, as is all that breaks something on purpose.
    """
    layout = localnet.require(context.home)
    found = faults.partition(layout, "".join(parts))
    context.printer.result(text.lines(layout.names, found), text.parted)


@testnet.command()
@click.argument("names", metavar="NODE[,NODE]")
@click.argument("delay_ms", type=click.IntRange(0, faults.DELAY_MS_MAX), metavar="MS")
@with_context
def delay(context: Context, names: str, delay_ms: int) -> None:
    """Make every message from and to a node late by MS milliseconds; 0 takes it back."""
    layout = localnet.require(context.home)
    found = faults.delay(layout, names.split(","), delay_ms)
    context.printer.result(text.lines(layout.names, found), text.parted)


@testnet.command()
@with_context
def heal(context: Context) -> None:
    """Join what was cut and hurry what was slowed. Nodes that lie go on lying."""
    layout = localnet.require(context.home)
    context.printer.result(text.lines(layout.names, faults.heal(layout)), text.parted)


@testnet.command()
@click.argument("name")
@click.argument("mode")
@with_context
def byzantine(context: Context, name: str, mode: str) -> None:
    """Start a node again as a liar of this kind (`honest`: as it was). See docs/faults.md for the kinds."""
    layout = localnet.require(context.home)
    found = faults.make_byzantine(layout, name, mode)
    context.printer.result(
        {"name": name, "mode": mode, "byzantine": found.byzantine, "state": localnet.state_of(layout, name)},
        lambda document: [
            f"{name} is honest again."
            if mode == faults.HONEST
            else f"{name} lies now: {mode}. Next: concento testnet byzantine {name} {faults.HONEST}"
        ],
    )


@testnet.command()
@click.argument("name", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on as lines are written.")
@click.option("--grep", default="", help="Only lines that contain this.")
@with_context
def logs(context: Context, name: str | None, follow: bool, grep: str) -> None:
    """The logs of one process, or of all."""
    layout = localnet.require(context.home)
    names = (localnet.check_name(layout, name),) if name else (*layout.names, "gateway")
    for source, entry in localnet.log_lines(layout, names, follow):
        if grep in entry:
            context.printer.item({"node": source, "line": entry}, functools.partial(_log_line, names=names))


@testnet.command()
@with_context
def env(context: Context) -> None:
    """Shell variables for the network: eval "$(concento testnet env)"."""
    layout = localnet.require(context.home)
    variables = {
        "CONCENTO_HOME": str(layout.home),
        "CONCENTO_URL": ",".join(layout.url(name) for name in layout.names),
        "CONCENTO_GATEWAY": layout.gateway_url,
        "CONCENTO_GENESIS": str(layout.genesis),
    }
    context.printer.result(variables, lambda document: [f"export {key}={value}" for key, value in document.items()])


def _layout(
    context: Context, nodes: int | None = None, base_port: int | None = None, engine: str | None = None
) -> Layout:
    """The network that exists here, unless the command line asks for another shape of it."""
    found = localnet.find(context.home.absolute())
    if found is None:
        return Layout(context.home.absolute(), nodes or 4, base_port or localnet.BASE_PORT, engine or "own")
    asked = nodes or found.nodes, base_port or found.base_port, engine or found.engine
    if asked != (found.nodes, found.base_port, found.engine):
        raise click.UsageError(
            f"The network in {found.folder} has {found.nodes} nodes from port {found.base_port} "
            f"and engine {found.engine}. Start over with --reset, or use another --home."
        )
    return found


def _reset(context: Context, layout: Layout) -> None:
    if not layout.folder.exists():
        return
    context.printer.confirm(f"Delete {layout.folder} with all keys, blocks and files of this local network?")
    localnet.stop_all(layout)
    for path in localnet.reset(layout):
        context.printer.note(f"Deleted {path}")


def _signalled(context: Context, name: str, number: signal.Signals, what: str, then: str) -> None:
    layout = localnet.require(context.home)
    pid = localnet.signal_one(layout, name, number)
    hint = f" Next: {then} {name}" if then else ""
    context.printer.result(
        {"name": name, "pid": pid, "signal": number.name}, lambda document: [f"{name} (pid {pid}) {what}.{hint}"]
    )


def _stay(context: Context, layout: Layout, seconds: float | None) -> int | None:
    """Follow the network until Ctrl-C or SIGTERM, then stop it."""
    try:
        _follow(context, layout, seconds)
    finally:
        localnet.stop_all(layout)
        context.printer.note(f"Stopped. State is kept in {layout.folder}.")
    return None


def _follow(context: Context, layout: Layout, seconds: float | None) -> None:
    until = None if seconds is None else time.monotonic() + seconds
    live = sys.stdout.isatty() and not context.settings.json
    recovery = netview.Recovery()
    show = _live_table() if live else _lines(context)
    with show as update:
        while until is None or time.monotonic() < until:
            document = localnet.describe(layout)
            update(document | {"recovery": recovery.note(document, time.monotonic())})
            rest = TABLE_S if live else LINE_S
            time.sleep(rest if until is None else max(0.0, min(rest, until - time.monotonic())))


@contextmanager
def _lines(context: Context) -> Iterator[Update]:
    yield lambda document: context.printer.item(document, text.line)


@contextmanager
def _live_table() -> Iterator[Update]:
    """The table of nodes, drawn again in place."""
    from rich.live import Live

    with Live(refresh_per_second=4) as live:
        yield lambda document: live.update(_rich_nodes(document))


def _rich_nodes(document: dict[str, Any]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    source = text.nodes(document)
    shown = Table(box=SIMPLE_HEAD, title=f"{document['chain_id']} · {text.line(document)}", title_justify="left")
    for heading in source.header:
        shown.add_column(heading, justify="right" if heading in source.right else "left")
    for row, node in zip(source.rows, document["nodes"], strict=True):
        shown.add_row(*row, style=None if node["state"] == "up" else "red")
    return shown


def _log_line(document: dict[str, Any], names: tuple[str, ...]) -> str:
    return str(document["line"]) if len(names) == 1 else f"{document['node']:8} {document['line']}"
