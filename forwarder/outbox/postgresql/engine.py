"""
The outbox on PostgreSQL: the tables behind one replica.

The commit thread writes over one session, the reader thread reads heads over another, and each account opens its own.
The engine opens a lost session anew at the next call. Nobody knows whether its last commit came about, so the engine
takes the line and its homes anew, and the next transaction counts every lane.

Each transaction moves the line on, or locks homes, before its first change, and compares their epochs with those that
this replica holds. Another epoch means that another replica has taken over, and nothing is changed.

A replica that leads knows what it puts. Any other one reads back what is put for its homes: its lanes hold all numbers
up to `seen`, and later numbers arrive with a later transaction. A count of a lane goes up to `seen` too, so no reading
is in both.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TypeVar

import psycopg
from psycopg import sql

from forwarder.delivery import Delivery
from forwarder.errors import OutboxTaken
from forwarder.outbox.changes import Applied, Changes, LaneKey, LaneRows
from forwarder.outbox.engine import HandedOver, Limits, Look, Standing, Start
from forwarder.outbox.intake import NewReading
from forwarder.outbox.operations import Lead, TakeHomes
from forwarder.outbox.postgresql import reading_back
from forwarder.outbox.postgresql.connection import (
    PostgresConnection,
    connect,
    insisting,
    opened_connection,
    translated,
)
from forwarder.outbox.postgresql.members import replicas
from forwarder.outbox.postgresql.size import ROW_BYTES, Size
from forwarder.outbox.postgresql.statements import TAKE_HOMES, Store
from forwarder.outbox.records import BEYOND_ALL, EndpointTotals, Overview
from forwarder.outbox.sql import queries
from forwarder.outbox.sql.bringing_in import bring_in
from forwarder.outbox.sql.operations import readings_in
from forwarder.settings import Database

T = TypeVar("T")

_TAKE_LINE = "UPDATE line SET epoch = epoch + 1 WHERE owner = ? RETURNING epoch"
_OURS = """
    SELECT endpoint, epoch, name FROM home JOIN endpoint_row ON id = endpoint
    WHERE shard = 0 AND owner = ?"""
_LOCK = """
    SELECT endpoint, epoch FROM home WHERE shard = 0 AND endpoint = ANY(?) ORDER BY endpoint FOR UPDATE"""
_LOCK_ALL = "SELECT endpoint, epoch FROM home WHERE shard = 0 ORDER BY endpoint FOR UPDATE"
# The id is no parameter, because a statement without parameters is planned once. Every replica looks after each of the
# leader's transactions.
_LOOK = """
    SELECT count, last, EXISTS (SELECT 1 FROM home WHERE shard = 0 AND owner IS DISTINCT FROM {member}),
        EXISTS (SELECT 1 FROM touched_lane t JOIN home h USING (endpoint) WHERE h.shard = 0 AND h.owner = {member})
    FROM command_count, line"""
_HAS_NOTED = "SELECT EXISTS (SELECT 1 FROM touched_lane)"


class PostgresEngine:
    """See `Engine`; `member` is the id of this replica, which leads where it owns the line."""

    def __init__(self, database: Database, *, member: str, limits: Limits) -> None:
        self._database = database
        self._member = member
        self._looking = _LOOK.format(member=sql.quote(member))
        self._limits = limits
        self._size = Size()
        self._line_epoch: int | None = None
        """None while another replica leads."""
        self._homes: dict[int, int] = {}
        """This replica's epochs by endpoint, as of the last commit."""
        self._seen = self._last = 0
        """The number up to which this replica's lanes hold every reading, and the line's last one at the last look."""
        self._acknowledged = 0
        """The last number that a confirmed commit of this replica has reserved."""
        self._missing = 0
        """How many of the confirmed readings, at most, the database came back without."""
        self._is_noted = False
        """Whether a lane of this replica's homes was noted, as of the last look."""
        self._is_uncertain = False
        """Whether a transaction may have been committed without a confirmation."""
        self._commands_seen = self._commands_answered = -1
        """The count of commands at the last look, and at the last answered by `apply`; they differ after a command."""
        self._reader: PostgresConnection | None = None
        self._endpoint_ids: dict[str, int] = {}
        with translated(database):
            insisting(self._open)
            self._size.measure(self._writer, now=time.monotonic())
            self.look()
        self._commands_answered = self._commands_seen

    # Hold.

    def _open(self) -> None:
        self._writer = _writing(self._database, self._member)
        self._store = Store(self._writer, member=self._member)
        self._take_all()

    def _take_all(self) -> None:
        """
        Raise the epochs of everything that this replica owns, so that sessions with the old ones change nothing more.

        A session that could not raise them is closed, because no transaction may begin before that.
        """
        try:
            self._raise_epochs()
        except BaseException:
            self._writer.close()
            raise
        # The line stands behind a confirmed number only where a failover has lost commits.
        if self._acknowledged > self._last:
            self._missing += self._acknowledged - self._last
            self._acknowledged = self._last

    def _raise_epochs(self) -> None:
        """Raise them in one transaction, and hold them only once it is committed."""
        writer = self._writer
        writer.begin()
        # The line is locked before any home, as in every transaction.
        row = writer.execute(_TAKE_LINE, (self._member,)).fetchone()
        if row is None and self._line_epoch is not None:
            raise _taken(self._database)
        # Homes are locked in their order first, because an UPDATE of many locks them in any order.
        writer.execute(_LOCK_ALL)
        writer.execute(TAKE_HOMES, (self._member, self._member))
        homes = writer.execute(_OURS, (self._member,)).fetchall()
        (last,) = writer.execute("SELECT last FROM line").fetchone()
        writer.commit()
        self._line_epoch = row[0] if row else None
        self._last = self._seen = last
        self._hold_homes(homes)

    def _recall_homes(self) -> None:
        self._hold_homes(self._writer.execute(_OURS, (self._member,)).fetchall())

    def _hold_homes(self, rows: list[tuple[int, int, str]]) -> None:
        """Hold homes, given as (endpoint, epoch, name)."""
        self._homes = {endpoint: epoch for endpoint, epoch, _ in rows}
        self._store.homes = self._homes.copy()
        self._store.names = {endpoint: name for endpoint, _, name in rows}

    def _connected(self) -> PostgresConnection:
        """The session that writes; a lost one is opened anew, which takes the line and the homes anew."""
        if self._writer.is_lost:
            self._is_uncertain = True
            self._open()
        return self._writer

    # Read.

    @property
    def standing(self) -> Standing:
        return Standing(
            is_full=self._size.readings_bytes >= self._limits.readings_max_bytes,
            used_bytes=self._size.used_bytes,
            missing=self._missing,
            leads=self._line_epoch is not None,
        )

    def start(self) -> Start:
        return Start(self._here(), self._lanes(), self.totals())

    def _here(self) -> Collection[str]:
        names = self._store.names
        return frozenset(names[endpoint] for endpoint in self._store.homes)

    def _lanes(self) -> Iterator[tuple[LaneKey, LaneRows]]:
        with opened_connection(self._database) as connection:
            horizon = self._seen if self._line_epoch is None else BEYOND_ALL
            yield from reading_back.lanes(connection, self._homes, upto=horizon)

    def handed_over(self) -> HandedOver:
        return read(self._database, handed_over)

    def log_length(self) -> int:
        return read(self._database, queries.log_length)

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        with translated(self._database):
            if self._reader is None or self._reader.is_lost:
                self._reader = connect(self._database, member=self._member)
            return reading_back.heads(self._reader, wanted, self._endpoint_ids)

    def totals(self) -> list[EndpointTotals]:
        return read(self._database, queries.totals)

    def overview(self) -> Overview:
        return read(self._database, overview)

    # Write.

    def look(self) -> Look:
        with translated(self._database):
            row = self._connected().execute(self._looking).fetchone()
        self._commands_seen, self._last, self._store.has_others, self._is_noted = row
        return Look(
            has_foreign_change=self._commands_seen != self._commands_answered,
            has_arrivals=self._line_epoch is None and (self._last > self._seen or self._is_noted),
        )

    def apply(self, changes: Changes, *, now: float) -> Applied:
        puts = _puts_of(changes)
        with translated(self._database):
            writer = self._connected()
            if (alone := self._read_alone(changes)) is not None:
                self._commands_answered = self._commands_seen
                return alone
            try:
                if puts is not None and self._line_epoch is None:
                    self._begin_to_lead()
                # A commit without confirmation may have taken or released homes, so the table says which they are.
                if self._is_uncertain:
                    self._recall_homes()
                writer.begin(waits_for_disk=changes.waits_for_disk)
                self._fence(changes, puts)
                applied = self._bring_in(changes, now)
                self._commit()
            except BaseException:
                self._store.forget()
                self._store.recall(self._homes)
                writer.roll_back()
                raise
            if puts is not None:
                self._acknowledged = self._store.reserved
            self._note(changes, applied)
        return applied

    def _read_alone(self, changes: Changes) -> Applied | None:
        """Read back what the leader has put, in one statement; None when something is to be changed as well."""
        is_calm = not (self._is_uncertain or self._is_noted)
        if changes or not is_calm or self._line_epoch is not None:
            return None
        arrived, self._seen = self._arrived()
        return Applied(arrived=arrived, has_more=self._seen < self._last)

    def _begin_to_lead(self) -> None:
        """Take the line, and have every lane counted, because readings of the last leader may not have arrived yet."""
        row = self._writer.execute(_TAKE_LINE, (self._member,)).fetchone()
        if row is None:
            raise _taken(self._database)
        self._line_epoch = row[0]
        self._is_uncertain = True

    def _fence(self, changes: Changes, puts: int | None) -> None:
        """Lock the line and homes, and see whether lanes are noted. Raises OutboxTaken when an epoch is another one."""
        store = self._store
        store.leads = self._line_epoch is not None
        # The line is locked before any home, as in every transaction, so that no two of them wait in a circle.
        if puts is not None:
            has_noted = store.reserve(puts, epoch=self._line_epoch)
            if has_noted is None:
                raise _taken(self._database)
            store.has_noted_lanes = has_noted
        else:
            (store.has_noted_lanes,) = self._writer.execute(_HAS_NOTED).fetchone()
        self._lock_homes(changes)
        if store.has_noted_lanes and store.leads:
            store.take_noted()

    def _lock_homes(self, changes: Changes) -> None:
        """
        Lock the homes that the changes concern, in the order of endpoints, so that no two transactions form a circle.

        An operation concerns all homes of this replica, and everybody's when this replica leads or takes some. A noted
        lane does too, because commands note under the locks of all homes: those under way end before it is counted.
        """
        ours = set(self._homes) if changes.operations else self._concerned(changes)
        if self._store.has_noted_lanes:
            ours.update(self._homes)
        is_of_many = bool(changes.operations) or self._store.has_noted_lanes
        if is_of_many and (self._line_epoch is not None or _takes_homes(changes)):
            rows = self._writer.execute(_LOCK_ALL)
        elif ours:
            rows = self._writer.execute(_LOCK, (sorted(ours),))
        else:
            return
        epochs = dict(rows.fetchall())
        if any(epochs.get(one) != self._homes.get(one) for one in ours):
            raise _taken(self._database)

    def _concerned(self, changes: Changes) -> set[int]:
        settled = {one.deliveries[0].endpoint for one in changes.settlements if one.deliveries}
        names = settled.union(changes.health, changes.gone, (name for name, _ in changes.latest))
        return {self._store.endpoint_id(name) for name in names}

    def _bring_in(self, changes: Changes, now: float) -> Applied:
        """Read what has arrived before anything is counted, so that a count includes it."""
        store = self._store
        arrived, seen = self._arrived()
        store.horizon = seen if self._line_epoch is None else BEYOND_ALL
        applied = bring_in(store, changes, now=now, limits=self._limits, engine_error=psycopg.Error)
        applied.arrived = arrived
        # A leader has put all readings itself, except those of commands, which note their lanes.
        applied.has_more = self._line_epoch is None and seen < self._last
        self._count_more(applied)
        store.drop_unneeded()
        self._seen_next = seen
        return applied

    def _arrived(self) -> tuple[list[Delivery], int]:
        """The deliveries that others have put for this replica's homes, and the number up to which they were read."""
        if self._line_epoch is not None or self._last <= self._seen:
            return [], self._seen
        if not self._homes:
            return [], self._last
        # Every reading up to the line's number is committed, because its transaction locks the line until the commit.
        upto = min(self._last, self._seen + reading_back.MOST_NUMBERS)
        names = self._store.names
        return reading_back.arrivals(self._writer, names, after=self._seen, upto=upto), upto

    def _count_more(self, applied: Applied) -> None:
        """Count the lanes that the loop does not know yet, or may be wrong about."""
        store = self._store
        horizon = store.horizon
        if self._is_uncertain:
            counted = reading_back.lanes(self._writer, store.homes, upto=horizon)
            applied.counted, applied.is_whole = dict(counted), True
        elif store.taken:
            applied.counted |= dict(reading_back.lanes(self._writer, store.taken, upto=horizon))
        if self._is_uncertain or store.homes.keys() != self._homes.keys():
            applied.homes = self._here()

    def _commit(self) -> None:
        try:
            self._writer.commit()
        except BaseException:
            # The server may have committed before the answer was lost.
            self._is_uncertain = True
            raise
        self._is_uncertain = False

    def _note(self, changes: Changes, applied: Applied) -> None:
        store = self._store
        store.devices.remember_erased(applied.forgotten)
        self._commands_answered = self._commands_seen
        self._homes = store.homes.copy()
        store.taken.clear()
        self._seen = self._seen_next
        for one in chain.from_iterable(changes.puts):
            if isinstance(one, NewReading) and one.recipients:
                rows = 1 + len(one.recipients)
                self._size.readings_bytes += len(one.data) + rows * ROW_BYTES
        self._size.readings_bytes -= store.take_dropped_bytes()
        # Everything is committed, so a measurement that fails must not have it brought in once more.
        with suppress(psycopg.Error):
            self._size.measure(self._writer, now=time.monotonic())

    def trim(self) -> None:
        """PostgreSQL reuses free space by itself."""

    def close(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()


def _writing(database: Database, member: str) -> PostgresConnection:
    """Open a session that looks through no table where an index fits, whatever the planner believes of the table."""
    connection = connect(database, member=member)
    with translated(database):
        connection.raw.execute("SET enable_seqscan = off")
    return connection


def _taken(database: Database) -> OutboxTaken:
    return OutboxTaken(
        f"another forwarder has taken over the outbox {database}; this one has to start anew"
    )


def _puts_of(changes: Changes) -> int | None:
    """How many readings the changes put at most; None when they do not need the line."""
    puts = sum(isinstance(one, NewReading) for one in chain.from_iterable(changes.puts))
    puts += readings_in(changes.operations)
    needs_line = changes.puts or puts or any(isinstance(one, Lead) for one in changes.operations)
    return puts if needs_line else None


def _takes_homes(changes: Changes) -> bool:
    return any(isinstance(one, TakeHomes) for one in changes.operations)


def overview(connection: PostgresConnection) -> Overview:
    return replace(queries.overview(connection), replicas=replicas(connection))


def handed_over(connection: PostgresConnection) -> HandedOver:
    return HandedOver(list(queries.devices(connection)), queries.told(connection))


def read(database: Database, query: Callable[[PostgresConnection], T]) -> T:
    """Answer a query as of one instant, over a session of its own; any thread may call it."""
    with opened_connection(database) as connection:
        connection.begin_snapshot()
        return query(connection)
