"""`concento node`: one node of a network, its home and its store."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.text import nodes as text

if TYPE_CHECKING:
    from node.config import NodeConfig

_folder = click.option(
    "--node-home", type=click.Path(path_type=Path, file_okay=False), help="The node's own folder [HOME/node]."
)


@click.group(cls=Noun)
def node() -> None:
    """One node: make its home, run it, look at it, mend its store."""


@node.command()
@_folder
@click.option("--genesis", required=True, type=click.Path(path_type=Path), help="The network's genesis file.")
@click.option("--name", default="node", show_default=True, help="What the node is called in logs and status.")
@click.option("--rpc-listen", default="127.0.0.1:26600", show_default=True, help="Where clients are answered.")
@click.option("--p2p-listen", default="127.0.0.1:26620", show_default=True, help="Where other nodes connect.")
@click.option("--peer", "peers", multiple=True, metavar="NAME@HOST:PORT", help="A node to connect to; repeat.")
@with_context
def init(
    context: Context,
    node_home: Path | None,
    genesis: Path,
    name: str,
    rpc_listen: str,
    p2p_listen: str,
    peers: tuple[str, ...],
) -> None:
    """Make a node's home with a new key: settings, genesis, empty store, signing guard."""
    from cli.files import read_bytes
    from concento.errors import Rejected
    from concento.genesis import parse_genesis
    from node.config import NodeConfig
    from node.maintain import new_node

    trusted = parse_genesis(read_bytes(genesis))
    home = _home(context, node_home).absolute()
    config = NodeConfig(home=home, name=name, rpc_listen=rpc_listen, p2p_listen=p2p_listen, peers=peers)
    try:
        key = new_node(config, trusted)
    except Rejected as error:
        if error.kind == "node.config_invalid":
            error.hint = "see: concento node init --help"
        raise
    document = {
        "name": name,
        "home": str(home),
        "key": key.public.hex(),
        "chain_id": trusted.chain_id,
        "genesis_hash": trusted.hash.hex(),
        "role": "validator" if key.public in trusted.validators else "observer",
    }
    context.printer.result(document, text.made)


@node.command()
@_folder
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of node.toml (docs/settings.md), for this run.",
)
@click.option(
    "--sync",
    type=click.Choice(["blocks", "snapshot"]),
    help="How to begin without a state: with every block, or with a snapshot of the peers [the setting sync].",
)
@click.option(
    "--sign-from",
    type=click.IntRange(min=1),
    metavar="HEIGHT",
    help="For a validator whose guard is lost: sign from this height on. DANGER: be sure that its key has signed "
    "nothing there, here or elsewhere; who signs twice is punished.",
)
@with_context
def run(
    context: Context, node_home: Path | None, settings: Sequence[str], sync: str | None, sign_from: int | None
) -> int:
    """Run the node in the foreground until Ctrl-C or SIGTERM."""
    from node.app import run_node

    config = _config(context, node_home, (*settings, *([f"sync={sync}"] if sync else ())))
    return run_node(config, sign_from=sign_from)


@node.command()
@with_context
def status(context: Context) -> None:
    """Where the node at --url stands."""
    context.printer.result(context.client.status(), functools.partial(text.status, url=context.client.url))


@node.command()
@with_context
def peers(context: Context) -> None:
    """Who the node at --url is connected to."""
    context.printer.result(context.client.peers(), text.peers)


@node.command()
@_folder
@with_context
def repair(context: Context, node_home: Path | None) -> None:
    """Mend a store that does not open: execute its blocks again, into a new one. The node must not run."""
    from node.maintain import repair as mend

    config = _config(context, node_home, ())
    mended = mend(config, lambda blocks: context.printer.progress("Executing", blocks, "blocks", "are executed again"))
    document = {
        "home": str(config.home),
        "height": mended.height,
        "app_hash": mended.app_hash.hex(),
    }
    context.printer.result(document, text.repaired)


@node.command()
@_folder
@with_context
def snapshot(context: Context, node_home: Path | None) -> None:
    """The snapshots that the node keeps for nodes that join; it takes them while it runs (snapshot_every)."""
    from node.maintain import snapshots

    config = _config(context, node_home, ())
    items = [{"height": kept.height, "bytes": kept.size} for kept in snapshots(config)]
    context.printer.result({"home": str(config.home), "every": config.snapshot_every, "items": items}, text.snapshots)


@node.command()
@_folder
@click.option("--keep", metavar="SPAN", required=True, help="Blocks of so long stay, such as 30d or 12h.")
@with_context
def prune(context: Context, node_home: Path | None, keep: str) -> None:
    """Drop older blocks now; a running node does it by itself (retain = "recent SPAN"). The node must not run."""
    from node.maintain import prune_blocks

    config = _config(context, node_home, (f"retain=recent {keep}",))
    context.printer.confirm(f"Delete the blocks older than {keep} in {config.home}?")
    pruned = prune_blocks(config, config.retain_ms or 0)
    document = {
        "home": str(config.home),
        "oldest_height": pruned.oldest_height,
        "blocks": pruned.blocks,
        "segment_bytes": pruned.segment_bytes,
    }
    context.printer.result(document, text.pruned)


@node.command()
@_folder
@with_context
def resync(context: Context, node_home: Path | None) -> None:
    """Throw blocks and state away; the next start takes them from the peers. Key and guard stay."""
    from node.maintain import resync as begin_again

    config = _config(context, node_home, ())
    context.printer.confirm(f"Delete the blocks and the state in {config.home}?")
    begin_again(config)
    context.printer.result({"home": str(config.home)}, text.emptied)


def _home(context: Context, node_home: Path | None) -> Path:
    """The named folder, a home that is itself a node's, or HOME/node."""
    if node_home is not None:
        return node_home
    return context.home if (context.home / "node.toml").exists() else context.home / "node"


def _config(context: Context, node_home: Path | None, settings: Sequence[str]) -> NodeConfig:
    from node.config import read_config

    flags: dict[str, object] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"{setting} is not NAME=VALUE.")
        flags[name] = value
    return read_config(_home(context, node_home), os.environ, flags)
