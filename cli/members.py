"""Growing and shrinking a local network of a development chain while it runs.

Nothing here has a power of its own: the new node is admitted, synced, proposed and approved by the same transactions
that operators send, signed with the development keys of the validators. Under CometBFT it is the same: the ledger tells
the engine of the new set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cli import localnet
from cli.localnet import Layout
from concento.accounts import account_of_key, address
from concento.client import Client, RpcError, Session
from concento.client.wallet import development_signer
from concento.development import VALIDATORS_DEV_MAX, development_account, development_seed
from concento.errors import ConcentoError, Rejected, Unavailable
from concento.genesis import Genesis, parse_genesis
from concento.keys import public_key
from concento.messages.governance import AddValidator, AdmitObserver, Approve, Change, Propose, RemoveValidator
from concento.messages.tokens import Transfer
from concento.units import UBEAT_PER_BEAT

SYNC_S: Final = 120.0
PROPOSES_S: Final = 90.0
FUNDED_UBEAT: Final = UBEAT_PER_BEAT
"""What the account of a validator gets from the treasury, to pay for its proposals and approvals."""
PROPOSAL_MS: Final = 3_600_000

Say = Callable[[str], None]


def add_node(layout: Layout, say: Say) -> dict[str, Any]:
    """One more node, up to the first block that it proposes. Goes on where it was broken off."""
    genesis = parse_genesis(layout.genesis.read_bytes())
    with _client(layout) as client:
        name = _next_name(layout, client)
        key = public_key(development_seed(name))
        grown = replace(layout, nodes=int(name.removeprefix("node")))
        started_ms = time.monotonic_ns() // 1_000_000
        _fund(client, genesis, (*_members(client), name))
        say(f"{name} has the key {key.hex()}.")
        if not _has(client, name, "gov_listObservers") and name not in _members(client):
            height = _decide(client, AdmitObserver(key, name, account_of_key(key)))
            say(f"{name} may observe: decided in block {height}.")
        _start(grown, genesis, name, client)
        height = _synced(grown, name, client)
        say(f"{name} has followed the chain to block {height}.")
        decided = None
        if name not in _members(client):
            decided = _decide(client, AddValidator(key))
            say(f"{name} validates from block {decided + 2} on: decided in block {decided}.")
        proposed = _first_proposal(client, genesis, name, decided or 1)
        say(f"{name} has proposed block {proposed}.")
        validators = client.validators()
    localnet.write_ready(grown)
    return {
        "name": name,
        "key": key.hex(),
        "rpc": grown.url(name),
        "decided_height": decided,
        "first_block": proposed,
        "validators": len(validators["items"]),
        "quorum": validators["quorum"],
        "took_ms": time.monotonic_ns() // 1_000_000 - started_ms,
    }


def remove_node(layout: Layout, name: str, say: Say) -> dict[str, Any]:
    """A validator leaves by a vote of the others, and its process ends; its folder stays."""
    localnet.check_name(layout, name)
    genesis = parse_genesis(layout.genesis.read_bytes())
    with _client(replace(layout, removed=(*layout.removed, name))) as client:
        members = _members(client)
        decided = None
        if name in members:
            _fund(client, genesis, tuple(members))
            decided = _decide(client, RemoveValidator(bytes.fromhex(members[name])))
            say(f"{name} leaves the validators at block {decided + 2}: decided in block {decided}.")
            _until_height(client, genesis, decided + 2)
        validators = client.validators()
    localnet.stop_some(layout, (name,))
    shrunk = replace(layout, removed=(*layout.removed, name))
    localnet.write_layout(shrunk)
    localnet.write_ready(shrunk)
    count, quorum = len(validators["items"]), validators["quorum"]
    return {"name": name, "decided_height": decided, "validators": count, "quorum": quorum}


# Steps


def _next_name(layout: Layout, client: Client) -> str:
    """A node that was begun and does not validate yet, else the next number."""
    members = _members(client)
    begun = next((name for name in layout.names if name not in members and _was_added(layout, name)), None)
    if begun is not None:
        return begun
    if layout.nodes >= VALIDATORS_DEV_MAX:
        raise Rejected("testnet.size", nodes=layout.nodes + 1, nodes_max=VALIDATORS_DEV_MAX)
    return f"node{layout.nodes + 1}"


def _was_added(layout: Layout, name: str) -> bool:
    genesis = parse_genesis(layout.genesis.read_bytes())
    return all(member.name != name for member in genesis.validators.members)


def _start(layout: Layout, genesis: Genesis, name: str, others: Client) -> None:
    if not layout.node(name).joinpath("store").exists():
        # Where the others have dropped their first blocks there is nothing else to begin with than a snapshot.
        sync = "snapshot" if others.status()["oldest_height"] > 1 else "blocks"
        localnet.prepare_node(layout, genesis, name, sync)
    localnet.write_layout(layout)
    if localnet.pid_of(layout, name) is None:
        localnet.start_one(layout, name)


def _synced(layout: Layout, name: str, others: Client) -> int:
    """Waits until the node has what the others have; its height."""
    deadline = time.monotonic() + SYNC_S
    with Client(layout.url(name), timeout_s=5) as own:
        while time.monotonic() < deadline:
            try:
                status = own.status()
                if status["ready"] and status["height"] + 1 >= others.status()["height"]:
                    return int(status["height"])
            except ConcentoError:
                pass
            time.sleep(0.1)
    raise Unavailable("testnet.not_ready", name=name, log=str(layout.log(name)), last="it did not catch up in time")


def _first_proposal(client: Client, genesis: Genesis, name: str, since: int) -> int:
    """Keeps the chain busy until the node has proposed a block; its height."""
    looked = since
    deadline = time.monotonic() + PROPOSES_S
    while time.monotonic() < deadline:
        newest = int(client.status()["height"])
        for height in range(looked + 1, newest + 1):
            if client.block(height=height)["proposer_name"] == name:
                return height
        looked = newest
        _pay(client, genesis, {name: 1})
    raise Unavailable("testnet.not_ready", name=name, log="", last=f"it proposed none of the blocks up to {looked}")


def _until_height(client: Client, genesis: Genesis, height: int) -> None:
    while int(client.status()["height"]) < height:
        _pay(client, genesis, {"treasury": 1})


def _decide(client: Client, change: Change) -> int:
    """Proposes a change and lets validators approve it until it is decided; the height at which it was."""
    members = list(_members(client))
    first = _session(client, members[0])
    try:
        until_ms = int(client.status()["time_ms"]) + PROPOSAL_MS
        document = first.send([Propose(change, until_ms)])
        if document["status"] != "final":
            raise Rejected("testnet.not_decided", reason=str(document["error"]))
        proposal = next(entry["id"] for entry in document["created"] if entry["kind"] == "proposal")
    except RpcError as error:
        if error.kind != "governance.proposed_already":
            raise
        proposal = str(error.numbers["proposal"])
    for name in members[1:]:
        found = client.proposal(proposal)
        if found["state"] != "open":
            break
        if not any(voice["name"] == name and voice["approves"] for voice in found["voices"]):
            _session(client, name).send([Approve(bytes.fromhex(proposal))])
    found = client.proposal(proposal)
    if found["state"] != "accepted":
        raise Rejected("testnet.not_decided", reason=str(found["reason"] or found["state"]))
    return int(found["decided_height"])


def _fund(client: Client, genesis: Genesis, names: tuple[str, ...]) -> None:
    """The accounts of validators have nothing in genesis: the treasury gives them what proposals cost."""
    poor = {}
    for name in dict.fromkeys(names):
        try:
            held = int(client.account(_address(genesis, name))["balance_ubeat"])
        except RpcError:
            held = 0
        if held < FUNDED_UBEAT // 10:
            poor[name] = FUNDED_UBEAT
    if poor:
        _pay(client, genesis, poor)


def _pay(client: Client, genesis: Genesis, amounts: dict[str, int]) -> None:
    actions = [Transfer(development_account(name), amount) for name, amount in amounts.items()]
    _session(client, "treasury").send(actions)


# Small things


def _client(layout: Layout) -> Client:
    """The nodes that run, the first of them first."""
    urls = [layout.url(name) for name in layout.names if localnet.state_of(layout, name) == "up"]
    if not urls:
        raise Rejected("testnet.down", home=str(layout.home))
    return Client(*urls)


def _members(client: Client) -> dict[str, str]:
    """Name -> key of those that validate the next block."""
    return {entry["name"]: entry["key"] for entry in client.validators()["items"]}


def _has(client: Client, name: str, method: str) -> bool:
    return any(entry["name"] == name for entry in client.call(method)["items"])


def _session(client: Client, name: str) -> Session:
    return Session(client, development_signer(name))


def _address(genesis: Genesis, name: str) -> str:
    return address(development_account(name), genesis.dev)
