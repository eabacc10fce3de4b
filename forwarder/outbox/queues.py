"""
The queues in which one endpoint's lanes stand: for their turn, for their time, and for what comes next in them.

A lane that leaves its state keeps its place in the first two, because a search for it would cost; whoever comes to that
place passes it over.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from heapq import heappop, heappush

from forwarder.outbox.lane import CLAIMED, GONE, READY, RESTING, Lane, Memory

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


class ReadyLanes:
    """Those of which something may be claimed; the first to become so is served first."""

    def __init__(self) -> None:
        self._queue: deque[Lane] = deque()
        self.count = 0
        """Deliveries in them."""

    def __len__(self) -> int:
        """With those that are passed over."""
        return len(self._queue)

    def add(self, lane: Lane, now: float) -> None:
        lane.state = READY
        self.count += lane.pending
        if not lane.is_queued:
            lane.is_queued = True
            lane.ready_since = now
            self._queue.append(lane)

    def rest(self, lane: Lane) -> None:
        """It is ready no more, if it was."""
        if lane.state is READY:
            self.count -= lane.pending
            lane.state = RESTING

    def claim(self) -> Lane | None:
        """The first, which is claimed from now on."""
        while self._queue:
            lane = self._queue.popleft()
            lane.is_queued = False
            if lane.state is READY:
                self.count -= lane.pending
                lane.state = CLAIMED
                return lane
        return None

    def first(self) -> Lane | None:
        while self._queue and self._queue[0].state is not READY:
            self._queue.popleft().is_queued = False
        return self._queue[0] if self._queue else None

    def have_waited_longer(self, lane: Lane) -> bool:
        """Whether the first has waited longer than this one that is not ready."""
        return bool(self._queue) and self._queue[0].ready_since <= lane.ready_since

    def forget_gone(self, known: int) -> None:
        """Drop lanes that are gone, where they are most of a long queue; `known` ones are not."""
        if len(self._queue) > 2 * known + GONE_IN_QUEUE:
            self._queue = deque(one for one in self._queue if one.state is not GONE)


class WaitingLanes:
    """Those whose head is tried again at its time, the nearest first."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Lane]] = []
        """By the time of each; with those that are passed over."""
        self._pushes = 0

    def add(self, lane: Lane, due_at: float) -> None:
        self._pushes += 1
        heappush(self.heap, (due_at, self._pushes, lane))

    def nearest(self) -> Lane | None:
        while self.heap:
            due_at, _, lane = self.heap[0]
            if lane.state is RESTING and not lane.is_held and lane.due_at == due_at:
                return lane
            heappop(self.heap)
        return None

    def next_due(self) -> float:
        """When the nearest goes on, in monotonic seconds; infinite when none waits."""
        return float("inf") if self.nearest() is None else self.heap[0][0]

    def pop_due(self, now: float) -> Lane | None:
        """The nearest, if its time has come."""
        return heappop(self.heap)[2] if self.next_due() <= now else None

    def pop_all(self) -> list[Lane]:
        """All of them, with those that are passed over, in the order of their times."""
        waiting = [lane for _, _, lane in sorted(self.heap)]
        self.heap.clear()
        return waiting


class UnreadLanes(OrderedDict[Lane, None]):
    """Those that rest for nothing but UNREAD, the first to do so in front; which of them are read together."""

    def __init__(self, ready: ReadyLanes, waiting: WaitingLanes, memory: Memory) -> None:
        super().__init__()
        self.most_at_once = 1
        """Deliveries of a lane that a claim takes at most."""
        self._ready = ready
        self._waiting = waiting
        self._memory = memory
        self._reserved = 0
        """Deliveries that are being read."""

    def begin(self, *, is_probe: bool = False) -> dict[Lane, int]:
        """
        Which lanes are to be read now, and how many deliveries of each; none while others are being read.

        Whoever reads them has each of them `remember` what was found, and calls `end`. A probe may take the lane that
        waits for the nearest time.
        """
        wanted: dict[Lane, int] = {}
        if self._reserved:
            return wanted
        left = self._room()
        for lane in self._next(is_probe=is_probe):
            if left <= 0:
                break
            wanted[lane] = min(lane.unclaimed, max(self.most_at_once, READ_AHEAD), left)
            left -= wanted[lane]
        for lane in wanted:
            self.pop(lane, None)
            lane.is_read = True
        self._reserved = sum(wanted.values())
        self._memory.used += self._reserved
        return wanted

    def _room(self) -> int:
        room = min(self._memory.room, READ_MOST)
        if self._ready:
            return room
        # Somebody else's backlog may fill the memory for days; this endpoint goes on all the same.
        return max(room, self.most_at_once, min(READ_LEAST, self._memory.limit))

    def _next(self, *, is_probe: bool) -> Iterable[Lane]:
        if self:
            first = next(iter(self))
            is_late = len(self._ready) >= ENOUGH_READY and self._ready.have_waited_longer(first)
            return () if is_late else self
        if is_probe and not self._ready and (nearest := self._waiting.nearest()) is not None:
            return () if nearest.fresh or nearest.unsaved else (nearest,)
        return ()

    def end(self) -> None:
        """What was wanted is read."""
        self._memory.used -= self._reserved
        self._reserved = 0
