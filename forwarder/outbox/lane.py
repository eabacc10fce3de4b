"""
One lane, as memory knows it: its counts, its next deliveries, and why it rests. `lanes.py` draws its states.

The loop alone changes a lane, so a lane has no lock.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from forwarder.delivery import Delivery
from forwarder.outbox.settlement import Claim
from forwarder.reading import Device


class LaneState(Enum):
    """A lane's place in the drawing of `lanes.py`; queues may still have a lane that is GONE."""

    READY = "ready"
    CLAIMED = "claimed"
    RESTING = "resting"
    GONE = "gone"


READY, CLAIMED, RESTING, GONE = LaneState


@dataclass(slots=True, eq=False)
class Lane:
    """One device's deliveries to one endpoint."""

    device: Device
    state: LaneState = RESTING
    stored: int = 0
    """Pending rows as of the last published commit, with those in flight."""
    unwritten: int = 0
    """Rows among `stored` that are settled for good, and on disk not yet."""
    newest: int = 0
    """The highest reading number that was counted or put; that reading may be settled meanwhile."""
    unsaved: int = 0
    """Settlements that are not on disk yet, final ones and retries alike."""
    fresh: deque[Delivery] = field(default_factory=deque)
    """The first deliveries behind the claimed ones, without a gap, as far as memory has any."""
    claimed: tuple[Delivery, ...] = ()
    """The deliveries of the claim that is out, with those that are settled already."""
    settled: int = 0
    """How many of `claimed` are settled for good."""
    is_held: bool = False
    """Whether a commit that is under way or about to begin may change the rows; nothing is claimed meanwhile."""
    due_at: float | None = None
    """Monotonic seconds at which the head is tried again; None where the head need not wait."""
    ready_since: float = 0.0
    """Monotonic seconds since which the lane is ready, or would be if it were read."""
    is_read: bool = False
    """Whether the reader thread reads the head, and no commit has changed the lane since the read began."""
    is_restored: bool = False
    """Whether the loop knows the lane from rows alone: the read of its head will tell how long the head waits."""
    is_changed: bool = False
    """Whether something else has changed the rows of a claimed lane: memory may lack what comes next."""
    is_queued: bool = False
    """Whether the queue of ready lanes has a place for the lane, even while the lane is not ready."""

    @property
    def pending(self) -> int:
        # A settlement counts at once and a commit once it is published, so each has a count of its own.
        return self.stored - self.unwritten

    @property
    def unclaimed(self) -> int:
        return self.stored - self.unwritten - len(self.claimed) + self.settled

    @property
    def is_claimed(self) -> bool:
        return bool(self.claimed)

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading than this delivery's waits in the lane, and is not in flight."""
        # Both are asked, because the newest reading may be settled already.
        return self.unclaimed > 0 and self.newest > delivery.reading


def lane_of(claim: Claim) -> Lane:
    """A claim's lane: the token of every claim is one."""
    return cast("Lane", claim.token)


@dataclass(slots=True)
class Memory:
    """The room for deliveries in memory, over all endpoints. Deliveries beyond the limit wait as rows."""

    limit: int
    used: int = 0
    """Deliveries that wait in memory, and those that a read under way may bring."""

    @property
    def room(self) -> int:
        return max(0, self.limit - self.used)

    def hold(self, lane: Lane, deliveries: Sequence[Delivery]) -> None:
        """Append what comes next in the lane."""
        lane.fresh.extend(deliveries)
        self.used += len(deliveries)

    def drop(self, lane: Lane) -> None:
        """Let go of what waits in the lane."""
        self.used -= len(lane.fresh)
        lane.fresh.clear()
