"""What moved an account is read from the history along its trail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from concento.accounts import Policy
from concento.errors import Damaged
from concento.messages.identity import RotateKeys
from concento.messages.tokens import Transfer
from state.modules.tokens import movements_part, part_key
from state.movements import AccountBlock, blocks_down, blocks_up
from state.queries import Chain
from state.store.kv import HISTORY
from support.ledger import account_of, key_of, movements_of
from support.node import DecidedNode

CAROL = account_of("carol")


@pytest.fixture
def node() -> DecidedNode:
    """Bob pays carol in most of thirty blocks, and bea in the others."""
    node = DecidedNode()
    for number in range(1, 31):
        node.block(node.tx("bob", Transfer(CAROL if number % 7 else account_of("bea"), number)))
    return node


def chain_of(node: DecidedNode) -> Chain:
    return Chain(node.store, node.tree, node.genesis)


def heights(blocks: Iterator[AccountBlock]) -> list[int]:
    return [block.height for block in blocks]


def test_every_block_that_moved_an_account_is_found_up_and_down_from_any_height(node: DecidedNode) -> None:
    chain = chain_of(node)
    paid = [0, *(number for number in range(1, 31) if number % 7)]
    assert heights(blocks_down(chain, CAROL)) == paid[::-1]
    for height in range(31):
        assert heights(blocks_down(chain, CAROL, height)) == [at for at in reversed(paid) if at <= height]
        assert heights(blocks_up(chain, CAROL, height)) == [at for at in paid if at > height]


def test_an_account_that_nothing_moved_has_no_blocks(node: DecidedNode) -> None:
    assert heights(blocks_down(chain_of(node), account_of("nobody"))) == []
    assert heights(blocks_up(chain_of(node), account_of("nobody"), 0)) == []


def test_new_keys_leave_the_trail_as_it_was(node: DecidedNode) -> None:
    before = heights(blocks_down(chain_of(node), CAROL))
    node.block(node.tx("carol", RotateKeys(Policy(1, (key_of("dana"),)))))
    node.block(node.tx("bob", Transfer(CAROL, 1)))
    assert heights(blocks_down(chain_of(node), CAROL)) == [32, 31, *before]


def test_what_is_found_along_the_trail_is_what_the_blocks_wrote(node: DecidedNode) -> None:
    history = {key[len(HISTORY) :]: value for key, value in node.store.scan(HISTORY)}
    for name in ("alice", "bob", "carol", "bea", "node1", "treasury"):
        found = [block.movements for block in blocks_up(chain_of(node), account_of(name), -1)]
        assert found == movements_of(history, account_of(name))
        assert found


def test_a_part_that_is_gone_is_damage_and_ends_no_list_early(node: DecidedNode) -> None:
    node.store.write({HISTORY + part_key(5, movements_part(CAROL)): None})
    found = blocks_down(chain_of(node), CAROL)
    assert next(found).height == 30
    with pytest.raises(Damaged, match="block 5 is missing"):
        list(found)
