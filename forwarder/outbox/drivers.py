"""
Which engine keeps an outbox, and the ways to open it.

The engine is loaded by name, because nothing but the engine itself may know what it is made of.
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
    """What an engine's package offers, for the places that it keeps outboxes in."""

    def prepare(self, place: P_contra) -> None:
        """Make the outbox where there is none, and bring an earlier one up to date. Raises OutboxError."""

    def repair(self, place: P_contra, trouble: OutboxDamaged | OutboxIncomplete) -> None:
        """Move aside what cannot be used, or go on with what is left."""

    def open_engine(self, place: P_contra, *, member: str, limits: Limits) -> Engine:
        """The tables of an outbox that is prepared."""

    def opened(
        self, place: P_contra, *, is_read_only: bool = False
    ) -> AbstractContextManager[OutboxAccess]:
        """
        The outbox for a command, closed afterwards; never made where there is none.

        Raises OperationError when there is none yet, OutboxError when it cannot be used.
        """

    def inspect(self, place: P_contra) -> Inspection:
        """Look it over without changing it; a fault is a finding. Raises OperationError when there is none."""

    def exists(self, place: P_contra) -> bool:
        """Whether there is an outbox; a command makes none. Raises OutboxError when nobody can tell."""

    def remarks(self, place: P_contra) -> list[str]:
        """
        What an operator should know about the place before a start, each a sentence.

        Raises OutboxError when no service can start on it.
        """

    def take_seat(self, place: P_contra, *, name: str, deployment: str) -> Seat:
        """
        Join those on an outbox: as the only forwarder on a file, or as a replica on a database.

        `name` is how people call this replica, `deployment` what all replicas have in common. Raises OutboxLocked when
        another forwarder holds the file, or one of another deployment works on the database.
        """

    def refuse_strangers(self, place: P_contra, *, deployment: str) -> None:
        """Raises OutboxLocked where replicas of another deployment run."""

    def warn_of_foreign_writers(self, place: P_contra) -> None:
        """Log it when others may put files of theirs in the place of ours."""

    def is_running(self, place: P_contra) -> bool:
        """Whether a forwarder runs on it; one that starts at this very instant may be missed."""

    def copies_aside(self, place: P_contra) -> list[Path]:
        """Damaged outboxes that were moved aside: they may hold anything still."""

    def held(self, place: P_contra) -> AbstractContextManager[Contents]:
        """All that the outbox holds, unchanged inside the block. Raises OutboxLocked while a forwarder runs."""

    def drafted(self, place: P_contra) -> AbstractContextManager[Draft]:
        """A new outbox that is to be filled; it is there only if it is finished. Raises OperationError where one is."""


def _driver(place: OutboxPlace) -> Driver[OutboxPlace]:
    """Raises SettingsError where the engine's own library is not installed."""
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
    The outbox of this process; the caller has taken its seat, and is `member`.

    Raises OutboxDamaged when it is not sound and OutboxIncomplete when it has lost its end, unless it `may_repair`:
    then it moves the file aside, or goes on with what it holds.
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


# What `Driver` says of each.


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
    Copy an outbox to the other engine, whole or not at all; `deployment` is the one that is to go on with it.

    Raises ConfigurationError where both are of one engine; OutboxLocked while a forwarder runs on either;
    OperationError where there is no source, it is another deployment's, or there is an outbox at the destination;
    OutboxError where copying fails.
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
