"""The look at routes.yaml while the service runs: it may take its time, and says so when it takes too long."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self, cast

import pytest
import structlog.testing
from support.clock import HandClock
from support.routing import ENVIRON, endpoint_with

from forwarder.metrics import Metrics
from forwarder.routes import (
    LOOK_EVERY_SECONDS,
    Applied,
    Rejected,
    Rejection,
    Reload,
    Routes,
    RoutesFile,
)
from forwarder.service.looking import SLOW_SECONDS, Looks
from forwarder.service.reloading import Reloader

REJECTION = Rejection(("routes.yaml:3:1: unknown key",), 1, "routes.yaml:3:1")


class HangingFile:
    """A routing file, and its twins, whose looks end when they are told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.looks = 0
        self._places = threading.Semaphore(0)
        self.outcome: Reload | None = None

    def check(self, *, force: bool = False) -> Reload | None:
        self.looks += 1
        self.begun.set()
        self._places.acquire()
        return self.outcome

    def let_end(self, looks: int = 1_000_000) -> None:
        """So many looks end, those that are under way first."""
        self._places.release(looks)

    def twin(self) -> Self:
        return self


class Running:
    """A reloader over such a file, with the time in the test's hand."""

    def __init__(self) -> None:
        self.file, self.clock = HangingFile(), HandClock()
        self.reloader = Reloader(
            Looks(cast("RoutesFile", self.file), clock=self.clock),
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
            await asyncio.sleep(0)
            if self.clock.next_timer_in() == LOOK_EVERY_SECONDS:
                self.clock.advance(LOOK_EVERY_SECONDS)

    async def wait(self, seconds: float) -> None:
        """Let time pass, and what falls due begin."""
        self.clock.advance(seconds)
        for _ in range(10):
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
    running.file.let_end()
    running.task.cancel()
    await asyncio.wait([running.task])


async def test_a_look_that_takes_long_is_told(running: Running) -> None:
    """After 10 s it is a problem; when the file system answers that is over, and the next look begins."""
    with structlog.testing.capture_logs() as logs:
        await running.look()
        running.clock.advance(SLOW_SECONDS - 1)
        assert running.reloader.problem is None
        running.clock.advance(1)
        assert "does the file system answer?" in str(running.reloader.problem)
        running.file.let_end()
        await running.until_problem(None)
        await running.look()

    assert [log["event"] for log in logs] == ["routes.unread", "routes.read_again"]


async def test_a_look_that_never_ends_is_tried_again_beside(running: Running) -> None:
    """Another begins every 10 s, at most four are under way; the first to end counts, and looks go on as ever."""
    await running.look()
    for _ in range(12):
        await running.wait(SLOW_SECONDS)
    assert running.file.looks == 4

    running.file.outcome = Rejected(REJECTION)
    running.file.let_end(1)
    await running.until_problem(None)
    assert running.reloader.rejection == REJECTION
    await running.look()
    for _ in range(3):
        await running.wait(SLOW_SECONDS)
    assert running.file.looks == 5


async def test_a_later_look_goes_on_from_what_was_known(tmp_path: Path) -> None:
    """A twin of the file knows what was loaded, and keeps no look of the first from ending."""
    path = tmp_path / "routes.yaml"
    path.write_text(endpoint_with("devices: [ECC9FF5C7AD4]"))
    clock = HandClock()
    file = RoutesFile(path, environ=ENVIRON, clock=clock)
    file.load()
    path.write_text(endpoint_with("devices: [001122334455]"))

    with file._lock:  # as a look that hangs holds it
        told = file.twin().check(force=True)

    assert isinstance(told, Applied)
    assert told.diff.lines()[0] == "~ acme gains 1 device: 001122334455"


async def test_a_look_that_hangs_does_not_hold_up_the_end(running: Running) -> None:
    """The reloader can be cancelled, and the thread that hangs is a daemon: the process may end."""
    await running.look()
    # One of an earlier test may be about to end.
    *_, thread = [one for one in threading.enumerate() if one.name == "files"]

    running.task.cancel()
    await asyncio.wait([running.task])

    assert running.task.cancelled()
    assert thread.is_alive()
    assert thread.daemon


async def test_a_look_as_it_should_be_says_nothing(running: Running) -> None:
    """Once the next one has begun, nothing is left of the warning of the first."""
    running.file.let_end()
    with structlog.testing.capture_logs() as logs:
        await running.look()
        await running.look()
        running.clock.advance(SLOW_SECONDS - LOOK_EVERY_SECONDS)

    assert logs == []


async def test_a_file_with_mistakes_is_no_such_problem(running: Running) -> None:
    """What is wrong with it is kept apart: a restart would not mend it."""
    running.file.outcome = Rejected(REJECTION)
    running.file.let_end()

    await running.look()
    while running.reloader.rejection is None:  # noqa: ASYNC110 - a thread of its own sets it
        await asyncio.sleep(0)

    assert running.reloader.rejection == REJECTION
    assert running.reloader.problem is None
