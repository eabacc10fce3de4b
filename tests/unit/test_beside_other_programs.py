"""What the comparison with other programs counts."""

import json

import pytest

from chaos.oracle import Oracle
from chaos.peers.receiver import number_of
from chaos.peers.trial import inversions


@pytest.mark.parametrize(
    ("body", "number"),
    [
        pytest.param({"number": 7, "timestamp": 1}, 7, id="payload as it came"),
        pytest.param({"type": "meter.reading", "data": {"extra": {"number": 8}}}, 8, id="event"),
    ],
)
def test_reading_is_told_in_either_form(body: object, number: int) -> None:
    assert number_of(json.dumps(body).encode()) == number


@pytest.mark.parametrize(
    ("accepted", "count"),
    [
        pytest.param([1, 2, 3, 4], 0, id="in order"),
        pytest.param([2, 1, 4, 3], 0, id="other devices may overtake"),
        pytest.param([3, 1, 5], 1, id="one late"),
        pytest.param([5, 1, 3], 2, id="in order behind a newer one, and late both"),
    ],
)
def test_a_reading_behind_a_newer_one_of_its_device_is_inverted(
    accepted: list[int], count: int
) -> None:
    oracle = Oracle(size=2)
    for _ in range(5):
        oracle.issue()

    assert inversions(oracle, accepted) == count
