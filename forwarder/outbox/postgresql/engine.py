"""
The outbox on PostgreSQL: the tables behind one replica.

Three sessions: one that writes, of the commit thread; one that reads heads, of the reader thread; and one for each
account of it all. A session that is lost is opened anew at the next call. What its last commit came to is then unknown,
so the next transaction counts every lane.

Before its first change each transaction moves the line on, or locks homes, under the epochs that this replica holds.
Where they are others', another replica has taken over, and nothing is changed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import TypeVar

import psycopg

from forwarder.delivery import Delivery
from forwarder.errors import OutboxTaken
from forwarder.outbox.changes import Applied, Changes, LaneKey, LaneRows
from forwarder.outbox.intake import NewReading
from forwarder.outbox.postgresql.connection import (
    PostgresConnection,
    connect,
    opened_connection,
    translated,
)
from forwarder.outbox.postgresql.members import replicas
from forwarder.outbox.postgresql.size import ROW_BYTES, Size
from forwarder.outbox.postgresql.statements import Store
from forwarder.outbox.records import DeviceRecord, EndpointTotals, Overview
from forwarder.outbox.sql import queries
from forwarder.outbox.sql.bringing_in import bring_in
from forwarder.outbox.sql.operations import readings_in
from forwarder.settings import Database

T = TypeVar("T")

_TAKE_LINE = "UPDATE line SET epoch = epoch + 1 WHERE owner = ? RETURNING epoch"
_TAKE_HOMES = """
    UPDATE home SET owner = ?, epoch = epoch + 1 WHERE shard = 0 RETURNING endpoint, epoch"""
_RETAKE_HOMES = """
    UPDATE home SET owner = ?, epoch = epoch + 1 WHERE shard = 0 AND (owner = ? OR owner IS NULL)
    RETURNING endpoint, epoch"""
_HOMES = "SELECT endpoint, epoch FROM home WHERE shard = 0 ORDER BY endpoint FOR UPDATE"
_COMMANDS = "SELECT count FROM command_count"
_HAS_NOTED = "SELECT EXISTS (SELECT 1 FROM touched_lane)"


class PostgresEngine:
    """See `Engine`; `member` is the id of this replica, which owns the line."""

    def __init__(
        self,
        database: Database,
        *,
        member: str,
        max_bytes: int,
        quarantine_max_bytes: int,
        keep_delivered_seconds: float,
    ) -> None:
        self._database = database
        self._member = member
        self._max_bytes = max_bytes - quarantine_max_bytes
        self._quarantine_max_bytes = quarantine_max_bytes
        self._keep_delivered_seconds = keep_delivered_seconds
        self._size = Size()
        self._line_epoch = 0
        self._homes: dict[int, int] = {}
        """Epochs by endpoint."""
        self._is_uncertain = False
        """Whether a transaction may have come to something that nobody heard of."""
        self._commands = -1
        self._reader: PostgresConnection | None = None
        self._endpoint_ids: dict[str, int] = {}
        self._writer = connect(database, member=member)
        self._store = Store(self._writer, member=member)
        with translated(database):
            self._take(_TAKE_LINE, (member,), _TAKE_HOMES, (member,))
            self._size.measure(self._writer, now=time.monotonic())
            self.has_foreign_change()

    # What is held.

    def _take(
        self, line: str, of_line: tuple[str, ...], homes: str, of_homes: tuple[str, ...]
    ) -> None:
        """Raise the epochs of what is ours: whatever another session of ours, or of others, does with them fails."""
        self._writer.begin()
        row = self._writer.execute(line, of_line).fetchone()
        if row is None:
            self._writer.roll_back()
            raise self._taken()
        self._line_epoch = row[0]
        self._homes = dict(self._writer.execute(homes, of_homes).fetchall())
        self._writer.commit()

    def _taken(self) -> OutboxTaken:
        return OutboxTaken(
            f"another forwarder has taken over the outbox {self._database}; this one has to start anew"
        )

    def _connected(self) -> PostgresConnection:
        """The session that writes; after a loss a new one, for which everything of ours is taken anew."""
        if self._writer.is_lost:
            self._is_uncertain = True
            self._writer = connect(self._database, member=self._member)
            self._store = Store(self._writer, member=self._member)
            self._take(_TAKE_LINE, (self._member,), _RETAKE_HOMES, (self._member, self._member))
        return self._writer

    # What is read.

    @property
    def is_full(self) -> bool:
        return self._size.readings_bytes >= self._max_bytes

    @property
    def used_bytes(self) -> int:
        return self._size.used_bytes

    def lanes(self) -> Iterator[tuple[LaneKey, LaneRows]]:
        with opened_connection(self._database) as connection:
            yield from queries.lanes(connection)

    def devices(self) -> Iterator[tuple[int, DeviceRecord]]:
        with opened_connection(self._database) as connection:
            yield from queries.devices(connection)

    def log_length(self) -> int:
        return read(self._database, queries.log_length)

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        with translated(self._database):
            if self._reader is None or self._reader.is_lost:
                self._reader = connect(self._database, member=self._member)
            return queries.heads(self._reader, wanted, self._endpoint_ids)

    def totals(self) -> list[EndpointTotals]:
        return read(self._database, queries.totals)

    def overview(self) -> Overview:
        return read(self._database, overview)

    def told(self) -> dict[str, str]:
        return read(self._database, queries.told)

    # What is written.

    def has_foreign_change(self) -> bool:
        with translated(self._database):
            (count,) = self._connected().execute(_COMMANDS).fetchone()
        before, self._commands = self._commands, count
        return bool(before != count)

    def apply(self, changes: Changes, *, now: float) -> Applied:
        with translated(self._database):
            writer = self._connected()
            try:
                writer.begin(waits_for_disk=changes.waits_for_disk)
                self._fence(changes)
                applied = self._bring_in(changes, now)
                if self._is_uncertain:
                    self._count_all(applied)
                self._commit()
            except BaseException:
                self._store.forget()
                writer.roll_back()
                raise
            self._note(changes, applied)
        return applied

    def _fence(self, changes: Changes) -> None:
        """Lock what is ours, and see what commands have noted. Raises OutboxTaken when it is ours no more."""
        store = self._store
        puts = sum(isinstance(one, NewReading) for one in chain.from_iterable(changes.puts))
        puts += readings_in(changes.operations)
        if changes.puts or puts:
            has_noted = store.reserve(puts, epoch=self._line_epoch)
            if has_noted is None:
                raise self._taken()
            store.has_noted_lanes = has_noted
        else:
            (store.has_noted_lanes,) = self._writer.execute(_HAS_NOTED).fetchone()
        if changes.settlements or changes.operations or changes.health or changes.gone:
            self._lock_homes()

    def _lock_homes(self) -> None:
        epochs = dict(self._writer.execute(_HOMES).fetchall())
        if any(epochs.get(endpoint) != epoch for endpoint, epoch in self._homes.items()):
            raise self._taken()
        if len(epochs) > len(self._homes):  # a command has owed something to a new endpoint
            taken = self._writer.execute(_RETAKE_HOMES, (self._member, self._member)).fetchall()
            self._homes = dict(taken)
            self._is_uncertain = True

    def _bring_in(self, changes: Changes, now: float) -> Applied:
        return bring_in(
            self._store,
            changes,
            now=now,
            content_since=now - self._keep_delivered_seconds,
            quarantine_max_bytes=self._quarantine_max_bytes,
            engine_error=psycopg.Error,
        )

    def _count_all(self, applied: Applied) -> None:
        """Say how every lane stands: the loop knows less than it believes."""
        applied.counted = dict(queries.lanes(self._writer))
        applied.is_whole = True

    def _commit(self) -> None:
        try:
            self._writer.commit()
        except BaseException:
            self._is_uncertain = True
            raise
        self._is_uncertain = False

    def _note(self, changes: Changes, applied: Applied) -> None:
        store = self._store
        store.devices.remember_erased(applied.forgotten)
        self._homes.update(dict.fromkeys(store.new_homes, 1))
        store.new_homes.clear()
        for one in chain.from_iterable(changes.puts):
            if isinstance(one, NewReading) and one.recipients:
                rows = 1 + len(one.recipients)
                self._size.readings_bytes += len(one.data) + rows * ROW_BYTES
        self._size.readings_bytes -= store.take_dropped_bytes()
        self._size.measure(self._writer, now=time.monotonic())

    def trim(self) -> None:
        """PostgreSQL uses free space again by itself."""

    def close(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()


def overview(connection: PostgresConnection) -> Overview:
    return replace(queries.overview(connection), replicas=replicas(connection))


def read(database: Database, query: Callable[[PostgresConnection], T]) -> T:
    """What a query answers as of one instant, over a session of its own, from any thread."""
    with opened_connection(database) as connection:
        connection.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return query(connection)
