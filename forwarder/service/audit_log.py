"""The service logs the changes that commands make beside it, like those that come by its port."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from forwarder.clock import Clock
from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.outbox import AuditRecord, opened
from forwarder.settings import OutboxPlace

LOOK_SECONDS = 5.0
MOST_AT_ONCE = 200


def newest_changes(place: OutboxPlace) -> list[AuditRecord]:
    """The newest records, more than people make between two looks."""
    with opened(place, is_read_only=True) as access:
        return access.audit(limit=MOST_AT_ONCE)


class AuditLog:
    """
    Logs each new record of a command once; the port logs its own changes.

    `newest` reads the newest records, newest first. It runs in a thread, because it waits for the outbox.
    """

    def __init__(self, newest: Callable[[], Sequence[AuditRecord]], *, clock: Clock) -> None:
        self._newest = newest
        self._clock = clock
        self._log = logger("operator")
        self._told: int | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Log what commands have changed since the last look; the first look logs nothing."""
        try:
            records = await asyncio.to_thread(self._newest)
        except OutboxError:
            return  # other parts tell of it
        except Exception as error:  # noqa: BLE001 - it only tells
            self._log.error("telling.broke", what="the audit", exc_info=error)
            return
        last = max((one.number for one in records), default=0)
        if self._told is not None:
            self._tell(one for one in reversed(records) if one.number > self._told)
        self._told = max(last, self._told or 0)

    def _tell(self, records: Iterable[AuditRecord]) -> None:
        for one in records:
            if one.via == "command":
                named = {} if one.endpoint is None else {"endpoint": one.endpoint}
                self._log.info(
                    "operator.changed",
                    what=one.what,
                    count=one.count,
                    via=one.via,
                    who=one.who,
                    **named,
                )
