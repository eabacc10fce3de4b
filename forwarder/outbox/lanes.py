"""
The lanes of one endpoint: which is served next, which rest, and why.

A lane is the pending deliveries of one device, in order; one claim at a time is out. Lanes live in memory alone, built
from rows at start, so a claim neither reads nor writes. Times are monotonic seconds, so no step of the wall clock
freezes a lane.

    pending = stored - unwritten          stored     rows that are pending as of the last published commit
                                          unwritten  rows that are settled for good in memory, and on disk not yet

    A count of rows sets `stored` and not `unwritten`, because `unwritten` knows what is settled meanwhile.

             claim              end
      READY ───────▶ CLAIMED ────────▶ READY    memory has what comes next
        ▲                        └───▶ RESTING  for the first of these reasons that is true:
        └──────────────────────────────┘
            HELD     A commit under way may change the lane's rows. Ends when the commit is published.
            DUE      The head is tried again at `due_at`. Ends then, when the endpoint recovers, or when a commit
                     changes the lane.
            UNREAD   Memory lacks what comes next. Ends with a read beside the loop. The read begins once the lane's
                     settlements are on disk, because an earlier read would find settled rows pending.
            EMPTY    Only settlements that are not on disk are left. Ends with the next reading; the lane is gone once
                     the last settlement is on disk.

    A commit that may change any lane of the endpoint holds the endpoint as a whole: nothing is claimed meanwhile.
    A put leaves its readings in memory, so only backlogs, retries and lanes that a commit changed are read.
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
    """Deliveries that a claim could get of an endpoint, or the time of the next. Times are monotonic seconds."""

    ready_count: int = 0
    """Deliveries in lanes that are ready."""
    first_lane_count: int = 0
    """Deliveries in the lane that is served next."""
    since: float = 0.0
    """The time at which that lane became ready."""
    next_due_at: float = float("inf")
    """The time at which the next waiting lane becomes ready; infinite when none waits."""


class EndpointLanes:
    """All lanes of one endpoint. The lane that became ready first is served first."""

    def __init__(self, endpoint: str, memory: Memory) -> None:
        self.endpoint = endpoint
        self.longest_wait_seconds = float("inf")
        """The longest wait of a retry; a longer one from before a restart is over."""
        self.only_latest = False
        """Whether older readings give way to newer ones."""
        self._memory = memory
        self._claimed: set[Lane] = set()
        self._lanes: dict[Device, Lane] = {}
        self._ready = ReadyLanes()
        self._waiting = WaitingLanes()
        self.unread = UnreadLanes(self._ready, self._waiting, memory)
        self.is_held = False
        """Whether a commit under way may change any lane; nothing is claimed meanwhile."""

    def find(self, device: Device) -> Lane | None:
        return self._lanes.get(device)

    def devices(self) -> list[Device]:
        """The devices that have a lane."""
        return list(self._lanes)

    # Calls of commits.

    def add(self, device: Device, *, count: int = 1, newest: int = 0) -> Lane:
        """Count more rows at the end of the device's lane; the caller has the lane go on."""
        lane = self._lanes.get(device) or self._begin(device)
        lane.newest = max(lane.newest, newest)
        self._store(lane, lane.stored + count)
        return lane

    def _begin(self, device: Device) -> Lane:
        lane = self._lanes[device] = Lane(device)
        return lane

    def restore(self, device: Device, *, pending: int, newest: int, now: float) -> None:
        """Make a lane from its rows at start; its head may have to wait still."""
        lane = self.add(device, count=pending, newest=newest)
        lane.is_restored = True
        self._go_on(lane, now)

    def extend(self, deliveries: Iterable[Delivery], *, now: float) -> None:
        """Append each delivery to its lane, and to memory while there is room."""
        known, memory = self._lanes, self._memory
        for one in deliveries:
            lane = known.get(one.device) or self._begin(one.device)
            # Memory keeps nothing behind a delivery that it lacks, because the missing one comes first.
            if memory.used < memory.limit and len(lane.fresh) == lane.unclaimed:
                lane.fresh.append(one)
                memory.used += 1
            if one.reading > lane.newest:
                lane.newest = one.reading
            self._store(lane, lane.stored + 1)
            if lane.state is RESTING:
                self._go_on(lane, now)

    def supersede(self, newest: Delivery, *, gone: int, now: float) -> None:
        """Note that `gone` rows of the lane gave way to `newest`, which `add` has counted, and end their wait."""
        lane = self._lanes[newest.device]
        self._store(lane, lane.stored - gone)
        self._empty_memory(lane)
        lane.due_at = None
        # Memory takes the newest only where it is alone, because a delivery that is tried again comes before it.
        if lane.unclaimed == 1 and self._memory.room:
            self.unread.pop(lane, None)
            self._memory.hold(lane, [newest])
        self._go_on(lane, now)

    def written(self, lane: Lane, count: int, *, now: float) -> None:
        """Note that a settlement is on disk, which ended `count` rows of the lane."""
        lane.unsaved -= 1
        lane.stored -= count
        lane.unwritten -= count
        # Only now may the lane be read: no read that begins from here on finds a settled row pending.
        if not lane.unsaved:
            self._go_on(lane, now)

    def recount(self, device: Device, *, pending: int, newest: int, now: float) -> None:
        """Take over a commit's count of the lane's rows, because something else than claims and puts changed them."""
        lane = self._lanes.get(device)
        if lane is None:
            if pending <= 0:
                return
            lane = self._begin(device)
        lane.newest = newest
        self._store(lane, pending)
        self._empty_memory(lane)
        if lane.state is CLAIMED:
            # An attempt may be under way, so the claim stays out; its owner sees that the claim is stale.
            lane.is_changed = True
        else:
            lane.due_at = None
            lane.is_restored = True
        self._go_on(lane, now)

    def drop(self) -> None:
        """Forget all lanes, none of them claimed, because another replica delivers to the endpoint from now on."""
        for lane in list(self._lanes.values()):
            self._forget(lane)

    def outdated(self, devices: Iterable[Device]) -> list[Lane]:
        """The lanes of these devices in which more than the latest waits; none where every reading counts."""
        lanes = map(self._lanes.get, devices) if self.only_latest else ()
        return [lane for lane in lanes if lane is not None and lane.unclaimed > 1]

    def hold(self, lane: Lane) -> None:
        """Give out no claim of the lane until `release`, because a commit may change its rows meanwhile."""
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
        """Keep what the reader thread found, unless the lane has changed since; the head waits until `due_at`."""
        # A commit that changed the lane during the read has taken `is_read` back: `_go_on` asks for another read.
        if lane.is_read:
            lane.is_read = False
            lane.is_restored = False
            self._memory.hold(lane, deliveries)
            # A probe has its lane read before the time: the lane keeps the wait that it has.
            if lane.due_at is None:
                lane.due_at = due_at
        self._go_on(lane, now)

    # Calls of the dispatcher.

    def claim(self, *, now: float) -> Lane | None:
        """Take the lane that is served next; None when none is ready."""
        if self.is_held:
            return None
        if self._waiting.heap:
            self.wake_due(now)
        return self._ready.claim()

    def claim_for_probe(self, *, now: float) -> Lane | None:
        """Take a ready lane, or else the waiting lane with the nearest time, if memory has its head."""
        lane = self.claim(now=now)
        if lane is None and not self.is_held:
            nearest = self._waiting.nearest()
            if nearest is not None and nearest.fresh:
                lane = nearest
                lane.due_at = None
                lane.state = CLAIMED
        return lane

    def take(self, lane: Lane, *, limit: int) -> tuple[Delivery, ...]:
        """Put the first deliveries of a claimed lane in flight, as many as memory has of `limit`."""
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
        """The numbers of all readings that are claimed."""
        return {delivery.reading for lane in self._claimed for delivery in lane.claimed}

    def settle(
        self, deliveries: Sequence[Delivery], *, is_final: bool = True
    ) -> list[tuple[Lane, int]]:
        """
        Settle claimed deliveries, for good or until a retry; their claims stay out.

        Returns each lane with the count that `written` is to hear once the settlement is on disk.
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
        End a claim: its unsettled deliveries are the lane's head again, and wait until `due_at`.

        True when the lane waits for nothing but its settlements on disk.
        """
        if lane.settled < len(lane.claimed) or lane.is_changed or due_at is not None:
            # Memory has later deliveries than the unsettled ones, and later ones must not overtake.
            self._empty_memory(lane)
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
        """End every lane's wait, because the endpoint has recovered."""
        waiting = self._waiting.pop_all()
        for lane in self._lanes.values():
            lane.is_restored = False
            lane.due_at = None
        for lane in waiting:
            self._go_on(lane, now)

    def readiness(self, now: float) -> Readiness:
        """The endpoint's readiness at `now`."""
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

    # Changes of state.

    def _go_on(self, lane: Lane, now: float) -> None:
        """Have a resting lane go on, unless there is a reason to rest."""
        if lane.state is not RESTING or lane.is_held:
            return
        if lane.due_at is not None and lane.due_at <= now:
            lane.due_at = None
        if lane.stored <= 0 and not lane.unsaved:
            self._forget(lane)
        elif lane.due_at is not None:
            # DUE precedes `fresh`, because a probe may have had a head read whose time has not come.
            self._waiting.add(lane, lane.due_at)
        elif lane.fresh:
            self._ready.add(lane, now)
        elif not (lane.unsaved or lane.is_read or lane in self.unread):
            lane.ready_since = now
            self.unread[lane] = None

    def _empty_memory(self, lane: Lane) -> None:
        """Forget what waits in memory and what a read under way will find; a ready lane rests."""
        self._memory.drop(lane)
        lane.is_read = False
        self._ready.rest(lane)

    def _store(self, lane: Lane, stored: int) -> None:
        if lane.state is READY:
            self._ready.count += stored - lane.stored
        lane.stored = stored

    def _forget(self, lane: Lane) -> None:
        # A queue, a commit or a read may have the lane still; all of them pass over a lane that is GONE.
        lane.state = GONE
        self._store(lane, 0)
        if lane.fresh:
            self._memory.drop(lane)
        lane.is_read = False
        self.unread.pop(lane, None)
        if self._lanes.get(lane.device) is lane:
            del self._lanes[lane.device]
        self._ready.forget_gone(len(self._lanes))
