"""The one connection that writes, and its transactions: begun on the loop, committed in a thread of its own."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from forwarder.errors import OutboxUnavailable
from forwarder.outbox import mark, sqlite
from forwarder.outbox.store import Store
from forwarder.outbox.thread import CommitThread

BUSY_SECONDS = 0.005
BUSY_TRIES = 2000
"""How often, and how many times, a transaction is begun while a command is writing."""


class Writer:
    """Runs one transaction at a time; its errors are the outbox's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with sqlite.translated(path):
            self.connection = sqlite.connect(path)
            # The loop's thread must never sleep in SQLite: a locked file is waited for in `_begin`.
            self.connection.execute("PRAGMA busy_timeout = 0")
        self.store = Store(self.connection)
        self._mark = mark.Mark(path)
        self._thread = CommitThread()
        self._version = sqlite.pragma(self.connection, "data_version")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """
        A transaction that is to end with `commit`; whatever is raised before that undoes it.

        Raises OutboxUnavailable or OutboxDamaged.
        """
        with sqlite.translated(self._path):
            await self._begin()
            try:
                yield
            except BaseException:
                self._roll_back()
                raise

    async def commit(self, last: Callable[[], None] | None = None) -> None:
        """Return once the transaction is on disk, and in it what `last` changes in the thread that commits."""
        await self._thread.run(partial(self._commit, last))

    def _commit(self, last: Callable[[], None] | None) -> None:
        if last is not None:
            last()
        numbers = mark.numbers_in(self.connection)
        self.connection.execute("COMMIT")
        self._mark.move(numbers)

    async def _begin(self) -> None:
        if self.connection.in_transaction:
            self._roll_back()
        for _ in range(BUSY_TRIES):
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as busy:
                # The low byte is the primary code: another program may be recovering the log (SQLITE_BUSY_RECOVERY).
                if busy.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                await asyncio.sleep(BUSY_SECONDS)
            else:
                return
        raise OutboxUnavailable(
            f"the outbox {self._path} takes no writes: another program keeps it locked"
        )

    def _roll_back(self) -> None:
        """End a transaction that did not come to its end, once the thread is no longer at it."""
        self._thread.wait_for(self._undo)

    def _undo(self) -> None:
        self.store.forget()
        if self.connection.in_transaction:
            self.connection.rollback()

    def used_bytes(self) -> int:
        """What the file holds; raises OutboxUnavailable or OutboxDamaged."""
        with sqlite.translated(self._path):
            return sqlite.used_bytes(self.connection)

    def has_foreign_change(self) -> bool:
        """
        Whether another connection has committed since this was last asked (PRAGMA data_version).

        Raises OutboxUnavailable or OutboxDamaged.
        """
        with sqlite.translated(self._path):
            before, self._version = self._version, sqlite.pragma(self.connection, "data_version")
        return before != self._version

    def close(self) -> None:
        self._thread.close()
        self._mark.close()
        self.connection.close()
