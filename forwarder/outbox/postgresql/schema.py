"""The tables are made in an empty database, brought up to date, and refused when another program owns them."""

from collections.abc import Callable, Sequence
from importlib.resources import files

from forwarder.errors import OutboxError
from forwarder.outbox.postgresql.connection import PostgresConnection, opened_connection
from forwarder.settings import Database

Step = Callable[[PostgresConnection], None]
"""A step changes tables from one version to the next; it only adds to them, because older replicas still run."""


def remember_outages(connection: PostgresConnection) -> None:
    """Version 2: an endpoint keeps the beginning of its last outage, also when that is over."""
    connection.execute("ALTER TABLE home ADD COLUMN outage_since float8")
    connection.execute(
        """
        CREATE OR REPLACE VIEW endpoint AS
            SELECT r.id, r.name, r.enqueued, h.delivered, h.dead, h.expired, h.superseded, h.failures, h.open_until,
                r.paused_by, r.gone_url, r.removed_at, h.failing_since, h.last_success_at, h.last_error,
                h.last_error_at, h.outage_since
            FROM endpoint_row r JOIN home h ON h.endpoint = r.id AND h.shard = 0"""
    )


STEPS: tuple[Step, ...] = (remember_outages,)
"""The first brings version 1 to 2, and so on. New tables take none, because schema.sql is the newest version."""
OLDEST_SERVER = 130_000
"""The first PostgreSQL whose gen_random_uuid() needs no extension."""
MIGRATION_LOCK = 0x7777666F
"""The advisory lock of a start that makes or migrates tables, so that replicas that start at once take turns."""

_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
_OURS = "SELECT to_regclass('line') IS NOT NULL AND to_regclass('home') IS NOT NULL"


def prepare(database: Database, *, steps: Sequence[Step] = STEPS) -> None:
    """
    Make missing tables, and bring earlier ones up to date.

    Raises OutboxError for tables of a newer program or of another one.
    """
    newest = 1 + len(steps)
    with opened_connection(database) as connection:
        _require_server(connection, database)
        connection.begin()
        connection.execute("SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))
        # The version is read under the lock, because another replica may have migrated while this one waited.
        version = schema_version(connection, database, newest=newest)
        if version is None:
            make(connection, database, version=newest)
        elif version < newest:
            # The line is locked before the steps lock homes, as by the replicas that run.
            connection.execute("SELECT 1 FROM line FOR UPDATE")
            for step in steps[version - 1 :]:
                step(connection)
            connection.execute("UPDATE line SET schema = ?", (newest,))
        connection.commit()


def exists(database: Database) -> bool:
    with opened_connection(database) as connection:
        return schema_version(connection, database) is not None


def remarks(database: Database) -> list[str]:
    """Remarks on the database for its operator. Raises OutboxError when no service can start on it."""
    with opened_connection(database) as connection:
        _require_server(connection, database)
        if schema_version(connection, database) is None:
            _refuse_other_tables(connection, database)
        _refuse_shared_sessions(connection, database)
        (standbys,) = connection.execute("SHOW synchronous_standby_names").fetchone()
    if standbys.strip():
        return []
    remark = (
        f"{database} waits for no standby (synchronous_standby_names is empty): a failover to one would lose what was"
        " acknowledged last"
    )
    return [remark]


def _refuse_shared_sessions(connection: PostgresConnection, database: Database) -> None:
    """
    Refuse a pooler that gives each transaction another session, because settings and locks belong to one.

    A pooler tells its own process id instead of the server's. In that case one session leaves a setting, and a second
    one begins a transaction: a pooler of transactions gives it the server's session that has just become free.
    """
    (backend,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    if backend == connection.raw.info.backend_pid:
        return
    connection.raw.execute("SET forwarder.session = 'kept'")
    with opened_connection(database) as second:
        second.begin()
        second.execute("SELECT pg_backend_pid()")
        (kept,) = connection.execute("SELECT current_setting('forwarder.session', true)").fetchone()
        second.roll_back()
    if kept != "kept":
        raise OutboxError(
            f"{database} is reached through a pooler in transaction mode, which keeps no session; name the server"
            " itself in FORWARDER_OUTBOX_URL, or pool sessions"
        )


def schema_version(
    connection: PostgresConnection, database: Database, *, newest: int = 1 + len(STEPS)
) -> int | None:
    """The tables' version; None without tables. Raises OutboxError for a newer version."""
    (is_ours,) = connection.execute(_OURS).fetchone()
    if not is_ours:
        return None
    (version,) = connection.execute("SELECT schema FROM line").fetchone()
    if version > newest:
        raise OutboxError(
            f"the outbox {database} was written by a newer forwarder (schema {version}, this one knows {newest});"
            " run that version or newer"
        )
    return int(version)


def _require_server(connection: PostgresConnection, database: Database) -> None:
    if connection.raw.info.server_version < OLDEST_SERVER:
        raise OutboxError(f"{database} is older than PostgreSQL 13; use a newer server")


def make(
    connection: PostgresConnection, database: Database, *, version: int = 1 + len(STEPS)
) -> None:
    """Make the tables, within the caller's transaction. Raises OutboxError when there are others."""
    _refuse_other_tables(connection, database)
    schema = files("forwarder.outbox.postgresql").joinpath("schema.sql")
    connection.raw.execute(schema.read_text(encoding="utf-8").encode())
    connection.execute("INSERT INTO line (schema) VALUES (?)", (version,))


def _refuse_other_tables(connection: PostgresConnection, database: Database) -> None:
    if connection.execute(_TABLES).fetchone()[0]:
        raise OutboxError(
            f"{database} holds the tables of another program; give the forwarder a database or a schema of its own"
            " with FORWARDER_OUTBOX_URL"
        )
