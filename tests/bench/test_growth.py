"""What the benchmarks of growth conclude from what they measure."""

from __future__ import annotations

import pytest

from bench.growth import Ratio, tell
from bench.growth_network import Costs, Loaded, ratios, solve


def test_a_ratio_above_its_bound_makes_the_run_red(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Ratio("a", 11.0, 10.0, 1.3), Ratio("b", 20.0, 10.0, 1.3)
    assert tell(iter([good]), "all is well") == 0
    assert capsys.readouterr().out.endswith("ok\nall is well\n")
    assert tell(iter([good, bad]), "all is well") == 1
    assert capsys.readouterr().out.endswith("TOO MUCH\n1 of these grow too much\n")


def test_what_appears_where_nothing_was_is_too_much() -> None:
    assert not Ratio("bytes", 5.0, 0.0, 0.9).is_good
    assert Ratio("bytes", 0.0, 0.0, 0.9).is_good


def test_two_loads_tell_the_cost_of_a_block_from_that_of_a_transaction() -> None:
    """0.01 cores when idle, 5 ms and 2 kB a block, 100 us and 250 B a transaction."""

    def load(blocks: int, transactions: int) -> Loaded:
        cpu_s = 10 * 0.01 + blocks * 0.005 + transactions * 0.0001
        return Loaded(10.0, blocks, transactions, cpu_s, blocks * 2_000 + transactions * 250, (20.0, 30.0))

    found = solve(4, 0.01, load(40, 80), load(38, 2_000))
    assert found.block_us == pytest.approx(5_000)
    assert found.transaction_us == pytest.approx(100)
    assert (found.block_bytes, found.transaction_bytes) == (pytest.approx(2_000), pytest.approx(250))


def test_a_block_may_cost_as_many_votes_as_there_are_validators_and_a_transaction_may_not() -> None:
    def costs(validators: int, block_us: float, transaction_us: float) -> Costs:
        return Costs(validators, 0.01, block_us, 1.0, transaction_us, 1.0, 10.0, 20.0)

    found = {ratio.what: ratio.is_good for ratio in ratios([costs(4, 1_000, 100), costs(16, 4_000, 400)])}
    assert found["CPU of a block, 4 -> 16 validators"]
    assert not found["CPU of a transaction, 4 -> 16 validators"]
