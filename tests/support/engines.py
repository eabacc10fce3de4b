"""The engines under the conformance suite, with the faults and looks that its tests need beside the interface."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from psycopg import sql
from psycopg.errors import DiskFull
from psycopg.rows import dict_row

from forwarder.clock import Clock
from forwarder.delivery import Delivery
from forwarder.errors import OutboxUnavailable
from forwarder.outbox import Operation, Outbox, Replay, Selection, opened
from forwarder.outbox.capacity import quarantine_share
from forwarder.outbox.changes import Applied, Changes, LaneKey
from forwarder.outbox.engine import Engine, Limits, Look, Standing
from forwarder.outbox.outbox import MEMORY_LIMIT
from forwarder.outbox.postgresql import schema
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.postgresql.engine import PostgresEngine
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.engine import SqliteEngine
from forwarder.settings import Database, OutboxPlace

Row = dict[str, Any]


MEMBER = "under-test"
"""The name of the one replica on a database, unless a test names several."""


class EngineUnderTest(Engine, Protocol):
    """An engine whose disk a test controls."""

    waits: list[bool]
    """Whether each transaction waited for the disk."""
    read: int
    """How many deliveries were read back."""
    is_over_limit: bool
    """Whether the engine pretends to be at its size limit."""

    def rows(self, table: str) -> list[Row]:
        """The rows of a table."""

    def fill(self) -> None:
        """Make the disk take nothing more."""

    def make_room(self) -> None:
        """Make the disk take everything again."""

    def refuse_writes(self) -> None:
        """Make the disk refuse every write, even one in place of other data."""

    def accept_writes(self) -> None:
        """End `refuse_writes`."""

    def fail_next_look(self) -> None:
        """Make the next look for a command's changes fail."""

    def unreadable(self, error: Exception | None = None) -> Any:
        """A context in which nothing can be read: heads raise `error`, by default one of the disk."""

    def held_reads(self) -> Any:
        """A context in which heads are read only once its event is set."""

    def leave_transaction_open(self) -> None:
        """Leave a transaction open, as a commit that broke off does."""


