from hypothesis import given
from hypothesis import strategies as st

from forwarder.subscriber.backoff import Backoff


def highest(_: float, ceiling: float) -> float:
    return ceiling


def lowest(floor: float, _: float) -> float:
    return floor


def test_ceiling_doubles_up_to_the_longest_wait() -> None:
    """1, 2, 4 … 60 seconds, and 60 from then on."""
    backoff = Backoff(initial_seconds=1.0, max_seconds=60.0, draw=highest)
    assert [backoff.next_delay() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_delay_is_spread_at_the_cap_too() -> None:
    """Clients of a broker that comes back do not all meet it at the same moment."""
    backoff = Backoff(initial_seconds=1.0, max_seconds=60.0)
    for _ in range(10):
        backoff.next_delay()
    delays = [backoff.next_delay() for _ in range(200)]
    assert max(delays) - min(delays) > 30


def test_luckiest_draw_is_no_busy_loop() -> None:
    """However the dice fall, there is a pause."""
    backoff = Backoff(initial_seconds=1.0, max_seconds=60.0, draw=lowest)
    assert [backoff.next_delay() for _ in range(3)] == [0.1, 0.1, 0.1]


def test_reset_starts_over() -> None:
    """After a session that lasted, the next failure is retried soon."""
    backoff = Backoff(initial_seconds=1.0, max_seconds=60.0, draw=highest)
    for _ in range(8):
        backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() == 1.0


@given(steps=st.lists(st.booleans(), max_size=50))
def test_delay_stays_within_its_bounds(steps: list[bool]) -> None:
    """Every delay lies between the floor and the longest wait, whatever happened before."""
    backoff = Backoff(initial_seconds=1.0, max_seconds=60.0)
    for has_lasted in steps:
        if has_lasted:
            backoff.reset()
        assert 0.1 <= backoff.next_delay() <= 60.0
