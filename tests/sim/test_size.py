"""What a block costs a validator, by the number of validators, as the simulator counts it."""

from __future__ import annotations

from sim.size import Units, measure

UNITS = Units(sign_us=30.0, verify_us=60.0, message_us=50.0)


def test_messages_bytes_and_signatures_of_a_block_grow_no_faster_than_the_validators() -> None:
    little, much = measure(4, UNITS, blocks=3), measure(10, UNITS, blocks=3)
    times = 10 / 4
    for of in ("messages", "bytes", "checked"):
        assert 1 < getattr(much, of) / getattr(little, of) <= 1.15 * times, of


def test_every_validator_checks_the_votes_of_all_others_and_makes_two_of_its_own() -> None:
    found = measure(4, UNITS, blocks=3)
    assert found.made >= 2
    assert found.checked >= 2 * 3 + 1
    assert found.block_us >= found.replica_us + found.checked * UNITS.verify_us
