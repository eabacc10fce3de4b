"""routes.yaml while the service runs: looked at twice a second, taken over whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from forwarder.clock import Clock
from forwarder.files import beside_the_loop
from forwarder.logs import harmless, logger
from forwarder.metrics import Metrics
from forwarder.routes import (
    LOOK_EVERY_SECONDS,
    Applied,
    Rejected,
    Rejection,
    Reload,
    Routes,
    RoutesDiff,
    RoutesFile,
    Unchanged,
)

SLOW_SECONDS = 10.0
"""A look that takes longer waits for a file system that does not answer."""
_SLOW = "reading routes.yaml, or a file that it names, takes longer than 10 s: does the file system answer?"


class Reloader:
    """
    Keeps the last good routing table, and hands each new one to `apply`.

    A file that cannot be used changes nothing: its errors are logged and counted, and `rejection` has them. While a
    look takes too long, `problem` says so; the next begins when it ends, and a stop does not wait for it.
    """

    def __init__(
        self,
        file: RoutesFile,
        routes: Routes,
        *,
        apply: Callable[[Routes], Awaitable[None]],
        clock: Clock,
        metrics: Metrics,
        on_rejected: Callable[[Rejection], None] = lambda _: None,
    ) -> None:
        self._file = file
        self.routes = routes
        self.rejection: Rejection | None = None
        self.problem: str | None = None
        self._apply = apply
        self._clock = clock
        self._reloads = harmless(metrics.routes_reloads)
        self._log = logger("routes")
        self._on_rejected = on_rejected
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
            match await self._look(force=force):
                case Applied(routes, changes):
                    await self._take(routes, changes)
                case Rejected(rejection):
                    self._refuse(rejection)
                case Unchanged():
                    self._keep()

    async def _next_look(self) -> None:
        asked = asyncio.ensure_future(self._is_asked.wait())
        slept = asyncio.ensure_future(self._clock.sleep(LOOK_EVERY_SECONDS))
        await asyncio.wait((asked, slept), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        slept.cancel()

    async def _look(self, *, force: bool) -> Reload | None:
        """Reading and parsing a large file takes a while: the loop goes on meanwhile."""
        check = partial(self._file.check, force=force)
        warning = self._clock.call_later(SLOW_SECONDS, self._say_slow)
        try:
            reload = await beside_the_loop(check)
        finally:
            warning.cancel()
        self._say_quick()
        return reload

    def _say_slow(self) -> None:
        self.problem = _SLOW
        self._log.error("routes.unread", problem=_SLOW, hint="the last good routes stay")

    def _say_quick(self) -> None:
        if self.problem is not None:
            self.problem = None
            self._log.info("routes.read_again")

    async def _take(self, routes: Routes, changes: RoutesDiff) -> None:
        self.routes, self.rejection = routes, None
        await self._apply(routes)
        self._reloads.count("applied")
        self._log.info("routes.reloaded", changes=changes.lines())

    def _refuse(self, rejection: Rejection) -> None:
        self.rejection = rejection
        self._reloads.count("rejected")
        self._log.error("routes.rejected", problems=rejection.sentences, hint=self._what_stays())
        self._on_rejected(rejection)

    def _what_stays(self) -> str:
        count = len(self.routes.endpoints)
        return f"the last good routes ({count:,} endpoint{'' if count == 1 else 's'}) stay"

    def _keep(self) -> None:
        self.rejection = None
        self._reloads.count("unchanged")
        self._log.info("routes.unchanged")
