"""Lists that grow: the same roots as whole lists, going on from peaks, and peaks out of a consistency proof."""

from __future__ import annotations

import pytest

from concento.errors import Rejected
from concento.merkle import Frontier, consistency_proof, merkle_root, old_peaks

LEAVES = [bytes((number,)) for number in range(40)]


def test_a_list_that_grows_has_the_root_of_the_whole_list() -> None:
    frontier = Frontier()
    assert frontier.root == merkle_root([])
    for size, leaf in enumerate(LEAVES, start=1):
        frontier.append(leaf)
        assert frontier.root == merkle_root(LEAVES[:size])


def test_a_list_goes_on_from_its_peaks() -> None:
    for size in range(len(LEAVES)):
        first = Frontier()
        for leaf in LEAVES[:size]:
            first.append(leaf)
        second = Frontier(first.size, first.peaks)
        second.append(LEAVES[size])
        assert second.root == merkle_root(LEAVES[: size + 1])


def test_every_consistency_proof_contains_the_old_peaks() -> None:
    for size in range(2, len(LEAVES) + 1):
        for old_size in range(1, size):
            proof = consistency_proof(LEAVES[:size], old_size)
            frontier = Frontier(old_size, old_peaks(merkle_root(LEAVES[:old_size]), old_size, size, proof))
            assert frontier.root == merkle_root(LEAVES[:old_size])
            for leaf in LEAVES[old_size:size]:
                frontier.append(leaf)
            assert frontier.root == merkle_root(LEAVES[:size])


def test_a_list_that_has_not_grown_shows_no_peaks() -> None:
    with pytest.raises(Rejected):
        old_peaks(merkle_root(LEAVES[:3]), 3, 3, ())


def test_peaks_must_match_the_size() -> None:
    with pytest.raises(ValueError, match="peaks"):
        Frontier(3, (bytes(32),))
