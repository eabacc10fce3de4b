"""
Lanes: the pending deliveries of one device to one endpoint, in order, of which one claim at a time is out.

Pure and in memory. The durable facts are rows; this is the schedule over them, built anew at start, so that claiming
needs no write. Times are monotonic seconds: no step of the wall clock can freeze a lane.

    pending = stored - unwritten          stored     rows that are pending as of the last commit that was published
                                          unwritten  settled for good in memory, and not on disk yet

    A count of rows sets `stored` and nothing else, whenever it comes: what is settled meanwhile is in `unwritten`.

             claim              end
      READY ───────▶ CLAIMED ────────▶ READY    memory holds what comes next
        ▲                        └───▶ RESTING  for one or more of these reasons:
        └──────────────────────────────┘
            UNWRITTEN   what comes next is to be read back, and a settlement in the lane is not on disk: read now, what
                        was settled would be offered again. Ends when the last one is written.
            HELD        a commit under way may change what is pending. Ends when that is published.
            DUE         the head is tried again at `due_at`. Ends then, or when the endpoint recovers.

    An endpoint as a whole is held while a commit may change any of its lanes: then nothing of it is claimed.
    A lane goes when nothing is stored, unwritten, claimed or held in it.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from heapq import heappop, heappush
from operator import attrgetter
from typing import NamedTuple

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.reading import Device


class LaneState(Enum):
    """Where a lane is in the drawing above; GONE is out of it."""

    READY = "ready"
    CLAIMED = "claimed"
    RESTING = "resting"
    GONE = "gone"


READY, CLAIMED, RESTING, GONE = LaneState

# Why a lane rests: a set of bits, because an enum.Flag takes ten times as long.
NOTHING, UNWRITTEN, HELD, DUE = 0, 1, 2, 4

GONE_IN_QUEUE = 1000
"""Lanes that are gone leave the queue when their turn comes; where nothing is claimed, when there are so many."""

_device_of = attrgetter("device")


@dataclass(slots=True, eq=False)
class Lane:
    """One device's queue at one endpoint."""

    device: Device
    state: LaneState = GONE
    stored: int = 0
    """Rows that are pending as of the last commit that was published, those in flight included."""
    unwritten: int = 0
    """Of them, those that are settled for good and not on disk yet."""
    newest: int = 0
    """The highest number among them, as far as it is known; 0 when it is settled."""
    unsaved: int = 0
    """Settlements that are not on disk yet, those of deliveries that are tried again included."""
    fresh: deque[Delivery] = field(default_factory=deque)
    """The first deliveries that are not in flight, as far as memory holds them."""
    claimed: tuple[Delivery, ...] = ()
    """The deliveries in flight."""
    settled: int = 0
    """How many of those are settled for good already."""
    reasons: int = NOTHING
    """Why it rests, or will rest once its claim has ended."""
    due_at: float | None = None
    """When its head is tried again."""
    ready_since: float = 0.0
    is_restored: bool = False
    """Known from the outbox's rows alone: the time its head waits for is still to be read."""
    is_changed: bool = False
    """Something else than its claim changed what is pending meanwhile: what memory would hold may not come next."""
    is_queued: bool = False
    """Whether the queue of ready lanes holds it, even if it is not ready at the moment."""

    @property
    def pending(self) -> int:
        return self.stored - self.unwritten

    @property
    def unclaimed(self) -> int:
        return self.stored - self.unwritten - len(self.claimed) + self.settled


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

    def __init__(self, endpoint: str, memory: Memory) -> None:
        self.endpoint = endpoint
        self._memory = memory
        self._claimed: set[Lane] = set()
        self._lanes: dict[Device, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._due: list[tuple[float, int, Lane]] = []
        self._pushes = 0
        self.is_held = False
        """Whether a commit under way may change any lane: nothing is claimed meanwhile."""
        self.ready_count = 0
        """Deliveries in ready lanes."""
        self.pending_count = 0
        """Deliveries in all lanes."""

    def find(self, device: Device) -> Lane | None:
        return self._lanes.get(device)

    # What commits bring.

    def add(self, device: Device, *, count: int = 1, newest: int = 0, now: float) -> Lane:
        """`count` more rows at the end of the device's lane."""
        lane = self._lanes.get(device) or self._begin(device, now)
        lane.newest = max(lane.newest, newest)
        self._store(lane, lane.stored + count)
        return lane

    def _begin(self, device: Device, now: float) -> Lane:
        lane = self._lanes[device] = Lane(device)
        self._make_ready(lane, now)
        return lane

    def restore(self, device: Device, *, pending: int, newest: int, now: float) -> None:
        """At start: a lane as the rows have it, whose head may have to wait still."""
        self.add(device, count=pending, newest=newest, now=now).is_restored = True

    def extend(self, deliveries: Iterable[Delivery], *, now: float) -> None:
        """Each at the end of its lane, held in memory while there is room and nothing is before it."""
        known, memory = self._lanes, self._memory
        for one in deliveries:
            lane = known.get(one.device) or self._begin(one.device, now)
            if (
                memory.used < memory.limit
                and len(lane.fresh) == lane.unclaimed
                and not lane.reasons & HELD
                and not lane.is_changed
            ):
                lane.fresh.append(one)
                memory.used += 1
            if one.reading > lane.newest:
                lane.newest = one.reading
            self._store(lane, lane.stored + 1)

    def give_way(self, device: Device, count: int) -> None:
        """So many rows of the lane have given way to newer ones; memory may hold some of them."""
        lane = self._lanes[device]
        self._store(lane, lane.stored - count)
        self._empty_memory(lane)

    def end_wait(self, lane: Lane) -> None:
        """The head that was to be tried again has given way; the lane goes on once it is released."""
        lane.due_at = None
        lane.reasons &= ~DUE

    def written(self, lane: Lane, count: int, *, now: float) -> None:
        """A settlement of the lane is on disk, by which `count` of its rows are pending no more."""
        lane.unsaved -= 1
        lane.stored -= count
        lane.unwritten -= count
        if not lane.unsaved and lane.reasons & UNWRITTEN:
            lane.reasons &= ~UNWRITTEN
            self._go_on(lane, now)

    def recount(self, device: Device, *, pending: int, newest: int, now: float) -> None:
        """Take over the rows that a commit counted, after something else than claims and puts changed them."""
        lane = self._lanes.get(device)
        if lane is None:
            if pending <= 0:
                return
            lane = self._begin(device, now)
        lane.newest = newest
        self._store(lane, pending)
        if lane.state is CLAIMED:
            lane.is_changed = True
        else:
            self._leave(lane, RESTING)
            self.end_wait(lane)
            lane.is_restored = True
        self._empty_memory(lane)
        self._go_on(lane, now)

    def hold(self, lane: Lane) -> None:
        """Let nothing more be claimed from the lane until a `release`: a commit is changing what is pending."""
        lane.reasons |= HELD
        self._empty_memory(lane)
        if lane.state is not CLAIMED:
            self._leave(lane, RESTING)

    def release(self, lane: Lane, *, now: float) -> None:
        lane.reasons &= ~HELD
        self._go_on(lane, now)

    # What the dispatcher does.

    def claim(self, *, now: float) -> Lane | None:
        """Take the lane that is served next; None when none is ready."""
        if self.is_held:
            return None
        if self._due:
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
        if lane is None and not self.is_held and self.next_due() is not None:
            lane = heappop(self._due)[2]
            self.end_wait(lane)
            self._leave(lane, CLAIMED)
        return lane

    def remember(self, lane: Lane, deliveries: Sequence[Delivery]) -> None:
        """Hold these, which come next in the lane, in memory."""
        lane.fresh.extend(deliveries)
        self._memory.used += len(deliveries)

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

    def settle(
        self, deliveries: Sequence[Delivery], *, is_final: bool = True
    ) -> list[tuple[Lane, int]]:
        """
        Settle claimed deliveries, for good or to be tried again; their claims go on.

        Returns the lanes with what is to be said to `written` of each.
        """
        said = []
        is_one = len(deliveries) == 1
        counts = {deliveries[0].device: 1} if is_one else Counter(map(_device_of, deliveries))
        for device, count in counts.items():
            lane, final = self._lanes[device], count if is_final else 0
            lane.unsaved += 1
            lane.settled += final
            lane.unwritten += final
            self.pending_count -= final
            said.append((lane, final))
        return said

    def end(self, lane: Lane, *, due_at: float | None = None, now: float) -> bool:
        """
        End a claim: what of it is not settled is the head again, and waits until `due_at`.

        True when the lane could go on if only what was settled in it were on disk.
        """
        if lane.settled < len(lane.claimed) or lane.is_changed or due_at is not None:
            self._empty_memory(lane)  # it holds what comes after those that are not settled
            lane.is_restored = due_at is None
        elif lane.claimed and lane.claimed[-1].reading >= lane.newest:
            lane.newest = 0
        lane.claimed, lane.settled, lane.is_changed = (), 0, False
        self._claimed.discard(lane)
        lane.due_at = due_at
        if due_at is not None:
            lane.reasons |= DUE
        if lane.unsaved and not lane.fresh:
            lane.reasons |= UNWRITTEN
        lane.state = RESTING
        self._go_on(lane, now)
        return lane.reasons == UNWRITTEN and lane.stored > lane.unwritten

    def wake_due(self, now: float) -> None:
        """Make ready every lane whose wait is over."""
        while (due_at := self.next_due()) is not None and due_at <= now:
            lane = heappop(self._due)[2]
            self.end_wait(lane)
            self._make_ready(lane, now)

    def wake_all(self, now: float) -> None:
        """Let no lane wait for its own time any more: the endpoint has recovered."""
        waiting = [lane for _, _, lane in sorted(self._due) if lane.reasons == DUE]
        self._due.clear()
        for lane in self._lanes.values():
            lane.is_restored = False
            self.end_wait(lane)
        for lane in waiting:
            self._go_on(lane, now)

    def next_due(self) -> float | None:
        """When the next waiting lane becomes ready, in monotonic seconds."""
        while self._due:
            due_at, _, lane = self._due[0]
            if lane.reasons == DUE and lane.state is RESTING and lane.due_at == due_at:
                return due_at
            heappop(self._due)
        return None

    def readiness(self, now: float) -> Readiness:
        """What could be claimed."""
        if self.is_held:
            return Readiness()
        if self._due:
            self.wake_due(now)
        next_due_at = self.next_due() if self._due else None
        due_at = float("inf") if next_due_at is None else next_due_at
        while self._ready and self._ready[0].state is not READY:
            self._pop_ready()
        if not self._ready:
            return Readiness(next_due_at=due_at)
        first = self._ready[0]
        return Readiness(self.ready_count, first.pending, first.ready_since, due_at)

    # From one state to the next.

    def _go_on(self, lane: Lane, now: float) -> None:
        """Leave the rest when no reason is left for it."""
        if lane.state is not RESTING:
            return
        if lane.reasons & DUE and lane.due_at is not None and lane.due_at <= now:
            self.end_wait(lane)
        if lane.stored <= 0 and not lane.unsaved and not lane.reasons & HELD:
            self._forget(lane)
        elif lane.reasons == DUE and lane.due_at is not None:
            self._pushes += 1
            heappush(self._due, (lane.due_at, self._pushes, lane))
        elif not lane.reasons:
            self._make_ready(lane, now)

    def _make_ready(self, lane: Lane, now: float) -> None:
        lane.state = READY
        self.ready_count += lane.pending
        if not lane.is_queued:
            lane.is_queued = True
            lane.ready_since = now
            self._ready.append(lane)

    def _pop_ready(self) -> Lane:
        lane = self._ready.popleft()
        lane.is_queued = False
        return lane

    def _empty_memory(self, lane: Lane) -> None:
        self._memory.used -= len(lane.fresh)
        lane.fresh.clear()
        if lane.unsaved and lane.state is not CLAIMED:
            lane.reasons |= UNWRITTEN
            self._leave(lane, RESTING)

    def _leave(self, lane: Lane, state: LaneState) -> None:
        if lane.state is READY:
            self.ready_count -= lane.pending
        lane.state = state

    def _store(self, lane: Lane, stored: int) -> None:
        more = stored - lane.stored
        if lane.state is READY:
            self.ready_count += more
        self.pending_count += more
        lane.stored = stored

    def _forget(self, lane: Lane) -> None:
        self._leave(lane, GONE)
        self._store(lane, 0)
        self._empty_memory(lane)
        if self._lanes.get(lane.device) is lane:
            del self._lanes[lane.device]
        if len(self._ready) > 2 * len(self._lanes) + GONE_IN_QUEUE:
            self._ready = deque(one for one in self._ready if one.state is not GONE)
