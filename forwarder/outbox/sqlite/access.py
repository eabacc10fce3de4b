"""A command opens the outbox's file beside the running service, or without one."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from forwarder.outbox.operations import Operation
from forwarder.outbox.records import Purged
from forwarder.outbox.sql.access import Access, no_outbox, not_up_to_date
from forwarder.outbox.sqlite import erasure
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device

T = TypeVar("T")


class SqliteAccess(Access):
    """See `OutboxAccess`."""

    temporary = "temp"
    counted = "INTEGER PRIMARY KEY"

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection: sqlite3.Connection = connection
        self._store = Store(connection)

    def now(self) -> float:
        return time.time()

    def translated(self) -> AbstractContextManager[None]:
        return outbox_file.translated(self.path)

    @contextmanager
    def transaction(self, operations: Sequence[Operation[T]]) -> Iterator[Store]:  # noqa: ARG002 - a database's matter
        with self.translated():
            # The write lock comes before any read, because SQLite refuses it to a snapshot that a commit has outdated.
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._store
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        self._store.forget()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        with self.translated():
            # The WAL keeps this snapshot while the service commits on, so neither waits for the other.
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self.connection.execute("ROLLBACK")

    def purge(self, device: Device) -> Purged:
        return erasure.purge(self, self.connection, self.path, device)


@contextmanager
def opened(path: Path, *, is_read_only: bool = False) -> Iterator[SqliteAccess]:
    """
    Open the outbox at `path`, and close it after the block.

    Raises OperationError when there is none yet or it has an earlier schema, and OutboxError when it cannot be used.
    """
    if not path.exists():
        raise no_outbox(f"at {path}")
    connection = outbox_file.connect(path, is_read_only=is_read_only)
    try:
        with outbox_file.translated(path):
            version = outbox_file.schema_version(connection, path)
        if version != outbox_file.SCHEMA_VERSION:
            raise not_up_to_date(path)
        yield SqliteAccess(path, connection)
    finally:
        connection.close()
