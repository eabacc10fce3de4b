"""A harness that opens, runs, kills and reopens an outbox."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from support.clock import HandClock
from support.engines import AnotherProcess, EngineUnderTest, open_under_test

from forwarder.errors import OutboxTaken
from forwarder.outbox import Outbox
from forwarder.settings import OutboxPlace


class OutboxHarness:
    """Opens, runs, kills and reopens one outbox."""

    engine: EngineUnderTest
    """The engine of the outbox that was opened last."""

    def __init__(self, place: OutboxPlace, clock: HandClock) -> None:
        self.place = place
        self.clock = clock
        self.other = AnotherProcess(place)
        self._running: list[tuple[Outbox, asyncio.Task[None]]] = []

    @property
    def path(self) -> Path:
        """The path of an outbox that is a file."""
        assert isinstance(self.place, Path)
        return self.place

    def open(self, **limits: Any) -> Outbox:
        """Open and run the outbox; `limits` may name the `member` of several replicas, and whether it `leads`."""
        outbox, self.engine = open_under_test(self.place, clock=self.clock, **limits)
        self._running.append((outbox, asyncio.create_task(outbox.run())))
        return outbox

    async def ended(self) -> None:
        """Return once the outbox that was opened last has committed the rest and ended."""
        await self._running[-1][1]

    async def kill(self) -> None:
        """End as a crash does, so that uncommitted changes are gone."""
        for outbox, task in self._running:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OutboxTaken):
                await task
            outbox.release_files()
        self._running.clear()

    async def reopen(self) -> Outbox:
        await self.kill()
        return self.open()
