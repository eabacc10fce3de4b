"""The stream: who is told what, and when it ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from forwarder.web.page.live import Live, Pulse, word_due

QUICK_SECONDS = 0.001


class Line:
    """In the place of the running service."""

    def __init__(self) -> None:
        self.state = "well"
        self.looks = 0

    def pulse(self) -> Pulse:
        self.looks += 1
        return Pulse(self.state, None, 0, 1, 0.0)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def live(line: Line) -> Live:
    return Live(line.pulse, look_seconds=QUICK_SECONDS, numbers_seconds=2 * QUICK_SECONDS)


async def until(stream: AsyncIterator[str], word: str) -> None:
    async with asyncio.timeout(20):
        async for said in stream:
            if said.startswith(f"event: {word}\n"):
                return


async def test_everybody_is_told_of_a_change(live: Live, line: Line) -> None:
    """Each reader, of the same change."""
    streams = [live.stream() for _ in range(3)]
    for stream in streams:
        assert (await anext(stream)).startswith("retry:")
    told = [asyncio.create_task(until(stream, "state")) for stream in streams]
    await asyncio.sleep(0)
    line.state = "failing"
    await asyncio.gather(*told)


async def test_numbers_are_told_while_nothing_changes(live: Live) -> None:
    await until(live.stream(), "numbers")


@pytest.mark.parametrize(
    ("has_changed", "rested", "cost", "word"),
    [
        (False, 1.5, 0.0, None),
        (False, 2.0, 0.02, "numbers"),
        (False, 2.0, 0.2, None),
        (False, 20.0, 0.2, "numbers"),
        (True, 0.5, 0.0, "state"),
        (True, 0.5, 0.2, None),
        (True, 1.0, 0.2, "state"),
    ],
)
def test_words_are_as_far_apart_as_they_are_dear(
    has_changed: bool,
    rested: float,
    cost: float,
    word: str | None,
) -> None:
    """What pages then ask for takes a hundredth of a core, and a fifth while endpoints go up and down all the time."""
    assert word_due(has_changed, rested=rested, cost=cost, often=2.0) == word


async def test_nobody_looks_while_nobody_reads(live: Live, line: Line) -> None:
    """Neither before the first reader nor after the last."""
    assert line.looks == 0
    stream = live.stream()
    await until(stream, "numbers")
    await stream.aclose()  # type: ignore[attr-defined] # it is a generator
    assert len(live) == 0
    async with asyncio.timeout(20):
        while live._looking is not None and not live._looking.done():  # noqa: ASYNC110 - it ends by itself
            await asyncio.sleep(QUICK_SECONDS)


async def test_a_stop_ends_every_stream(live: Live) -> None:
    """So that no reader delays it."""
    streams = [live.stream() for _ in range(2)]
    for stream in streams:
        await anext(stream)
    live.close()
    async with asyncio.timeout(20):
        for stream in streams:
            assert {said async for said in stream} <= {":\n\n"}
