"""
Reads beside the loop what comes next in lanes that memory does not hold, of many lanes at once.

      loop      ask ─▶ wanted ──┐        ▲ published: each lane takes over what was read, if it still is what it was
                                ▼        │
      thread                engine.heads ┘   one call at a time; what is asked for meanwhile is the next one

A read that failed is made again after a second; its lanes rest until then.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from forwarder.clock import Clock, Timer
from forwarder.delivery import Delivery
from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.outbox.changes import LaneKey
from forwarder.outbox.engine import Engine
from forwarder.outbox.lane import Lane
from forwarder.outbox.lanes import EndpointLanes
from forwarder.outbox.thread import Worker

RETRY_SECONDS = 1.0
"""The wait after a read that failed."""

Wanted: TypeAlias = list[tuple[EndpointLanes, Mapping[Lane, int]]]
"""By endpoint its lanes, and so many deliveries of each."""


class HeadReader:
    """Has the engine read what is asked for, until `close`."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        publish: Callable[[EndpointLanes, Mapping[Lane, Sequence[Delivery]]], None],
        on_defect: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._publish = publish
        self._on_defect = on_defect
        self._log = logger("outbox")
        self._thread = Worker("heads")
        self._wanted: Wanted = []
        self.is_busy = False
        """Whether a read is under way, or is to be tried again."""
        self._has_failed = False
        self._retry: Timer | None = None

    def ask(self, lanes: EndpointLanes, wanted: Mapping[Lane, int]) -> None:
        """Read the first deliveries of these lanes, so many of each."""
        self._wanted.append((lanes, wanted))
        if not self.is_busy:
            self._start()

    def _start(self) -> None:
        self.is_busy = True
        wanted, self._wanted = self._wanted, []
        keys = {
            (lanes.endpoint, lane.device): n for lanes, some in wanted for lane, n in some.items()
        }
        self._thread.start(
            partial(self._engine.heads, keys),
            done=partial(self._conclude, wanted),
            failed=partial(self._conclude_failed, wanted),
        )

    def _conclude(self, wanted: Wanted, found: Mapping[LaneKey, Sequence[Delivery]]) -> None:
        self.is_busy = self._has_failed = False
        try:
            for lanes, some in wanted:
                self._publish(lanes, {lane: found[lanes.endpoint, lane.device] for lane in some})
        except Exception as error:  # noqa: BLE001 - the top of a callback: it ends the outbox
            self._on_defect(error)
        if self._wanted and not self.is_busy:
            self._start()

    def _conclude_failed(self, wanted: Wanted, error: BaseException) -> None:
        if not isinstance(error, OutboxError):
            self._on_defect(error)
            return
        if not self._has_failed:
            self._log.error("outbox.unread", problem=str(error))
        self._has_failed = True
        self._wanted = wanted + self._wanted
        self._retry = self._clock.call_later(RETRY_SECONDS, self._start)

    def close(self) -> None:
        """Return once the read under way is over; what was asked for is not read any more."""
        if self._retry is not None:
            self._retry.cancel()
        self._thread.close()
