"""One commit: what it changes in the tables, and what the lanes learn of it once that is on disk."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain, groupby, pairwise, product
from operator import attrgetter
from typing import Any, TypeVar

from forwarder.clock import Clock
from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox.changes import Changes
from forwarder.outbox.intake import MessageOutcome, NewQuarantined, NewReading, Outcomes, Recipient
from forwarder.outbox.lanes import EndpointLanes, Lane
from forwarder.outbox.operations import BuryRemoved, ExpireOld, Operation
from forwarder.outbox.sqlite import queries
from forwarder.outbox.sqlite.operations import perform
from forwarder.outbox.sqlite.statements import Owed, Run, Store

T = TypeVar("T")


class LanesTouched(Exception):  # noqa: N818 - the name states the fact
    """Lanes have to be counted again, which only the loop's thread can do."""


class Commit:
    """
    `apply` within the transaction; `publish`, `release` and `answer`, in this order, once it is on disk.

    Nearly all work is rows alone; that can be applied beside the loop (`apply_rows`), where it costs the loop nothing.
    Lanes in which more changes than their own claims say are held in between: a reader on the same file still sees
    them as they were before. They stay in `held` when the commit fails, for the one that does the same work again:
    what was settled in them is not on disk yet.
    """

    def __init__(
        self,
        work: Changes,
        *,
        store: Store,
        lanes: Callable[[str], EndpointLanes],
        clock: Clock,
        keep_delivered_seconds: float,
        quarantine_max_bytes: int,
        held: dict[Lane, str],
    ) -> None:
        self.work = work
        self.enqueued: defaultdict[str, int] = defaultdict(int)
        """Deliveries put in, by endpoint."""
        self.claimable: set[str] = set()
        """Endpoints in which something may be claimed now."""
        self._store = store
        self._lanes = lanes
        self._clock = clock
        self._keep_delivered_seconds = keep_delivered_seconds
        self._quarantine_max_bytes = quarantine_max_bytes
        self._held = held
        self._readings: list[NewReading] = []
        self._quarantined: list[tuple[int, NewQuarantined]] = []
        """With their places among all that is put."""
        for place, one in enumerate(chain.from_iterable(puts for puts, _ in work.puts)):
            if isinstance(one, NewQuarantined):
                self._quarantined.append((place, one))
            else:
                self._readings.append(one)
        self._in_flight: set[tuple[str, ReadingNumber]] = set()
        self._owed = Owed()
        self._results: list[Any] = []
        self._outcomes: list[Outcomes] = []

    def apply(self) -> None:
        """Bring the work into the tables; on the loop, for operations, counts and what gives way go by the lanes."""
        self._in_flight = self._hold_superseded(self._readings)
        self._settle()
        self._results = [self._perform(operation) for operation, _ in self.work.operations]
        # Counted before anything is put: what is put now joins its lane only once it is committed.
        self._recount()
        self._put()

    def apply_rows(self) -> None:
        """
        The same for work that is rows alone, in any thread.

        Raises LanesTouched when it turns out that lanes have to be counted again; `apply` does that.
        """
        self._settle()
        if self._store.has_touched_lanes():
            raise LanesTouched
        self._put()

    def _perform(self, operation: Operation[Any]) -> Any:
        in_flight: set[ReadingNumber] = set()
        if isinstance(operation, ExpireOld | BuryRemoved):
            in_flight = self._lanes(operation.endpoint).in_flight()
        return perform(self._store, operation, in_flight=in_flight)

    def _settle(self) -> None:
        store, work = self._store, self.work
        if work.settlements or work.delivered:
            store.settle(work.settlements, work.delivered, now=self._clock.unix())
        for endpoint, health in work.health.items():
            store.record_health(endpoint, health)
        for endpoint, url in work.gone.items():
            store.record_gone(endpoint, url)

    def _recount(self) -> None:
        store, now = self._store, self._clock.monotonic()
        for name, device in self.work.touched | store.touched | store.take_touched_lanes():
            pending = queries.pending_in_lane(
                store.connection, endpoint=store.endpoint_id(name), device=device
            )
            lane = self._lanes(name).recount(device, pending=pending, now=now)
            if lane in self._held:
                self._lanes(name).release(lane, now=now)  # one hold is enough
            elif lane is not None:
                self._held[lane] = name
        store.touched.clear()

    def _put(self) -> None:
        store, now = self._store, self._clock.unix()
        if self.work.puts:
            self._owed = store.put_all(
                self._readings,
                now=now,
                content_since=now - self._keep_delivered_seconds,
                in_flight=self._in_flight,
            )
            if self._quarantined:
                kept = [one for _, one in self._quarantined]
                store.quarantine(kept, max_bytes=self._quarantine_max_bytes)
            self._note_outcomes()
        store.count_messages(self._messages())
        store.add_totals()

    def _hold_superseded(self, readings: Iterable[NewReading]) -> set[tuple[str, ReadingNumber]]:
        """Hold the lanes in which something may give way, and say what is in flight in them."""
        in_flight: set[tuple[str, ReadingNumber]] = set()
        for endpoint, lane in self._lanes_of_latest(readings):
            in_flight.update((endpoint, delivery.reading) for delivery in lane.claimed)
            if lane not in self._held:
                self._held[lane] = endpoint
                self._lanes(endpoint).hold(lane)
        return in_flight

    def _lanes_of_latest(self, readings: Iterable[NewReading]) -> Iterator[tuple[str, Lane]]:
        for recipients, some in groupby(readings, key=attrgetter("recipients")):
            endpoints = [one.endpoint for one in recipients if one.only_latest]
            if endpoints:
                for reading, endpoint in product(some, endpoints):
                    lane = self._lanes(endpoint).find(reading.device)
                    if lane is not None:
                        yield endpoint, lane

    def _messages(self) -> dict[MessageOutcome, int]:
        counts = self.work.messages.copy()
        for outcome in chain.from_iterable(self._outcomes):
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts

    def _note_outcomes(self) -> None:
        """What each message came to, in the groups in which they were put."""
        outcomes: Outcomes = []
        for run in self._owed.runs:
            outcomes += ["accepted" if run.recipients else "duplicate"] * len(run.readings)
        for place, _ in self._quarantined:
            outcomes.insert(place, "quarantined")
        ends = accumulate((len(puts) for puts, _ in self.work.puts), initial=0)
        self._outcomes = [outcomes[start:end] for start, end in pairwise(ends)]

    def publish(self) -> None:
        """Let the lanes have what was put, and let those go on that waited for this."""
        now = self._clock.monotonic()
        for run in self._owed.runs:
            for recipient in run.recipients:
                self.enqueued[recipient.endpoint] += len(run.readings)
                self._join_lanes(run, recipient, now)
        for (endpoint, device), gone in self._owed.superseded.items():
            self._lanes(endpoint).add(device, count=-gone, now=now)
        self.claimable.update(self.enqueued)
        for endpoint, lane in self.work.releases:
            self.claimable.add(endpoint)
            self._lanes(endpoint).confirm(lane, now=now)

    def _join_lanes(self, run: Run, recipient: Recipient, now: float) -> None:
        endpoint, lanes = recipient.endpoint, self._lanes(recipient.endpoint)
        if recipient.only_latest:
            for reading in run.readings:
                lane = lanes.add(reading.device, now=now)
                lane.due_at = None  # the wait was that of the reading which gave way
            return
        # By position, as this is made for every delivery; the order is that of the fields.
        deliveries = [
            Delivery(
                ReadingNumber(number), endpoint, one.device, one.webhook_id, one.measured_at,
                one.received_at, one.received_at, 0, one.data,
            )
            for number, one in enumerate(run.readings, run.first)
        ]  # fmt: skip
        lanes.extend(deliveries, now=now)

    def release(self) -> None:
        """Let go of the lanes that were held until this was on disk."""
        now = self._clock.monotonic()
        for lane, endpoint in self._held.items():
            self._lanes(endpoint).release(lane, now=now)
        self.claimable.update(self._held.values())
        self._held.clear()

    def answer(self) -> None:
        """Tell whoever waits for it."""
        for (_, answer), result in zip(self.work.operations, self._results, strict=True):
            _resolve(answer, result)
        for (_, waiting), outcomes in zip(self.work.puts, self._outcomes, strict=True):
            _resolve(waiting, outcomes)


def _resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
