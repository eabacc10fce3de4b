"""
Which engine keeps an outbox, and the ways to open it.

The engine is loaded by name, because nothing but the engine itself may know what it is made of.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from forwarder.clock import Clock
from forwarder.errors import OutboxDamaged, OutboxIncomplete
from forwarder.outbox.access import OutboxAccess
from forwarder.outbox.capacity import quarantine_share
from forwarder.outbox.devices import most_devices
from forwarder.outbox.engine import Engine
from forwarder.outbox.outbox import MEMORY_LIMIT, Outbox
from forwarder.outbox.records import Inspection

_DRIVERS = {"sqlite": "forwarder.outbox.sqlite"}


class Lock(Protocol):
    """Makes this process the only forwarder on an outbox until `release` or its end, however it ends."""

    def release(self) -> None: ...


class Driver(Protocol):
    """What an engine's package offers."""

    def prepare(self, path: Path) -> None:
        """Make the outbox where there is none, and bring an earlier one up to date. Raises OutboxError."""

    def repair(self, path: Path, trouble: OutboxDamaged | OutboxIncomplete) -> None:
        """Move aside what cannot be used, or go on with what is left."""

    def open_engine(
        self,
        path: Path,
        *,
        max_bytes: int,
        quarantine_max_bytes: int,
        keep_delivered_seconds: float,
    ) -> Engine:
        """The tables of an outbox that is prepared."""

    def opened(
        self, path: Path, *, is_read_only: bool = False
    ) -> AbstractContextManager[OutboxAccess]:
        """Raises OperationError when there is none yet, OutboxError when it cannot be used."""

    def inspect(self, path: Path) -> Inspection:
        """Look it over without changing it; a fault is a finding. Raises OperationError when there is none."""

    def take_lock(self, folder: Path) -> Lock:
        """Raises OutboxLocked when another process holds it."""

    def warn_of_foreign_writers(self, directory: Path) -> None:
        """Log it when others may put files of theirs in the place of ours."""

    def is_running(self, folder: Path) -> bool:
        """Whether a forwarder runs on it; one that starts at this very instant may be missed."""

    def copies_aside(self, path: Path) -> list[Path]:
        """Damaged outboxes that were moved aside: they may hold anything still."""


def _driver() -> Driver:
    return cast("Driver", import_module(_DRIVERS["sqlite"]))


def open_outbox(
    path: Path,
    *,
    clock: Clock,
    max_bytes: int = 10 << 30,
    quarantine_max_bytes: int | None = None,
    keep_delivered_seconds: float = 3600.0,
    may_repair: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Outbox:
    """
    The outbox of this process; the caller holds its lock.

    Raises OutboxDamaged when it is not sound and OutboxIncomplete when it has lost its end, unless it `may_repair`:
    then it moves the file aside, or goes on with what it holds.
    """
    driver = _driver()
    share = quarantine_share(max_bytes) if quarantine_max_bytes is None else quarantine_max_bytes

    def begin() -> Outbox:
        driver.prepare(path)
        engine = driver.open_engine(
            path,
            max_bytes=max_bytes,
            quarantine_max_bytes=share,
            keep_delivered_seconds=keep_delivered_seconds,
        )
        return Outbox(
            engine,
            path,
            clock=clock,
            quarantine_max_bytes=share,
            memory_limit=memory_limit,
            most_devices=most_devices(max_bytes),
        )

    return _with_repair(begin, driver, path) if may_repair else begin()


def _with_repair(begin: Callable[[], Outbox], driver: Driver, path: Path) -> Outbox:
    try:
        return begin()
    except (OutboxDamaged, OutboxIncomplete) as trouble:
        driver.repair(path, trouble)
        return begin()


def opened(path: Path, *, is_read_only: bool = False) -> AbstractContextManager[OutboxAccess]:
    """
    The outbox at `path` for a command, closed afterwards; never made where there is none.

    Raises OperationError when there is none yet, OutboxError when it cannot be used.
    """
    return _driver().opened(path, is_read_only=is_read_only)


def inspect(path: Path) -> Inspection:
    """Look the outbox over; see `Driver`."""
    return _driver().inspect(path)


def take_lock(folder: Path) -> Lock:
    """Make this process the only forwarder on a data directory. Raises OutboxLocked when another one holds it."""
    return _driver().take_lock(folder)


def warn_of_foreign_writers(directory: Path) -> None:
    """Log it when others may put files of theirs in the place of ours."""
    _driver().warn_of_foreign_writers(directory)


def is_running(folder: Path) -> bool:
    """Whether a forwarder runs on a data directory; one that starts at this very instant may be missed."""
    return _driver().is_running(folder)


def copies_aside(path: Path) -> list[Path]:
    """Damaged outboxes that were moved aside: they may hold anything still."""
    return _driver().copies_aside(path)
