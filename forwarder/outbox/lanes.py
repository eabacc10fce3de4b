"""
Lanes: the pending deliveries of one device to one endpoint, in order, of which one claim at a time is out.

Pure and in memory. The durable facts are rows; this is the schedule over them, built anew at start, so that claiming
needs no write and no read. Times are monotonic seconds: no step of the wall clock can freeze a lane.

    pending = stored - unwritten          stored     rows that are pending as of the last commit that was published
                                          unwritten  settled for good in memory, and not on disk yet

    A count of rows sets `stored` and nothing else, whenever it comes: what is settled meanwhile is in `unwritten`.

             claim              end
      READY ───────▶ CLAIMED ────────▶ READY    memory holds what comes next
        ▲                        └───▶ RESTING  for the first of these reasons that holds:
        └──────────────────────────────┘
            HELD     a commit under way may change what is pending. Ends when that is published.
            DUE      the head is tried again at `due_at`. Ends then, or when the endpoint recovers.
            UNREAD   memory does not hold what comes next. Ends when that was read beside the loop, which begins once
                     the lane's settlements are on disk: read before, what was settled would be offered again.
            EMPTY    nothing is left but settlements that are not on disk. Ends with the next reading; with the last
                     settlement the lane goes.

    An endpoint as a whole is held while a commit may change any of its lanes: then nothing of it is claimed.
    A reading that was just put is in memory, so that only backlogs, retries and what a commit changed are read.
"""

from collections import Counter, OrderedDict, deque
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

GONE_IN_QUEUE = 1000
"""Lanes that are gone leave the queue when their turn comes; where nothing is claimed, when there are so many."""
READ_AHEAD = 32
"""Deliveries of a lane that are read at once."""
READ_MOST = 512
"""Deliveries of an endpoint that are read at once."""
READ_LEAST = 8
"""What is read where others fill the memory."""
ENOUGH_READY = 64
"""Lanes that are ready: with fewer, others are read before their turn comes."""

_device_of = attrgetter("device")


@dataclass(slots=True, eq=False)
class Lane:
    """One device's queue at one endpoint."""

    device: Device
    state: LaneState = RESTING
    stored: int = 0
    """Rows that are pending as of the last commit that was published, those in flight included."""
    unwritten: int = 0
    """Of them, those that are settled for good and not on disk yet."""
    newest: int = 0
    """The highest number that was counted or put; its reading may be settled meanwhile."""
    unsaved: int = 0
    """Settlements that are not on disk yet, those of deliveries that are tried again included."""
    fresh: deque[Delivery] = field(default_factory=deque)
    """The first deliveries that are not in flight, as far as memory holds them."""
    claimed: tuple[Delivery, ...] = ()
    """The deliveries in flight."""
    settled: int = 0
    """How many of those are settled for good already."""
    is_held: bool = False
    due_at: float | None = None
    """When its head is tried again."""
    ready_since: float = 0.0
    """Since when it is ready, or could be if it were read."""
    is_read: bool = False
    """Whether its head is being read, and nothing has changed what is pending since that began."""
    is_restored: bool = False
    """Known from the outbox's rows alone: the time its head waits for is still to be read."""
    is_changed: bool = False
    """Something else than its claim changed what is pending meanwhile: what memory holds may not come next."""
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
    """How many deliveries wait in memory or are being read, over all endpoints; those beyond the limit wait as rows."""

    limit: int
    used: int = 0

    @property
    def room(self) -> int:
        return max(0, self.limit - self.used)


