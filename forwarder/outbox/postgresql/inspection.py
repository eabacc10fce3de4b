"""An inspection tells whether the outbox's rows belong together, and whether the accounts agree with them."""

from forwarder.errors import OutboxError
from forwarder.outbox.postgresql import members
from forwarder.outbox.postgresql.connection import PostgresConnection, opened_connection
from forwarder.outbox.postgresql.schema import STEPS, schema_version
from forwarder.outbox.records import Inspection
from forwarder.outbox.sql.access import no_outbox, other_schema
from forwarder.outbox.sql.consistency import Rows, look_at_rows
from forwarder.settings import Database

_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"""


def inspect(database: Database) -> Inspection:
    """
    Look the tables over without changing them; a fault is a finding, never an error.

    Raises OperationError when there are none.
    """
    found, size, is_service_running = Rows(), 0, False
    try:
        with opened_connection(database) as connection:
            found, size = _look(connection, database)
        is_service_running = members.is_running(database)
    except OutboxError as error:
        found.faults.append(str(error))
    return found.inspection(
        database, file_bytes=size, wal_bytes=0, is_service_running=is_service_running
    )


def _look(connection: PostgresConnection, database: Database) -> tuple[Rows, int]:
    version = schema_version(connection, database)
    if version is None:
        raise no_outbox(f"in {database}")
    if version != 1 + len(STEPS):
        return Rows(version, [other_schema(version)]), 0
    connection.begin_snapshot()
    rows = look_at_rows(connection, version)
    (size,) = connection.execute(_SIZE).fetchone()
    return rows, int(size)
