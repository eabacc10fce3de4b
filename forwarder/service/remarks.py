"""Remarks for the operator about the outbox's place, as it is now."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from forwarder.clock import Clock
from forwarder.errors import OutboxError
from forwarder.logs import logger

LOOK_SECONDS = 10.0


class Remarks:
    """Asks again and again, because a database's settings change while it runs; new remarks are logged."""

    def __init__(self, ask: Callable[[], Sequence[str]], *, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._log = logger("outbox")
        self.found: Sequence[str] = ()
        """The present remarks, a sentence each."""

    def look(self) -> None:
        """Ask once; raises OutboxError when no service can start there."""
        self._take(self._ask())

    async def run(self) -> None:
        """Ask until cancelled; the last remarks stand while the place cannot be asked."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            with suppress(OutboxError):
                self._take(await asyncio.to_thread(self._ask))

    def _take(self, found: Sequence[str]) -> None:
        for remark in found:
            if remark not in self.found:
                self._log.warning("outbox.exposed", problem=remark)
        self.found = found
