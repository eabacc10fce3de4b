"""
A command opens the outbox beside the running service, or without one.

A command never holds the tables for long. It reads in snapshots that end at once, and writes in chunks with a pause in
between, so that the service always gets its turn.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Generic, TypeVar

from forwarder.errors import OperationError
from forwarder.outbox.access import Chosen, OutboxAccess
from forwarder.outbox.operations import Operation
from forwarder.outbox.records import (
    AuditRecord,
    DeliveryFile,
    DeliveryId,
    DeliveryRecord,
    DeviceRecord,
    Found,
    Minute,
    Outlook,
    Overview,
    Quarantined,
    Selection,
    Share,
)
from forwarder.outbox.sql import audit, lookup, minutes, queries, records, shares
from forwarder.outbox.sql.connection import Connection
from forwarder.outbox.sql.operations import perform
from forwarder.outbox.sql.queries import Ordered
from forwarder.outbox.sql.records import Clauses
from forwarder.outbox.sql.tables import Tables
from forwarder.reading import Device, WebhookId
from forwarder.settings import OutboxPlace

CHUNK = 500
"""One transaction changes at most this many rows."""
PAUSE_SECONDS = 0.02
"""A command pauses between two transactions, because SQLite's lock knows no turns and the service often asks for it."""

K = TypeVar("K")
T = TypeVar("T")


class Access(OutboxAccess):
    """The part of `OutboxAccess` that engines share."""

    connection: Connection
    in_order: ClassVar[str] = ""
    """The collation by which the engine compares texts by their code points, as Python does."""
    temporary: ClassVar[str]
    """The schema of tables that this connection alone sees."""
    counted: ClassVar[str]
    """The type of a primary key whose values the engine counts up from 1."""

    @abstractmethod
    def translated(self) -> AbstractContextManager[None]:
        """Turn the engine's errors into the outbox's."""

    @abstractmethod
    def transaction(self, operations: Sequence[Operation[T]]) -> AbstractContextManager[Tables]:
        """Begin a transaction ready for these operations; it is committed after the block, rolled back on an error."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Connection]:
        """Read as of one instant inside the block."""

    def operate(self, *operations: Operation[T]) -> list[T]:
        with self.transaction(operations) as tables:
            answers = [perform(tables, one) for one in operations]
            tables.add_totals()
        return answers

    def identity(self) -> str:
        with self.snapshot() as connection:
            return queries.identity(connection)

    def overview(self) -> Overview:
        with self.snapshot() as connection:
            return queries.overview(connection)

    def endpoint_names(self) -> list[str]:
        with self.snapshot() as connection:
            return list(queries.endpoint_ids(connection))

    def choose_dead_letters(self, selection: Selection) -> "ChosenRows[DeliveryId]":
        return self.choose(records.dead_letters(selection), DeliveryId)

    def choose_deliveries(self, selection: Selection) -> "ChosenRows[DeliveryId]":
        return self.choose(records.deliveries(selection), DeliveryId)

    def outlook(self, selection: Selection, *, most: int) -> Outlook:
        with self.snapshot() as connection:
            return records.outlook(connection, selection, most=most)

    def choose_quarantined(self, selection: Selection) -> "ChosenRows[int]":
        return self.choose(records.quarantined(selection), lambda number, _: number)

    def choose(self, query: Clauses, key: Callable[[int, int], K]) -> "ChosenRows[K]":
        """Choose the rows whose two key columns `query` selects, in its order."""
        self._note_chosen(query)
        return ChosenRows(self, key)

    def _note_chosen(self, query: Clauses) -> None:
        """Note the rows in the table `chosen`, numbered from 1 in the query's order."""
        chosen = f"{self.temporary}.chosen"
        with self.translated():
            self.connection.execute(f"DROP TABLE IF EXISTS {chosen}")
            self.connection.execute(
                f"CREATE TABLE {chosen} (position {self.counted}, first bigint, second bigint)"
            )
            # One statement chooses all rows, so none that the service adds meanwhile is among them.
            insert = f"INSERT INTO {chosen} (first, second) {query.sql}"
            self.connection.execute(insert, query.parameters)

    def endpoints_of(self, chosen: Chosen[DeliveryId]) -> list[str]:
        if not chosen.count:
            return []
        with self.snapshot() as connection:
            return records.endpoints_of_chosen(connection)

    def find_ids(self, ids: Sequence[WebhookId]) -> list[Found]:
        with self.snapshot() as connection:
            return lookup.with_ids(connection, ids)

    def find_beginning(self, beginning: str) -> list[Found]:
        with self.snapshot() as connection:
            return lookup.with_beginning(connection, beginning)

    def find_key(self, key: DeliveryId) -> list[Found]:
        with self.snapshot() as connection:
            return lookup.with_key(connection, key)

    def knows_device(self, device: Device) -> bool:
        with self.snapshot() as connection:
            return lookup.knows_device(connection, device)

    def devices(self, names: Sequence[Device] | None = None) -> list[DeviceRecord]:
        with self.snapshot() as connection:
            found = [record for _, record in queries.devices(connection, names)]
        return sorted(found)

    def device_names(
        self, *, behind: str, limit: int | None = None, only_silent: bool = False
    ) -> list[Device]:
        condition = "silent_since IS NOT NULL" if only_silent else "TRUE"
        ordered = Ordered("device", f"name{self.in_order}", condition)
        with self.snapshot() as connection:
            return queries.names(connection, ordered, behind=behind, limit=limit)

    def quarantined_devices(self, names: Sequence[Device] | None = None) -> dict[Device, int]:
        with self.snapshot() as connection:
            return queries.quarantined_devices(connection, names)

    def quarantined_names(self, *, behind: str, limit: int | None = None) -> list[Device]:
        ordered = Ordered("quarantine", f"device{self.in_order}", each="DISTINCT ")
        with self.snapshot() as connection:
            return queries.names(connection, ordered, behind=behind, limit=limit)

    def deliveries_measured(self, device: Device, measured_at: str) -> list[DeliveryId]:
        with self.snapshot() as connection:
            return lookup.measured(connection, device, measured_at)

    def records(self, keys: Sequence[DeliveryId]) -> list[DeliveryRecord]:
        with self.snapshot() as connection:
            found = [records.record(connection, key) for key in keys]
        return [one for one in found if one is not None]

    def records_with_data(
        self, keys: Sequence[DeliveryId]
    ) -> list[tuple[DeliveryRecord, bytes | None]]:
        with self.snapshot() as connection:
            found = [
                (records.record(connection, key), records.body(connection, key.reading))
                for key in keys
            ]
        return [(one, data) for one, data in found if one is not None]

    def delivery_file(self, key: DeliveryId) -> DeliveryFile | None:
        with self.snapshot() as connection:
            return records.delivery_file(connection, key)

    def quarantined(self, numbers: Sequence[int]) -> list[Quarantined]:
        with self.snapshot() as connection:
            return records.quarantined_messages(connection, numbers)

    def minutes(self, endpoint: str, *, since: float) -> list[Minute]:
        with self.snapshot() as connection:
            return minutes.since(connection, endpoint, since)

    def audit(self, *, limit: int, before: int | None = None) -> list[AuditRecord]:
        with self.snapshot() as connection:
            return audit.newest(connection, limit=limit, before=before)

    def shares(self) -> list[Share]:
        with self.snapshot() as connection:
            return shares.every(connection)


