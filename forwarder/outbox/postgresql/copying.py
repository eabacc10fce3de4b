"""
An outbox's database is the source of a copy, or its destination.

A copy is one transaction, from the first table to the last row, so a copy that broke off leaves nothing. The source's
line and homes are locked meanwhile, so every change of it waits.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from forwarder.errors import OperationError, OutboxLocked
from forwarder.outbox.copying import Row
from forwarder.outbox.postgresql import schema
from forwarder.outbox.postgresql.access import opened
from forwarder.outbox.postgresql.connection import (
    PostgresConnection,
    as_kept,
    native,
    opened_connection,
)
from forwarder.outbox.postgresql.members import replicas
from forwarder.outbox.sql.copying import SqlContents, select, take_evicted, without_triggered
from forwarder.settings import Database

AT_A_TIME = 50
"""Memory holds this many rows at once, of at most some 64 KiB each."""
OWN = ("line", "command_count", "member", "endpoint_row", "home")
"""Tables of this engine alone; the view `endpoint` joins two of them."""

_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND is_generated = 'NEVER' AND table_name <> ALL(?)
    ORDER BY table_name, ordinal_position"""
_COLUMNS_OF_ENDPOINTS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = 'endpoint_row'"""
_PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = 0"
# The line comes before homes, as in every transaction. LOCK TABLE takes no snapshot, unlike a lock of rows, so the
# copy's snapshot begins after the transactions that it has waited for.
_LOCK = "LOCK TABLE line, home IN EXCLUSIVE MODE"
_NUMBERS = """
    SELECT (SELECT last FROM line), coalesce(last_value, 0) FROM pg_sequences
    WHERE schemaname = current_schema() AND sequencename = 'quarantine_id_seq'"""
_GO_ON = "SELECT setval(pg_get_serial_sequence(?, ?), greatest(?::bigint, 1), ?::bigint > 0)"
_HIGHEST = """
    SELECT (SELECT coalesce(max(id), 0) FROM endpoint_row), (SELECT coalesce(max(number), 0) FROM audit)"""
_LOOK_AT = "ANALYZE reading, body, delivery, attempt, quarantine, device"


class PostgresContents(SqlContents):
    """See `Contents`; within a transaction of the caller's."""

    def __init__(self, connection: PostgresConnection) -> None:
        self.connection: PostgresConnection = connection

    def deployment(self) -> str | None:
        found: str | None = self.connection.execute("SELECT deployment FROM line").fetchone()[0]
        return found

    def tables(self) -> dict[str, tuple[str, ...]]:
        return without_triggered(self.connection.execute(_COLUMNS, (list(OWN),)))

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        with self.connection.raw.cursor(name="copying") as cursor:
            cursor.itersize = AT_A_TIME
            cursor.execute(native(select(table, columns)))
            yield from cursor

    def highest_numbers(self) -> tuple[int, int]:
        reading, quarantined = self.connection.execute(_NUMBERS).fetchone()
        return reading, quarantined


class PostgresDraft(PostgresContents):
    """See `Draft`."""

    def as_kept(self, row: Row) -> Row:
        return [as_kept(value) if isinstance(value, str) else value for value in row]

    def take(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        if table == "endpoint":
            self._take_endpoints(columns, rows)
        elif table == "quarantine_account":
            take_evicted(self.connection, rows)
        else:
            self._take(table, columns, rows)

    def _take(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        statement = native(f"COPY {table} ({', '.join(columns)}) FROM STDIN")
        with self.connection.raw.cursor() as cursor, cursor.copy(statement) as stream:
            for row in rows:
                stream.write_row(row)

    def _take_endpoints(self, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Split each endpoint into its two rows here: one that every process changes, and one that its home does."""
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        of_all = {name for (name,) in self.connection.execute(_COLUMNS_OF_ENDPOINTS)}
        common = [column for column in columns if column in of_all]
        of_home = [column for column in columns if column not in of_all]
        self._take("endpoint_row", common, ([one[name] for name in common] for one in found))
        homes = ([one["id"], *(one[name] for name in of_home)] for one in found)
        self._take("home", ["endpoint", *of_home], homes)

    def go_on_from(self, reading: int, quarantined: int) -> None:
        self.connection.execute("UPDATE line SET last = ?", (reading,))
        endpoint, audited = self.connection.execute(_HIGHEST).fetchone()
        for table, column, last in (
            ("quarantine", "id", quarantined),
            ("endpoint_row", "id", endpoint),
            ("audit", "number", audited),
        ):
            self.connection.execute(_GO_ON, (table, column, last, last))

    def finish(self) -> None:
        self.connection.execute(_LOOK_AT)
        self.connection.commit()


@contextmanager
def held(database: Database) -> Iterator[PostgresContents]:
    """
    Hold the outbox still inside the block, and give its contents.

    Raises OutboxLocked while a replica is alive, whether it leads or not.
    """
    schema.remarks(database)
    with opened(database) as access:
        connection = access.connection
        # The lock comes before the look for replicas, because each start takes it, and none begins while this holds it.
        (is_ours,) = connection.execute(
            "SELECT pg_try_advisory_lock(?)", (schema.MIGRATION_LOCK,)
        ).fetchone()
        alive = ", ".join(one.name for one in replicas(connection))
        if alive or not is_ours:
            who = alive or "one that starts"
            raise OutboxLocked(
                f"replicas are running on {database} ({who}); stop them, and copy then"
            )
        connection.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        for statement in (_PATIENCE, _LOCK):
            connection.execute(statement)
        yield PostgresContents(connection)


@contextmanager
def drafted(database: Database) -> Iterator[PostgresDraft]:
    """
    Make a draft of the outbox in this database; a draft that the block does not finish is rolled back.

    Raises OperationError when there is an outbox already, and OutboxError when there are other tables.
    """
    schema.remarks(database)
    with opened_connection(database) as connection:
        connection.begin()
        connection.execute(_PATIENCE)
        connection.execute("SELECT pg_advisory_xact_lock(?)", (schema.MIGRATION_LOCK,))
        if schema.schema_version(connection, database) is not None:
            raise OperationError(
                f"there is an outbox in {database} already; copy to a database or schema that is empty"
            )
        schema.make(connection, database)
        connection.execute("DELETE FROM identity")
        yield PostgresDraft(connection)
