"""
Changes, which go into a transaction, and Applied, which comes out of it.

Both are plain values. The loop leaves changes alone while the commit thread has them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.intake import MessageOutcome, NewReading, Outcomes, Put, Recipient
from forwarder.outbox.kept_last import KeptLast
from forwarder.outbox.operations import Operation
from forwarder.outbox.records import DeviceRecord
from forwarder.outbox.settlement import Settlement
from forwarder.reading import Device

LaneKey: TypeAlias = tuple[str, Device]
"""An endpoint's name and a device."""


class LaneRows(NamedTuple):
    """A count of a lane's pending rows."""

    pending: int
    newest: ReadingNumber
    """The highest number among them; 0 where there is none."""


@dataclass(slots=True)
class Changes:
    """
    All that one transaction brings into the tables.

    Settlements come first, then `health`, `gone`, operations, `latest`, and puts. Lanes are counted after all of them.

    A change whose rows are there already changes nothing, so a failed transaction is tried again
    with the same changes.
    """

    settlements: list[Settlement] = field(default_factory=list)
    health: dict[str, EndpointHealth] = field(default_factory=dict)
    gone: dict[str, str | None] = field(default_factory=dict)
    """Endpoints that answered 410, with a digest of their URL; None ends the pause."""
    operations: list[Operation[Any]] = field(default_factory=list)
    puts: list[Sequence[Put]] = field(default_factory=list)
    messages: dict[MessageOutcome, int] = field(default_factory=dict)
    """The outcomes of messages without anything to store; no Counter, because a Counter takes long to make."""
    devices: dict[int, DeviceRecord | None] = field(default_factory=dict)
    """Records of devices by place, None for an empty one. Records only tell, so no disk is waited for."""
    uncertain: set[LaneKey] = field(default_factory=set)
    """Lanes whose rows the engine counts, because the loop may be wrong about them."""
    latest: dict[LaneKey, ReadingNumber] = field(default_factory=dict)
    """Lanes in which every older delivery gives way to this reading, unless the delivery is in flight."""
    in_flight: dict[str, set[ReadingNumber]] = field(default_factory=dict)
    """Claimed readings by endpoint; the engine neither supersedes nor expires nor buries a claimed one."""
    kept_last: Mapping[str, KeptLast] = field(default_factory=dict)
    """The endpoints that are owed the last reading of an interval."""
    waits_for_disk: bool = True
    """False where a power cut may undo the transaction; the same deliveries are then made again under their ids."""

    def __bool__(self) -> bool:
        return bool(self.settlements or self.devices or not self.are_settlements_alone)

    @property
    def are_settlements_alone(self) -> bool:
        return not (
            self.puts
            or self.health
            or self.gone
            or self.messages
            or self.operations
            or self.uncertain
            or self.latest
        )

    def count(self, outcome: MessageOutcome, count: int = 1) -> None:
        self.messages[outcome] = self.messages.get(outcome, 0) + count

    def add(self, later: "Changes") -> None:
        """Append the changes that came later; `later` is used up."""
        self.settlements += later.settlements
        self.health |= later.health
        self.gone |= later.gone
        self.operations += later.operations
        self.puts += later.puts
        for outcome, count in later.messages.items():
            self.count(outcome, count)
        self.devices |= later.devices
        self.uncertain |= later.uncertain
        self.latest |= later.latest


@dataclass(slots=True)
class Run:
    """Readings with consecutive numbers, and their recipients, the same for all."""

    first: ReadingNumber
    readings: list[NewReading]
    recipients: tuple[Recipient, ...]
    """Recipients that did not have the readings yet; empty where the readings were known, or are only kept."""
    kept_for: tuple[Recipient, ...] = ()
    """Recipients that may be owed the readings later, or are spared them; see `kept_last.py`."""

    @property
    def last(self) -> ReadingNumber:
        return ReadingNumber(self.first + len(self.readings) - 1)


@dataclass(slots=True)
class Applied:
    """All that one transaction did."""

    runs: list[Run] = field(default_factory=list)
    """All readings that were put, in order."""
    outcomes: Sequence[Outcomes] = ()
    """Outcomes of messages, in the groups in which they were put."""
    superseded: dict[LaneKey, int] = field(default_factory=dict)
    """Counts of deliveries that gave way to newer ones, by lane."""
    enqueued: dict[str, int] = field(default_factory=dict)
    """Counts of candidates that became deliveries, by endpoint."""
    thinned: dict[str, int] = field(default_factory=dict)
    """Counts of readings that never become one, by endpoint."""
    answers: Sequence[Any] = ()
    """The operations' answers, in order."""
    counted: dict[LaneKey, LaneRows] = field(default_factory=dict)
    """
    Counts of the lanes that the transaction, or another process before it, changed in any other way.

    The lanes of endpoints whose home has just come here are among them.
    """
    forgotten: Collection[Device] = ()
    """Devices that a command has erased; the transaction wrote no record of them."""
    is_whole: bool = False
    """Whether every lane with something pending was counted, as after a commit without a confirmation."""
    arrived: Sequence[Delivery] = ()
    """Deliveries that another replica has put, for endpoints whose home is here, in order."""
    has_more: bool = False
    """Whether more such deliveries are to be read."""
    homes: Collection[str] | None = None
    """The endpoints whose home is here, where those have changed; else None."""


class OperationFailed(Exception):  # noqa: N818 - the name states the fact
    """An operation raised an error of the program's own; `index` says which. Nothing was changed."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(str(error))
        self.index = index
        self.error = error