class ChosenRows(Generic[K]):
    """See `Chosen`."""

    def __init__(self, access: Access, key: Callable[[int, int], K]) -> None:
        self._access = access
        self._key = key
        with access.snapshot() as connection:
            row = connection.execute("SELECT count(*) FROM chosen").fetchone()
        self.count: int = row[0]

    def chunks(self) -> Iterator[list[K]]:
        """All chosen rows, at most CHUNK at a time, with a pause between chunks for the service."""
        for position in range(0, self.count, CHUNK):
            if position:
                time.sleep(PAUSE_SECONDS)
            # The snapshot ends before the chunk is used, because its user writes over the same connection.
            with self._access.snapshot() as connection:
                rows = connection.execute(
                    "SELECT first, second FROM chosen WHERE position > ? ORDER BY position LIMIT ?",
                    (position, CHUNK),
                ).fetchall()
            yield [self._key(*row) for row in rows]


def no_outbox(where: str) -> OperationError:
    """The error of a missing outbox; `where` is `in` or `at` with the place."""
    return OperationError(f"there is no outbox {where} yet; start the service once")


def not_up_to_date(place: OutboxPlace) -> OperationError:
    return OperationError(
        f"the outbox {place} is not set up for this version yet; start the service once"
    )


def other_schema(version: int) -> str:
    """The fault of an outbox of another version than this program's."""
    return f"its schema is of version {version}; start the service once to bring it up to date"
