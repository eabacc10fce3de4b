"""
One endpoint's queues: ready lanes by turn, waiting lanes by time, and lanes that are to be read.

A lane that leaves its state keeps its place in the first two queues, because a search for the place would cost. The
queue passes the place over when its turn comes.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from heapq import heappop, heappush

from forwarder.outbox.lane import CLAIMED, GONE, READY, RESTING, Lane, Memory

GONE_IN_QUEUE = 1000
"""A queue with more places than these and twice the known lanes drops gone lanes before their turn."""
READ_AHEAD = 32
"""Deliveries of a lane that one read brings at most, unless a claim takes more."""
READ_MOST = 512
"""Deliveries of an endpoint that one read brings at most."""
READ_LEAST = 8
"""Deliveries of an endpoint without ready lanes that one read brings where other endpoints fill the memory."""
ENOUGH_READY = 64
"""Ready lanes of an endpoint with which no other lane is read before its turn."""


class ReadyLanes:
    """Lanes of which something may be claimed; the lane that became ready first is served first."""

    def __init__(self) -> None:
        self._queue: deque[Lane] = deque()
        self.count = 0
        """Deliveries in the ready lanes."""

    def __len__(self) -> int:
        """The number of places, with those that are passed over."""
        return len(self._queue)

    def add(self, lane: Lane, now: float) -> None:
        lane.state = READY
        self.count += lane.pending
        # A lane that rested and is ready again keeps its place, so holds put no lane behind the others.
        if not lane.is_queued:
            lane.is_queued = True
            lane.ready_since = now
            self._queue.append(lane)

    def rest(self, lane: Lane) -> None:
        """Take a ready lane out of the ready ones."""
        if lane.state is READY:
            self.count -= lane.pending
            lane.state = RESTING

    def claim(self) -> Lane | None:
        """Take out the first ready lane, as claimed."""
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
        """Whether the first place has waited longer than a lane that is not ready."""
        return bool(self._queue) and self._queue[0].ready_since <= lane.ready_since

    def forget_gone(self, known: int) -> None:
        """Drop gone lanes, where they are most of a long queue; `known` lanes are not gone."""
        if len(self._queue) > 2 * known + GONE_IN_QUEUE:
            self._queue = deque(one for one in self._queue if one.state is not GONE)


class WaitingLanes:
    """Lanes whose head is tried again at its time; the nearest time comes first."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Lane]] = []
        """Times with their lanes, also with those that are passed over."""
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
        """Monotonic seconds at which the nearest lane goes on; infinite when no lane waits."""
        return float("inf") if self.nearest() is None else self.heap[0][0]

    def pop_due(self, now: float) -> Lane | None:
        """Take out the nearest lane, if its time has come."""
        return heappop(self.heap)[2] if self.next_due() <= now else None

    def pop_all(self) -> list[Lane]:
        """Take out all lanes in the order of their times, also those that are passed over."""
        waiting = [lane for _, _, lane in sorted(self.heap)]
        self.heap.clear()
        return waiting


class UnreadLanes(OrderedDict[Lane, None]):
    """Lanes that rest for nothing but UNREAD, the longest wait in front, and the choice of those to read together."""

    def __init__(self, ready: ReadyLanes, waiting: WaitingLanes, memory: Memory) -> None:
        super().__init__()
        self.most_at_once = 1
        """Deliveries that a claim takes of a lane at most."""
        self._ready = ready
        self._waiting = waiting
        self._memory = memory
        self._reserved = 0
        """Deliveries that the read under way may bring."""

    def begin(self, *, is_probe: bool = False) -> dict[Lane, int]:
        """
        Choose the lanes to read now, with a number of deliveries each; none while a read of the endpoint is under way.

        The caller calls `end` after the read, and `remember` for each lane. A probe may take the waiting lane with the
        nearest time.
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
        # The room is taken before the read, because puts fill the memory while the thread reads.
        self._reserved = sum(wanted.values())
        self._memory.used += self._reserved
        return wanted

    def _room(self) -> int:
        room = min(self._memory.room, READ_MOST)
        if self._ready:
            return room
        # Another endpoint's backlog may fill the memory for days, and this endpoint goes on all the same.
        return max(room, self.most_at_once, min(READ_LEAST, self._memory.limit))

    def _next(self, *, is_probe: bool) -> Iterable[Lane]:
        if self:
            first = next(iter(self))
            is_late = len(self._ready) >= ENOUGH_READY and self._ready.have_waited_longer(first)
            return () if is_late else self
        if is_probe and not self._ready and (nearest := self._waiting.nearest()) is not None:
            # The rows tell of the last attempt only once its settlement is on disk.
            return () if nearest.fresh or nearest.unsaved else (nearest,)
        return ()

    def end(self) -> None:
        """Give back the room that `begin` took."""
        self._memory.used -= self._reserved
        self._reserved = 0
