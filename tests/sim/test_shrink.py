"""A failing schedule becomes small, and what is left still fails."""

from sim.shrink import RUNS_MAX, shrink


def test_one_fault_of_many_is_found() -> None:
    assert shrink(range(20), lambda part: 13 in part) == [13]


def test_two_faults_that_fail_only_together_both_stay() -> None:
    assert shrink(range(20), lambda part: {3, 17} <= set(part)) == [3, 17]


def test_a_failure_without_any_fault_needs_none() -> None:
    assert shrink(range(8), lambda part: True) == []


def test_it_ends_though_nothing_can_be_left_out() -> None:
    runs = []

    def fails(part: list[int]) -> bool:
        runs.append(part)
        return len(part) == 300

    assert shrink(range(300), fails) == list(range(300))
    assert len(runs) <= RUNS_MAX
