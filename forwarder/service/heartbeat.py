"""A line a minute in the log for people: what came in, what went out, what waits, and whether all is well."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forwarder.clock import Clock
from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.metrics import Metrics
from forwarder.outbox import Overview

BEAT_SECONDS = 60.0
Counts = Mapping[str, int]
"""Counts of messages or of deliveries by outcome, since the start."""


class Heartbeat:
    """
    Logs the counts of each minute; the log for machines leaves them out, because machines have /metrics.

    `look` reads the outbox, beside the loop; `problems` keep the service from its job now.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        look: Callable[[], Overview],
        problems: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        self._metrics = metrics
        self._look = look
        self._problems = problems
        self._clock = clock
        self._log = logger("service")
        self._told = self._counts()

    async def run(self) -> None:
        """Tell each minute until cancelled."""
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            await self.tell()

    async def tell(self) -> None:
        """Log what came and went since the last time, unless the outbox cannot be read, of which other parts tell."""
        try:
            gauges = await asyncio.to_thread(self._look)
        except OutboxError:
            return
        except Exception as error:  # noqa: BLE001 - it only tells
            self._log.error("telling.broke", what="the heartbeat", exc_info=error)
            return
        before, self._told = self._told, self._counts()
        self._log.info("service.beat", **beat(before, self._told, gauges, self._problems()))

    def _counts(self) -> tuple[Counts, Counts]:
        return self._metrics.messages.by("outcome"), self._metrics.deliveries.by("outcome")


def beat(
    before: tuple[Counts, Counts],
    now: tuple[Counts, Counts],
    gauges: Overview,
    problems: Sequence[str],
) -> dict[str, Any]:
    """The fields of one beat; a zero is None, except in readings, delivered and waiting."""
    messages, deliveries = (_since(*pair) for pair in zip(before, now, strict=True))
    failing = [one.name for one in gauges.endpoints if one.health.is_open]
    served = sum(1 for one in gauges.endpoints if one.removed_at is None)
    # The part after the semicolon is cut off, because it was said when the problem began.
    wrong = [
        *(one.partition(";")[0] for one in problems),
        *(f"{name} is failing" for name in failing),
    ]
    return {
        "mark": "!" if wrong else "✓",
        "readings": messages.get("accepted", 0),
        "delivered": deliveries.get("delivered", 0),
        "receivers": served if served > 1 else None,
        "waiting": sum(one.pending for one in gauges.endpoints),
        "dead": deliveries.get("dead"),
        "quarantined": messages.get("quarantined"),
        "unrouted": messages.get("unrouted"),
        "problem": ", ".join(wrong) or None,
    }


def _since(before: Counts, now: Counts) -> Counts:
    """The counts that have grown, and by how much."""
    added = {outcome: count - before.get(outcome, 0) for outcome, count in now.items()}
    return {outcome: count for outcome, count in added.items() if count}
