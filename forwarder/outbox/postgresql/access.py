"""The outbox's database as a command opens it: beside the running service, or without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg

from forwarder.errors import OperationError
from forwarder.outbox.operations import ForgetNotes, Operation
from forwarder.outbox.postgresql import schema
from forwarder.outbox.postgresql.connection import (
    PostgresConnection,
    opened_connection,
    translated,
)
from forwarder.outbox.postgresql.engine import overview
from forwarder.outbox.postgresql.statements import CHANNEL, Store
from forwarder.outbox.records import Overview, Purged
from forwarder.outbox.sql.access import Access
from forwarder.outbox.sql.erasure import erase_rows, spellings
from forwarder.outbox.sql.operations import perform, readings_in
from forwarder.outbox.sql.records import Clauses
from forwarder.reading import Device
from forwarder.settings import Database

TRIES = 5
"""How often a transaction is begun that another one stands in the way of."""

_HOMES = "SELECT 1 FROM home ORDER BY endpoint, shard FOR UPDATE"
_TELL = "UPDATE command_count SET count = count + 1"
_RING = "SELECT pg_notify(?, '')"
_CHOSEN = """
    CREATE TEMP TABLE chosen (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, first bigint, second bigint)"""
_IN_THE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)

T = TypeVar("T")


class PostgresAccess(Access):
    """See `OutboxAccess`."""

    in_order = ' COLLATE "C"'

    def __init__(self, database: Database, connection: PostgresConnection) -> None:
        self.path = database
        self.connection: PostgresConnection = connection
        self._store = Store(connection)

    def operate(self, *operations: Operation[T]) -> list[T]:
        with translated(self.path):
            for _ in range(TRIES - 1):
                try:
                    return self._operate(operations)
                except _IN_THE_WAY:
                    continue
            return self._operate(operations)

    def _operate(self, operations: tuple[Operation[T], ...]) -> list[T]:
        store, connection = self._store, self.connection
        try:
            connection.begin()
            # The line and all homes first, in the order in which replicas lock theirs.
            if readings := readings_in(operations):
                store.reserve(readings, epoch=None)
            connection.execute(_HOMES)
            answers = [perform(store, one) for one in operations]
            store.add_totals()
            store.drop_unneeded()
            connection.execute(_TELL)
            connection.execute(_RING, (CHANNEL,))
            connection.commit()
        except BaseException:
            store.forget()
            connection.roll_back()
            raise
        return answers

    def overview(self) -> Overview:
        with self.snapshot() as connection:
            return overview(connection)

    @contextmanager
    def snapshot(self) -> Iterator[PostgresConnection]:
        with translated(self.path):
            self.connection.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield self.connection
            finally:
                self.connection.roll_back()

    def note_chosen(self, query: Clauses) -> None:
        with translated(self.path):
            self.connection.execute("DROP TABLE IF EXISTS pg_temp.chosen")
            self.connection.execute(_CHOSEN)
            insert = f"INSERT INTO pg_temp.chosen (first, second) {query.sql}"
            self.connection.execute(insert, query.parameters)

    def purge(self, device: Device) -> Purged:
        """
        Erase the rows, and make the space that they leave free to be written over.

        What the write-ahead log, standbys and backups hold of them is out of reach.
        """
        states, quarantined = erase_rows(self, device, _mentions(device))
        self.operate(ForgetNotes(device))
        with translated(self.path):
            for table in ("delivery", "reading", "body", "attempt", "quarantine", "touched_lane"):
                self.connection.execute(f"VACUUM {table}")
        return Purged(states.total(), states["pending"], quarantined, is_rewritten=True)


def _mentions(device: Device) -> "_Mentions":
    return _Mentions(spellings(device))


class _Mentions:
    """Makes a column the condition that it holds one of these spellings, which need no quoting."""

    def __init__(self, needles: list[str]) -> None:
        self._needles = needles

    def __call__(self, column: str) -> str:
        is_bytes = column in ("payload", "answer", "data")
        text = f"lower(encode({column}, 'escape'))" if is_bytes else f"lower({column})"
        found = [f"position('{needle}' in {text}) > 0" for needle in self._needles]
        return f"({' OR '.join(found)})" if found else "FALSE"


@contextmanager
def opened(database: Database, *, is_read_only: bool = False) -> Iterator[PostgresAccess]:  # noqa: ARG001 - a file's matter
    """
    The outbox of a database, let go of afterwards; never made where there is none.

    Raises OperationError when there is none yet, OutboxError when it cannot be used.
    """
    with opened_connection(database) as connection:
        version = schema.schema_version(connection, database)
        if version is None:
            raise OperationError(f"there is no outbox in {database} yet; start the service once")
        if version < 1 + len(schema.STEPS):
            raise OperationError(
                f"the outbox {database} is not set up for this version yet; start the service once"
            )
        yield PostgresAccess(database, connection)
