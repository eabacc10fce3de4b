"""The outbox's file as a command opens it: beside the running service, or without one."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from forwarder.errors import OperationError
from forwarder.outbox.operations import Operation
from forwarder.outbox.records import Purged
from forwarder.outbox.sql.access import Access
from forwarder.outbox.sql.operations import perform
from forwarder.outbox.sql.records import Clauses
from forwarder.outbox.sqlite import erasure
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device

T = TypeVar("T")


class SqliteAccess(Access):
    """See `OutboxAccess`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection: sqlite3.Connection = connection
        self._store = Store(connection)

    def operate(self, *operations: Operation[T]) -> list[T]:
        with outbox_file.translated(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                answers = [perform(self._store, one) for one in operations]
                self._store.add_totals()
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        return answers

    def _roll_back(self) -> None:
        self._store.forget()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        with outbox_file.translated(self.path):
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self.connection.execute("ROLLBACK")

    def note_chosen(self, query: Clauses) -> None:
        with outbox_file.translated(self.path):
            self.connection.execute("DROP TABLE IF EXISTS temp.chosen")
            self.connection.execute(
                "CREATE TEMP TABLE chosen (position INTEGER PRIMARY KEY, first INTEGER, second INTEGER)"
            )
            insert = f"INSERT INTO temp.chosen (first, second) {query.sql}"
            self.connection.execute(insert, query.parameters)

    def purge(self, device: Device) -> Purged:
        return erasure.purge(self, self.connection, self.path, device)


@contextmanager
def opened(path: Path, *, is_read_only: bool = False) -> Iterator[SqliteAccess]:
    """
    The outbox at `path`, closed afterwards; never made where there is none.

    Raises OperationError when there is none yet, OutboxError when it cannot be used.
    """
    if not path.exists():
        raise OperationError(f"there is no outbox at {path} yet; start the service once")
    connection = outbox_file.connect(path, is_read_only=is_read_only)
    try:
        with outbox_file.translated(path):
            version = outbox_file.schema_version(connection, path)
        if version != outbox_file.SCHEMA_VERSION:
            raise OperationError(
                f"the outbox {path} is not set up for this version yet; start the service once"
            )
        yield SqliteAccess(path, connection)
    finally:
        connection.close()
