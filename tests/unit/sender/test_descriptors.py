"""The places for connections: never more than there are, in turn, and an endpoint's first before another's second."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import examples

from forwarder.sender.descriptors import Descriptors, Place


@dataclass(eq=False)
class Pool:
    """A holder whose connections are places, in use or idle."""

    descriptors: Descriptors
    held: int = 0
    used: list[Place] = field(default_factory=list)
    idle: list[tuple[float, Place]] = field(default_factory=list)
    closed: int = 0

    def __post_init__(self) -> None:
        self.descriptors.join(self)

    @property
    def idle_since(self) -> float:
        return self.idle[0][0] if self.idle else float("inf")

    def close_longest_idle(self) -> None:
        _, place = self.idle.pop(0)
        self.closed += 1
        asyncio.get_running_loop().call_soon(place.give_back)

    def take(self) -> bool:
        place = self.descriptors.take(self)
        if place is not None:
            self.used.append(place)
        return place is not None

    async def wait(self, seconds: float = 1.0) -> bool:
        place = await self.descriptors.wait(self, seconds=seconds)
        if place is not None:
            self.used.append(place)
        return place is not None

    def rest(self, *, since: float) -> None:
        """The exchange on its oldest connection is over."""
        place = self.used.pop(0)
        if self.descriptors.waiting and self.descriptors.wants_from(self, place):
            asyncio.get_running_loop().call_soon(place.give_back)
        else:
            self.idle.append((since, place))

    def close(self) -> None:
        self.used.pop(0).give_back()


def pools(descriptors: Descriptors, count: int) -> list[Pool]:
    return [Pool(descriptors) for _ in range(count)]


async def turn_over() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_place_comes_back_once() -> None:
    """A connection that is lost and given up at the same time gives its place back once."""
    descriptors = Descriptors(1)
    (pool,) = pools(descriptors, 1)
    assert pool.take()
    place = pool.used[0]
    place.give_back()
    place.give_back()
    assert pool.held == 0
    assert [pool.take(), pool.take()] == [True, False]


async def test_first_connection_of_each_comes_before_a_second_of_any() -> None:
    """One endpoint takes what nobody else may need for its first connection, and no more."""
    greedy, *others = pools(Descriptors(8), 4)
    assert [greedy.take() for _ in range(8)] == [True] * 5 + [False] * 3
    assert [other.take() for other in others] == [True, True, True]


async def test_many_idle_endpoints_reserve_no_more_than_half() -> None:
    """With more endpoints than places those that have work share half of all at least."""
    busy, *_ = pools(Descriptors(8), 100)
    assert [busy.take() for _ in range(8)].count(True) == 4


async def test_longest_idle_connection_of_all_is_closed_for_who_waits() -> None:
    """Of the idle connections of all endpoints the one that was used longest ago makes room."""
    first, second, third = pools(Descriptors(2), 3)
    assert first.take()
    assert second.take()
    second.rest(since=1.0)
    first.rest(since=2.0)
    assert not third.take()
    assert await third.wait()
    assert (first.closed, second.closed) == (0, 1)


async def test_who_waits_is_served_in_the_order_of_coming() -> None:
    """Places go to those who wait, first come, first served, and to nobody who comes later."""
    holder, *waiting = pools(Descriptors(1), 4)
    assert holder.take()
    order: list[int] = []

    async def wait(index: int) -> None:
        assert await waiting[index].wait()
        order.append(index)
        waiting[index].close()

    tasks = [asyncio.ensure_future(wait(index)) for index in range(3)]
    await turn_over()
    holder.close()
    assert not holder.take()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]


async def test_connection_that_falls_idle_later_makes_room() -> None:
    """Who waits while all are in use gets the first that its endpoint has no more work for."""
    busy, other = pools(Descriptors(1), 2)
    assert busy.take()
    waiting = asyncio.ensure_future(other.wait())
    await turn_over()
    busy.rest(since=1.0)
    assert await waiting


async def test_wait_ends_in_time_and_leaves_no_trace() -> None:
    """A wait that took too long, or was cancelled, takes no place with it."""
    busy, other = pools(Descriptors(1), 2)
    assert busy.take()
    assert not await other.wait(seconds=0.001)
    cancelled = asyncio.ensure_future(other.wait())
    await turn_over()
    busy.close()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert not other.descriptors.waiting
    assert other.take()


async def test_stop_ends_all_waits() -> None:
    """Nobody who waits holds up the stop."""
    busy, other = pools(Descriptors(1), 2)
    assert busy.take()
    waits = [asyncio.ensure_future(other.wait(seconds=60)) for _ in range(3)]
    await turn_over()
    busy.descriptors.end_waits()
    assert await asyncio.gather(*waits) == [False] * 3


async def test_trouble_is_told_once() -> None:
    """One warning, however many wait; the problem is told as long as it lasts."""
    busy, other = pools(Descriptors(1), 2)
    assert busy.take()
    assert busy.descriptors.problem is None
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert not await other.wait(seconds=0.001)
            busy.descriptors.run_out()
    assert [one["event"] for one in logs] == ["descriptors.exhausted"]
    assert busy.descriptors.problem is not None


async def test_refusal_by_the_system_holds_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """After EMFILE no more are opened than are open; a moment later they are tried again, by who waited first."""
    monkeypatch.setattr("forwarder.sender.descriptors.PAUSE_SECONDS", 0.001)
    (pool,) = pools(Descriptors(8), 1)
    assert pool.take()
    assert pool.take()
    pool.descriptors.run_out()
    pool.close()
    assert not pool.take()
    assert await pool.wait()


STEPS: list[Callable[[Pool], object]] = [
    lambda pool: pool.take(),
    lambda pool: asyncio.ensure_future(pool.wait(seconds=60)),
    lambda pool: pool.rest(since=float(len(pool.idle))) if pool.used else None,
    lambda pool: pool.close() if pool.used else None,
]


async def run(count: int, steps: list[tuple[int, int, int]]) -> None:
    descriptors = Descriptors(count)
    members = pools(descriptors, 3)
    waits: list[asyncio.Future[bool]] = []
    for index, step, turns in steps:
        outcome = STEPS[step](members[index])
        if isinstance(outcome, asyncio.Future):
            waits.append(outcome)
        for _ in range(turns):
            await asyncio.sleep(0)
        assert sum(pool.held for pool in members) <= count
    for _ in range(len(waits) + 1):
        await turn_over()
        for pool in members:
            while pool.used:
                pool.rest(since=0.0)
    await asyncio.wait_for(asyncio.gather(*waits), timeout=0.5)
    assert not descriptors.waiting
    assert sum(pool.held for pool in members) == sum(
        len(pool.used) + len(pool.idle) for pool in members
    )


@settings(max_examples=examples(100), deadline=None)
@given(
    st.integers(1, 6),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, len(STEPS) - 1), st.integers(0, 3)), max_size=30
    ),
)
def test_bound_holds_and_everybody_is_served(count: int, steps: list[tuple[int, int, int]]) -> None:
    """Whatever the pools do: never more places than there are, none is lost, and nobody waits for ever."""
    asyncio.run(run(count, steps))
