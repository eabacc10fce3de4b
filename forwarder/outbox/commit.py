"""One commit: what it changes in the tables, and what the lanes learn of it once that is on disk."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

from forwarder.clock import Clock
from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox import reads
from forwarder.outbox.lanes import EndpointLanes, Lane
from forwarder.outbox.store import Store
from forwarder.outbox.words import NewQuarantined, NewReading, Put, PutOutcome
from forwarder.outbox.work import Added, Work

T = TypeVar("T")


class Commit:
    """
    `apply` within the transaction, `publish` once it is on disk, and `release` in the end, however it went.

    Lanes in which more changes than their own claims say are held in between: a reader on the same file still sees
    them as they were before.
    """

    def __init__(
        self,
        *,
        store: Store,
        lanes: Callable[[str], EndpointLanes],
        clock: Clock,
        keep_delivered_seconds: float,
    ) -> None:
        self.work = Work()
        """What was applied; empty when it did not come to that."""
        self.enqueued: Counter[str] = Counter()
        """Deliveries put in, by endpoint."""
        self.claimable: set[str] = set()
        """Endpoints in which something may be claimed now."""
        self._store = store
        self._lanes = lanes
        self._clock = clock
        self._keep_delivered_seconds = keep_delivered_seconds
        self._held: dict[Lane, str] = {}
        self._added: list[Added] = []
        self._results: list[Any] = []
        self._outcomes: list[list[PutOutcome]] = []

    def apply(self, work: Work) -> None:
        """Bring the work into the tables."""
        self.work = work
        store, now = self._store, self._clock.unix()
        store.settle(work.settlements, now=now)
        for endpoint, health in work.health.items():
            store.record_health(endpoint, health)
        for endpoint, url in work.gone.items():
            store.record_gone(endpoint, url)
        self._results = [job(store) for job, _ in work.jobs]
        # Counted before anything is put: what is put now joins its lane only once it is committed.
        self._recount()
        self._hold_superseded()
        self._outcomes = [[self._put(one, now) for one in puts] for puts, _ in work.puts]
        store.count_messages(work.messages + Counter(chain.from_iterable(self._outcomes)))
        store.add_totals()

    def _recount(self) -> None:
        store, now = self._store, self._clock.monotonic()
        for name, device in self.work.touched | store.touched | store.take_touched_lanes():
            pending = reads.pending_in_lane(
                store.connection, endpoint=store.endpoint_id(name), device=device
            )
            lane = self._lanes(name).recount(device, pending=pending, now=now)
            if lane is not None:
                self._held[lane] = name
        store.touched.clear()

    def _hold_superseded(self) -> None:
        for one in chain.from_iterable(puts for puts, _ in self.work.puts):
            if isinstance(one, NewQuarantined):
                continue
            for endpoint, lane in self._lanes_of_latest(one):
                if lane not in self._held:
                    self._held[lane] = endpoint
                    self._lanes(endpoint).hold(lane)

    def _lanes_of_latest(self, reading: NewReading) -> Iterator[tuple[str, Lane]]:
        for recipient in reading.recipients:
            if recipient.only_latest:
                lane = self._lanes(recipient.endpoint).find(reading.device)
                if lane is not None:
                    yield recipient.endpoint, lane

    def _put(self, one: Put, now: float) -> PutOutcome:
        if isinstance(one, NewQuarantined):
            self._store.quarantine(one)
            return "quarantined"
        number, recipients = self._store.put(
            one,
            now=now,
            content_since=now - self._keep_delivered_seconds,
            in_flight=self._in_flight(one),
        )
        self._added.extend(
            Added(one, number, recipient, superseded) for recipient, superseded in recipients
        )
        return "accepted" if recipients else "duplicate"

    def _in_flight(self, reading: NewReading) -> set[tuple[str, ReadingNumber]]:
        return {
            (endpoint, number)
            for endpoint, lane in self._lanes_of_latest(reading)
            for number in lane.claimed
        }

    def publish(self) -> None:
        """Let the lanes have what was put, let those go on that waited for this, and answer whoever waits."""
        now = self._clock.monotonic()
        for added in self._added:
            self.enqueued[added.recipient.endpoint] += 1
            self._join_lane(added, now)
        self.claimable.update(self.enqueued)
        for endpoint, lane in self.work.releases:
            self.claimable.add(endpoint)
            self._lanes(endpoint).release(lane, now=now)
        for (_, answer), result in zip(self.work.jobs, self._results, strict=True):
            _resolve(answer, result)
        for (_, waiting), outcomes in zip(self.work.puts, self._outcomes, strict=True):
            _resolve(waiting, outcomes)

    def _join_lane(self, added: Added, now: float) -> None:
        reading, lanes = added.reading, self._lanes(added.recipient.endpoint)
        if added.recipient.only_latest:
            lane = lanes.add(reading.device, count=1 - added.superseded, now=now)
            lane.due_at = None  # the wait was that of the reading which gave way
            return
        delivery = Delivery(
            reading=added.number,
            endpoint=added.recipient.endpoint,
            device=reading.device,
            webhook_id=reading.webhook_id,
            measured_at=reading.measured_at,
            received_at=reading.received_at,
            age_from=reading.received_at,
            attempts=0,
            data=reading.data,
        )
        lanes.append(reading.device, delivery, now=now)

    def release(self) -> None:
        """Let go of the lanes that were held for the time of the transaction."""
        now = self._clock.monotonic()
        for lane, endpoint in self._held.items():
            self._lanes(endpoint).release(lane, now=now)
        self.claimable.update(self._held.values())


def _resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
