"""
The outbox as a command opens it: beside the running service, or without one.

A command never holds the file for long. It reads in snapshots that end at once, and writes in chunks with a pause in
between, so that the service always gets its turn.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from forwarder.errors import OperationError
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.statements import Store

CHUNK = 500
"""Rows that one transaction changes at most."""
PAUSE_SECONDS = 0.02
"""Between two transactions: SQLite's lock knows no turns, and the service asks for it every few milliseconds."""


class Key(NamedTuple):
    """A row: of a delivery its reading and endpoint, of a quarantined message its id and 0."""

    first: int
    second: int


class OutboxFile:
    """One connection to the outbox; its errors are the outbox's."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._store = Store(connection)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Everything that is read inside is as of one instant."""
        with outbox_file.translated(self.path):
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self.connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        """Everything that is changed inside is on disk afterwards, or nothing is."""
        with outbox_file.translated(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._store
                self._store.add_totals()
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        self._store.forget()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def choose(self, query: str, parameters: Sequence[object]) -> "Chosen":
        """The rows whose two key columns `query` selects, in its order."""
        with outbox_file.translated(self.path):
            return Chosen(self, query, parameters)


class Chosen:
    """The rows that a command means, noted once: what the service does meanwhile adds none to them."""

    def __init__(self, file: OutboxFile, query: str, parameters: Sequence[object]) -> None:
        self._file = file
        connection = file.connection
        connection.execute("DROP TABLE IF EXISTS temp.chosen")
        connection.execute(
            "CREATE TEMP TABLE chosen (position INTEGER PRIMARY KEY, first INTEGER, second INTEGER)"
        )
        insert = f"INSERT INTO temp.chosen (first, second) {query}"
        connection.execute(insert, parameters)
        row = connection.execute("SELECT count(*) FROM temp.chosen").fetchone()
        self.count: int = row[0]

    def chunks(self) -> Iterator[list[Key]]:
        """All of them, at most CHUNK at a time, with a pause after each for the service."""
        for position in range(0, self.count, CHUNK):
            if position:
                time.sleep(PAUSE_SECONDS)
            rows = self._file.connection.execute(
                "SELECT first, second FROM temp.chosen WHERE position > ? ORDER BY position LIMIT ?",
                (position, CHUNK),
            )
            yield [Key(*row) for row in rows]


@contextmanager
def opened(path: Path, *, is_read_only: bool = False) -> Iterator[OutboxFile]:
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
        yield OutboxFile(path, connection)
    finally:
        connection.close()


def touch(connection: sqlite3.Connection, endpoint: int, device: str) -> None:
    """Tell the running service, with this transaction, that what is pending in a lane has changed."""
    connection.execute("INSERT OR IGNORE INTO touched_lane VALUES (?, ?)", (endpoint, device))
