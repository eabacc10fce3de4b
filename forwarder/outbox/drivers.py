"""
Drivers: which engine keeps an outbox, and the ways to open it.

A driver is loaded by name, because no other module may import an engine's library.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeVar, cast

from forwarder.clock import Clock
from forwarder.errors import (
    ConfigurationError,
    OperationError,
    OutboxDamaged,
    OutboxIncomplete,
    SettingsError,
)
from forwarder.outbox.access import OutboxAccess
from forwarder.outbox.capacity import quarantine_share
from forwarder.outbox.copying import Contents, Copied, Draft, copy_contents
from forwarder.outbox.engine import Engine, Limits
from forwarder.outbox.outbox import Outbox
from forwarder.outbox.records import Inspection
from forwarder.outbox.seat import Seat
from forwarder.settings import OutboxPlace

P_contra = TypeVar("P_contra", bound=OutboxPlace, contravariant=True)


class Driver(Protocol[P_contra]):
    """An engine's package, for the places in which the engine keeps outboxes."""

    def prepare(self, place: P_contra) -> None:
        """Make the outbox where there is none, and bring an older one up to date. Raises OutboxError."""

    def repair(self, place: P_contra, trouble: OutboxDamaged | OutboxIncomplete) -> None:
        """Move an outbox aside that cannot be used, or go on with what is left of it."""

    def open_engine(self, place: P_contra, *, member: str, limits: Limits) -> Engine:
        """Open the tables of a prepared outbox."""

    def opened(
        self, place: P_contra, *, is_read_only: bool = False
    ) -> AbstractContextManager[OutboxAccess]:
        """
        Open the outbox for a command, which never makes one; the context closes it.

        Raises OperationError when there is no outbox yet, OutboxError when the outbox cannot be used.
        """

    def inspect(self, place: P_contra) -> Inspection:
        """Look the outbox over without a change; faults are findings. Raises OperationError when there is none."""

    def exists(self, place: P_contra) -> bool:
        """Whether there is an outbox. Raises OutboxError when nobody can tell."""

    def remarks(self, place: P_contra) -> list[str]:
        """
        Remarks for an operator about the place before a start, a sentence each.

        Raises OutboxError when no service can start there.
        """

    def take_seat(self, place: P_contra, *, name: str, deployment: str) -> Seat:
        """
        Join an outbox, as the only forwarder on a file or as a replica on a database.

        People call this replica by `name`; all replicas share `deployment`. Raises OutboxLocked when another forwarder
        holds the file, or a forwarder of another deployment works on the database.
        """

    def refuse_strangers(self, place: P_contra, *, deployment: str) -> None:
        """Raise OutboxLocked where replicas of another deployment run."""

    def warn_of_foreign_writers(self, place: P_contra) -> None:
        """Log a warning where other users of the machine may replace our files."""

    def is_running(self, place: P_contra) -> bool:
        """Whether a forwarder runs on the outbox; a forwarder that starts at this instant may be missed."""

    def copies_aside(self, place: P_contra) -> list[Path]:
        """Damaged outboxes that were moved aside, and may still contain anything."""

    def held(self, place: P_contra) -> AbstractContextManager[Contents]:
        """The outbox's contents, unchanged inside the block. Raises OutboxLocked while a forwarder runs."""

    def drafted(self, place: P_contra) -> AbstractContextManager[Draft]:
        """A draft to fill, which is an outbox once it is finished. Raises OperationError where an outbox is."""


def _driver(place: OutboxPlace) -> Driver[OutboxPlace]:
    """Load the place's driver. Raises SettingsError where the engine's library is not installed."""
    name = "sqlite" if isinstance(place, Path) else "postgresql"
    try:
        module = import_module(f"forwarder.outbox.{name}")
    except ModuleNotFoundError as missing:
        raise SettingsError(
            f"FORWARDER_OUTBOX_URL: {missing.name} is not installed; install whatwatt-forwarder[{name}]"
        ) from missing
    return cast("Driver[OutboxPlace]", module)


def open_outbox(
    place: OutboxPlace,
    *,
    clock: Clock,
    member: str = "",
    max_bytes: int = 10 << 30,
    quarantine_max_bytes: int | None = None,
    keep_delivered_seconds: float = 3600.0,
    may_repair: bool = False,
) -> Outbox:
    """
    Open the outbox of this process; the caller has taken a seat, and is `member`.

    Raises OutboxDamaged when the outbox is not sound, and OutboxIncomplete when it has lost its end. `may_repair`
    has the driver move the file aside instead, or go on with what the file has.
    """
    driver = _driver(place)
    share = quarantine_share(max_bytes) if quarantine_max_bytes is None else quarantine_max_bytes
    limits = Limits(max_bytes, share, keep_delivered_seconds)

    def begin() -> Outbox:
        driver.prepare(place)
        engine = driver.open_engine(place, member=member, limits=limits)
        return Outbox(engine, place, clock=clock, limits=limits)

    return _with_repair(begin, driver, place) if may_repair else begin()


def _with_repair(
    begin: Callable[[], Outbox], driver: Driver[OutboxPlace], place: OutboxPlace
) -> Outbox:
    try:
        return begin()
    except (OutboxDamaged, OutboxIncomplete) as trouble:
        driver.repair(place, trouble)
        return begin()


# `Driver` documents each of these.


def opened(
    place: OutboxPlace, *, is_read_only: bool = False
) -> AbstractContextManager[OutboxAccess]:
    return _driver(place).opened(place, is_read_only=is_read_only)


def inspect(place: OutboxPlace) -> Inspection:
    return _driver(place).inspect(place)


def exists(place: OutboxPlace) -> bool:
    return _driver(place).exists(place)


def remarks(place: OutboxPlace) -> list[str]:
    return _driver(place).remarks(place)


def take_seat(place: OutboxPlace, *, name: str, deployment: str) -> Seat:
    return _driver(place).take_seat(place, name=name, deployment=deployment)


def refuse_strangers(place: OutboxPlace, *, deployment: str) -> None:
    _driver(place).refuse_strangers(place, deployment=deployment)


def warn_of_foreign_writers(place: OutboxPlace) -> None:
    _driver(place).warn_of_foreign_writers(place)


def is_running(place: OutboxPlace) -> bool:
    return _driver(place).is_running(place)


def copies_aside(place: OutboxPlace) -> list[Path]:
    return _driver(place).copies_aside(place)


def copy_outbox(
    source: OutboxPlace, destination: OutboxPlace, *, deployment: str | None = None
) -> Copied:
    """
    Copy an outbox to the other engine, whole or not at all; `deployment` is to go on with the copy.

    Raises ConfigurationError where both places are of one engine, OutboxLocked while a forwarder runs on either, and
    OutboxError where copying fails. Raises OperationError where there is no source, where the source is another
    deployment's, or where the destination has an outbox.
    """
    if type(source) is type(destination):
        raise ConfigurationError(
            f"a copy leads from a file to a database or back, and {source} and {destination} are of one kind; see"
            " `Backup and restore` in docs/operating.md"
        )
    with _driver(source).held(source) as contents:
        whose = contents.deployment()
        if None not in (whose, deployment) and whose != deployment:
            raise OperationError(
                f"{source} is the outbox of another deployment: {whose}; these settings are of {deployment};"
                " copy with its own settings, or without any of MQTT"
            )
        with _driver(destination).drafted(destination) as draft:
            return copy_contents(contents, draft)
