"""The look at routes.yaml while the service runs: it may take its time, and says so when it takes too long."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import cast

import pytest
import structlog.testing
from support.clock import HandClock

from forwarder.metrics import Metrics
from forwarder.routes import LOOK_EVERY_SECONDS, Rejected, Rejection, Reload, Routes, RoutesFile
from forwarder.service.reloading import SLOW_SECONDS, Reloader

REJECTION = Rejection(("routes.yaml:3:1: unknown key",), 1, "routes.yaml:3:1")


class HangingFile:
    """A routing file whose look ends when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.looks = 0
        self.outcome: Reload | None = None

    def check(self, *, force: bool = False) -> Reload | None:
        self.looks += 1
        self.begun.set()
        self.may_end.wait()
        return self.outcome


class Running:
    """A reloader over such a file, with the time in the test's hand."""

    def __init__(self) -> None:
        self.file, self.clock = HangingFile(), HandClock()
        self.reloader = Reloader(
            cast("RoutesFile", self.file),
            Routes({}, every_device=(), by_device={}, groups={}),
            apply=_apply,
            clock=self.clock,
            metrics=Metrics(),
        )
        self.task = asyncio.create_task(self.reloader.run())

    async def look(self) -> None:
        """Return once a look is under way."""
        self.file.begun.clear()
        while not self.file.begun.is_set():
            self.clock.advance(LOOK_EVERY_SECONDS)
            await asyncio.sleep(0)

    async def until_problem(self, problem: str | None) -> None:
        while self.reloader.problem != problem:  # noqa: ASYNC110 - a thread of its own sets it
            await asyncio.sleep(0)


async def _apply(_: Routes) -> None:
    return


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    running = Running()
    await asyncio.sleep(0)
    yield running
    running.file.may_end.set()
    running.task.cancel()
    await asyncio.wait([running.task])


async def test_a_look_that_takes_long_is_told_and_tried_again(running: Running) -> None:
    """After 10 s it is a problem; when the file system answers again that is over, and the next look begins."""
    with structlog.testing.capture_logs() as logs:
        await running.look()
        running.clock.advance(SLOW_SECONDS - 1)
        assert running.reloader.problem is None
        running.clock.advance(1)
        assert "does the file system answer?" in str(running.reloader.problem)
        running.file.may_end.set()
        await running.until_problem(None)
        await running.look()

    assert running.file.looks == 2
    assert [log["event"] for log in logs] == ["routes.unread", "routes.read_again"]


async def test_a_look_that_hangs_does_not_hold_up_the_end(running: Running) -> None:
    """The reloader can be cancelled, and the thread that hangs is a daemon: the process may end."""
    await running.look()
    (thread,) = [one for one in threading.enumerate() if one.name == "files"]

    running.task.cancel()
    await asyncio.wait([running.task])

    assert running.task.cancelled()
    assert thread.is_alive()
    assert thread.daemon


async def test_a_look_as_it_should_be_says_nothing(running: Running) -> None:
    """Once the next one has begun, nothing is left of the warning of the first."""
    running.file.may_end.set()
    with structlog.testing.capture_logs() as logs:
        await running.look()
        await running.look()
        running.clock.advance(SLOW_SECONDS - LOOK_EVERY_SECONDS)

    assert logs == []


async def test_a_file_with_mistakes_is_no_such_problem(running: Running) -> None:
    """What is wrong with it is kept apart: a restart would not mend it."""
    running.file.outcome = Rejected(REJECTION)
    running.file.may_end.set()

    await running.look()
    while running.reloader.rejection is None:  # noqa: ASYNC110 - a thread of its own sets it
        await asyncio.sleep(0)

    assert running.reloader.rejection == REJECTION
    assert running.reloader.problem is None
