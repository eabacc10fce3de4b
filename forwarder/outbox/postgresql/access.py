"""A command opens the outbox's database beside the running service, or without one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

from forwarder.outbox.operations import ForgetNotes, Operation
from forwarder.outbox.postgresql import schema
from forwarder.outbox.postgresql.connection import (
    PostgresConnection,
    insisting,
    opened_connection,
    translated,
)
from forwarder.outbox.postgresql.engine import overview
from forwarder.outbox.postgresql.statements import CHANNEL, Store
from forwarder.outbox.records import Overview, Purged
from forwarder.outbox.sql.access import Access, no_outbox, not_up_to_date
from forwarder.outbox.sql.erasure import erase_rows, spellings
from forwarder.outbox.sql.operations import readings_in
from forwarder.reading import Device
from forwarder.settings import Database

_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_LOCK_HOMES = "SELECT 1 FROM home ORDER BY endpoint, shard FOR UPDATE"
"""Locks all homes, in the order in which replicas lock theirs."""
_TELL = "UPDATE command_count SET count = count + 1"
_RING = "SELECT pg_notify(?, '')"

T = TypeVar("T")


class PostgresAccess(Access):
    """See `OutboxAccess`."""

    in_order = ' COLLATE "C"'
    temporary = "pg_temp"
    counted = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"

    def __init__(self, database: Database, connection: PostgresConnection) -> None:
        self.path = database
        self.connection: PostgresConnection = connection
        self._store = Store(connection)

    def now(self) -> float:
        with self.translated():
            return float(self.connection.execute(_NOW).fetchone()[0])

    def operate(self, *operations: Operation[T]) -> list[T]:
        with self.translated():
            return insisting(partial(super().operate, *operations))

    def translated(self) -> AbstractContextManager[None]:
        return translated(self.path)

    @contextmanager
    def transaction(self, operations: Sequence[Operation[T]]) -> Iterator[Store]:
        store, connection = self._store, self.connection
        try:
            connection.begin()
            # The line comes first and all homes after it, as replicas lock them, so that no two transactions wait in a
            # circle. A home counts no lane while a command changes it, because both lock the home.
            if readings := readings_in(operations):
                store.reserve(readings, epoch=None)
            connection.execute(_LOCK_HOMES)
            yield store
            store.drop_unneeded()
            # The count and the bell come with the commit, so a replica that notices them finds the notes.
            connection.execute(_TELL)
            connection.execute(_RING, (CHANNEL,))
            connection.commit()
        except BaseException:
            store.forget()
            connection.roll_back()
            raise

    def overview(self) -> Overview:
        with self.snapshot() as connection:
            return overview(connection)

    @contextmanager
    def snapshot(self) -> Iterator[PostgresConnection]:
        with self.translated():
            self.connection.begin_snapshot()
            try:
                yield self.connection
            finally:
                self.connection.roll_back()

    def purge(self, device: Device) -> Purged:
        """
        Erase the device's rows, and free their space to be written over.

        The write-ahead log, standbys and backups are out of reach.
        """
        states, quarantined = erase_rows(self, device, _mentions(device))
        self.operate(ForgetNotes(device))
        with self.translated():
            for table in ("delivery", "reading", "body", "attempt", "quarantine", "touched_lane"):
                self.connection.execute(f"VACUUM {table}")
        return Purged(states.total(), states["pending"], quarantined, is_rewritten=True)


def _mentions(device: Device) -> Callable[[str], str]:
    """Turn a column into the condition that it holds one of the device's spellings, which need no quoting."""
    needles = spellings(device)

    def mentions(column: str) -> str:
        is_bytes = column in ("payload", "answer", "data")
        text = f"lower(encode({column}, 'escape'))" if is_bytes else f"lower({column})"
        found = [f"position('{needle}' in {text}) > 0" for needle in needles]
        return f"({' OR '.join(found)})" if found else "FALSE"

    return mentions


@contextmanager
def opened(database: Database, *, is_read_only: bool = False) -> Iterator[PostgresAccess]:  # noqa: ARG001 - a file's matter
    """
    Open the outbox of a database, and close the session after the block.

    Raises OperationError when there is none yet or it has an earlier schema, and OutboxError when it cannot be used.
    """
    with opened_connection(database) as connection:
        version = schema.schema_version(connection, database)
        if version is None:
            raise no_outbox(f"in {database}")
        if version < 1 + len(schema.STEPS):
            raise not_up_to_date(database)
        yield PostgresAccess(database, connection)
