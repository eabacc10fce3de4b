"""The reloader looks at routes.yaml twice a second, and takes an edit over whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable

from forwarder.clock import Clock
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
    Unchanged,
)
from forwarder.service.looking import Looks


class Reloader:
    """
    Keeps the last good routing table, and hands each new one to `apply`.

    A file that cannot be used changes nothing: its errors are logged and counted, and `rejection` has them. `problem`
    says so while the file system does not answer.
    """

    def __init__(
        self,
        looks: Looks,
        routes: Routes,
        *,
        apply: Callable[[Routes], Awaitable[None]],
        clock: Clock,
        metrics: Metrics,
        on_rejected: Callable[[Rejection], None] = lambda _: None,
    ) -> None:
        self._looks = looks
        self.routes = routes
        self.rejection: Rejection | None = None
        self.changed_at = clock.unix()
        """When `routes` were taken over, UNIX seconds."""
        self._apply = apply
        self._clock = clock
        self._reloads = harmless(metrics.routes_reloads)
        self._log = logger("routes")
        self._on_rejected = on_rejected
        self._is_asked = asyncio.Event()

    @property
    def problem(self) -> str | None:
        """A sentence while the file system does not answer, else None."""
        return self._looks.problem

    def look_now(self) -> None:
        """Look at once, as SIGHUP asks."""
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
        """Read and parse beside the loop, because a large file takes a while."""
        return await self._looks.first(lambda file: file.check(force=force))

    async def _take(self, routes: Routes, changes: RoutesDiff) -> None:
        self.routes, self.rejection, self.changed_at = routes, None, self._clock.unix()
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
