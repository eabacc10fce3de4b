"""
Lanes: the pending deliveries of one device to one endpoint, in order, of which one claim at a time is out.

Pure and in memory. The durable facts are rows; this is the schedule over them, built anew at start, so that
claiming needs no write. Times are monotonic seconds: no step of the wall clock can freeze a lane.

    add ─▶ READY ─▶ CLAIMED ─▶ settle ─▶ READY      when memory holds the next delivery
             ▲                    └────▶ SETTLING ─▶ confirm, once the settlement is on disk
             ├───────────────────────────────┤
             └──────── WAITING ◀─────────────┘      when it was postponed
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from heapq import heappop, heappush
from typing import NamedTuple

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.reading import Device


class LaneState(Enum):
    """Where a lane is in the drawing above; GONE is out of it."""

    READY = "ready"
    WAITING = "waiting"
    CLAIMED = "claimed"
    SETTLING = "settling"
    GONE = "gone"


READY, WAITING, CLAIMED, SETTLING, GONE = LaneState

GONE_IN_QUEUE = 1000
"""Lanes that are gone leave the queue when their turn comes; where nothing is claimed, when there are so many."""


@dataclass(slots=True, eq=False)
class Lane:
    """One device's queue at one endpoint."""

    device: Device
    state: LaneState = GONE
    pending: int = 0
    """Deliveries that are not settled, those in flight included."""
    fresh: deque[Delivery] = field(default_factory=deque)
    """The first deliveries that are not in flight, as far as memory holds them."""
    claimed: tuple[Delivery, ...] = ()
    """The deliveries in flight."""
    due_at: float | None = None
    """When it becomes ready again, while it waits or will wait."""
    ready_since: float = 0.0
    is_settling: bool = False
    """Its last settlement is not on disk yet: until then nothing is claimed, for it might be read back."""
    holds: int = 0
    """Transactions that change what is pending; while there are any, nothing is claimed and nothing remembered."""
    is_restored: bool = False
    """Known from the outbox's rows alone: the time its head waits for is still to be read."""
    is_changed: bool = False
    """Something else than its claim changed what is pending meanwhile: it is counted again when the claim ends."""
    is_queued: bool = False
    """Whether the queue of ready lanes holds it, even if it is not ready at the moment."""

    @property
    def unclaimed(self) -> int:
        return self.pending - len(self.claimed)


class Readiness(NamedTuple):
    """What could be claimed at an endpoint, and since when; else when something can. Times are monotonic seconds."""

    ready_count: int = 0
    """Deliveries in lanes that are ready."""
    first_lane_count: int = 0
    """Of them in the lane that is served next."""
    since: float = 0.0
    """When that lane became ready."""
    next_due_at: float = float("inf")
    """When the next waiting lane becomes ready; infinite when none waits."""


@dataclass(slots=True)
class Memory:
    """How many deliveries wait in memory, over all endpoints; beyond the limit they are read when their turn comes."""

    limit: int
    used: int = 0

    @property
    def room(self) -> int:
        return max(0, self.limit - self.used)


