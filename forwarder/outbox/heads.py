"""
The head reader: a thread reads the first deliveries of lanes that memory lacks, many lanes at once.

      loop      ask ─▶ wanted ──┐        ▲ published: each lane takes over what was read, unless it has changed since
                                ▼        │
      thread                engine.heads ┘   one call at a time; the next call takes all that is asked for meanwhile

A read runs beside commits, and may see rows that the loop does not know yet. `Schedule` drops such rows, and a commit
that changes a lane otherwise empties the lane's memory at its publish. A failed read is made again after a second, and
its lanes rest until then.
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
"""Lanes of some endpoints, with a number of deliveries each."""


class HeadReader:
    """The reader thread, and the queue of lanes that it is asked for."""

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
        """Whether a read is under way, or waits for its retry."""
        self._has_failed = False
        self._retry: Timer | None = None

    def ask(self, lanes: EndpointLanes, wanted: Mapping[Lane, int]) -> None:
        """Have the first deliveries of these lanes read, so many of each."""
        self._wanted.append((lanes, wanted))
        if not self.is_busy:
            self._start()

    def _start(self) -> None:
        self.is_busy = True
        wanted, self._wanted = self._wanted, []
        # The thread gets keys, because the loop goes on changing the lanes.
        keys = {
            (lanes.endpoint, lane.device): n for lanes, some in wanted for lane, n in some.items()
        }
        self._thread.start(
            partial(self._engine.heads, keys),
            done=partial(self._conclude, wanted),
            failed=partial(self._conclude_failed, wanted),
        )

    def _conclude(self, wanted: Wanted, found: Mapping[LaneKey, Sequence[Delivery]]) -> None:
        # The reader is free before the lanes hear of the read, because a claim that follows may ask for the next one.
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
        # The reader stays busy until the retry, so all that is asked for meanwhile waits for the same read.
        self._wanted = wanted + self._wanted
        self._retry = self._clock.call_later(RETRY_SECONDS, self._start)

    def close(self) -> None:
        """Block until the read under way is over; nothing else that was asked for is read."""
        if self._retry is not None:
            self._retry.cancel()
        self._thread.close()
