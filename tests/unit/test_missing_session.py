"""A leader without a session leaves the line to a replica that could have one, and to no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.clock import HandClock

from forwarder.errors import LineGivenUp
from forwarder.outbox import Seat
from forwarder.service.missing_session import watch_the_session


class Watched:
    """One replica that watches, on a clock that the test moves."""

    def __init__(self, *, leads: bool, words: set[str]) -> None:
        self.clock = HandClock()
        self.seat = Seat()
        self.seat.leads, self.seat.session_words = leads, words
        self.is_subscribed = False
        self.problem: str | None = None
        self.trials = 0
        self.task = asyncio.create_task(
            watch_the_session(
                self.seat,
                is_subscribed=lambda: self.is_subscribed,
                try_session=self._try,
                clock=self.clock,
            )
        )

    async def _try(self) -> str | None:
        self.trials += 1
        return self.problem

    async def after(self, seconds: int) -> str:
        """What it says of its session so many seconds later."""
        for _ in range(seconds):
            for _ in range(3):  # turns, in which the task comes to its next sleep
                await asyncio.sleep(0)
            self.clock.advance(1)
        for _ in range(3):
            await asyncio.sleep(0)
        return self.seat.session_word


@asynccontextmanager
async def watched(*, leads: bool, words: set[str]) -> AsyncIterator[Watched]:
    one = Watched(leads=leads, words=words)
    try:
        yield one
    finally:
        one.task.cancel()
        await asyncio.wait({one.task})


async def test_leader_says_after_twenty_seconds_that_it_misses_its_session() -> None:
    """A session in between has the time begin anew; one that comes ends it."""
    async with watched(leads=True, words=set()) as leader:
        assert await leader.after(15) == ""
        leader.is_subscribed = True
        await leader.after(1)
        leader.is_subscribed = False
        assert await leader.after(20) == ""
        assert await leader.after(1) == "missing"
        leader.is_subscribed = True
        assert await leader.after(1) == ""
        assert not leader.task.done()


async def test_it_gives_the_line_up_once_another_one_could_have_a_session() -> None:
    """Not before: where the broker is away for all of them, nothing changes, however long it lasts."""
    async with watched(leads=True, words={"", "missing"}) as leader:
        assert await leader.after(600) == "missing"
        leader.seat.session_words = {"possible"}
        await leader.after(1)
        with pytest.raises(LineGivenUp, match="for 20 seconds"):
            leader.task.result()


async def test_subscribed_leader_heeds_nobody() -> None:
    async with watched(leads=True, words={"possible"}) as leader:
        leader.is_subscribed = True
        assert await leader.after(60) == ""
        assert not leader.task.done()


async def test_another_one_tries_only_while_the_leader_misses_its_session() -> None:
    """Once where it worked, each 10 seconds where not."""
    async with watched(leads=False, words={""}) as other:
        assert (await other.after(30), other.trials) == ("", 0)
        other.seat.session_words, other.problem = {"missing"}, "nothing listens"
        assert (await other.after(33), other.trials) == ("", 3)
        other.problem = None
        assert await other.after(12) == "possible"
        trials = other.trials
        assert (await other.after(9), other.trials) == ("possible", trials)
        other.seat.session_words = {""}
        assert await other.after(1) == ""
