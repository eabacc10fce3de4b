"""`min_interval`: at most one reading of each device in that time."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from forwarder.reading import Device
from forwarder.thinning import Thinning

ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")


def thinning(**intervals: float) -> Thinning:
    thins = Thinning()
    thins.use(intervals)
    return thins


def test_first_of_each_device_is_let_through() -> None:
    thins = thinning(acme=300.0)
    times = [(ONE, 0.0), (TWO, 10.0), (ONE, 299.9), (ONE, 300.0), (ONE, 310.0), (TWO, 310.0)]
    assert [thins.lets_through("acme", device, at) for device, at in times] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_endpoint_without_an_interval_gets_every_reading() -> None:
    thins = thinning(acme=300.0)
    assert all(thins.lets_through("other", ONE, float(at)) for at in range(5))


def test_what_was_let_through_before_a_restart_counts() -> None:
    thins = thinning(acme=300.0)
    thins.note("acme", ONE, 100.0)
    thins.note("acme", ONE, 50.0)
    assert not thins.lets_through("acme", ONE, 399.0)
    assert thins.lets_through("acme", ONE, 400.0)


def test_edit_of_the_routes_starts_no_interval_anew() -> None:
    thins = thinning(acme=300.0)
    assert thins.lets_through("acme", ONE, 0.0)
    thins.use({"acme": 600.0, "other": 1.0})
    assert not thins.lets_through("acme", ONE, 599.0)


def test_clock_that_is_set_back_holds_nothing_back() -> None:
    """A device would else be silent until the clock has caught up with itself."""
    thins = thinning(acme=300.0)
    assert thins.lets_through("acme", ONE, 86_400.0)
    assert thins.lets_through("acme", ONE, 0.0)
    assert not thins.lets_through("acme", ONE, 1.0)


@given(st.lists(st.floats(0, 1e9), max_size=50).map(sorted), st.floats(0.001, 1e6))
def test_two_are_never_closer_than_the_interval(times: list[float], interval: float) -> None:
    """And what is held back had one close before it."""
    thins = thinning(acme=interval)
    owed = [at for at in times if thins.lets_through("acme", ONE, at)]
    assert all(later - earlier >= interval for earlier, later in pairwise(owed))
    assert all(any(0 <= at - one < interval for one in owed) for at in times if at not in owed)
