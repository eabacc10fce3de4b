"""
What time and operators do to the outbox, as values.

An operation is one transaction, or a part of one, and may be done twice. The engine does it; whoever wants it done says
only what. `EveryOperation` is closed: an engine that forgets one does not pass the type check.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from forwarder.outbox.intake import NewReading
from forwarder.outbox.records import AuditRecord, DeliveryId, Minute, Share
from forwarder.reading import Device

MOST_ROWS = 1000
"""Rows that one operation changes at most: the line never waits long for it."""

MOST_AUDITED = 10_000
"""Records of changes that are kept."""

T_co = TypeVar("T_co", covariant=True)


class Operation(Generic[T_co]):
    """One of `EveryOperation`; `T_co` is what it answers."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ExpireOld(Operation[int]):
    """
    Settle what has grown older than `max_age`: dead letters, or dropped where only the latest counts.

    Answers how many; when that is MOST_ROWS there may be more. What is in flight is judged when it comes back.
    """

    endpoint: str
    received_before: float
    only_latest: bool
    now: float


@dataclass(frozen=True, slots=True)
class BuryRemoved(Operation[int]):
    """Make dead letters of what is pending for an endpoint that routes.yaml no longer names; answers how many."""

    endpoint: str
    now: float


class Ended(NamedTuple):
    """What came of it that intervals ended."""

    enqueued: int
    """How many deliveries there are more."""
    next_opened_at: float | None
    """When the first interval was opened that is open still, or was left for the next time."""


@dataclass(frozen=True, slots=True)
class EndIntervals(Operation[Ended]):
    """Owe an endpoint the last reading of each interval that was opened so early, or after `now`."""

    endpoint: str
    opened_before: float
    only_latest: bool
    now: float
    most: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class MarkRemoved(Operation[dict[str, float]]):
    """
    Note which endpoints routes.yaml no longer names, and forget it of those that came back.

    Answers since when each of them with something pending is gone.
    """

    known: Collection[str]
    now: float


@dataclass(frozen=True, slots=True)
class Prune(Operation[int]):
    """Forget deliveries that were settled before these times; answers how many, at most MOST_ROWS."""

    delivered_before: float
    dead_before: float


@dataclass(frozen=True, slots=True)
class PruneOldest(Operation[int]):
    """Forget so many of the delivery log, those settled first, at most MOST_ROWS; answers how many."""

    count: int


@dataclass(frozen=True, slots=True)
class PruneQuarantine(Operation[bool]):
    """
    Forget messages that came before this time, and the oldest of more than may be kept.

    More is kept after a lowered limit. Answers whether more has to go for it.
    """

    received_before: float
    max_bytes: int


Told: TypeAlias = Literal["enqueued", "repeated", "no_room"]


@dataclass(frozen=True, slots=True)
class Tell(Operation[Counter[Told]]):
    """
    Owe notices to the operator's endpoint, and remember in the same transaction what the operator has been told.

    An operation and no put, so that it goes on while the outbox is full: that is worth a notice too. Therefore no more
    than `most_pending` are kept. Answers what each notice came to. Of `told`, None forgets a subject.
    """

    notices: Sequence[NewReading]
    told: Mapping[str, str | None]
    endpoint: str
    most_pending: int
    now: float


@dataclass(frozen=True, slots=True)
class Shrink(Operation[None]):
    """Give free space back, in pages of the engine; the file system gets it with the next checkpoint."""

    pages: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class Pause(Operation[bool]):
    """Send nothing more to an endpoint until `Resume`, across restarts; answers False when it was paused so already."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Resume(Operation[bool]):
    """End a pause, also one after a 410, and forget earlier failures; answers False when there was none."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Replay(Operation[int]):
    """Put dead letters back in their places, with new attempts and a new `max_age`; answers how many."""

    deliveries: Sequence[DeliveryId]
    now: float


@dataclass(frozen=True, slots=True)
class ReplayTo(Operation[Counter[Literal["replayed", "already_there", "gone"]]]):
    """
    Owe the readings of dead letters to another endpoint instead; answers what each came to.

    Where they died they stay counted as dead. A reading that the other endpoint has got, or is about to get, is not
    sent again, and its dead letter stays.
    """

    deliveries: Sequence[DeliveryId]
    endpoint: str
    now: float


@dataclass(frozen=True, slots=True)
class Discard(Operation[int]):
    """Erase dead letters with everything that only they need; they stay counted as dead. Answers how many."""

    deliveries: Sequence[DeliveryId]


@dataclass(frozen=True, slots=True)
class ReplayQuarantined(Operation[Literal["replayed", "duplicate", "gone"]]):
    """Take a message out of quarantine and owe the reading that it is understood as, at the end of its lanes."""

    number: int
    reading: NewReading
    now: float


@dataclass(frozen=True, slots=True)
class ExplainQuarantined(Operation[None]):
    """Note why a message in quarantine is not understood today."""

    number: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class DiscardQuarantined(Operation[int]):
    """Erase messages in quarantine; answers how many."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class EraseDeliveries(Operation[Counter[str]]):
    """Erase deliveries of one device in any state; answers how many, by state. A pending one counts as dead."""

    deliveries: Sequence[DeliveryId]
    device: Device


@dataclass(frozen=True, slots=True)
class BlankAnswers(Operation[None]):
    """Forget what receivers answered to these deliveries."""

    deliveries: Sequence[DeliveryId]


@dataclass(frozen=True, slots=True)
class ForgetDevice(Operation[None]):
    """Erase what is known of a device, and tell the running service."""

    device: Device


@dataclass(frozen=True, slots=True)
class ForgetNotes(Operation[None]):
    """Forget the notes for the running service that name a device."""

    device: Device


@dataclass(frozen=True, slots=True)
class AddShare(Operation[None]):
    """Keep a share, and forget those that are over."""

    share: Share
    now: float


@dataclass(frozen=True, slots=True)
class RevokeShare(Operation[bool]):
    """Forget a share; answers False when there is none of that id."""

    id: str


@dataclass(frozen=True, slots=True)
class Audit(Operation[None]):
    """Keep a record of a change, or say of one that is kept how many it came to; the oldest of MOST_AUDITED go."""

    record: AuditRecord


@dataclass(frozen=True, slots=True)
class KeepMinutes(Operation[None]):
    """Keep what minutes came to, at most MOST_ROWS, and forget those that began before."""

    minutes: Sequence[Minute]
    before: int


@dataclass(frozen=True, slots=True)
class TakeHomes(Operation[None]):
    """Deliver to these endpoints from now on, as far as no other replica does."""

    endpoints: Collection[str]


@dataclass(frozen=True, slots=True)
class ReleaseHomes(Operation[None]):
    """Leave these endpoints to other replicas; nothing of theirs is in flight here any more."""

    endpoints: Collection[str]


@dataclass(frozen=True, slots=True)
class Lead(Operation[None]):
    """Put what comes in from here on, where no other replica does any more."""


EveryOperation: TypeAlias = (
    ExpireOld
    | BuryRemoved
    | EndIntervals
    | MarkRemoved
    | Prune
    | PruneOldest
    | PruneQuarantine
    | Tell
    | Shrink
    | Pause
    | Resume
    | Replay
    | ReplayTo
    | Discard
    | ReplayQuarantined
    | ExplainQuarantined
    | DiscardQuarantined
    | EraseDeliveries
    | BlankAnswers
    | ForgetDevice
    | ForgetNotes
    | AddShare
    | RevokeShare
    | Audit
    | KeepMinutes
    | TakeHomes
    | ReleaseHomes
    | Lead
)
