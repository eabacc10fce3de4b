"""Changes go into a transaction and an answer comes out: plain values, which loop and engine do not share."""

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
    """A lane's pending rows, by a count of them."""

    pending: int
    newest: ReadingNumber
    """The highest number among them; 0 where there is none."""


@dataclass(slots=True)
class Changes:
    """
    All that one transaction brings into the tables, in this order. A part that is there already changes nothing.

    So the same changes may be applied twice, and a transaction that failed is tried again with them.
    """

    settlements: list[Settlement] = field(default_factory=list)
    health: dict[str, EndpointHealth] = field(default_factory=dict)
    gone: dict[str, str | None] = field(default_factory=dict)
    """Endpoints that answered 410, with a digest of their URL; None ends that pause."""
    operations: list[Operation[Any]] = field(default_factory=list)
    puts: list[Sequence[Put]] = field(default_factory=list)
    messages: dict[MessageOutcome, int] = field(default_factory=dict)
    """The outcomes of messages without anything to store; no Counter, because that takes long to make."""
    devices: dict[int, DeviceRecord | None] = field(default_factory=dict)
    """Records of devices by their places; None: the place is empty. They only tell, and wait for no disk."""
    uncertain: set[LaneKey] = field(default_factory=set)
    """Lanes whose rows are to be counted, because the loop may be wrong about them."""
    latest: dict[LaneKey, ReadingNumber] = field(default_factory=dict)
    """Lanes in which everything gives way that is older than this reading, and not in flight."""
    in_flight: dict[str, set[ReadingNumber]] = field(default_factory=dict)
    """By endpoint, readings with an attempt under way: they neither give way nor are expired or buried."""
    kept_last: Mapping[str, KeptLast] = field(default_factory=dict)
    """The endpoints that are owed the last reading of an interval."""
    waits_for_disk: bool = True
    """False where a power cut may undo it: then the same deliveries are made again, under their ids."""

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
        """Take over the changes that came after these; `later` is used up."""
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
    """Readings with consecutive numbers, and the recipients that did not have them yet, the same for all."""

    first: ReadingNumber
    readings: list[NewReading]
    recipients: tuple[Recipient, ...]
    """Nobody: the readings were known, or are kept for others."""
    kept_for: tuple[Recipient, ...] = ()
    """Who may be owed one of them later, or is spared it: see `candidates`."""

    @property
    def last(self) -> ReadingNumber:
        return ReadingNumber(self.first + len(self.readings) - 1)


@dataclass(slots=True)
class Applied:
    """All that a transaction did."""

    runs: list[Run] = field(default_factory=list)
    """All readings that were put, in their order."""
    outcomes: Sequence[Outcomes] = ()
    """By message, in the groups in which they were put."""
    superseded: dict[LaneKey, int] = field(default_factory=dict)
    """How many deliveries gave way to newer ones."""
    enqueued: dict[str, int] = field(default_factory=dict)
    """By endpoint, how many candidates became deliveries."""
    thinned: dict[str, int] = field(default_factory=dict)
    """By endpoint, how many readings never will."""
    answers: Sequence[Any] = ()
    """The operations' answers, in their order."""
    counted: dict[LaneKey, LaneRows] = field(default_factory=dict)
    """Every lane that the transaction, or another process before it, changed in any other way."""
    forgotten: Collection[Device] = ()
    """Devices that a command has erased; of these no record was written."""
    is_whole: bool = False
    """Whether nothing is pending in any lane that was not counted."""
    arrived: Sequence[Delivery] = ()
    """What another replica has put since, for endpoints that are delivered to from here, in order."""
    has_more: bool = False
    """Whether more of that is to be read."""
    homes: Collection[str] | None = None
    """The endpoints that are delivered to from here, where those have changed."""


class OperationFailed(Exception):  # noqa: N818 - the name states the fact
    """An operation raised an error of the program's own; `index` says which. Nothing was changed."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(str(error))
        self.index = index
        self.error = error
