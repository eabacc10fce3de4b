"""Expiry and retention: every few seconds, in small transactions, so that the line never waits for them."""

from forwarder.clock import Clock
from forwarder.dispatcher import Dispatcher
from forwarder.errors import ForwarderError
from forwarder.logs import logger
from forwarder.outbox import MOST_ROWS, Outbox, Prune, PruneQuarantine

SWEEP_SECONDS = 10.0
NEARLY_FULL = 0.9
"""From this part of the size limit on, the delivery log gives way."""


class Upkeep:
    """Settles what is too old and forgets what was kept long enough."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        dispatcher: Dispatcher,
        clock: Clock,
        keep_delivered_seconds: float,
        keep_dead_seconds: float,
        max_bytes: int,
    ) -> None:
        self._outbox = outbox
        self._dispatcher = dispatcher
        self._clock = clock
        self._keep_delivered_seconds = keep_delivered_seconds
        self._keep_dead_seconds = keep_dead_seconds
        self._max_bytes = max_bytes
        self._log = logger("upkeep")

    async def run(self) -> None:
        """Sweep until cancelled; a sweep that fails is logged, and the next one tries again."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except ForwarderError as problem:
                self._log.error("sweep.failed", problem=str(problem))
            except Exception as error:  # noqa: BLE001 - the top of a loop: deliveries go on without a sweep
                self._log.error("sweep.failed", problem="an error of ours", exc_info=error)

    async def sweep(self) -> None:
        await self._dispatcher.sweep()
        await self._prune()
        await self._outbox.shrink()

    async def _prune(self) -> None:
        now = self._clock.unix()
        is_nearly_full = self._outbox.used_bytes >= NEARLY_FULL * self._max_bytes
        delivered_before = now if is_nearly_full else now - self._keep_delivered_seconds
        dead_before = now - self._keep_dead_seconds
        while await self._outbox.operate(Prune(delivered_before, dead_before)) >= MOST_ROWS:
            pass
        most = self._outbox.quarantine_max_bytes
        while await self._outbox.operate(PruneQuarantine(dead_before, most)):
            pass
