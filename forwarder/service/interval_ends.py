"""Ends intervals of `min_interval` with `keep: last`, after each of which an endpoint is owed the last reading."""

import asyncio
from typing import NamedTuple

from forwarder.clock import Clock
from forwarder.errors import ForwarderError
from forwarder.logs import logger
from forwarder.outbox import Candidates, KeptLast

LOOK_SECONDS = 1.0
"""How late a reading is owed at most, on a machine that keeps up."""


class _Look(NamedTuple):
    kept: KeptLast
    """The rule of the routes at the last look."""
    next_at: float
    """Monotonic seconds before which no interval ends, be it a known one or one that was opened since."""


class IntervalEnds:
    """Looks each second for endpoints with an interval that can have ended; most looks cost no transaction."""

    def __init__(self, candidates: Candidates, *, clock: Clock) -> None:
        self._candidates = candidates
        self._clock = clock
        self._looks: dict[str, _Look] = {}
        self._log = logger("intervals")

    async def run(self) -> None:
        """Look until cancelled; a look that fails is logged, and the next one tries again."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except ForwarderError as problem:
                self._log.error("intervals.failed", problem=str(problem))
            except Exception as error:  # noqa: BLE001 - the top of a loop: the line goes on without
                self._log.error("intervals.failed", problem="an error of ours", exc_info=error)

    async def look(self) -> None:
        kept_last = self._candidates.kept_last
        self._looks = {name: one for name, one in self._looks.items() if name in kept_last}
        due = [name for name, kept in kept_last.items() if self._is_due(name, kept)]
        await asyncio.gather(*(self._end(name, kept_last[name]) for name in due))

    def _is_due(self, name: str, kept: KeptLast) -> bool:
        before = self._looks.get(name)
        return before is None or before.kept != kept or before.next_at <= self._clock.monotonic()

    async def _end(self, name: str, kept: KeptLast) -> None:
        unix, monotonic = self._clock.unix(), self._clock.monotonic()
        ended = await self._candidates.end_intervals(name, kept)
        # An interval opened since the look lasts at least so long; one that the look left over has ended already.
        left_seconds = kept.seconds
        if ended.next_opened_at is not None:
            left_seconds = min(left_seconds, ended.next_opened_at + kept.seconds - unix)
        self._looks[name] = _Look(kept, monotonic + left_seconds)