class EndpointLanes:
    """All lanes of one endpoint; among those that are ready, the first to become so is served first."""

    def __init__(self, endpoint: str, memory: Memory) -> None:
        self.endpoint = endpoint
        self.most_at_once = 1
        """Deliveries of a lane that a claim takes at most."""
        self.longest_wait_seconds = float("inf")
        """A wait from before a restart that is longer is over."""
        self._memory = memory
        self._claimed: set[Lane] = set()
        self._lanes: dict[Device, Lane] = {}
        self._ready: deque[Lane] = deque()
        self.unread: OrderedDict[Lane, None] = OrderedDict()
        """Lanes that rest for nothing but UNREAD, the first to do so in front."""
        self._reserved = 0
        """Deliveries that are being read."""
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

    def devices(self) -> list[Device]:
        """Of which there is a lane."""
        return list(self._lanes)

    # What commits bring.

    def add(self, device: Device, *, count: int = 1, newest: int = 0) -> Lane:
        """`count` more rows at the end of the device's lane, which goes on with what follows."""
        lane = self._lanes.get(device) or self._begin(device)
        lane.newest = max(lane.newest, newest)
        self._store(lane, lane.stored + count)
        return lane

    def _begin(self, device: Device) -> Lane:
        lane = self._lanes[device] = Lane(device)
        return lane

    def restore(self, device: Device, *, pending: int, newest: int, now: float) -> None:
        """At start: a lane as the rows have it, whose head may have to wait still."""
        lane = self.add(device, count=pending, newest=newest)
        lane.is_restored = True
        self._go_on(lane, now)

    def extend(self, deliveries: Iterable[Delivery], *, now: float) -> None:
        """Each at the end of its lane, held in memory while there is room and nothing is before it."""
        known, memory = self._lanes, self._memory
        for one in deliveries:
            lane = known.get(one.device) or self._begin(one.device)
            if memory.used < memory.limit and len(lane.fresh) == lane.unclaimed:
                lane.fresh.append(one)
                memory.used += 1
            if one.reading > lane.newest:
                lane.newest = one.reading
            self._store(lane, lane.stored + 1)
            if lane.state is RESTING:
                self._go_on(lane, now)

    def supersede(self, newest: Delivery, *, gone: int, now: float) -> None:
        """So many rows of the lane have given way to this one, which was added; the wait was theirs."""
        lane = self._lanes[newest.device]
        self._store(lane, lane.stored - gone)
        self._empty_memory(lane)
        lane.due_at = None
        # One that was in flight and is to be tried again comes before it, and is in no memory.
        if lane.unclaimed == 1 and self._memory.room:
            self.unread.pop(lane, None)
            self._hold_in_memory(lane, [newest])
        self._go_on(lane, now)

    def written(self, lane: Lane, count: int, *, now: float) -> None:
        """A settlement of the lane is on disk, by which `count` of its rows are pending no more."""
        lane.unsaved -= 1
        lane.stored -= count
        lane.unwritten -= count
        if not lane.unsaved:
            self._go_on(lane, now)

    def recount(self, device: Device, *, pending: int, newest: int, now: float) -> None:
        """Take over the rows that a commit counted, after something else than claims and puts changed them."""
        lane = self._lanes.get(device)
        if lane is None:
            if pending <= 0:
                return
            lane = self._begin(device)
        lane.newest = newest
        self._store(lane, pending)
        self._empty_memory(lane)
        if lane.state is CLAIMED:
            lane.is_changed = True
        else:
            lane.due_at = None
            lane.is_restored = True
        self._go_on(lane, now)

    def hold(self, lane: Lane) -> None:
        """Let nothing more be claimed from the lane until a `release`: a commit is changing what is pending."""
        lane.is_held = True
        if lane.state is READY:
            self._leave(lane, RESTING)

    def release(self, lane: Lane, *, now: float) -> None:
        lane.is_held = False
        self._go_on(lane, now)

    # What is read beside the loop.

    def begin_read(self, *, is_probe: bool = False) -> dict[Lane, int]:
        """
        Which lanes are to be read now, and how many deliveries of each; none while others are being read.

        Whoever reads them ends it with `remember` for each lane and `end_read`. A probe may take the lane that waits
        for the nearest time.
        """
        wanted: dict[Lane, int] = {}
        if self._reserved or self.is_held:
            return wanted
        left = self._room_to_read()
        for lane in self._to_read(is_probe=is_probe):
            if left <= 0:
                break
            wanted[lane] = min(lane.unclaimed, max(self.most_at_once, READ_AHEAD), left)
            left -= wanted[lane]
        for lane in wanted:
            self.unread.pop(lane, None)
            lane.is_read = True
        self._reserved = sum(wanted.values())
        self._memory.used += self._reserved
        return wanted

    def _room_to_read(self) -> int:
        room = min(self._memory.room, READ_MOST)
        if self._ready:
            return room
        # Somebody else's backlog may fill the memory for days; this endpoint goes on all the same.
        return max(room, self.most_at_once, min(READ_LEAST, self._memory.limit))

    def _to_read(self, *, is_probe: bool) -> Iterable[Lane]:
        if self.unread:
            first = next(iter(self.unread))
            is_ahead = self._ready and self._ready[0].ready_since <= first.ready_since
            return () if is_ahead and len(self._ready) >= ENOUGH_READY else self.unread
        if is_probe and not self._ready and self.next_due() is not None:
            lane = self._due[0][2]
            return () if lane.fresh or lane.unsaved else (lane,)
        return ()

    def remember(
        self,
        lane: Lane,
        deliveries: Sequence[Delivery],
        *,
        due_at: float | None = None,
        now: float,
    ) -> None:
        """Hold in memory what was read of a lane, which waits until `due_at`; not if it was changed meanwhile."""
        if lane.is_read:
            lane.is_read = False
            lane.is_restored = False
            self._hold_in_memory(lane, deliveries)
            if lane.due_at is None:
                lane.due_at = due_at
        self._go_on(lane, now)

    def end_read(self) -> None:
        self._memory.used -= self._reserved
        self._reserved = 0

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
            nearest = self._due[0][2]
            if nearest.fresh:
                lane = heappop(self._due)[2]
                lane.due_at = None
                self._leave(lane, CLAIMED)
        return lane

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
        lane.claimed, lane.settled, lane.is_changed = (), 0, False
        self._claimed.discard(lane)
        lane.due_at = due_at
        lane.state = RESTING
        self._go_on(lane, now)
        return (
            lane.state is RESTING
            and lane.unsaved > 0
            and lane.stored > lane.unwritten
            and due_at is None
            and not lane.is_held
        )

    def wake_due(self, now: float) -> None:
        """Let every lane go on whose wait is over."""
        while (due_at := self.next_due()) is not None and due_at <= now:
            self._go_on(heappop(self._due)[2], now)

    def wake_all(self, now: float) -> None:
        """Let no lane wait for its own time any more: the endpoint has recovered."""
        waiting = [lane for _, _, lane in sorted(self._due)]
        self._due.clear()
        for lane in self._lanes.values():
            lane.is_restored = False
            lane.due_at = None
        for lane in waiting:
            self._go_on(lane, now)

    def next_due(self) -> float | None:
        """When the next waiting lane goes on, in monotonic seconds."""
        while self._due:
            due_at, _, lane = self._due[0]
            if lane.state is RESTING and not lane.is_held and lane.due_at == due_at:
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
        if lane.state is not RESTING or lane.is_held:
            return
        if lane.due_at is not None and lane.due_at <= now:
            lane.due_at = None
        if lane.stored <= 0 and not lane.unsaved:
            self._forget(lane)
        elif lane.due_at is not None:
            self._pushes += 1
            heappush(self._due, (lane.due_at, self._pushes, lane))
        elif lane.fresh:
            self._make_ready(lane, now)
        elif not (lane.unsaved or lane.is_read or lane in self.unread):
            lane.ready_since = now
            self.unread[lane] = None

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

    def _hold_in_memory(self, lane: Lane, deliveries: Sequence[Delivery]) -> None:
        lane.fresh.extend(deliveries)
        self._memory.used += len(deliveries)

    def _empty_memory(self, lane: Lane) -> None:
        """Forget what memory holds, or would once it is read; a lane that was ready for it rests."""
        self._memory.used -= len(lane.fresh)
        lane.fresh.clear()
        lane.is_read = False
        if lane.state is READY:
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
        lane.state = GONE
        self._store(lane, 0)
        self._empty_memory(lane)
        self.unread.pop(lane, None)
        if self._lanes.get(lane.device) is lane:
            del self._lanes[lane.device]
        if len(self._ready) > 2 * len(self._lanes) + GONE_IN_QUEUE:
            self._ready = deque(one for one in self._ready if one.state is not GONE)
