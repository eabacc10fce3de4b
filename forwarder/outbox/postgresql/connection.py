"""
Connections to PostgreSQL, and the translation of its errors.

PostgreSQL makes commits durable: each returns once it is on disk, and on the disk of a synchronous standby, if there is
one. PostgreSQL reports a cancelled wait for that standby as a success with a WARNING, which counts as a failure here.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import Buffer
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrBinaryDumper, StrDumper

from forwarder.errors import OutboxError, OutboxUnavailable, SettingsError
from forwarder.outbox.sql.connection import Cursor
from forwarder.settings import Database

LATENESS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 4000,
}
"""A connection notices after some seconds that its server is gone without a word, unless the URL says otherwise."""
WRITABLE = {"target_session_attrs": "read-write"}
"""A connection refuses a standby, to which an address may lead for a moment; the URL may say otherwise here too."""
SESSION = """
    SET idle_in_transaction_session_timeout = '5s';
    SET plan_cache_mode = force_custom_plan;
    SET jit = off;
    SET tcp_keepalives_idle = 2;
    SET tcp_keepalives_interval = 1;
    SET tcp_keepalives_count = 2;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"""
"""
The server ends a transaction that its client has left, and with it the locks, and a session whose machine is gone.

It plans each statement anew, because it would keep a plan that was made while the tables were empty. A commit waits at
least for the disk, and for a synchronous standby's, because any other commit promises nothing.
"""

TRIES = 5
"""A transaction is tried this often while another one stands in its way."""

T = TypeVar("T")

_IN_THE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_ARRAY = re.compile(r"\?(?=::\w+\[\])")


class PlainText(StrDumper):
    """Dumps text as PostgreSQL takes it, because strangers choose names, and not all their text is text there."""

    def dump(self, obj: str) -> Buffer | None:
        if "\0" in obj or not obj.isascii():
            obj = as_kept(obj)
        return super().dump(obj)


class PlainBinaryText(StrBinaryDumper):
    """Dumps the same text inside an array."""

    def dump(self, obj: str) -> Buffer | None:
        if "\0" in obj or not obj.isascii():
            obj = as_kept(obj)
        return super().dump(obj)


def as_kept(text: str) -> str:
    """The text as it will be read back; U+0000 and half a surrogate pair are replaced."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


class PostgresConnection:
    """One session in autocommit mode; see `sql.connection.Connection`."""

    def __init__(self, raw: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.raw = raw
        self._warnings: list[str] = []
        raw.add_notice_handler(self._on_notice)

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "a warning")

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        try:
            return self.raw.execute(native(statement), parameters)
        except psycopg.errors.ReadOnlySqlTransaction:
            # The server is a standby, perhaps since a failover; a new session may lead to the one that takes writes.
            self.close()
            raise

    def read(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Execute a query whose answer comes in binary form, because text form spells out bytes."""
        return self.raw.execute(native(statement), parameters, binary=True)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self.raw.cursor() as cursor:
            cursor.executemany(native(statement), rows)

    @property
    def is_lost(self) -> bool:
        return self.raw.closed or self.raw.broken

    def begin(self, *, waits_for_disk: bool = True) -> None:
        """Begin a transaction; one that was left open is rolled back."""
        if self.raw.info.transaction_status != TransactionStatus.IDLE:
            self.raw.execute("ROLLBACK")
        self._warnings.clear()
        # READ COMMITTED, the default: a statement after a lock sees what the lock's last holder has committed.
        self.raw.execute("BEGIN" if waits_for_disk else "BEGIN; SET LOCAL synchronous_commit = off")

    def begin_snapshot(self) -> None:
        """Begin a transaction that reads everything as of one instant, and changes nothing."""
        self.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def commit(self) -> None:
        """Raises OutboxUnavailable when no standby confirms the commit; it may stand, and is to be brought in again."""
        self.raw.execute("COMMIT")
        if self._warnings:
            raise OutboxUnavailable(
                f"the database has not confirmed a commit: {self._warnings[-1]}"
            )

    def roll_back(self) -> None:
        if not self.is_lost and self.raw.info.transaction_status != TransactionStatus.IDLE:
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        self.raw.close()


@lru_cache(maxsize=512)
def native(statement: str) -> bytes:
    """
    The statement with psycopg's parameters in place of `?`.

    Arrays go in binary form, because as text a reading of 500 bytes costs 12 µs more here, and as much at the server.
    """
    escaped = statement.replace("%", "%%")
    return _ARRAY.sub("%b", escaped).replace("?", "%s").encode()


def connect(database: Database, *, member: str = "") -> PostgresConnection:
    """
    Open a session; `member` names its replica, so that others can end the session once that replica is dead.

    Raises SettingsError when the URL cannot be read, and OutboxUnavailable when there is no way to the database.
    """
    try:
        given = conninfo.conninfo_to_dict(database.url)
    except psycopg.ProgrammingError:
        # The error's own text may hold a part of the URL, and so of the password.
        raise SettingsError(
            "FORWARDER_OUTBOX_URL: expected postgresql://user:password@host:5432/database"
        ) from None
    # psycopg logs nothing that it does not raise as well.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    name = f"forwarder {member}" if member else "forwarder"
    settings: dict[str, Any] = {**LATENESS, **WRITABLE, **given, "application_name": name}
    with translated(database):
        raw = psycopg.connect(**settings, autocommit=True)
        raw.adapters.register_dumper(str, PlainText)
        raw.adapters.register_dumper(str, PlainBinaryText)
        raw.execute(SESSION)
    return PostgresConnection(raw)


def insisting(do: Callable[[], T]) -> T:
    """Call `do`, again while another transaction stands in its way, because the server chooses which of two yields."""
    for _ in range(TRIES - 1):
        try:
            return do()
        except _IN_THE_WAY:
            continue
    return do()


@contextmanager
def opened_connection(database: Database) -> Iterator[PostgresConnection]:
    connection = connect(database)
    try:
        with translated(database):
            yield connection
    finally:
        connection.close()


@contextmanager
def translated(database: Database) -> Iterator[None]:
    """Turn psycopg's errors into the outbox's, each one sentence."""
    try:
        yield
    except psycopg.Error as error:
        raise translation(error, database) from error


def translation(error: psycopg.Error, database: Database) -> OutboxError:
    """The outbox's error; nearly every one is worth trying again."""
    said = error.diag.message_primary or str(error).partition("\n")[0]
    if isinstance(error, psycopg.errors.DiskFull):
        said = "its disk is full; make room on it"
    return OutboxUnavailable(f"the outbox {database} takes no writes: {said}")
