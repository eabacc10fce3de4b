"""
The seam between the outbox and whatever keeps its rows.

Three threads call an engine, each with one call at a time: the commit thread, the reader thread, and one of the pool
that wants an account of it all. So it takes a connection for writing, one for reading heads, and one for each account.
The loop calls nothing that could wait.

    before the line runs   start, handed_over
    commit thread          look ▸ apply ▸ totals, where another process had changed something
    reader thread          heads
    any thread             totals, overview, log_length, trim; handed_over, once this replica is to lead
    loop                   standing: plain memory
    after the line         close, once all threads have ended
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from forwarder.delivery import Delivery
from forwarder.outbox.changes import Applied, Changes, LaneKey, LaneRows
from forwarder.outbox.records import DeviceRecord, EndpointTotals, Overview


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an outbox holds."""

    max_bytes: int
    quarantine_max_bytes: int
    """Of these, what is kept for messages that could not be understood."""
    keep_delivered_seconds: float
    """How long a reading is known again by its content."""

    @property
    def readings_max_bytes(self) -> int:
        return self.max_bytes - self.quarantine_max_bytes


class Start(NamedTuple):
    """All that an outbox begins with."""

    homes: Collection[str] | None
    """The endpoints that are delivered to from here; None: all there are."""
    lanes: Iterable[tuple[LaneKey, LaneRows]]
    """Every lane of these homes that holds something, the oldest delivery's first; read on the way, and once."""
    totals: Sequence[EndpointTotals]


class HandedOver(NamedTuple):
    """All that a new leader goes on with, deliveries apart."""

    devices: Sequence[tuple[int, DeviceRecord]]
    """Every device's record, with its place."""
    told: dict[str, str]
    """What the operator has been told of what lasts, by subject; see `Tell`."""


class Standing(NamedTuple):
    """How the outbox stands, as of the last commit."""

    is_full: bool
    """Whether it holds as much as it may."""
    used_bytes: int
    """About what it holds."""
    missing: int = 0
    """How many readings, at most, were committed by this process and are no longer there: a failover lost them."""
    leads: bool = True
    """Whether what comes in is put from here."""


class Look(NamedTuple):
    """What other processes have done that no `apply` has answered yet."""

    has_foreign_change: bool = False
    """Whether one has committed something; the next `apply` counts its lanes."""
    has_arrivals: bool = False
    """Whether another replica has put something; the next `apply` answers with it."""


class Engine(Protocol):
    """
    The tables behind an outbox. It knows no lane, no loop and no clock.

    Plain values go in and come out; every call may be made twice. Reads see what was committed before they began. All
    raise OutboxUnavailable, after which nothing has changed and trying again is right, or OutboxDamaged.
    """

    @property
    def standing(self) -> Standing:
        """How it stands; never waits, and raises nothing."""

    def start(self) -> Start:
        """The outbox as it is found."""

    def handed_over(self) -> HandedOver:
        """The rows that only a leader writes, at one instant."""

    def look(self) -> Look:
        """See what others have done; the same is seen again until an `apply` that holds has answered it."""

    def apply(self, changes: Changes, *, now: float) -> Applied:
        """
        Make one transaction of `changes`, whole; `now` is UNIX seconds.

        On disk once it returns, unless `changes` do not wait for that. Raises OperationFailed for an operation's own
        error.
        """

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        """
        The first pending deliveries of each lane, in order, at most so many; none where nothing is pending.

        Nothing is settled in these lanes meanwhile. Something may be put at their ends, and a transaction under way may
        change them: the loop judges whether what was read is still of use.
        """

    def totals(self) -> list[EndpointTotals]:
        """The accounts of every endpoint the outbox has ever known, by name."""

    def overview(self) -> Overview:
        """The whole outbox at one instant."""

    def log_length(self) -> int:
        """How many deliveries are kept for the delivery log: settled, and no dead letters."""

    def trim(self) -> None:
        """Hand free space over to the file system."""

    def close(self) -> None:
        """Let go of everything; there may be no call after it."""
