"""One lane: what is pending in it, what memory holds of that, and why it rests. The drawing stands in `lanes.py`."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from forwarder.delivery import Delivery
from forwarder.outbox.settlement import Claim
from forwarder.reading import Device


class LaneState(Enum):
    """Where a lane is in the drawing of `lanes.py`; GONE is out of it."""

    READY = "ready"
    CLAIMED = "claimed"
    RESTING = "resting"
    GONE = "gone"


READY, CLAIMED, RESTING, GONE = LaneState


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

    @property
    def is_claimed(self) -> bool:
        return bool(self.claimed)

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading than this one waits that is not in flight."""
        return self.unclaimed > 0 and self.newest > delivery.reading


def lane_of(claim: Claim) -> Lane:
    """The lane of a claim; every token that the outbox gives away is one."""
    return cast("Lane", claim.token)


@dataclass(slots=True)
class Memory:
    """How many deliveries wait in memory or are being read, over all endpoints; those beyond the limit wait as rows."""

    limit: int
    used: int = 0

    @property
    def room(self) -> int:
        return max(0, self.limit - self.used)

    def hold(self, lane: Lane, deliveries: Sequence[Delivery]) -> None:
        """Keep deliveries that come next in the lane."""
        lane.fresh.extend(deliveries)
        self.used += len(deliveries)

    def drop(self, lane: Lane) -> None:
        """Keep nothing of the lane."""
        self.used -= len(lane.fresh)
        lane.fresh.clear()
