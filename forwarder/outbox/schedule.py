"""
The schedule: the lanes of all endpoints, from which the dispatcher claims on the loop.

No claim waits: memory answers, and the reader thread brings what memory lacks (`heads.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from forwarder.clock import Clock
from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox.changes import Applied, LaneKey, LaneRows
from forwarder.outbox.engine import Engine
from forwarder.outbox.heads import RETRY_SECONDS, HeadReader
from forwarder.outbox.lane import Lane, Memory
from forwarder.outbox.lanes import EndpointLanes, Readiness
from forwarder.outbox.settlement import Claim


class Schedule:
    """
    Every endpoint's lanes, used on the loop alone.

    `restored` are the lanes of the start. `count` has the next commit count a lane about which memory may be wrong.
    """

    def __init__(
        self,
        engine: Engine,
        restored: Iterable[tuple[LaneKey, LaneRows]],
        *,
        clock: Clock,
        memory_limit: int,
        count: Callable[[LaneKey], None],
        on_defect: Callable[[BaseException], None],
    ) -> None:
        self.on_claimable: Callable[[set[str]], None] = lambda _: None
        """Called after a commit or a read with the endpoints of which something may be claimed now."""
        self.on_served: Callable[[EndpointLanes], None] = lambda _: None
        """Called when `serve` has said how an endpoint is claimed from."""
        self._clock = clock
        self._count = count
        self._memory = Memory(memory_limit)
        self._lanes: dict[str, EndpointLanes] = {}
        self._heads = HeadReader(engine, clock=clock, publish=self._publish, on_defect=on_defect)
        now = clock.monotonic()
        for (endpoint, device), rows in restored:
            lanes = self.lanes_of(endpoint)
            lanes.restore(device, pending=rows.pending, newest=rows.newest, now=now)

    @property
    def endpoints(self) -> set[str]:
        """The endpoints that were served, or have got something."""
        return set(self._lanes)

    def lanes_of(self, endpoint: str) -> EndpointLanes:
        lanes = self._lanes.get(endpoint)
        if lanes is None:
            lanes = self._lanes[endpoint] = EndpointLanes(endpoint, self._memory)
        return lanes

    def serve(
        self,
        endpoint: str,
        *,
        most_at_once: int = 1,
        longest_wait_seconds: float,
        only_latest: bool = False,
    ) -> None:
        """
        Set how the endpoint is claimed from: a claim takes at most `most_at_once` deliveries of a lane, and with
        `only_latest` older readings give way to newer ones.

        A wait from before a restart is over where it exceeds `longest_wait_seconds`, because the wall clock was set.
        """
        lanes = self.lanes_of(endpoint)
        lanes.unread.most_at_once = most_at_once
        lanes.longest_wait_seconds = longest_wait_seconds
        lanes.only_latest = only_latest
        self.on_served(lanes)

    def claim(self, endpoint: str, *, limit: int = 1, is_probe: bool = False) -> Claim | None:
        """
        Claim the next deliveries of the lane that is served next, at most `limit`; None when memory has none due.

        The reader thread brings what memory lacks, and `on_claimable` hears of that.
        """
        lanes = self._lanes.get(endpoint) or self.lanes_of(endpoint)
        now = self._clock.monotonic()
        lane = lanes.claim_for_probe(now=now) if is_probe else lanes.claim(now=now)
        claim = None if lane is None else Claim(lanes.take(lane, limit=limit), lane)
        # The read follows the claim, because its choice of lanes goes by the lanes that are still ready.
        if lanes.unread or is_probe:
            self._read_ahead(lanes, is_probe=is_probe)
        return claim

    def readiness(self, endpoint: str, *, now: float) -> Readiness:
        """The endpoint's readiness at `now`, monotonic seconds."""
        lanes = self.lanes_of(endpoint)
        readiness = lanes.readiness(now)
        if lanes.unread:
            self._read_ahead(lanes)
        return readiness

    def wake_all(self, endpoint: str) -> None:
        """End every wait at the endpoint, because it takes readings again."""
        self.lanes_of(endpoint).wake_all(self._clock.monotonic())

    def count_empty(self, applied: Applied) -> None:
        """Add an empty count of each lane of which an engine that counted all has found nothing."""
        for name, lanes in self._lanes.items():
            for device in lanes.devices():
                applied.counted.setdefault((name, device), LaneRows(0, ReadingNumber(0)))

    def _read_ahead(self, lanes: EndpointLanes, *, is_probe: bool = False) -> None:
        # A held endpoint is not read, because the commit under way may change what the read would find.
        wanted = {} if lanes.is_held else lanes.unread.begin(is_probe=is_probe)
        if wanted:
            self._heads.ask(lanes, wanted)

    def _publish(self, lanes: EndpointLanes, found: Mapping[Lane, Sequence[Delivery]]) -> None:
        """Hand each lane what was read; the next commit counts a lane of which nothing was found."""
        now, unix = self._clock.monotonic(), self._clock.unix()
        # The reserved room is free before `remember` takes what was found.
        lanes.unread.end()
        for lane, deliveries in found.items():
            if deliveries and deliveries[-1].reading > lane.newest:
                # The read saw a put that is not published yet; that delivery joins the lane with its commit.
                deliveries = [one for one in deliveries if one.reading <= lane.newest]
            wait = deliveries[0].due_at - unix if deliveries and lane.is_restored else 0.0
            if not deliveries:
                # The lane waits for the count, because reads would find nothing again and again until then.
                self._count((lanes.endpoint, lane.device))
                wait = RETRY_SECONDS
            is_early = 0 < wait <= lanes.longest_wait_seconds
            lanes.remember(lane, deliveries, due_at=now + wait if is_early else None, now=now)
        self.on_claimable({lanes.endpoint})

    def close(self) -> None:
        """Return once the read under way is over."""
        self._heads.close()
