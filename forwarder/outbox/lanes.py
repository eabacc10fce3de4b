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

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox.lane import CLAIMED, GONE, READY, RESTING, Lane, Memory
from forwarder.outbox.queues import ReadyLanes, UnreadLanes, WaitingLanes
from forwarder.reading import Device

_device_of = attrgetter("device")


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


class EndpointLanes:
    """All lanes of one endpoint; among those that are ready, the first to become so is served first."""

    def __init__(self, endpoint: str, memory: Memory) -> None:
        self.endpoint = endpoint
        self.longest_wait_seconds = float("inf")
        """A wait from before a restart that is longer is over."""
        self.only_latest = False
        """Whether what is older gives way to what is newer."""
        self._memory = memory
        self._claimed: set[Lane] = set()
        self._lanes: dict[Device, Lane] = {}
        self._ready = ReadyLanes()
        self._waiting = WaitingLanes()
        self.unread = UnreadLanes(self._ready, self._waiting, memory)
        self.is_held = False
        """Whether a commit under way may change any lane: nothing is claimed meanwhile."""

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
            self._memory.hold(lane, [newest])
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

    def drop(self) -> None:
        """Forget all lanes: another replica delivers to the endpoint from now on. None of them is claimed."""
        for lane in list(self._lanes.values()):
            self._forget(lane)

    def outdated(self, devices: Iterable[Device]) -> list[Lane]:
        """The lanes of these devices in which something waits behind a newer reading, where only the latest counts."""
        lanes = map(self._lanes.get, devices) if self.only_latest else ()
        return [lane for lane in lanes if lane is not None and lane.unclaimed > 1]

    def hold(self, lane: Lane) -> None:
        """Let nothing more be claimed from the lane until a `release`: a commit is changing what is pending."""
        lane.is_held = True
        self._ready.rest(lane)

    def release(self, lane: Lane, *, now: float) -> None:
        lane.is_held = False
        self._go_on(lane, now)

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
            self._memory.hold(lane, deliveries)
            if lane.due_at is None:
                lane.due_at = due_at
        self._go_on(lane, now)

    # What the dispatcher does.

    def claim(self, *, now: float) -> Lane | None:
        """Take the lane that is served next; None when none is ready."""
        if self.is_held:
            return None
        if self._waiting.heap:
            self.wake_due(now)
        return self._ready.claim()

    def claim_for_probe(self, *, now: float) -> Lane | None:
        """Take a ready lane, else the one that waits for the nearest time."""
        lane = self.claim(now=now)
        if lane is None and not self.is_held:
            nearest = self._waiting.nearest()
            if nearest is not None and nearest.fresh:
                lane = nearest
                lane.due_at = None
                lane.state = CLAIMED
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
        while (lane := self._waiting.pop_due(now)) is not None:
            self._go_on(lane, now)

    def wake_all(self, now: float) -> None:
        """Let no lane wait for its own time any more: the endpoint has recovered."""
        waiting = self._waiting.pop_all()
        for lane in self._lanes.values():
            lane.is_restored = False
            lane.due_at = None
        for lane in waiting:
            self._go_on(lane, now)

    def readiness(self, now: float) -> Readiness:
        """What could be claimed."""
        if self.is_held:
            return Readiness()
        next_due_at = float("inf")
        if self._waiting.heap:
            self.wake_due(now)
            next_due_at = self._waiting.next_due()
        first = self._ready.first()
        if first is None:
            return Readiness(next_due_at=next_due_at)
        return Readiness(self._ready.count, first.pending, first.ready_since, next_due_at)

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
            self._waiting.add(lane, lane.due_at)
        elif lane.fresh:
            self._ready.add(lane, now)
        elif not (lane.unsaved or lane.is_read or lane in self.unread):
            lane.ready_since = now
            self.unread[lane] = None

    def _empty_memory(self, lane: Lane) -> None:
        """Forget what memory holds, or would once it is read; a lane that was ready for it rests."""
        self._memory.drop(lane)
        lane.is_read = False
        self._ready.rest(lane)

    def _store(self, lane: Lane, stored: int) -> None:
        if lane.state is READY:
            self._ready.count += stored - lane.stored
        lane.stored = stored

    def _forget(self, lane: Lane) -> None:
        lane.state = GONE
        self._store(lane, 0)
        if lane.fresh:
            self._memory.drop(lane)
        lane.is_read = False
        self.unread.pop(lane, None)
        if self._lanes.get(lane.device) is lane:
            del self._lanes[lane.device]
        self._ready.forget_gone(len(self._lanes))
