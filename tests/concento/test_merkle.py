"""Merkle trees over lists: the reference vectors of Certificate Transparency, then every tree up to 40 leaves."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.errors import Rejected
from concento.merkle import (
    consistency_proof,
    inclusion_path,
    inclusion_paths,
    merkle_root,
    verify_consistency,
    verify_inclusion,
    verify_inclusion_of_hash,
)

VECTORS = Path(__file__).parents[1] / "vectors"

# From merkle_tree_test.cc of the Certificate Transparency reference implementation.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
SIZES = range(1, 41)


def list_of(size: int) -> list[bytes]:
    return [b"leaf %d" % index for index in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_root_is_the_reference_root(size: int) -> None:
    assert merkle_root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_inclusion_path_is_the_reference_path(index: int, size: int, path: list[str]) -> None:
    assert [item.hex() for item in inclusion_path(LEAVES[:size], index)] == path


@pytest.mark.parametrize(("old_size", "size", "proof"), CONSISTENCY)
def test_consistency_proof_is_the_reference_proof(old_size: int, size: int, proof: list[str]) -> None:
    assert [item.hex() for item in consistency_proof(LEAVES[:size], old_size)] == proof


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_verifies_at_its_index_and_at_no_other(size: int) -> None:
    leaves = list_of(size)
    root = merkle_root(leaves)
    for index, leaf in enumerate(leaves):
        path = inclusion_path(leaves, index)
        verify_inclusion(root, leaf, index, size, path)
        for other in range(-1, size + 1):
            if other != index:
                with pytest.raises(Rejected):
                    verify_inclusion(root, leaf, other, size, path)


@pytest.mark.parametrize("size", SIZES)
def test_every_earlier_list_is_shown_consistent(size: int) -> None:
    leaves = list_of(size)
    for old_size in range(1, size + 1):
        proof = consistency_proof(leaves, old_size)
        verify_consistency(merkle_root(leaves[:old_size]), old_size, merkle_root(leaves), size, proof)


@pytest.mark.parametrize("size", SIZES)
def test_a_rewritten_list_is_not_consistent(size: int) -> None:
    leaves = list_of(size)
    rewritten = [b"another", *leaves[1:]]
    for old_size in range(1, size):
        proof = consistency_proof(rewritten, old_size)
        with pytest.raises(Rejected):
            verify_consistency(merkle_root(leaves[:old_size]), old_size, merkle_root(rewritten), size, proof)


@given(st.integers(2, 70), st.data())
def test_a_forged_inclusion_path_is_refused(size: int, data: st.DataObject) -> None:
    leaves = list_of(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    at = data.draw(st.integers(0, len(path) - 1))
    forged = data.draw(
        st.sampled_from(
            [
                [*path[:at], bytes(32), *path[at + 1 :]],
                [*path[:at], path[at][:31], *path[at + 1 :]],
                path[:at] + path[at + 1 :],
                [*path, bytes(32)],
                [*path[:at], path[at], *path[at:]],
            ]
        )
    )
    with pytest.raises(Rejected, match="the proof does not hold"):
        verify_inclusion(merkle_root(leaves), leaves[index], index, size, forged)


@given(st.integers(2, 70), st.data())
def test_a_forged_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    leaves = list_of(size)
    old_size = data.draw(st.integers(1, size - 1))
    proof = consistency_proof(leaves, old_size)
    at = data.draw(st.integers(0, len(proof) - 1))
    forged = data.draw(
        st.sampled_from(
            [
                [*proof[:at], bytes(32), *proof[at + 1 :]],
                [*proof[:at], proof[at][:31], *proof[at + 1 :]],
                proof[:at] + proof[at + 1 :],
                [*proof, bytes(32)],
                [],
            ]
        )
    )
    with pytest.raises(Rejected):
        verify_consistency(merkle_root(leaves[:old_size]), old_size, merkle_root(leaves), size, forged)


@pytest.mark.parametrize(("old_size", "size"), [(0, 3), (4, 3), (-1, 3)])
def test_consistency_of_impossible_sizes_is_refused(old_size: int, size: int) -> None:
    with pytest.raises(Rejected):
        verify_consistency(bytes(32), old_size, bytes(32), size, [])


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    leaves = list_of(4)
    left, right = inclusion_path(leaves, 1)[0], inclusion_path(leaves, 0)[0]
    with pytest.raises(Rejected):
        verify_inclusion(merkle_root(leaves), left + right, 0, 2, inclusion_path(leaves, 0)[1:])


def test_equal_sizes_need_equal_roots_and_no_proof() -> None:
    root = merkle_root(LEAVES)
    verify_consistency(root, 8, root, 8, [])
    with pytest.raises(Rejected):
        verify_consistency(root, 8, sha256(b"other").digest(), 8, [])
    with pytest.raises(Rejected):
        verify_consistency(root, 8, root, 8, [root])


def test_a_path_to_an_index_outside_the_list_is_an_error_of_the_caller() -> None:
    with pytest.raises(IndexError):
        inclusion_path(LEAVES, 8)
    with pytest.raises(IndexError):
        consistency_proof(LEAVES, 9)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 33])
def test_all_paths_at_once_are_those_of_each_leaf(count):
    leaves = [b"leaf %d" % index for index in range(count)]
    first = count // 2
    paths = inclusion_paths(leaves, first)
    assert paths == [inclusion_path(leaves, index) for index in range(first, count)]
    for index, path in enumerate(paths, first):
        verify_inclusion(merkle_root(leaves), leaves[index], index, count, path)


# The suite of transparency-dev/merkle: a few good proofs, and every small change that must not pass.


def suite(kind: str) -> list[Any]:
    rows: list[Any] = json.loads((VECTORS / f"merkle-{kind}.json").read_text())
    assert len(rows) == 98
    return rows


def hashes(texts: Iterable[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or ()]


@pytest.mark.parametrize("row", suite("inclusion"), ids=lambda row: row[0])
def test_the_public_inclusion_proofs_have_their_verdicts(row: Any) -> None:
    name, index, size, root, leaf_hash, proof, is_valid = row
    found, leaf = hashes((root or "", leaf_hash or ""))
    if is_valid:
        verify_inclusion_of_hash(found, leaf, index, size, hashes(proof))
        return
    with pytest.raises(Rejected) as refused:
        verify_inclusion_of_hash(found, leaf, index, size, hashes(proof))
    assert refused.value.kind == "proof.invalid", name


@pytest.mark.parametrize("row", suite("consistency"), ids=lambda row: row[0])
def test_the_public_consistency_proofs_have_their_verdicts(row: Any) -> None:
    name, old_size, new_size, old_root, new_root, proof, is_valid = row
    old, new = hashes((old_root or "", new_root or ""))
    if is_valid:
        verify_consistency(old, old_size, new, new_size, hashes(proof))
        return
    with pytest.raises(Rejected) as refused:
        verify_consistency(old, old_size, new, new_size, hashes(proof))
    assert refused.value.kind == "proof.invalid", name
