"""
Upkeep runs expiry and retention and keeps the counts of the last minute, every few seconds. Its transactions are small,
so that the line never waits for them.
"""

from collections.abc import Callable, Sequence

from forwarder.clock import Clock
from forwarder.errors import ForwarderError
from forwarder.logs import logger
from forwarder.outbox import MOST_ROWS, KeepMinutes, Outbox, Prune, PruneOldest, PruneQuarantine
from forwarder.service.expiry import Expiry

SWEEP_SECONDS = 10.0
NEARLY_FULL = 0.9
"""The part of the size limit from which the delivery log gives way."""
LOG_PART = 10
"""The delivery log may take a tenth of the outbox."""
LOGGED_BYTES = 256
"""The most bytes that a delivery takes in the log; it takes fewer if its reading has several endpoints."""
MOST_SETTLED_A_SECOND = 25_000
"""The most by which the log grows; it is counted again only once it could be full, because counting takes time."""


class Upkeep:
    """Settles what is too old and forgets what was kept long enough."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        expiry: Expiry,
        clock: Clock,
        minutes: Callable[[float], Sequence[KeepMinutes]],
        keep_delivered_seconds: float,
        keep_dead_seconds: float,
        max_bytes: int,
    ) -> None:
        """`minutes` takes UNIX seconds, and returns the operations that keep the minute that is over."""
        self._outbox = outbox
        self._expiry = expiry
        self._clock = clock
        self._minutes = minutes
        self._keep_delivered_seconds = keep_delivered_seconds
        self._keep_dead_seconds = keep_dead_seconds
        self._max_bytes = max_bytes
        self._most_logged = max_bytes // LOG_PART // LOGGED_BYTES
        self._count_at = 0.0
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
        await self._expiry.sweep()
        await self._keep_minutes()
        if self._outbox.leads:
            await self._prune()
            await self._outbox.shrink()

    async def _keep_minutes(self) -> None:
        for operation in self._minutes(self._clock.unix()):
            await self._outbox.operate(operation)

    async def _prune(self) -> None:
        now = self._clock.unix()
        is_nearly_full = self._outbox.accounts.used_bytes >= NEARLY_FULL * self._max_bytes
        delivered_before = now if is_nearly_full else now - self._keep_delivered_seconds
        dead_before = now - self._keep_dead_seconds
        while await self._outbox.operate(Prune(delivered_before, dead_before)) >= MOST_ROWS:
            pass
        await self._shorten_log()
        most = self._outbox.quarantine_max_bytes
        while await self._outbox.operate(PruneQuarantine(dead_before, most)):
            pass

    async def _shorten_log(self) -> None:
        """Shorten a log that is too long to an eighth below its limit, so that it is not counted all the time."""
        if self._clock.monotonic() < self._count_at:
            return
        length, room = await self._outbox.accounts.log_length(), self._most_logged // 8
        excess = length - self._most_logged + room if length + room > self._most_logged else 0
        while excess > 0 and (gone := await self._outbox.operate(PruneOldest(excess))):
            excess, length = excess - gone, length - gone
        self._count_at = (
            self._clock.monotonic() + (self._most_logged - length) / MOST_SETTLED_A_SECOND
        )
