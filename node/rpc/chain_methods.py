"""node_*, chain_* and rpc.discover: the node, its blocks, its event stream."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from concento.errors import Rejected
from concento.limits import PAGE_ITEMS_MAX
from node.rpc import shapes
from node.rpc.calls import Call, wait_for_height
from node.rpc.dispatch import Method, Params
from node.rpc.params import Cursor, EventCursor, HeightNumber, IdText, Limit
from state import queries_chain

TOPICS_MAX = 32
"""Topics of one subscription: each event is compared with all of them."""


class Nothing(Params):
    """No parameters."""


class BlockAt(Params):
    height: HeightNumber | None = None
    id: IdText | None = None


class BlockPage(Params):
    from_height: HeightNumber | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class AtHeight(Params):
    height: HeightNumber


class RowsAt(Params):
    height: HeightNumber
    txs: Annotated[
        tuple[shapes.Id, ...], Meta(max_length=PAGE_ITEMS_MAX, description="transactions whose results are wanted too")
    ] = ()


class MaybeHeight(Params):
    height: HeightNumber | None = None


class From(Params):
    from_height: HeightNumber = msgspec.field(name="from", default=0)
    cursor: Cursor | None = None
    limit: Limit | None = None


class Subscribe(Params):
    topics: Annotated[tuple[Annotated[str, Meta(max_length=128)], ...], Meta(max_length=TOPICS_MAX)] = ()
    start: EventCursor | None = msgspec.field(name="from", default=None)


class Unsubscribe(Params):
    subscription: Annotated[str, Meta(max_length=40)]


class Links(Params):
    links: dict[str, dict[str, int]]


def get_status(call: Call, _params: Nothing) -> dict[str, Any]:
    return call.desk.backend.status()


def get_peers(call: Call, _params: Nothing) -> dict[str, Any]:
    return {"items": call.desk.backend.peers(), "next": None, "height": call.desk.chain.height}


def get_block(call: Call, params: BlockAt) -> dict[str, Any]:
    chain = call.desk.chain
    identity = None if params.id is None else queries_chain.block_id_of(chain, params.id)
    height = queries_chain.block_height(chain, params.height, identity)
    queries_chain.block_at(chain, height)
    return queries_chain.block_get(chain, height, None, call.desk.backend.bodies(height))


def get_blocks(call: Call, params: BlockPage) -> dict[str, Any]:
    return queries_chain.block_list(call.desk.chain, params.from_height, params.cursor, params.limit)


def get_commit(call: Call, params: AtHeight) -> dict[str, Any]:
    return queries_chain.commit_get(call.desk.chain, params.height)


def get_validators(call: Call, params: MaybeHeight) -> dict[str, Any]:
    return queries_chain.validators_get(call.desk.chain, params.height)


def get_handovers(call: Call, params: From) -> dict[str, Any]:
    return queries_chain.handover_list(call.desk.chain, params.from_height, params.cursor, params.limit)


async def get_supply(call: Call, _params: Nothing) -> dict[str, Any]:
    return await call.desk.aside(queries_chain.supply_get)


async def get_rows(call: Call, params: RowsAt) -> dict[str, Any]:
    queries_chain.block_at(call.desk.chain, params.height)
    await wait_for_height(call, params.height + 1)
    return await call.desk.aside(lambda chain: queries_chain.rows_get(chain, params.height, params.txs))


def get_params(call: Call, _params: Nothing) -> dict[str, Any]:
    return queries_chain.params_get(call.desk.chain)


def get_genesis(call: Call, _params: Nothing) -> dict[str, Any]:
    return queries_chain.genesis_get(call.desk.chain)


def subscribe(call: Call, params: Subscribe) -> dict[str, Any]:
    if call.connection is None:
        raise Rejected("rpc.websocket_needed", method="chain_subscribe")
    return {"subscription": call.connection.subscribe(params.start, params.topics)}


def unsubscribe(call: Call, params: Unsubscribe) -> dict[str, Any]:
    if call.connection is None:
        raise Rejected("rpc.websocket_needed", method="chain_unsubscribe")
    call.connection.unsubscribe(params.subscription)
    return {"unsubscribed": True}


def set_links(call: Call, params: Links) -> dict[str, Any]:
    if not call.local:
        raise Rejected("rpc.forbidden", method="dev_setLinks")
    call.desk.backend.set_links(params.links)
    return {"links": params.links}


_BLOCK_ERRORS = ("block.not_found", "block.pruned")
_STREAM_ERRORS = ("rpc.websocket_needed", "rpc.cursor_malformed", "rpc.subscriptions_full")

NODE_METHODS = (
    Method("node_getStatus", "The node and the tip of its chain", Nothing, shapes.Status, get_status),
    Method("node_getPeers", "The nodes that this one knows", Nothing, shapes.Items, get_peers),
)

CHAIN_METHODS = (
    Method(
        "chain_getBlock",
        "One block: the newest, or by height or id",
        BlockAt,
        shapes.Block,
        get_block,
        _BLOCK_ERRORS,
        {"height": 1},
    ),
    Method(
        "chain_getBlocks",
        "Blocks without their contents, the newest first",
        BlockPage,
        shapes.Blocks,
        get_blocks,
        ("rpc.cursor_malformed",),
        {"limit": 3},
    ),
    Method(
        "chain_getCommit",
        "A header and the precommits that made it final",
        AtHeight,
        shapes.Commit,
        get_commit,
        _BLOCK_ERRORS,
        {"height": 1},
    ),
    Method(
        "chain_getValidators",
        "The validators of a height; by default of the next",
        MaybeHeight,
        shapes.Validators,
        get_validators,
        ("block.not_found",),
        {"height": 1},
    ),
    Method(
        "chain_getHandovers",
        "Every change of the validator set from a height on, as a light client needs it",
        From,
        shapes.Handovers,
        get_handovers,
        (),
        {"from": 0},
    ),
    Method("chain_getParams", "The parameters of the protocol", Nothing, shapes.Parameters, get_params),
    Method("chain_getGenesis", "The genesis document", Nothing, shapes.GenesisText, get_genesis),
    Method(
        "chain_getRows",
        "The rows of a height's finalisation, and results of its transactions, proved by the next header",
        RowsAt,
        shapes.ResultRows,
        get_rows,
        (*_BLOCK_ERRORS, "proof.no_block"),
        {"height": 1},
    ),
    Method("chain_getSupply", "Where all money is, over the whole state", Nothing, shapes.Supply, get_supply),
    Method(
        "chain_subscribe",
        "Events as they become final, over WebSocket; resumed without a gap by `from`",
        Subscribe,
        shapes.Subscription,
        subscribe,
        _STREAM_ERRORS,
        {"topics": ["tokens"], "from": "0.0"},
    ),
    Method(
        "chain_unsubscribe",
        "End a subscription",
        Unsubscribe,
        shapes.Unsubscribed,
        unsubscribe,
        ("rpc.websocket_needed", "rpc.subscription_unknown"),
        {"subscription": "1"},
    ),
)

DEVELOPMENT_METHODS = (
    Method(
        "dev_setLinks",
        "Cut or delay the node's links to peers; development networks only",
        Links,
        dict[str, Any],
        set_links,
        ("rpc.forbidden",),
        {"links": {}},
    ),
)
