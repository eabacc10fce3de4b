"""
One commit on the loop's side: what it brings, which lanes it holds, and who waits for it.

    prepare   loop     hold what the transaction may change otherwise than by claims; copy what is in flight there
    (apply)   thread   the engine makes the transaction
    publish   loop     tell the lanes what was committed; release what was held
    answer    loop     tell the callers

A failed commit is made again with all that came meanwhile, and keeps its holds.
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
    """Futures of the changes' puts, in their order."""
    asking: list[Future[Any]] = field(default_factory=list)
    """Futures of the changes' operations, in their order."""
    settled: list[tuple[EndpointLanes, Lane, int]] = field(default_factory=list)
    """A lane of each settlement, with the count of its deliveries that the settlement has ended."""
    is_built_on: bool = False
    """Whether a lane had more to send when its claim ended."""
    may_supersede: bool = False
    """Whether a put may supersede pending deliveries."""
    is_to_look: bool = False
    """Whether the thread is to look for changes by another process."""
    has_foreign_change: bool = False
    """Whether the thread has seen that another process has changed something."""
    endpoints: Sequence[EndpointTotals] = ()
    """Every endpoint's accounts after the commit; read where another process has changed something, or homes have."""
    lacks_endpoints: bool = False
    """Whether the thread could not read `endpoints`; the next commit reads them."""
    message_count: int = 0
    held_lanes: dict[Lane, EndpointLanes] = field(default_factory=dict)
    held_endpoints: set[EndpointLanes] = field(default_factory=set)

    def __bool__(self) -> bool:
        return self.writes or self.is_to_look

    @property
    def writes(self) -> bool:
        """Whether the commit takes a transaction, if only to release what it holds."""
        return bool(
            self.changes or self.has_foreign_change or self.held_lanes or self.held_endpoints
        )

    @property
    def holds_lanes(self) -> bool:
        """Whether every earlier commit must be published before this one is prepared."""
        return self.may_supersede or bool(self.changes.operations or self.changes.latest)

    def put(self, puts: Sequence[Put], answer: Future[Outcomes]) -> None:
        self.changes.puts.append(puts)
        self.waiting.append(answer)
        self.message_count += len(puts)
        self.may_supersede = self.may_supersede or _may_supersede(puts)

    def take_puts(self) -> "Commit":
        """Split the puts off, as a commit of their own."""
        taken = Commit(may_supersede=self.may_supersede, message_count=self.message_count)
        taken.changes.puts, taken.waiting = self.changes.puts, self.waiting
        self.changes.puts, self.waiting = [], []
        self.may_supersede, self.message_count = False, 0
        return taken

    def drop_unawaited(self) -> None:
        """Forget puts that nobody awaits any more."""
        puts = self.take_puts()
        for some, answer in zip(puts.changes.puts, puts.waiting, strict=True):
            if not answer.done():
                self.put(some, answer)

    def followed_by(self, later: "Commit") -> "Commit":
        """Append what came in later, and return the whole; `later` is used up."""
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
        """Have the lane's older deliveries give way to its newest, unless they are in flight by then."""
        self.changes.latest[endpoint.endpoint, lane.device] = ReadingNumber(lane.newest)
        # Held at once and not by `prepare`, so that no older delivery sets out before the commit begins.
        if lane not in self.held_lanes:
            self.held_lanes[lane] = endpoint
            endpoint.hold(lane)

    def forget(self, endpoint: str) -> None:
        """Record nothing more of an endpoint, because another replica delivers to it from now on."""
        self.changes.health.pop(endpoint, None)
        self.changes.gone.pop(endpoint, None)
        for key in [key for key in self.changes.latest if key[0] == endpoint]:
            del self.changes.latest[key]

    def fail_operation(self, index: int, error: Exception) -> None:
        """Drop an operation that raised, and tell its caller why."""
        del self.changes.operations[index]
        answer = self.asking.pop(index)
        if not answer.done():
            answer.set_exception(error)

    # Prepare.

    def prepare(self, lanes: Callable[[str], EndpointLanes]) -> None:
        """Hold lanes and endpoints, and copy what is in flight there; the engine then gets values alone."""
        # A held lane gives out no claim until `publish`, so the copy names all that can be in flight in the meantime.
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
        Whether a power cut may undo the commit: it only says what was delivered, in lanes with nothing else to send.

        Undone deliveries are made again under the same ids. Nothing overtakes them, because a later commit takes this
        one to the disk: both stand in one log.
        """
        # A lane may have had more to send when its claim ended, or may have got more since, so both are asked.
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
        Tell the lanes what was committed, and release what was held; returns how many deliveries were put, by endpoint.

        A counted lane takes over the count alone, because the count includes what was put and what gave way. Endpoints
        with a home elsewhere have no lanes here; `homes` is None where all are here.
        """
        # Settlements come before counts, because a count of rows is without the settled ones already.
        for endpoint, lane, count in self.settled:
            endpoint.written(lane, count, now=now)
        for (name, device), rows in applied.counted.items():
            if homes is None or name in homes:
                lanes(name).recount(device, pending=rows.pending, newest=rows.newest, now=now)
        enqueued = _join(applied, lanes, homes, now)
        # Holds end last, because a released lane goes on with what memory has by then.
        for lane, endpoint in self.held_lanes.items():
            endpoint.release(lane, now=now)
        for endpoint in self.held_endpoints:
            endpoint.is_held = False
        return enqueued

    def touched_endpoints(self, applied: Applied) -> set[str]:
        """Endpoints of which something may be claimed now, without those that only got readings."""
        return {
            *{endpoint.endpoint for endpoint, _, _ in self.settled},
            *{endpoint.endpoint for endpoint in self.held_lanes.values()},
            *{endpoint.endpoint for endpoint in self.held_endpoints},
            *{name for name, _ in applied.counted},
        }

    def answer(self, applied: Applied) -> None:
        """Tell the callers of operations and puts."""
        for asking, answer in zip(self.asking, applied.answers, strict=True):
            _resolve(asking, answer)
        for waiting, outcomes in zip(self.waiting, applied.outcomes, strict=True):
            _resolve(waiting, outcomes)


def _may_supersede(puts: Sequence[Put]) -> bool:
    looked_at = None
    for one in puts:
        # Neighbours mostly share one tuple of recipients, which is looked at once.
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
    """Add what was put to its lanes; returns how many, by endpoint, also of endpoints with a home elsewhere."""
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
    # Arguments go by position, in the order of the fields, because keywords take time for each delivery.
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
    """Count the deliveries, and return each lane's last, to which the others give way."""
    for one in deliveries:
        lanes.add(one.device, newest=one.reading)
    return {(one.endpoint, one.device): one for one in deliveries}


def _resolve(future: Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
