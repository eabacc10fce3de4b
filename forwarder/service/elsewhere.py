"""
The leader tells the operator also of endpoints that other replicas deliver to.

The leader alone tells. It reads from the rows, every few seconds, what the others have seen of their endpoints.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from forwarder.clock import Clock
from forwarder.endpoint_health import FAILURES_TO_OPEN, EndpointHealth
from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.outbox import Overview

LOOK_SECONDS = 10.0


class Listener(Protocol):
    """The part that tells the operator."""

    def endpoint_changed(self, endpoint: str, health: EndpointHealth) -> None: ...

    def deliveries_died(self, endpoint: str, reason: str, count: int) -> None: ...


class Elsewhere:
    """Tells `listener` of the `routed` endpoints that are not `here`; its failures stop nothing."""

    def __init__(
        self,
        *,
        overview: Callable[[], Overview],
        routed: Callable[[], Collection[str]],
        here: Callable[[], Collection[str]],
        listener: Listener,
        clock: Clock,
    ) -> None:
        self._overview = overview
        self._routed = routed
        self._here = here
        self._listener = listener
        self._clock = clock
        self._begun_at = clock.unix()
        self._outages: dict[str, float | None] = {}
        self._dead: Mapping[tuple[str, str], int] | None = None
        self._log = logger("notices")

    async def run(self) -> None:
        """Look until cancelled."""
        self._begun_at = self._clock.unix()
        while True:
            try:
                # The overview is read beside the loop, because it waits for the database.
                self.see(await asyncio.to_thread(self._overview))
            except OutboxError:
                pass  # other parts tell that the outbox cannot be read
            except Exception as error:  # noqa: BLE001 - it only tells
                self._log.error("telling.broke", what="the notices", exc_info=error)
            await self._clock.sleep(LOOK_SECONDS)

    def see(self, overview: Overview) -> None:
        """Tell the changes since the last look; the leader before has told the dead letters of the first look."""
        elsewhere = set(self._routed()).difference(self._here())
        for totals in overview.endpoints:
            if totals.name in elsewhere:
                self._see_health(totals.name, totals.health)
        self._outages = {one.name: one.health.outage_since for one in overview.endpoints}
        before = overview.dead_letters if self._dead is None else self._dead
        self._dead = overview.dead_letters
        for (name, reason), count in overview.dead_letters.items():
            new = count - before.get((name, reason), 0)
            if new > 0 and name in elsewhere:
                self._listener.deliveries_died(name, reason, new)

    def _see_health(self, name: str, health: EndpointHealth) -> None:
        if not health.is_open and self._is_new(name, health.outage_since):
            self._listener.endpoint_changed(name, _as_it_was_open(health))
        self._listener.endpoint_changed(name, health)

    def _is_new(self, name: str, since: float | None) -> bool:
        """Whether the outage is new; one that is older than this run is not, because the leader before has told it."""
        if name in self._outages:
            return since != self._outages[name]
        return (since or 0.0) >= self._begun_at


def _as_it_was_open(health: EndpointHealth) -> EndpointHealth:
    """The health during an outage that began and ended between two looks; a success since then ended it."""
    since, taken_at = health.outage_since or 0.0, health.last_success_at or 0.0
    return replace(
        health,
        failures=FAILURES_TO_OPEN,
        failing_since=health.outage_since,
        last_success_at=health.last_success_at if taken_at < since else None,
    )
