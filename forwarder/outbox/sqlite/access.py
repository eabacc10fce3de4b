"""
The outbox as a command opens it: beside the running service, or without one.

A command never holds the file for long. It reads in snapshots that end at once, and writes in chunks with pauses, so
that the service always gets its turn.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from forwarder.errors import OperationError
from forwarder.outbox.access import Chosen
from forwarder.outbox.operations import Operation
from forwarder.outbox.records import (
    DeliveryFile,
    DeliveryId,
    DeliveryRecord,
    DeviceRecord,
    Found,
    Overview,
    Purged,
    Quarantined,
    Selection,
)
from forwarder.outbox.sqlite import erasure, queries, records
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.operations import perform
from forwarder.outbox.sqlite.records import Clauses
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device, WebhookId

CHUNK = 500
"""Rows that one transaction changes at most."""
PAUSE_SECONDS = 0.02
"""The pause between two transactions, because SQLite's lock knows no turns and the service needs it all the time."""

_FOUND = """
    SELECT 'msg_' || lower(hex(r.id)), d.reading, d.endpoint, d.state
    FROM reading r JOIN delivery d ON d.reading = r.number WHERE {} ORDER BY d.reading, d.endpoint"""
_KNOWN = """
    SELECT EXISTS (SELECT 1 FROM reading WHERE device = :device)
    OR EXISTS (SELECT 1 FROM quarantine WHERE device = :device)
    OR EXISTS (SELECT 1 FROM device WHERE name = :device)"""
_MEASURED = """
    SELECT d.reading, d.endpoint FROM reading r JOIN delivery d ON d.reading = r.number
    WHERE r.measured_at = ? AND r.device = ? ORDER BY d.reading, d.endpoint"""

T = TypeVar("T")
K = TypeVar("K")


class SqliteAccess:
    """See `OutboxAccess`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._store = Store(connection)

    def operate(self, *operations: Operation[T]) -> list[T]:
        with outbox_file.translated(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                answers = [perform(self._store, one) for one in operations]
                self._store.add_totals()
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        return answers

    def _roll_back(self) -> None:
        self._store.forget()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Everything that is read inside is as of one instant."""
        with outbox_file.translated(self.path):
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self.connection.execute("ROLLBACK")

    def identity(self) -> str:
        with self._snapshot() as connection:
            return queries.identity(connection)

    def overview(self) -> Overview:
        with self._snapshot() as connection:
            return queries.overview(connection)

    def endpoint_names(self) -> list[str]:
        with self._snapshot() as connection:
            return list(queries.endpoint_ids(connection))

    def choose_dead_letters(self, selection: Selection) -> "ChosenRows[DeliveryId]":
        return self.choose(records.dead_letters(selection), DeliveryId)

    def choose_deliveries(self, selection: Selection) -> "ChosenRows[DeliveryId]":
        return self.choose(records.deliveries(selection), DeliveryId)

    def choose_quarantined(self, selection: Selection) -> "ChosenRows[int]":
        return self.choose(records.quarantined(selection), lambda number, _: number)

    def choose(self, query: Clauses, key: Callable[[int, int], K]) -> "ChosenRows[K]":
        """The rows whose two key columns `query` selects, in its order."""
        with outbox_file.translated(self.path):
            return ChosenRows(self.connection, query, key)

    def endpoints_of(self, chosen: Chosen[DeliveryId]) -> list[str]:
        if not chosen.count:
            return []
        with self._snapshot() as connection:
            return records.endpoints_of_chosen(connection)

    def find_ids(self, ids: Sequence[WebhookId]) -> list[Found]:
        values = [bytes.fromhex(one.removeprefix("msg_")) for one in ids]
        return self._find(f"r.id IN ({', '.join('?' * len(ids))})", values) if ids else []

    def find_beginning(self, beginning: str) -> list[Found]:
        digits = beginning.removeprefix("msg_")
        bounds = [bytes.fromhex(digits.ljust(32, fill)) for fill in "0f"]
        return self._find("r.id BETWEEN ? AND ?", bounds)

    def find_key(self, key: DeliveryId) -> list[Found]:
        return self._find("d.reading = ? AND d.endpoint = ?", key)

    def _find(self, condition: str, values: Sequence[object]) -> list[Found]:
        with self._snapshot() as connection:
            rows = connection.execute(_FOUND.format(condition), values).fetchall()
        return [Found(name, DeliveryId(*key), state) for name, *key, state in rows]

    def knows_device(self, device: Device) -> bool:
        with self._snapshot() as connection:
            (is_known,) = connection.execute(_KNOWN, {"device": device}).fetchone()
        return bool(is_known)

    def devices(self) -> list[DeviceRecord]:
        with self._snapshot() as connection:
            found = [record for _, record in queries.devices(connection)]
        return sorted(found)

    def quarantined_devices(self) -> dict[Device, int]:
        with self._snapshot() as connection:
            return queries.quarantined_devices(connection)

    def deliveries_measured(self, device: Device, measured_at: str) -> list[DeliveryId]:
        with self._snapshot() as connection:
            rows = connection.execute(_MEASURED, (measured_at, device)).fetchall()
        return [DeliveryId(*row) for row in rows]

    def records(self, keys: Sequence[DeliveryId]) -> list[DeliveryRecord]:
        with self._snapshot() as connection:
            found = [records.record(connection, key) for key in keys]
        return [one for one in found if one is not None]

    def records_with_data(
        self, keys: Sequence[DeliveryId]
    ) -> list[tuple[DeliveryRecord, bytes | None]]:
        with self._snapshot() as connection:
            found = [
                (records.record(connection, key), records.body(connection, key.reading))
                for key in keys
            ]
        return [(one, data) for one, data in found if one is not None]

    def delivery_file(self, key: DeliveryId) -> DeliveryFile | None:
        with self._snapshot() as connection:
            return records.delivery_file(connection, key)

    def quarantined(self, numbers: Sequence[int]) -> list[Quarantined]:
        with self._snapshot() as connection:
            return records.quarantined_messages(connection, numbers)

    def purge(self, device: Device) -> Purged:
        return erasure.purge(self, device)


class ChosenRows(Generic[K]):
    """The rows that a command means, noted once: what the service does meanwhile adds none to them."""

    def __init__(
        self, connection: sqlite3.Connection, query: Clauses, key: Callable[[int, int], K]
    ) -> None:
        self._connection = connection
        self._key = key
        connection.execute("DROP TABLE IF EXISTS temp.chosen")
        connection.execute(
            "CREATE TEMP TABLE chosen (position INTEGER PRIMARY KEY, first INTEGER, second INTEGER)"
        )
        insert = f"INSERT INTO temp.chosen (first, second) {query.sql}"
        connection.execute(insert, query.parameters)
        row = connection.execute("SELECT count(*) FROM temp.chosen").fetchone()
        self.count: int = row[0]

    def chunks(self) -> Iterator[list[K]]:
        """All of them, at most CHUNK at a time, with a pause after each for the service."""
        for position in range(0, self.count, CHUNK):
            if position:
                time.sleep(PAUSE_SECONDS)
            rows = self._connection.execute(
                "SELECT first, second FROM temp.chosen WHERE position > ? ORDER BY position LIMIT ?",
                (position, CHUNK),
            )
            yield [self._key(*row) for row in rows]


@contextmanager
def opened(path: Path, *, is_read_only: bool = False) -> Iterator[SqliteAccess]:
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
        yield SqliteAccess(path, connection)
    finally:
        connection.close()
