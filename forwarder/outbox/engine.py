"""
The seam between the outbox and whatever keeps its rows.

Three threads call an engine, each with one call at a time: the commit thread, the reader thread, and whoever wants an
account of it all. So it takes a connection for writing, one for reading heads, and one for each account. The loop calls
nothing that could wait.

    before the line runs   homes, lanes, totals, told
    commit thread          has_foreign_change ▸ apply ▸ totals, where another process had changed something
    reader thread          heads
    any thread             totals, overview, trim
    loop                   is_full, used_bytes, missing: plain memory
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

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


class Engine(Protocol):
    """
    The tables behind an outbox. It knows no lane, no loop and no clock.

    Plain values go in and come out; every call may be made twice. Reads see what was committed before they began. All
    raise OutboxUnavailable, after which nothing has changed and trying again is right, or OutboxDamaged.
    """

    @property
    def is_full(self) -> bool:
        """Whether the outbox holds as much as it may, as of the last commit."""

    @property
    def used_bytes(self) -> int:
        """About what it held at the last commit."""

    @property
    def missing(self) -> int:
        """How many readings, at most, were committed by this process and are no longer there: a failover lost them."""

    def lanes(self) -> Iterator[tuple[LaneKey, LaneRows]]:
        """Every lane of these homes that holds something, the one with the oldest delivery first."""

    def devices(self) -> Iterator[tuple[int, DeviceRecord]]:
        """Every device's record, with its place."""

    def apply(self, changes: Changes, *, now: float) -> Applied:
        """
        Make one transaction of `changes`, whole; `now` is UNIX seconds.

        On disk once it returns, unless `changes` do not wait for that. Raises OperationFailed for an operation's own
        error.
        """

    def has_foreign_change(self) -> bool:
        """Whether another process has committed since this was last asked; the next `apply` counts its lanes."""

    @property
    def has_arrivals(self) -> bool:
        """Whether, as of that question, another replica has put something that the next `apply` answers with."""

    def homes(self) -> Collection[str] | None:
        """The endpoints that are delivered to from here, as of the start; None: all there are."""

    @property
    def leads(self) -> bool:
        """Whether what comes in is put from here."""

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        """
        Of each lane the first pending deliveries, in order, at most so many; none where nothing is pending.

        Nothing is settled in these lanes meanwhile. Something may be put at their ends, and a transaction under way may
        change them: the loop judges whether what was read is still of use.
        """

    def log_length(self) -> int:
        """How many deliveries are kept for the delivery log: settled, and no dead letters."""

    def totals(self) -> list[EndpointTotals]:
        """The accounts of every endpoint the outbox has ever known, by name."""

    def overview(self) -> Overview:
        """The whole outbox at one instant."""

    def told(self) -> dict[str, str]:
        """What the operator has been told of what lasts, by subject; see `Tell`."""

    def trim(self) -> None:
        """Hand free space over to the file system."""

    def close(self) -> None:
        """Let go of everything; there may be no call after it."""
