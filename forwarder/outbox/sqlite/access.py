"""
The outbox as a command opens it: beside the running service, or without one.

A command never holds the file for long. It reads in snapshots that end at once, and writes in chunks with a pause in
between, so that the service always gets its turn.
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
from forwarder.outbox.sqlite import erasure, lookup, queries, records
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.operations import perform
from forwarder.outbox.sqlite.records import Clauses
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device, WebhookId

CHUNK = 500
"""Rows that one transaction changes at most."""
PAUSE_SECONDS = 0.02
"""Between two transactions: SQLite's lock knows no turns, and the service asks for it every few milliseconds."""

T = TypeVar("T")
K = TypeVar("K")


class SqliteAccess:
    """See `OutboxAccess`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._store = Store(connection)

    def operate(self, *operations: Operation[T]) -> list[T]:
        """Do them in one transaction and answer each; on disk afterwards, or nothing is."""
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
        """Dead letters, those that died first in front."""
        return self.choose(records.dead_letters(selection), DeliveryId)

    def choose_deliveries(self, selection: Selection) -> "ChosenRows[DeliveryId]":
        """Deliveries in any state, the newest in front."""
        return self.choose(records.deliveries(selection), DeliveryId)

    def choose_quarantined(self, selection: Selection) -> "ChosenRows[int]":
        """Messages in quarantine, in order of arrival."""
        return self.choose(records.quarantined(selection), lambda number, _: number)

    def choose(self, query: Clauses, key: Callable[[int, int], K]) -> "ChosenRows[K]":
        """The rows whose two key columns `query` selects, in its order."""
        with outbox_file.translated(self.path):
            return ChosenRows(self.connection, query, key)

    def endpoints_of(self, chosen: Chosen[DeliveryId]) -> list[str]:
        """The names of the endpoints whose deliveries are chosen."""
        if not chosen.count:
            return []
        with self._snapshot() as connection:
            return records.endpoints_of_chosen(connection)

    def find_ids(self, ids: Sequence[WebhookId]) -> list[Found]:
        """All at once: no index knows ids alone, so each call looks at every reading."""
        with self._snapshot() as connection:
            return lookup.with_ids(connection, ids)

    def find_beginning(self, beginning: str) -> list[Found]:
        """Those of readings whose ids begin so: `msg_` and at most 32 hex digits."""
        with self._snapshot() as connection:
            return lookup.with_beginning(connection, beginning)

    def find_key(self, key: DeliveryId) -> list[Found]:
        """That one, or none."""
        with self._snapshot() as connection:
            return lookup.with_key(connection, key)

    def knows_device(self, device: Device) -> bool:
        """Whether a reading, a quarantined message or a record is of this device."""
        with self._snapshot() as connection:
            return lookup.knows_device(connection, device)

    def devices(self) -> list[DeviceRecord]:
        """Every device that was heard of, by name."""
        with self._snapshot() as connection:
            found = [record for _, record in queries.devices(connection)]
        return sorted(found)

    def quarantined_devices(self) -> dict[Device, int]:
        """How many messages in quarantine are of which device."""
        with self._snapshot() as connection:
            return queries.quarantined_devices(connection)

    def deliveries_measured(self, device: Device, measured_at: str) -> list[DeliveryId]:
        """Those of its readings of that instant."""
        with self._snapshot() as connection:
            return lookup.measured(connection, device, measured_at)

    def records(self, keys: Sequence[DeliveryId]) -> list[DeliveryRecord]:
        """The deliveries of these keys that are there still."""
        with self._snapshot() as connection:
            found = [records.record(connection, key) for key in keys]
        return [one for one in found if one is not None]

    def records_with_data(
        self, keys: Sequence[DeliveryId]
    ) -> list[tuple[DeliveryRecord, bytes | None]]:
        """The same, each with the event's data object where that is kept."""
        with self._snapshot() as connection:
            found = [
                (records.record(connection, key), records.body(connection, key.reading))
                for key in keys
            ]
        return [(one, data) for one, data in found if one is not None]

    def delivery_file(self, key: DeliveryId) -> DeliveryFile | None:
        """All there is about one delivery; None when it is not there."""
        with self._snapshot() as connection:
            return records.delivery_file(connection, key)

    def quarantined(self, numbers: Sequence[int]) -> list[Quarantined]:
        """The messages of these numbers that are there still."""
        with self._snapshot() as connection:
            return records.quarantined_messages(connection, numbers)

    def purge(self, device: Device) -> Purged:
        """Erase the device's deliveries, readings and quarantined messages, and the bytes that they left behind."""
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
