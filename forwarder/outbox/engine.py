"""
The seam between the outbox and the engine that keeps its rows.

The commit thread and the reader thread each make one call at a time; threads of the pool ask for accounts beside them.
So an engine has a connection for writing, one for heads, and one for each account. The loop makes no call that could
wait.

    before the line runs   start, handed_over
    commit thread          look ▸ apply ▸ totals, where another process has changed something, or homes have
    reader thread          heads
    any thread             totals, overview, log_length, trim; handed_over, once this replica is to lead
    loop                   standing: plain memory, as of the last commit
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
    """How much an outbox may take."""

    max_bytes: int
    quarantine_max_bytes: int
    """Bytes of these for messages that could not be understood."""
    keep_delivered_seconds: float
    """How long the engine knows a reading again by its content."""

    @property
    def readings_max_bytes(self) -> int:
        return self.max_bytes - self.quarantine_max_bytes


class Start(NamedTuple):
    """All that an outbox begins with."""

    homes: Collection[str] | None
    """The endpoints whose home is here; None where all are."""
    lanes: Iterable[tuple[LaneKey, LaneRows]]
    """Every lane of these endpoints with pending rows, the oldest delivery's first; to be read once, as rows come."""
    totals: Sequence[EndpointTotals]


class HandedOver(NamedTuple):
    """All that a new leader goes on with, deliveries apart."""

    devices: Sequence[tuple[int, DeviceRecord]]
    """Every device's record, with its place."""
    told: dict[str, str]
    """What the operator has been told of lasting conditions, by subject; see `Tell`."""


class Standing(NamedTuple):
    """How the outbox stands, as of the last commit."""

    is_full: bool
    """Whether the outbox has taken as much as it may."""
    used_bytes: int
    """About the bytes that the outbox takes."""
    missing: int = 0
    """How many readings, at most, this process had committed and a failover has lost."""
    leads: bool = True
    """Whether this replica puts what comes in."""


class Look(NamedTuple):
    """Changes of other processes that no `apply` has answered yet."""

    has_foreign_change: bool = False
    """Whether another process has committed something; the next `apply` counts the lanes concerned."""
    has_arrivals: bool = False
    """Whether another replica has put something; the next `apply` returns that."""


class Engine(Protocol):
    """
    The tables behind an outbox. An engine knows no lane, no loop and no clock.

    Plain values go in and come out, and every call may be made twice. Reads see what was committed before they began.
    All raise OutboxUnavailable, after which nothing has changed and trying again is right, or OutboxDamaged.
    """

    @property
    def standing(self) -> Standing:
        """The outbox's standing; never waits, and raises nothing."""

    def start(self) -> Start:
        """The outbox as the engine finds it."""

    def handed_over(self) -> HandedOver:
        """The rows that only a leader writes, as of one instant."""

    def look(self) -> Look:
        """See what others have done; each look sees the same until an `apply` that succeeds has answered it."""

    def apply(self, changes: Changes, *, now: float) -> Applied:
        """
        Make one transaction of `changes`, whole; `now` is UNIX seconds.

        The transaction is on disk once `apply` returns, unless `changes` do not wait for that. Raises OperationFailed
        for an operation's own error.
        """

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        """
        Read the first pending deliveries of each lane, in order, at most so many; none where nothing is pending.

        The loop settles nothing in these lanes meanwhile, unless a commit has changed them. A transaction under way may
        append to the lanes or change them, so the loop judges whether the read is still of use.
        """

    def totals(self) -> list[EndpointTotals]:
        """The accounts of every endpoint the outbox has ever known, by name."""

    def overview(self) -> Overview:
        """The whole outbox as of one instant."""

    def log_length(self) -> int:
        """How many deliveries the delivery log has: settled ones that are no dead letters."""

    def trim(self) -> None:
        """Hand free space over to the file system."""

    def close(self) -> None:
        """Let go of everything; no call may follow."""
