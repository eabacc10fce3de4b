"""`min_interval` with `keep: last`: which reading of an interval is owed, by the clock alone."""

from hypothesis import given
from hypothesis import strategies as st

from forwarder.delivery import ReadingNumber
from forwarder.outbox.kept_last import Arrival, Candidate, Sifted, sift


def arrivals(*times: float, first: int = 1) -> list[Arrival]:
    return [Arrival(ReadingNumber(number), at) for number, at in enumerate(times, first)]


def numbers(*of: int) -> list[ReadingNumber]:
    return [ReadingNumber(one) for one in of]


def test_first_reading_opens_an_interval() -> None:
    """Nothing is owed yet; it is the last so far."""
    assert sift(None, arrivals(100.0), 300.0) == Sifted(Candidate(ReadingNumber(1), 100.0))


def test_later_reading_takes_the_place_of_the_one_before() -> None:
    """The interval stays as it was opened."""
    sifted = sift(None, arrivals(100.0, 250.0, 399.9), 300.0)
    assert sifted == Sifted(Candidate(ReadingNumber(3), 100.0), thinned=numbers(1, 2))


def test_reading_after_the_end_opens_the_next_interval() -> None:
    """What waited is owed, even if nobody has looked since the interval ended."""
    sifted = sift(Candidate(ReadingNumber(1), 100.0), arrivals(400.0, 500.0, first=2), 300.0)
    assert sifted == Sifted(
        Candidate(ReadingNumber(3), 400.0), enqueued=numbers(1), thinned=numbers(2)
    )


def test_reading_that_came_before_takes_no_later_ones_place() -> None:
    """Its number is that of its first arrival, whenever it is owed to this endpoint."""
    sifted = sift(Candidate(ReadingNumber(7), 100.0), [Arrival(ReadingNumber(3), 200.0)], 300.0)
    assert sifted == Sifted(Candidate(ReadingNumber(7), 100.0), thinned=numbers(3))


def test_clock_that_is_set_back_ends_the_interval() -> None:
    """The endpoint would else wait until the clock has caught up with itself."""
    sifted = sift(Candidate(ReadingNumber(1), 86_400.0), arrivals(0.0, first=2), 300.0)
    assert sifted == Sifted(Candidate(ReadingNumber(2), 0.0), enqueued=numbers(1))


def test_shorter_interval_of_an_edit_applies_at_once() -> None:
    """Intervals that are open are as long as the routes say today."""
    open_since = Candidate(ReadingNumber(1), 100.0)
    assert sift(open_since, arrivals(200.0, first=2), 300.0).thinned == [1]
    assert sift(open_since, arrivals(200.0, first=2), 60.0).enqueued == [1]


@given(st.lists(st.floats(0, 1e6), max_size=50), st.floats(0.001, 1e5), st.integers(0, 50))
def test_each_reading_is_owed_once_or_spared_once(
    times: list[float], seconds: float, cut: int
) -> None:
    """Of each interval one is owed, the last; it makes no difference how they are grouped."""
    every = arrivals(*times)
    whole = sift(None, every, seconds)
    before = sift(None, every[:cut], seconds)
    after = sift(before.candidate, every[cut:], seconds)
    assert after.candidate == whole.candidate
    assert before.enqueued + after.enqueued == whole.enqueued
    assert before.thinned + after.thinned == whole.thinned
    waiting = [whole.candidate.reading] if whole.candidate else []
    owed = [*whole.enqueued, *waiting]
    assert sorted(owed + whole.thinned) == [one.reading for one in every]
    assert owed == sorted(owed)
    opened_at, last = None, 0
    for one in every:
        if opened_at is None or not 0 <= one.received_at - opened_at < seconds:
            assert last in {0, *owed}
            opened_at = one.received_at
        last = one.reading
