"""Range proofs: some neighbouring leaves of a list lead to its root, and nothing else does."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concento.errors import Rejected
from concento.merkle import Frontier, inclusion_path, merkle_root, path_behind, range_proof, range_root

LEAVES = [b"leaf %d" % number for number in range(70)]


@pytest.mark.parametrize("size", range(1, 18))
def test_every_range_of_every_small_list_leads_to_its_root(size: int) -> None:
    leaves = LEAVES[:size]
    for start in range(size):
        for stop in range(start + 1, size + 1):
            proof = range_proof(leaves, start, stop - start)
            assert range_root(leaves[start:stop], start, size, proof) == merkle_root(leaves)
            assert len(proof) <= 2 * size.bit_length()


def test_a_range_of_one_leaf_has_the_nodes_of_its_inclusion_path() -> None:
    for index in range(len(LEAVES)):
        assert sorted(range_proof(LEAVES, index, 1)) == sorted(inclusion_path(LEAVES, index))


def test_the_whole_list_needs_no_proof() -> None:
    assert range_proof(LEAVES, 0, len(LEAVES)) == []


@given(st.integers(0, 2**32))
@settings(max_examples=200)
def test_no_change_of_rows_place_size_or_proof_leads_to_the_root(seed: int) -> None:
    random = Random(seed)
    size = random.randint(2, 70)
    leaves = LEAVES[:size]
    start = random.randrange(size)
    count = random.randint(1, size - start)
    rows, proof, root = leaves[start : start + count], range_proof(leaves, start, count), merkle_root(leaves)
    match random.randrange(5):
        case 0:
            rows = [*rows[:-1], b"another"]
        case 1:
            rows = [*rows, b"one more"]
        case 2 if proof:
            place = random.randrange(len(proof))
            proof = [*proof[:place], bytes(32), *proof[place + 1 :]]
        case 3:
            proof = [*proof, bytes(32)]
        case _ if start:
            start -= 1
        case _:
            rows = rows[:-1]
    assert _root_or_none(rows, start, size, proof) != root


def _root_or_none(rows: list[bytes], start: int, size: int, proof: list[bytes]) -> bytes | None:
    try:
        return range_root(rows, start, size, proof)
    except Rejected:
        return None


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, 0), (69, 2), (70, 1)])
def test_there_is_no_proof_of_a_range_outside(start: int, count: int) -> None:
    with pytest.raises(IndexError):
        range_proof(LEAVES, start, count)


def test_a_path_is_found_with_nothing_of_the_leaves_before_but_their_peaks() -> None:
    leaves = [bytes([number]) for number in range(70)]
    for size in range(1, len(leaves) + 1):
        for first in range(size):
            frontier = Frontier()
            for leaf in leaves[:first]:
                frontier.append(leaf)
            for index in {first, (first + size) // 2, size - 1}:
                found = path_behind(frontier.peaks, first, leaves[first:size], index)
                assert found == inclusion_path(leaves[:size], index)


@pytest.mark.parametrize(("peaks", "first", "index"), [(1, 1, 0), (1, 1, 3), (1, 3, 3), (2, 2, 2)])
def test_a_path_behind_what_is_not_known_is_refused(peaks: int, first: int, index: int) -> None:
    with pytest.raises(IndexError):
        path_behind([bytes(32)] * peaks, first, [b"a", b"b"], index)
