"""
Operations: what time and operators do to the outbox, as values.

An operation is one transaction, or a part of one, and may be made twice. A caller says what is to be done, and the
engine does it. `EveryOperation` is closed, so an engine that forgets one does not pass the type check.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from forwarder.outbox.intake import NewReading
from forwarder.outbox.records import AuditRecord, DeliveryId, Minute, Share
from forwarder.reading import Device

MOST_ROWS = 1000
"""Rows that an operation of time changes at most, so that the line never waits long; `EndIntervals` may name more."""

MOST_AUDITED = 10_000
"""Records of changes that are kept."""

T_co = TypeVar("T_co", covariant=True)


class Operation(Generic[T_co]):
    """One of `EveryOperation`; `T_co` is what it answers."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ExpireOld(Operation[int]):
    """
    Settle deliveries older than `max_age`, as dead letters, or as expired where only the latest counts.

    Answers how many; MOST_ROWS says that there may be more. The dispatcher judges deliveries in flight.
    """

    endpoint: str
    received_before: float
    only_latest: bool
    now: float


@dataclass(frozen=True, slots=True)
class BuryRemoved(Operation[int]):
    """Make dead letters of a removed endpoint's pending deliveries, at most MOST_ROWS; answers how many."""

    endpoint: str
    now: float


class Ended(NamedTuple):
    """The outcome of EndIntervals."""

    enqueued: int
    """How many deliveries were added."""
    next_opened_at: float | None
    """The opening of the earliest interval that is open still, or was left for the next time; None without one."""


@dataclass(frozen=True, slots=True)
class EndIntervals(Operation[Ended]):
    """Owe an endpoint the last reading of each interval that was opened by `opened_before`, or after `now`."""

    endpoint: str
    opened_before: float
    only_latest: bool
    now: float
    most: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class MarkRemoved(Operation[dict[str, float]]):
    """
    Note which endpoints routes.yaml no longer names, and forget the note of those that came back.

    Answers since when each removed endpoint is gone, where something is pending for it.
    """

    known: Collection[str]
    now: float


@dataclass(frozen=True, slots=True)
class Prune(Operation[int]):
    """Forget deliveries that were settled before these times, at most MOST_ROWS; answers how many."""

    delivered_before: float
    dead_before: float


@dataclass(frozen=True, slots=True)
class PruneOldest(Operation[int]):
    """Forget the first-settled `count` of the delivery log, at most MOST_ROWS; answers how many."""

    count: int


@dataclass(frozen=True, slots=True)
class PruneQuarantine(Operation[bool]):
    """
    Forget quarantined messages that came before this time, and the oldest beyond `max_bytes`.

    A lowered limit leaves more than `max_bytes`. Answers whether more has to go because of `max_bytes`.
    """

    received_before: float
    max_bytes: int


Told: TypeAlias = Literal["enqueued", "repeated", "no_room"]


@dataclass(frozen=True, slots=True)
class Tell(Operation[Counter[Told]]):
    """
    Owe notices to the operator's endpoint, and remember in the same transaction what the operator has been told.

    Tell is an operation and no put, because a full outbox keeps puts back and is itself worth a notice. So at most
    `most_pending` notices are kept. Answers what each notice came to. None in `told` forgets a subject.
    """

    notices: Sequence[NewReading]
    told: Mapping[str, str | None]
    endpoint: str
    most_pending: int
    now: float


@dataclass(frozen=True, slots=True)
class Shrink(Operation[None]):
    """Give free space back, in pages of the engine; the file system gets the space with the next checkpoint."""

    pages: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class Pause(Operation[bool]):
    """Pause an endpoint until `Resume`, across restarts; answers False when it was paused so already."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Resume(Operation[bool]):
    """End a pause, also one after a 410, and forget earlier failures; answers False when there was no pause."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Replay(Operation[int]):
    """Put dead letters back in their places, with new attempts and a new `max_age`; answers how many."""

    deliveries: Sequence[DeliveryId]
    now: float


@dataclass(frozen=True, slots=True)
class ReplayTo(Operation[Counter[Literal["replayed", "already_there", "gone"]]]):
    """
    Owe the readings of dead letters to another endpoint instead; answers what each dead letter came to.

    The first endpoint's account keeps the letters as dead. A dead letter stays where the other endpoint has got its
    reading, or is about to get it.
    """

    deliveries: Sequence[DeliveryId]
    endpoint: str
    now: float


@dataclass(frozen=True, slots=True)
class Discard(Operation[int]):
    """Erase dead letters with all that only they need; accounts keep them as dead. Answers how many."""

    deliveries: Sequence[DeliveryId]


@dataclass(frozen=True, slots=True)
class ReplayQuarantined(Operation[Literal["replayed", "duplicate", "gone"]]):
    """Take a message out of quarantine, and owe the reading that it is understood as, at the end of its lanes."""

    number: int
    reading: NewReading
    now: float


@dataclass(frozen=True, slots=True)
class ExplainQuarantined(Operation[None]):
    """Note why today's rules do not understand a message in quarantine."""

    number: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class DiscardQuarantined(Operation[int]):
    """Erase messages in quarantine; answers how many."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class EraseDeliveries(Operation[Counter[str]]):
    """Erase deliveries of one device in any state; answers how many, by state. Pending ones count as dead."""

    deliveries: Sequence[DeliveryId]
    device: Device


@dataclass(frozen=True, slots=True)
class BlankAnswers(Operation[None]):
    """Forget what receivers answered to these deliveries."""

    deliveries: Sequence[DeliveryId]


@dataclass(frozen=True, slots=True)
class ForgetDevice(Operation[None]):
    """Erase a device's record and what was told of its silence, and tell the running service."""

    device: Device


@dataclass(frozen=True, slots=True)
class ForgetNotes(Operation[None]):
    """Forget the notes for the running service that name a device."""

    device: Device


@dataclass(frozen=True, slots=True)
class AddShare(Operation[None]):
    """Keep a share, and forget expired shares."""

    share: Share
    now: float


@dataclass(frozen=True, slots=True)
class RevokeShare(Operation[bool]):
    """Forget a share; answers False when there is none of that id."""

    id: str


@dataclass(frozen=True, slots=True)
class Audit(Operation[None]):
    """Keep a record of a change, or the count of a record that is kept; the oldest beyond MOST_AUDITED go."""

    record: AuditRecord


@dataclass(frozen=True, slots=True)
class KeepMinutes(Operation[None]):
    """Keep minutes, at most MOST_ROWS, and forget minutes that began before `before`."""

    minutes: Sequence[Minute]
    before: int


@dataclass(frozen=True, slots=True)
class TakeHomes(Operation[None]):
    """Make this replica the home of these endpoints, unless another replica is."""

    endpoints: Collection[str]


@dataclass(frozen=True, slots=True)
class ReleaseHomes(Operation[None]):
    """Leave these endpoints to other replicas; the caller has nothing of theirs in flight any more."""

    endpoints: Collection[str]


@dataclass(frozen=True, slots=True)
class Lead(Operation[None]):
    """Make this replica the one that puts, where no other replica does any more."""


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
