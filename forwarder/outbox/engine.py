"""The seam between the outbox and whatever keeps its rows."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from forwarder.delivery import Delivery
from forwarder.outbox.changes import Applied, Changes
from forwarder.outbox.records import EndpointTotals, Overview
from forwarder.reading import Device


class StoredLane(NamedTuple):
    """A lane as the rows have it."""

    endpoint: str
    device: Device
    pending: int


class Engine(Protocol):
    """
    The tables behind an outbox. It knows no lane, no loop and no clock.

    Plain values go in and come out; every call may be made twice. `apply` and `has_foreign_change` are the commit
    thread's, `overview`, `oldest_pending` and `trim` are any thread's; the others are the loop's, and read what was
    committed last. All raise OutboxUnavailable, after which nothing has changed and trying again is right, or
    OutboxDamaged.
    """

    @property
    def is_full(self) -> bool:
        """Whether the outbox holds as much as it may, as of the last commit."""

    @property
    def used_bytes(self) -> int:
        """What it held at the last commit."""

    def lanes(self) -> Iterator[StoredLane]:
        """Every lane that holds something, the one with the oldest delivery first."""

    def apply(self, changes: Changes, *, now: float) -> Applied:
        """
        Make one transaction of `changes`, whole; `now` is UNIX seconds.

        On disk once it returns, unless `changes` do not wait for that. Raises OperationFailed for an operation's own
        error.
        """

    def has_foreign_change(self) -> bool:
        """Whether another process has committed since this was last asked; the next `apply` counts its lanes."""

    def heads(self, endpoint: str, device: Device, *, limit: int) -> list[Delivery]:
        """The first pending deliveries of a lane, in order."""

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading of its device is pending for the same endpoint."""

    def oldest_pending(self) -> dict[str, float]:
        """By endpoint, UNIX seconds from which the age of its oldest pending delivery counts."""

    def totals(self) -> list[EndpointTotals]:
        """The accounts of every endpoint the outbox has ever known, by name."""

    def overview(self) -> Overview:
        """The whole outbox at one instant."""

    def trim(self) -> None:
        """Hand free space over to the file system."""

    def close(self) -> None:
        """Let go of everything; there may be no call after it."""
