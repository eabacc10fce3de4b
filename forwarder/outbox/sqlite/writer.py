"""
The one connection that writes, and its transactions.

A thread of its own waits for the disk. It does whole transactions; of those that have to look at lanes, which run on
the loop, only the end.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from forwarder.errors import OutboxUnavailable
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark
from forwarder.outbox.sqlite.disk_space import DiskSpace
from forwarder.outbox.sqlite.statements import Store
from forwarder.outbox.sqlite.thread import CommitThread

BUSY_SECONDS = 0.005
BUSY_TRIES = 2000
"""How often, and how many times, a transaction is begun while a command is writing."""


class Writer:
    """Runs one transaction at a time; its errors are the outbox's."""

    def __init__(self, path: Path, *, max_bytes: int, quarantine_max_bytes: int) -> None:
        self._path = path
        with outbox_file.translated(path):
            self.connection = outbox_file.connect(path)
            # The loop's thread must never sleep in SQLite: a locked file is waited for in `_begin`.
            self.connection.execute("PRAGMA busy_timeout = 0")
            # Debian's SQLite blanks whatever is deleted, and here that is the body of each reading. What is to be
            # erased for good has a command of its own, which writes the file anew.
            self.connection.execute("PRAGMA secure_delete = OFF")
            # Looking up a state takes a microsecond for each delivery that is put. `Store` writes no other than those
            # of its own statements, and `outbox check` looks at them too.
            self.connection.execute("PRAGMA ignore_check_constraints = ON")
            self._room = DiskSpace(
                self.connection,
                path,
                max_bytes=max_bytes,
                quarantine_max_bytes=quarantine_max_bytes,
            )
        self._level = outbox_file.SYNCHRONOUS
        self.store = Store(self.connection)
        self._mark = high_water_mark.HighWaterMark(path)
        self._thread = CommitThread()
        self._version = outbox_file.pragma(self.connection, "data_version")

    @property
    def is_full(self) -> bool:
        """Whether the outbox holds as much as it may, as of the last commit."""
        return self._room.is_full

    def start(self, function: Callable[[], None]) -> None:
        """Have it called in the thread, which may use `commit_whole` there; it raises nothing."""
        self._thread.start(function)

    def commit_whole(self, change: Callable[[], None], *, waits_for_disk: bool = True) -> None:
        """
        Make one transaction of `change`, and return once it is on disk; in the thread.

        One that does not wait is in the file by then, where a process that dies leaves it, and on disk with the next
        that waits. What `change` raises undoes it. Raises OutboxUnavailable or OutboxDamaged.
        """
        with outbox_file.translated(self._path):
            try:
                for seconds in self._begin(waits_for_disk=waits_for_disk):
                    time.sleep(seconds)
                change()
                self._commit()
                # Now, for it takes time, and the next message waits for the disk.
                self._set_level(outbox_file.SYNCHRONOUS)
            except BaseException:
                self._undo()
                raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """
        A transaction on the loop that is to end with `commit`; whatever is raised before that undoes it.

        Raises OutboxUnavailable or OutboxDamaged.
        """
        with outbox_file.translated(self._path):
            try:
                for seconds in self._begin():
                    await asyncio.sleep(seconds)
                yield
            except BaseException:
                self._roll_back()
                raise

    async def commit(self) -> None:
        """Return once the transaction is on disk."""
        await self._thread.run(self._commit)

    def _begin(self, *, waits_for_disk: bool = True) -> Iterator[float]:
        """Begin a transaction; what it yields is how many seconds to wait for another program before the next try."""
        if self.connection.in_transaction:
            self._undo()
        self._set_level(outbox_file.SYNCHRONOUS if waits_for_disk else "NORMAL")
        self._room.look()
        for _ in range(BUSY_TRIES):
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                self.store.begin()
            except sqlite3.OperationalError as busy:
                # The low byte is the primary code: another program may be recovering the log (SQLITE_BUSY_RECOVERY).
                if busy.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                yield BUSY_SECONDS
            else:
                return
        raise OutboxUnavailable(
            f"the outbox {self._path} takes no writes: another program keeps it locked"
        )

    def _set_level(self, level: str) -> None:
        """How far the next transaction waits for the disk, as SQLite's `synchronous` names it."""
        if level != self._level:
            self.connection.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _commit(self) -> None:
        numbers = self.store.numbers()
        self._room.require()
        self.connection.execute("COMMIT")
        self._room.note()
        self._mark.move(numbers)

    def _roll_back(self) -> None:
        """End a transaction that did not come to its end, once the thread is no longer at it."""
        self._thread.wait_for(self._undo)

    def _undo(self) -> None:
        self.store.forget()
        if self.connection.in_transaction:
            self.connection.rollback()

    def has_foreign_change(self) -> bool:
        """
        Whether another connection has committed since this was last asked (PRAGMA data_version).

        Raises OutboxUnavailable or OutboxDamaged.
        """
        with outbox_file.translated(self._path):
            before, self._version = (
                self._version,
                outbox_file.pragma(self.connection, "data_version"),
            )
        return before != self._version

    def close(self) -> None:
        self._thread.close()
        self._mark.close()
        self.connection.close()
