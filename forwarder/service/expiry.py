"""Expiry settles deliveries by rule: those that are too old, and those of endpoints that routes.yaml has dropped."""

import asyncio
from collections.abc import Iterable

from forwarder.clock import Clock
from forwarder.delivery import Bury, Expire
from forwarder.dispatcher import Dispatcher, Watch
from forwarder.logs import harmless
from forwarder.outbox import (
    MOST_ROWS,
    BuryRemoved,
    EndpointTotals,
    ExpireOld,
    MarkRemoved,
    Outbox,
)
from forwarder.routes import Endpoint

REMOVED_GRACE_SECONDS = 600.0
"""How long pending deliveries wait for an endpoint that routes.yaml no longer names to come back."""


class Expiry:
    """Settles deliveries that wait in vain at the endpoints with their home here."""

    def __init__(
        self, *, outbox: Outbox, dispatcher: Dispatcher, clock: Clock, watch: Watch
    ) -> None:
        self._outbox = outbox
        self._dispatcher = dispatcher
        self._clock = clock
        self._watch = harmless(watch)

    async def sweep(self) -> None:
        """Have the dispatcher settle what it has claimed, because it alone knows that, and settle the rest as rows."""
        totals = await self._outbox.accounts.totals()
        oldest = {one.name: one.oldest_pending_at for one in totals}
        for endpoint in self._dispatcher.settle_outdated():
            await self._expire(endpoint, oldest.get(endpoint.name))
            await asyncio.sleep(0)  # thousands of endpoints must not keep the line waiting
        await self._bury_removed(totals)

    async def _expire(self, endpoint: Endpoint, oldest: float | None) -> None:
        now = self._clock.unix()
        if oldest is None or now - oldest < endpoint.max_age_seconds:
            return
        only_latest = endpoint.mode == "latest"
        wanted = ExpireOld(endpoint.name, now - endpoint.max_age_seconds, only_latest, now)
        await self._settle_all(endpoint.name, wanted, Expire() if only_latest else Bury("expired"))

    async def _settle_all(
        self, endpoint: str, wanted: ExpireOld | BuryRemoved, decision: Bury | Expire
    ) -> None:
        # Each operation settles at most MOST_ROWS, so that no long transaction keeps the line waiting.
        count = MOST_ROWS
        while count >= MOST_ROWS:
            count = await self._outbox.operate(wanted)
            if count:
                self._watch.swept(endpoint, decision, count)

    async def _bury_removed(self, totals: Iterable[EndpointTotals]) -> None:
        now = self._clock.unix()
        # The leader notes the endpoints that are gone; each replica buries at its own homes.
        if self._outbox.leads:
            known = frozenset(self._dispatcher.routed)
            gone = await self._outbox.operate(MarkRemoved(known, now))
        else:
            gone = {one.name: one.removed_at for one in totals if one.removed_at and one.pending}
        for name, since in gone.items():
            if now - since >= REMOVED_GRACE_SECONDS and name in self._outbox.homes:
                await self._settle_all(name, BuryRemoved(name, now), Bury("endpoint_removed"))