class EndpointLanes:
    """All lanes of one endpoint; among those that are ready, the first to become so is served first."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._claimed: set[Lane] = set()
        self._lanes: dict[Device, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._waiting: list[tuple[float, int, Lane]] = []
        self._pushes = 0
        self.ready_count = 0
        """Deliveries in ready lanes."""
        self.pending_count = 0
        """Deliveries in all lanes."""

    def __len__(self) -> int:
        return len(self._lanes)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def find(self, device: Device) -> Lane | None:
        return self._lanes.get(device)

    def add(self, device: Device, *, count: int = 1, now: float) -> Lane:
        """`count` more deliveries at the end of the device's lane."""
        lane = self._lanes.get(device) or self._begin(device, now)
        self._count(lane, lane.pending + count)
        return lane

    def _begin(self, device: Device, now: float) -> Lane:
        lane = self._lanes[device] = Lane(device)
        self._make_ready(lane, now)
        return lane

    def restore(self, device: Device, *, count: int, now: float) -> None:
        """At start: a lane as the outbox holds it, whose head may have to wait still."""
        self.add(device, count=count, now=now).is_restored = True

    def remember(self, lane: Lane, deliveries: Sequence[Delivery]) -> None:
        """Hold these, which come next in the lane, in memory."""
        lane.fresh.extend(deliveries)
        self._memory.used += len(deliveries)

    def extend(self, deliveries: Iterable[Delivery], *, now: float) -> None:
        """Each at the end of its lane, held in memory while there is room and nothing is before it."""
        known, memory = self._lanes, self._memory
        for one in deliveries:
            lane = known.get(one.device) or self._begin(one.device, now)
            is_next = len(lane.fresh) == lane.pending - len(lane.claimed)
            if is_next and lane.holds == 0 and not lane.is_changed and memory.used < memory.limit:
                lane.fresh.append(one)
                memory.used += 1
            self._count(lane, lane.pending + 1)

    def take(self, lane: Lane, *, limit: int) -> tuple[Delivery, ...]:
        """The first deliveries that memory holds of a claimed lane: they are in flight now."""
        fresh = lane.fresh
        if len(fresh) <= limit:
            lane.claimed = taken = tuple(fresh)
            fresh.clear()
        else:
            lane.claimed = taken = tuple([fresh.popleft() for _ in range(limit)])
        self._memory.used -= len(taken)
        self._claimed.add(lane)
        return taken

    def in_flight(self) -> set[ReadingNumber]:
        """The readings that are claimed."""
        return {delivery.reading for lane in self._claimed for delivery in lane.claimed}

    def claim(self, *, now: float) -> Lane | None:
        """Take the lane that is served next; None when none is ready."""
        if self._waiting:
            self.wake_due(now)
        while self._ready:
            lane = self._pop_ready()
            if lane.state is READY:
                self._leave(lane, CLAIMED)
                return lane
        return None

    def claim_for_probe(self, *, now: float) -> Lane | None:
        """Take a ready lane, else the one that waits for the nearest time."""
        lane = self.claim(now=now)
        if lane is None and self.next_due() is not None:
            lane = heappop(self._waiting)[2]
            self._leave(lane, CLAIMED)
        return lane

    def settle(
        self, lane: Lane, *, settled: int = 0, due_at: float | None = None, now: float
    ) -> bool:
        """
        End a claim: `settled` of its deliveries are pending no more; the others go on, or wait until `due_at`.

        True when the lane rests, because memory does not hold what comes next, if anything does: it goes on after
        a `confirm`, which is owed once the settlement is on disk. Read before, the outbox would offer it again.
        What is put into an empty lane meanwhile is remembered all the same.
        """
        if settled < len(lane.claimed):
            self._empty_memory(lane)  # it holds what comes after those that are not settled
            lane.is_restored = due_at is None
        lane.claimed = ()
        self._claimed.discard(lane)
        lane.due_at = due_at
        self._count(lane, lane.pending - settled)
        if due_at is None and lane.fresh and lane.holds == 0:
            self._make_ready(lane, now)
            return False
        lane.state = SETTLING
        lane.is_settling = True
        self._empty_memory(lane)
        return True

    def confirm(self, lane: Lane, *, now: float) -> None:
        """The settlement that the lane rested for is on disk: it goes on, unless a transaction holds it."""
        lane.is_settling = False
        self._go_on(lane, now)

    def hold(self, lane: Lane) -> None:
        """Let nothing more be claimed from the lane until a `release`: a transaction is changing what is pending."""
        lane.holds += 1
        self._empty_memory(lane)
        if lane.state is not CLAIMED:
            self._leave(lane, SETTLING)

    def release(self, lane: Lane, *, now: float) -> None:
        """End one hold; after the last one the lane goes on."""
        lane.holds -= 1
        self._go_on(lane, now)

    def _go_on(self, lane: Lane, now: float) -> None:
        if lane.holds > 0 or lane.is_settling or lane.state is not SETTLING:
            return
        if lane.pending <= 0:
            self._forget(lane)
        elif lane.due_at is None or lane.due_at <= now:
            self._make_ready(lane, now)
        else:
            self._make_wait(lane, lane.due_at)

    def recount(self, device: Device, *, pending: int, now: float) -> Lane | None:
        """
        Take over how many deliveries of a lane its transaction counts, after something else than a claim changed them.

        The lane is held until a `release`, which is owed once the transaction is over; None when there is none.
        """
        lane = self._lanes.get(device)
        if lane is None and pending <= 0:
            return None
        lane = lane or self.add(device, count=pending, now=now)
        self._count(lane, pending)
        lane.is_changed = lane.state is CLAIMED
        if not lane.is_changed:
            lane.due_at = None
            lane.is_restored = True
        self.hold(lane)
        return lane

    def wake_due(self, now: float) -> None:
        """Make ready every lane whose wait is over."""
        while (due_at := self.next_due()) is not None and due_at <= now:
            self._make_ready(heappop(self._waiting)[2], now)

    def wake_all(self, now: float) -> None:
        """Let no lane wait for its own time any more: the endpoint has recovered."""
        for _, _, lane in sorted(self._waiting):
            if lane.state is WAITING:
                self._make_ready(lane, now)
        self._waiting.clear()
        for lane in self._lanes.values():
            lane.is_restored = False
            lane.due_at = None

    def next_due(self) -> float | None:
        """When the next waiting lane becomes ready, in monotonic seconds."""
        while self._waiting:
            due_at, _, lane = self._waiting[0]
            if lane.state is WAITING and lane.due_at == due_at:
                return due_at
            heappop(self._waiting)
        return None

    def served_next(self) -> Lane | None:
        """The lane that is served next, if any is ready."""
        while self._ready and self._ready[0].state is not READY:
            self._pop_ready()
        return self._ready[0] if self._ready else None

    def readiness(self, now: float) -> Readiness:
        """What could be claimed."""
        if self._waiting:
            self.wake_due(now)
        next_due_at = self.next_due() if self._waiting else None
        due_at = float("inf") if next_due_at is None else next_due_at
        first = self.served_next()
        if first is None:
            return Readiness(next_due_at=due_at)
        return Readiness(self.ready_count, first.pending, first.ready_since, due_at)

    def _make_ready(self, lane: Lane, now: float) -> None:
        self._leave(lane, READY)
        lane.due_at = None
        self.ready_count += lane.pending
        if not lane.is_queued:
            lane.is_queued = True
            lane.ready_since = now
            self._ready.append(lane)

    def _pop_ready(self) -> Lane:
        lane = self._ready.popleft()
        lane.is_queued = False
        return lane

    def _make_wait(self, lane: Lane, due_at: float) -> None:
        self._leave(lane, WAITING)
        self._empty_memory(lane)
        lane.due_at = due_at
        self._pushes += 1
        heappush(self._waiting, (due_at, self._pushes, lane))

    def _empty_memory(self, lane: Lane) -> None:
        if lane.fresh:
            self._memory.used -= len(lane.fresh)
            lane.fresh.clear()

    def _leave(self, lane: Lane, state: LaneState) -> None:
        if lane.state is READY:
            self.ready_count -= lane.pending
        lane.state = state

    def _count(self, lane: Lane, pending: int) -> None:
        more = pending - lane.pending
        if lane.state is READY:
            self.ready_count += more
        self.pending_count += more
        lane.pending = pending

    def _forget(self, lane: Lane) -> None:
        self._leave(lane, GONE)
        self._count(lane, 0)
        self._empty_memory(lane)
        if self._lanes.get(lane.device) is lane:
            del self._lanes[lane.device]
        if len(self._ready) > 2 * len(self._lanes) + GONE_IN_QUEUE:
            self._ready = deque(one for one in self._ready if one.state is not GONE)
