"""
The outbox on SQLite: one connection writes, one reads heads, and each account opens one of its own.

The commit thread alone uses the writing connection; each `apply` begins, fills and commits one transaction. Readers see
a snapshot in the write-ahead log, so they neither wait for the writer nor delay it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from forwarder.delivery import Delivery
from forwarder.errors import OutboxUnavailable
from forwarder.outbox.changes import Applied, Changes, LaneKey, LaneRows
from forwarder.outbox.engine import HandedOver, Limits, Look, Standing, Start
from forwarder.outbox.records import EndpointTotals, Overview
from forwarder.outbox.sql import queries
from forwarder.outbox.sql.bringing_in import bring_in
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import reading_back
from forwarder.outbox.sqlite.disk_space import DiskSpace
from forwarder.outbox.sqlite.file import pragma, translated
from forwarder.outbox.sqlite.high_water_mark import HighWaterMark
from forwarder.outbox.sqlite.statements import Store

T = TypeVar("T")

BUSY_SECONDS = 0.005
"""The wait between two tries to begin a transaction, while a command is writing."""
BUSY_TRIES = 2000
"""A transaction fails after this many tries, and is brought in again later."""


class SqliteEngine:
    """See `Engine`."""

    def __init__(self, path: Path, *, limits: Limits, member: str = "") -> None:  # noqa: ARG002 - of a database
        self._path = path
        self._limits = limits
        with translated(path):
            self._reader = outbox_file.connect(path, is_read_only=True)
            self._connection = _writer(path)
            self._disk_space = DiskSpace(self._connection, path, limits.readings_max_bytes)
        self._level = outbox_file.SYNCHRONOUS
        self._store = Store(self._connection)
        self._mark = HighWaterMark(path)
        self._version_seen = self._version_answered = pragma(self._connection, "data_version")
        """SQLite's `data_version`, which others' commits move, at the last look and at the last answered by `apply`."""
        self._endpoint_ids: dict[str, int] = {}

    # Read.

    @property
    def standing(self) -> Standing:
        """`missing` stays 0, because no failover takes commits away from a file."""
        return Standing(self._disk_space.is_full, self._disk_space.used_bytes)

    def start(self) -> Start:
        return Start(None, self._lanes(), self.totals())

    def _lanes(self) -> Iterator[tuple[LaneKey, LaneRows]]:
        with translated(self._path):
            yield from reading_back.lanes(self._reader)

    def handed_over(self) -> HandedOver:
        return read(self._path, handed_over)

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        with translated(self._path):
            return reading_back.heads(self._reader, wanted, self._endpoint_ids)

    def totals(self) -> list[EndpointTotals]:
        return read(self._path, queries.totals)

    def log_length(self) -> int:
        return read(self._path, queries.log_length)

    def overview(self) -> Overview:
        return read(self._path, queries.overview)

    # Write.

    def apply(self, changes: Changes, *, now: float) -> Applied:
        with translated(self._path):
            try:
                self._begin(waits_for_disk=changes.waits_for_disk)
                applied = bring_in(
                    self._store, changes, now=now, limits=self._limits, engine_error=sqlite3.Error
                )
                self._commit()
                self._store.devices.remember_erased(applied.forgotten)
                # The level is put back now rather than in `_begin`, where the next message would wait for that.
                self._set_level(outbox_file.SYNCHRONOUS)
            except BaseException:
                self._undo()
                raise
        self._version_answered = self._version_seen
        return applied

    def _begin(self, *, waits_for_disk: bool) -> None:
        if self._connection.in_transaction:
            self._undo()
        self._set_level(outbox_file.SYNCHRONOUS if waits_for_disk else "NORMAL")
        self._disk_space.look()
        for _ in range(BUSY_TRIES):
            # IMMEDIATE takes the write lock before the first read, so no command commits between a read and a write.
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._store.begin()
            except sqlite3.OperationalError as busy:
                # The low byte is the primary code: another program may be recovering the log (SQLITE_BUSY_RECOVERY).
                if busy.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(BUSY_SECONDS)
            else:
                return
        raise OutboxUnavailable(
            f"the outbox {self._path} takes no writes: another program keeps it locked"
        )

    def _set_level(self, level: str) -> None:
        """Set SQLite's `synchronous`, which says how far the next commit waits for the disk."""
        if level != self._level:
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _commit(self) -> None:
        numbers = self._store.numbers()
        self._disk_space.require()
        self._connection.execute("COMMIT")
        self._disk_space.note()
        # The mark moves between a commit and its answer: an outbox below its mark has lost a commit that was on disk.
        self._mark.move(numbers)

    def _undo(self) -> None:
        self._store.forget()
        if self._connection.in_transaction:
            self._connection.rollback()

    def look(self) -> Look:
        with translated(self._path):
            self._version_seen = pragma(self._connection, "data_version")
        return Look(has_foreign_change=self._version_seen != self._version_answered)

    def trim(self) -> None:
        outbox_file.trim(self._path)

    def close(self) -> None:
        self._reader.close()
        self._mark.close()
        self._connection.close()


def handed_over(connection: sqlite3.Connection) -> HandedOver:
    return HandedOver(list(queries.devices(connection)), queries.told(connection))


def read(path: Path, query: Callable[[sqlite3.Connection], T]) -> T:
    """Answer a query as of one instant, over a connection of its own; any thread may call it."""
    with translated(path), closing(outbox_file.connect(path, is_read_only=True)) as connection:
        connection.execute("BEGIN")
        return query(connection)


def _writer(path: Path) -> sqlite3.Connection:
    connection = outbox_file.connect(path)
    # `_begin` waits for the write lock instead, because SQLite's own waits grow to 100 ms.
    connection.execute("PRAGMA busy_timeout = 0")
    # Debian's SQLite blanks every deleted row, here the body of each reading. `purge` turns that on for itself, and
    # writes the file anew.
    connection.execute("PRAGMA secure_delete = OFF")
    # Checking a state costs a microsecond a delivery. `Store` writes only the states of its own statements, and
    # `outbox check` looks at them too.
    connection.execute("PRAGMA ignore_check_constraints = ON")
    return connection
