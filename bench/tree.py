"""What a changed key costs in the state tree: medians over blocks, by number of keys and size of block.

Run with `python -m bench.tree`. Each figure stands beside the cost of its hashing alone (key, value and one page),
measured in the same second, since machines differ most in SHA-256. The last lines are the ratios that must stay flat:
ten times the keys may cost at most twice as much per changed key, and a larger block no more than a smaller one.
"""

from __future__ import annotations

from hashlib import sha256
from statistics import median
from time import perf_counter, process_time

from state.store.opening import PIECE_NODES
from state.store.tree import Tree

KEY_COUNTS = (10_000, 100_000, 400_000)
BLOCK_SIZES = (1, 100, 2_000, 8_000)
BLOCKS = 15


def main() -> None:
    """Prints one line per measurement, then the ratios."""
    costs_us: dict[tuple[int, int], float] = {}
    for keys in KEY_COUNTS:
        started_s = perf_counter()
        tree = Tree.build((_key(index), bytes(60)) for index in range(keys))
        print(f"build   {keys:>9,} keys: {(perf_counter() - started_s) * 1e6 / keys:8.2f} us a key")
        for size in BLOCK_SIZES:
            costs_us[keys, size] = median(_block_us(tree, keys, size, block) for block in range(BLOCKS)) / size
            print(
                f"apply   {keys:>9,} keys, {size:>5,} changed: {costs_us[keys, size]:8.2f} us a changed key, "
                f"{_hashing_us(tree):6.2f} us of hashing"
            )
        print(f"prove   {keys:>9,} keys: {_prove_us(tree, keys):8.2f} us")
    few, some, many = KEY_COUNTS
    print(f"ratio of {some:,} to {few:,} keys, blocks of 2,000: {costs_us[some, 2000] / costs_us[few, 2000]:.2f}")
    print(f"ratio of {many:,} to {some:,} keys, blocks of 2,000: {costs_us[many, 2000] / costs_us[some, 2000]:.2f}")
    print(f"ratio of blocks of 8,000 to 2,000 at {some:,} keys: {costs_us[some, 8000] / costs_us[some, 2000]:.2f}")


def _key(index: int) -> bytes:
    return b"a" + sha256(index.to_bytes(8, "big")).digest()


def _block_us(tree: Tree, keys: int, size: int, block: int) -> float:
    """CPU time of one block that changes keys spread over the whole tree, one in a hundred of them new; with the
    piece of the tree that rides along."""
    stride = 7_919
    changes: dict[bytes, bytes | None] = {}
    for nth in range(size):
        index = (block * size + nth) * stride
        changes[_key(index % keys if nth % 100 else keys + index)] = block.to_bytes(60, "big")
    started_s = process_time()
    tree.apply(changes)
    tree.take_piece(PIECE_NODES)
    return (process_time() - started_s) * 1e6


def _hashing_us(tree: Tree) -> float:
    """CPU time to hash one key, one value and a page of this tree."""
    page = tree.prove(_key(0))[-1]
    started_s = process_time()
    for _ in range(2_000):
        sha256(bytes(33)).digest()
        sha256(bytes(60)).digest()
        sha256(page).digest()
    return (process_time() - started_s) * 500


def _prove_us(tree: Tree, keys: int) -> float:
    started_s = process_time()
    for index in range(0, keys, keys // 1_000):
        tree.prove(_key(index))
    return (process_time() - started_s) * 1e3


if __name__ == "__main__":
    main()
