"""routes.yaml while the service runs: looked at twice a second, taken over whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable

from forwarder.clock import Clock
from forwarder.logs import harmless, logger
from forwarder.metrics import Metrics
from forwarder.routes import (
    LOOK_EVERY_SECONDS,
    Applied,
    Rejected,
    Routes,
    RoutesDiff,
    RoutesFile,
    Unchanged,
)


class Reloader:
    """
    Keeps the last good routing table, and hands each new one to `apply`.

    A file that cannot be used changes nothing: its errors are logged, counted, and told in `problem`.
    """

    def __init__(
        self,
        file: RoutesFile,
        routes: Routes,
        *,
        apply: Callable[[Routes], Awaitable[None]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._file = file
        self.routes = routes
        self.problem: str | None = None
        self._apply = apply
        self._clock = clock
        self._reloads = harmless(metrics.routes_reloads)
        self._log = logger("routes")
        self._is_asked = asyncio.Event()

    def look_now(self) -> None:
        """Do not wait for the next look (SIGHUP)."""
        self._is_asked.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._next_look()
            force = self._is_asked.is_set()
            self._is_asked.clear()
            # Reading and parsing a large file takes a while: the loop goes on meanwhile.
            match await asyncio.to_thread(self._file.check, force=force):
                case Applied(routes, changes):
                    await self._take(routes, changes)
                case Rejected(problems):
                    self._refuse(problems)
                case Unchanged():
                    self._keep()

    async def _next_look(self) -> None:
        asked = asyncio.ensure_future(self._is_asked.wait())
        slept = asyncio.ensure_future(self._clock.sleep(LOOK_EVERY_SECONDS))
        await asyncio.wait((asked, slept), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        slept.cancel()

    async def _take(self, routes: Routes, changes: RoutesDiff) -> None:
        self.routes, self.problem = routes, None
        await self._apply(routes)
        self._reloads.count("applied")
        self._log.info("routes.reloaded", changes=changes.lines())

    def _refuse(self, problems: tuple[str, ...]) -> None:
        self.problem = "; ".join(problems)
        self._reloads.count("rejected")
        self._log.error("routes.rejected", problems=problems, hint="the last good routes stay")

    def _keep(self) -> None:
        self.problem = None
        self._reloads.count("unchanged")
        self._log.info("routes.unchanged")
