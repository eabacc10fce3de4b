"""Looks at routes.yaml and the files that it names, on file systems that may never answer."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from forwarder.clock import Clock
from forwarder.files import beside_the_loop
from forwarder.logs import logger
from forwarder.routes import RoutesFile

T = TypeVar("T")

SLOW_SECONDS = 10.0
"""A look that takes longer waits for a file system that does not answer."""
AT_ONCE = 4
"""The most looks under way at once, because a look that never ends keeps a thread."""
_SLOW = "reading routes.yaml, or a file that it names, takes longer than 10 s: does the file system answer?"
_HINT = "it is tried again; a service that runs keeps its last good routes"


class Looks:
    """
    Looks at the routing file, each in a daemon thread.

    A look that takes longer than SLOW_SECONDS is told in the log and in `problem`. Another look then begins beside it,
    and so on every SLOW_SECONDS, because a file system that has come back may never answer the first one. The first
    look to end counts, and the others are dropped. Neither the loop nor the end of the process waits for any look.
    """

    def __init__(self, file: RoutesFile, *, clock: Clock) -> None:
        self.problem: str | None = None
        """A sentence while a look takes too long, else None."""
        self._file = file
        self._clock = clock
        self._log = logger("routes")
        self._under_way: set[asyncio.Task[object]] = set()

    async def first(self, look: Callable[[RoutesFile], T]) -> T:
        """The result or the error of the first look that ends."""
        warning = self._clock.call_later(SLOW_SECONDS, self._say_slow)
        try:
            found = await self._first_to_end(look)
        finally:
            warning.cancel()
        self._say_quick()
        return found

    async def _first_to_end(self, look: Callable[[RoutesFile], T]) -> T:
        files: dict[asyncio.Task[T], RoutesFile] = {}
        while True:
            # The first look takes the file itself, because the look that had it last has ended; others take twins.
            if len(self._under_way) < AT_ONCE:
                file = self._file.twin() if files else self._file
                files[self._begin(partial(look, file))] = file
            if ended := await self._ended_in_time(list(files)):
                self._file = files[ended]
                return ended.result()

    def _begin(self, look: Callable[[], T]) -> asyncio.Task[T]:
        task = asyncio.create_task(beside_the_loop(look))
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[T]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # heard here, because a look that no longer counts has no caller

    async def _ended_in_time(self, looks: list[asyncio.Task[T]]) -> asyncio.Task[T] | None:
        pause = asyncio.ensure_future(self._clock.sleep(SLOW_SECONDS))
        try:
            await asyncio.wait((*looks, pause), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
        return next((look for look in looks if look.done()), None)

    def _say_slow(self) -> None:
        self.problem = _SLOW
        self._log.error("routes.unread", problem=_SLOW, hint=_HINT)

    def _say_quick(self) -> None:
        if self.problem is not None:
            self.problem = None
            self._log.info("routes.read_again")
