"""
One commit on the loop's side: what it brings, which lanes it holds, who waits for it.

    prepare   hold what the transaction may change otherwise than by claims, and say what is in flight there
    (apply)   the engine's, in the thread
    publish   let the lanes know what became of it, let go of what was held, answer

A commit that failed is done again with whatever came meanwhile; what it holds it goes on holding.
"""

from asyncio import Future
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, product
from operator import attrgetter
from typing import Any, TypeVar

from forwarder.delivery import Delivery, Done, ReadingNumber
from forwarder.outbox.changes import Applied, Changes, LaneKey, Run
from forwarder.outbox.intake import NewReading, Outcomes, Put
from forwarder.outbox.lane import Lane
from forwarder.outbox.lanes import EndpointLanes
from forwarder.outbox.operations import BuryRemoved, EndIntervals, ExpireOld
from forwarder.outbox.records import EndpointTotals

T = TypeVar("T")

_only_latest = attrgetter("only_latest")


@dataclass(slots=True)
class Commit:
    """Everything that came in since the commit before it was begun."""

    changes: Changes = field(default_factory=Changes)
    waiting: list[Future[Outcomes]] = field(default_factory=list)
    """For each of the changes' puts."""
    asking: list[Future[Any]] = field(default_factory=list)
    """For each of the changes' operations."""
    settled: list[tuple[EndpointLanes, Lane, int]] = field(default_factory=list)
    """By settlement, a lane and how many of its deliveries are pending no more."""
    is_built_on: bool = False
    """Whether a lane sends something after what was settled in it."""
    may_supersede: bool = False
    """Whether a put may supersede something pending."""
    is_to_look: bool = False
    """Whether to see if another process has changed the outbox."""
    has_foreign_change: bool = False
    endpoints: Sequence[EndpointTotals] = ()
    """Where another process has changed something, or homes have, all endpoints' accounts as the commit left them."""
    lacks_endpoints: bool = False
    """Whether those accounts could not be read: the next commit is to read them."""
    message_count: int = 0
    held_lanes: dict[Lane, EndpointLanes] = field(default_factory=dict)
    held_endpoints: set[EndpointLanes] = field(default_factory=set)

    def __bool__(self) -> bool:
        return self.writes or self.is_to_look

    @property
    def writes(self) -> bool:
        """Whether it takes a transaction, if only to release what it holds."""
        return bool(
            self.changes or self.has_foreign_change or self.held_lanes or self.held_endpoints
        )

    @property
    def holds_lanes(self) -> bool:
        """Whether lanes must know of every earlier commit before it is prepared."""
        return self.may_supersede or bool(self.changes.operations or self.changes.latest)

    def put(self, puts: Sequence[Put], answer: Future[Outcomes]) -> None:
        self.changes.puts.append(puts)
        self.waiting.append(answer)
        self.message_count += len(puts)
        self.may_supersede = self.may_supersede or _may_supersede(puts)

    def take_puts(self) -> "Commit":
        """The puts alone, which this is then without."""
        taken = Commit(may_supersede=self.may_supersede, message_count=self.message_count)
        taken.changes.puts, taken.waiting = self.changes.puts, self.waiting
        self.changes.puts, self.waiting = [], []
        self.may_supersede, self.message_count = False, 0
        return taken

    def drop_unawaited(self) -> None:
        """Forget puts that nobody waits for any more."""
        puts = self.take_puts()
        for some, answer in zip(puts.changes.puts, puts.waiting, strict=True):
            if not answer.done():
                self.put(some, answer)

    def followed_by(self, later: "Commit") -> "Commit":
        """This, and what came in after it; `later` is used up."""
        self.changes.add(later.changes)
        self.waiting += later.waiting
        self.asking += later.asking
        self.settled += later.settled
        self.is_built_on |= later.is_built_on
        self.may_supersede |= later.may_supersede
        self.is_to_look |= later.is_to_look
        self.has_foreign_change |= later.has_foreign_change
        self.held_lanes |= later.held_lanes
        self.message_count += later.message_count
        return self

    def supersede(self, endpoint: EndpointLanes, lane: Lane) -> None:
        """Let what is older in the lane than its newest give way, as far as it is not in flight by then."""
        self.changes.latest[endpoint.endpoint, lane.device] = ReadingNumber(lane.newest)
        if lane not in self.held_lanes:
            self.held_lanes[lane] = endpoint
            endpoint.hold(lane)

    def forget(self, endpoint: str) -> None:
        """Another replica delivers to it from now on."""
        self.changes.health.pop(endpoint, None)
        self.changes.gone.pop(endpoint, None)
        for key in [key for key in self.changes.latest if key[0] == endpoint]:
            del self.changes.latest[key]

    def fail_operation(self, index: int, error: Exception) -> None:
        """Go on without an operation that raised; whoever asked for it hears why."""
        del self.changes.operations[index]
        answer = self.asking.pop(index)
        if not answer.done():
            answer.set_exception(error)

    # Prepare.

    def prepare(self, lanes: Callable[[str], EndpointLanes]) -> None:
        self.changes.waits_for_disk = not self._may_be_undone()
        self.changes.in_flight = {}
        for operation in self.changes.operations:
            if isinstance(operation, ExpireOld | BuryRemoved | EndIntervals):
                endpoint = lanes(operation.endpoint)
                endpoint.is_held = True
                self.held_endpoints.add(endpoint)
                self.changes.in_flight[operation.endpoint] = endpoint.in_flight()
        if self.may_supersede:
            self._hold_superseded(lanes)
        for lane, endpoint in self.held_lanes.items():
            in_flight = self.changes.in_flight.setdefault(endpoint.endpoint, set())
            in_flight.update(delivery.reading for delivery in lane.claimed)

    def _may_be_undone(self) -> bool:
        """
        Whether a power cut may undo it: it only says what was delivered, in lanes with nothing else to send.

        Those deliveries would be made again under the same ids. A later commit takes this one to the disk with it,
        because both stand in one log, so nothing overtakes them.
        """
        return (
            not self.is_built_on
            and self.changes.are_settlements_alone
            and all(isinstance(one.decision, Done) for one in self.changes.settlements)
            and not any(lane.pending for _, lane, _ in self.settled)
        )

    def _hold_superseded(self, lanes: Callable[[str], EndpointLanes]) -> None:
        for name, lane in self._lanes_of_latest(lanes):
            if lane not in self.held_lanes:
                self.held_lanes[lane] = lanes(name)
                lanes(name).hold(lane)

    def _lanes_of_latest(self, lanes: Callable[[str], EndpointLanes]) -> Iterator[tuple[str, Lane]]:
        readings = [
            one for one in chain.from_iterable(self.changes.puts) if isinstance(one, NewReading)
        ]
        for recipients, some in groupby(readings, key=attrgetter("recipients")):
            endpoints = [one.endpoint for one in recipients if one.only_latest]
            if endpoints:
                for reading, endpoint in product(some, endpoints):
                    lane = lanes(endpoint).find(reading.device)
                    if lane is not None:
                        yield endpoint, lane

    # Publish.

    def publish(
        self,
        applied: Applied,
        lanes: Callable[[str], EndpointLanes],
        *,
        homes: Container[str] | None,
        now: float,
    ) -> dict[str, int]:
        """
        Tell the lanes what was committed, and release what was held; returns how many were put, by endpoint.

        A lane that was counted takes over the count alone, because that holds what was put and what gave way. Endpoints
        whose home is elsewhere have no lanes here; `homes` is None where all are here.
        """
        for endpoint, lane, count in self.settled:
            endpoint.written(lane, count, now=now)
        for (name, device), rows in applied.counted.items():
            if homes is None or name in homes:
                lanes(name).recount(device, pending=rows.pending, newest=rows.newest, now=now)
        enqueued = _join(applied, lanes, homes, now)
        for lane, endpoint in self.held_lanes.items():
            endpoint.release(lane, now=now)
        for endpoint in self.held_endpoints:
            endpoint.is_held = False
        return enqueued

    def touched_endpoints(self, applied: Applied) -> set[str]:
        """Endpoints where something may be claimed now, apart from those that only got something."""
        return {
            *{endpoint.endpoint for endpoint, _, _ in self.settled},
            *{endpoint.endpoint for endpoint in self.held_lanes.values()},
            *{endpoint.endpoint for endpoint in self.held_endpoints},
            *{name for name, _ in applied.counted},
        }

    def answer(self, applied: Applied) -> None:
        """Tell whoever waits for it."""
        for asking, answer in zip(self.asking, applied.answers, strict=True):
            _resolve(asking, answer)
        for waiting, outcomes in zip(self.waiting, applied.outcomes, strict=True):
            _resolve(waiting, outcomes)