class SqliteUnderTest(SqliteEngine):
    """See `EngineUnderTest`."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path, limits=limits)
        self.waits: list[bool] = []
        self.read = 0
        self.is_over_limit = False
        self._fails_to_look = False
        self._unreadable: Exception | None = None
        self._may_read = threading.Event()
        self._may_read.set()

    @property
    def standing(self) -> Standing:
        standing = super().standing
        return standing._replace(is_full=self.is_over_limit or standing.is_full)

    def rows(self, table: str) -> list[Row]:
        with closing(outbox_file.connect(self._path, is_read_only=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]

    def fill(self) -> None:
        """Fill the disk in SQLite's own way: it allows no more pages than there are."""
        pages = outbox_file.pragma(self._connection, "page_count")
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def make_room(self) -> None:
        self._connection.execute("PRAGMA max_page_count = 1000000")

    def refuse_writes(self) -> None:
        self._connection.execute("PRAGMA query_only = ON")

    def accept_writes(self) -> None:
        self._connection.execute("PRAGMA query_only = OFF")

    def apply(self, changes: Changes, *, now: float) -> Applied:
        applied = super().apply(changes, now=now)
        self.waits.append(changes.waits_for_disk)
        return applied

    def fail_next_look(self) -> None:
        self._fails_to_look = True

    def look(self) -> Look:
        if self._fails_to_look:
            self._fails_to_look = False
            raise OutboxUnavailable("no")
        return super().look()

    @contextmanager
    def unreadable(self, error: Exception | None = None) -> Iterator[None]:
        self._unreadable = error or OutboxUnavailable("no")
        yield
        self._unreadable = None

    @contextmanager
    def held_reads(self) -> Iterator[threading.Event]:
        self._may_read.clear()
        try:
            yield self._may_read
        finally:
            self._may_read.set()

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        assert self._may_read.wait(10)
        if self._unreadable is not None:
            raise self._unreadable
        heads = super().heads(wanted)
        self.read += sum(map(len, heads.values()))
        return heads

    def leave_transaction_open(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.execute("DELETE FROM delivery")


class PostgresUnderTest(PostgresEngine):
    """See `EngineUnderTest`."""

    def __init__(
        self, database: Database, *, limits: Limits, member: str = MEMBER, leads: bool = True
    ) -> None:
        self.waits: list[bool] = []
        self.read = 0
        self.is_over_limit = False
        self._fails_to_look = self._refuses = False
        self._unreadable: Exception | None = None
        self._may_read = threading.Event()
        self._may_read.set()
        with opened_connection(database) as connection:
            join = "INSERT INTO member (id, name, version) VALUES (?, ?, '') ON CONFLICT DO NOTHING"
            connection.execute(join, (member, member))
            if leads:
                connection.execute("UPDATE line SET owner = ?", (member,))
        super().__init__(database, member=member, limits=limits)

    @property
    def standing(self) -> Standing:
        standing = super().standing
        return standing._replace(is_full=self.is_over_limit or standing.is_full)

    def rows(self, table: str) -> list[Row]:
        query = sql.SQL("SELECT * FROM {} ORDER BY 1, 2").format(sql.Identifier(table))
        with opened_connection(self._database) as connection:
            return connection.raw.cursor(row_factory=dict_row).execute(query).fetchall()

    def fill(self) -> None:
        """Make the disk refuse further bodies by a constraint, because a test cannot fill a real one."""
        self._execute("ALTER TABLE body ADD CONSTRAINT full_disk CHECK (false) NOT VALID")

    def make_room(self) -> None:
        self._execute("ALTER TABLE body DROP CONSTRAINT full_disk")

    def refuse_writes(self) -> None:
        self._refuses = True

    def accept_writes(self) -> None:
        self._refuses = False

    def _bring_in(self, changes: Changes, now: float) -> Applied:
        applied = super()._bring_in(changes, now)
        if self._refuses:
            raise DiskFull("no space left on device")
        return applied

    def _execute(self, statement: str) -> None:
        with opened_connection(self._database) as connection:
            connection.execute(statement)

    def apply(self, changes: Changes, *, now: float) -> Applied:
        applied = super().apply(changes, now=now)
        self.waits.append(changes.waits_for_disk)
        return applied

    def fail_next_look(self) -> None:
        self._fails_to_look = True

    def look(self) -> Look:
        if self._fails_to_look:
            self._fails_to_look = False
            raise OutboxUnavailable("no")
        return super().look()

    @contextmanager
    def unreadable(self, error: Exception | None = None) -> Iterator[None]:
        self._unreadable = error or OutboxUnavailable("no")
        yield
        self._unreadable = None

    @contextmanager
    def held_reads(self) -> Iterator[threading.Event]:
        self._may_read.clear()
        try:
            yield self._may_read
        finally:
            self._may_read.set()

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        assert self._may_read.wait(10)
        if self._unreadable is not None:
            raise self._unreadable
        heads = super().heads(wanted)
        self.read += sum(map(len, heads.values()))
        return heads

    def leave_transaction_open(self) -> None:
        self._writer.execute("BEGIN")
        self._writer.execute("DELETE FROM delivery")


def open_under_test(
    place: OutboxPlace,
    *,
    clock: Clock,
    max_bytes: int = 10 << 30,
    quarantine_max_bytes: int | None = None,
    memory_limit: int = MEMORY_LIMIT,
    member: str = MEMBER,
    leads: bool = True,
) -> tuple[Outbox, EngineUnderTest]:
    """The outbox of a place and its engine; `member` is the replica on a database."""
    share = quarantine_share(max_bytes) if quarantine_max_bytes is None else quarantine_max_bytes
    limits = Limits(max_bytes, share, keep_delivered_seconds=3600.0)
    engine: EngineUnderTest
    if isinstance(place, Path):
        outbox_file.create(place)
        engine = SqliteUnderTest(place, limits)
    else:
        schema.prepare(place)
        engine = PostgresUnderTest(place, member=member, leads=leads, limits=limits)
    outbox = Outbox(engine, place, clock=clock, limits=limits, memory_limit=memory_limit)
    return outbox, engine


class AnotherProcess:
    """A process beside the service that changes the outbox, as commands do."""

    def __init__(self, place: OutboxPlace) -> None:
        self._place = place

    def note(self, device: str) -> None:
        """Tell the service that a device's lanes have changed, although nothing has."""
        self.execute(
            "INSERT INTO touched_lane SELECT DISTINCT endpoint, device FROM delivery WHERE device = ?"
            " ON CONFLICT DO NOTHING",
            device,
        )

    def replay(self) -> None:
        """Replay all dead letters, as `forwarder dead-letters replay` does."""
        with opened(self._place) as access:
            for keys in access.choose_dead_letters(Selection()).chunks():
                access.operate(Replay(keys, now=0.0))

    def operate(self, operation: Operation[Any]) -> None:
        """Perform an operation, as a command does."""
        with opened(self._place) as access:
            access.operate(operation)

    def change_health(self) -> None:
        """Change the health of endpoints, which concerns no lane."""
        self.execute(f"UPDATE {self._accounts} SET last_error = 'dns'")

    def expire(self, delivery: Delivery) -> None:
        """Expire one delivery without a note of it."""
        expire = "UPDATE delivery SET state = 'expired', settled_at = 0 WHERE reading = ?"
        self.execute(expire, delivery.reading)
        self.execute(f"UPDATE {self._accounts} SET expired = expired + 1")

    @property
    def _accounts(self) -> str:
        return "endpoint" if isinstance(self._place, Path) else "home"

    def execute(self, statement: str, *parameters: object) -> None:
        if isinstance(self._place, Path):
            with closing(sqlite3.connect(self._place, timeout=10)) as file, file:
                file.execute(statement, parameters)
            return
        with opened_connection(self._place) as connection:
            connection.begin()
            connection.execute(statement, parameters)
            connection.execute("UPDATE command_count SET count = count + 1")
            connection.commit()


class HeldDisk:
    """Holds every transaction until `let_go`; the first one then fails if `fails` is set."""

    def __init__(self, engine: EngineUnderTest, *, fails: bool = False) -> None:
        self._engine = engine
        self._apply_through = engine.apply
        self._fails = fails
        self.is_reached = threading.Event()
        self._may_go = threading.Event()

    def __enter__(self) -> "HeldDisk":
        self._engine.apply = self._apply  # type: ignore[method-assign] # the disk that is held
        return self

    def __exit__(self, *_: object) -> None:
        self._may_go.set()
        self._engine.apply = self._apply_through  # type: ignore[method-assign]

    def let_go(self) -> None:
        self._may_go.set()

    def _apply(self, changes: Changes, *, now: float) -> Applied:
        self.is_reached.set()
        assert self._may_go.wait(10)
        if self._fails:
            self._fails = False
            raise OutboxUnavailable("no")
        return self._apply_through(changes, now=now)