def _may_supersede(puts: Sequence[Put]) -> bool:
    looked_at = None
    for one in puts:
        # Neighbours mostly share one tuple, which is looked at once.
        if isinstance(one, NewReading) and one.recipients is not looked_at:
            looked_at = one.recipients
            if any(map(_only_latest, looked_at)):
                return True
    return False


def _join(
    applied: Applied,
    lanes: Callable[[str], EndpointLanes],
    homes: Container[str] | None,
    now: float,
) -> dict[str, int]:
    """Add what was put to its lanes; returns how many that was, by endpoint, also of homes that are elsewhere."""
    enqueued: defaultdict[str, int] = defaultdict(int)
    latest: dict[LaneKey, Delivery] = {}
    for run in applied.runs:
        for recipient in run.recipients:
            enqueued[recipient.endpoint] += len(run.readings)
            if homes is not None and recipient.endpoint not in homes:
                continue
            joining = _deliveries(run, recipient.endpoint, applied.counted)
            if recipient.only_latest:
                latest |= _join_as_latest(joining, lanes(recipient.endpoint))
            else:
                lanes(recipient.endpoint).extend(joining, now=now)
    for key, newest in latest.items():
        lanes(key[0]).supersede(newest, gone=applied.superseded.get(key, 0), now=now)
    return enqueued


def _deliveries(run: Run, endpoint: str, counted: Container[LaneKey]) -> list[Delivery]:
    # By position, because every delivery is made here; the order is that of the fields.
    deliveries = [
        Delivery(
            ReadingNumber(number), endpoint, one.device, one.webhook_id, one.measured_at,
            one.received_at, one.received_at, 0, one.data,
        )
        for number, one in enumerate(run.readings, run.first)
    ]  # fmt: skip
    if counted:
        deliveries = [one for one in deliveries if (endpoint, one.device) not in counted]
    return deliveries


def _join_as_latest(
    deliveries: Iterable[Delivery], lanes: EndpointLanes
) -> dict[LaneKey, Delivery]:
    """Count them, and return of each lane the last one, to which the others give way."""
    for one in deliveries:
        lanes.add(one.device, newest=one.reading)
    return {(one.endpoint, one.device): one for one in deliveries}


def _resolve(future: Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
