"""Deliveries and their attempts as an operator sees them."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from forwarder.dead_letters.file import Key, OutboxFile
from forwarder.dead_letters.selection import Clauses, DeliveryId, Selection, clauses
from forwarder.delivery import Attempt
from forwarder.errors import OperationError
from forwarder.reading import Device, WebhookId

_RECORD = """
    SELECT e.name, d.device, d.state, d.reason, d.attempts, d.last_status, d.last_error, d.duration_ms,
        d.address, d.enqueued_at, d.due_at, d.settled_at,
        'msg_' || lower(hex(r.id)), r.measured_at, r.received_at
    FROM delivery d JOIN endpoint e ON e.id = d.endpoint JOIN reading r ON r.number = d.reading
    WHERE d.reading = ? AND d.endpoint = ?"""
_KEYS = "SELECT d.reading, d.endpoint FROM delivery d JOIN endpoint e ON e.id = d.endpoint WHERE"
_COLUMNS = {
    "id": "(d.reading, d.endpoint)",
    "endpoint": "e.name",
    "device": "d.device",
    "reason": "d.reason",
    "state": "d.state",
}
_DIED = {**_COLUMNS, "time": "d.settled_at"}
_ENQUEUED = {**_COLUMNS, "time": "d.enqueued_at"}


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One delivery's row; instants are UNIX seconds."""

    id: DeliveryId
    endpoint: str
    device: Device
    state: str
    reason: str | None
    attempts: int
    last_status: int | None
    last_error: str | None
    duration_ms: float | None
    """Of its last attempt."""
    address: str | None
    """The IP address that the attempt dialled that settled it."""
    enqueued_at: float
    due_at: float
    """Of its next attempt, while it is pending; 0 before the first."""
    settled_at: float | None
    webhook_id: WebhookId
    measured_at: str
    received_at: float


def dead_letters(selection: Selection) -> Clauses:
    """The keys of dead letters, those that died first in front."""
    end = clauses(selection, _DIED, order="d.settled_at, d.reading, d.endpoint")
    return Clauses(
        f"{_KEYS} d.state = 'dead' AND d.settled_at IS NOT NULL{end.sql}", end.parameters
    )


def deliveries(selection: Selection) -> Clauses:
    """The keys of deliveries in any state, the newest in front."""
    end = clauses(selection, _ENQUEUED, order="d.reading DESC, d.endpoint")
    return Clauses(f"{_KEYS} TRUE{end.sql}", end.parameters)


def records(file: OutboxFile, keys: list[Key]) -> Iterator[DeliveryRecord]:
    """The rows of these keys that are there still."""
    with file.snapshot() as connection:
        found = [record(connection, DeliveryId(*key)) for key in keys]
    yield from (one for one in found if one is not None)


def record(connection: sqlite3.Connection, key: DeliveryId) -> DeliveryRecord | None:
    row = connection.execute(_RECORD, key).fetchone()
    return None if row is None else DeliveryRecord(key, *row)


def deliveries_with_data(
    file: OutboxFile, keys: list[Key]
) -> list[tuple[DeliveryRecord, bytes | None]]:
    """The rows of these keys that are there still, each with the event's data object where that is kept."""
    with file.snapshot() as connection:
        found = [
            (record(connection, DeliveryId(*key)), body(connection, key.first)) for key in keys
        ]
    return [(one, data) for one, data in found if one is not None]


@dataclass(frozen=True, slots=True)
class DeliveryFile:
    """All there is about one delivery."""

    record: DeliveryRecord
    data: bytes | None
    """The event's data object; None once it is no longer needed."""
    attempts: tuple[Attempt, ...]
    """Those that failed, as far as they are kept; and the one that succeeded."""


def delivery_file(file: OutboxFile, key: DeliveryId) -> DeliveryFile:
    """Raises OperationError when there is no such delivery."""
    with file.snapshot() as connection:
        found = record(connection, key)
        if found is None:
            raise OperationError(
                "that delivery was forgotten a moment ago; forwarder deliveries list shows what there is"
            )
        attempts = [*_failed(connection, key), *_succeeded(found)]
        return DeliveryFile(found, body(connection, key.reading), tuple(attempts))


def body(connection: sqlite3.Connection, reading: int) -> bytes | None:
    row = connection.execute("SELECT data FROM body WHERE reading = ?", (reading,)).fetchone()
    return row[0] if row else None


def _failed(connection: sqlite3.Connection, key: DeliveryId) -> Iterator[Attempt]:
    rows = connection.execute(
        "SELECT number, attempted_at, duration_ms, status, error, detail, answer, address FROM attempt"
        " WHERE reading = ? AND endpoint = ? ORDER BY number",
        key,
    )
    for row in rows:
        yield Attempt(*row)


def _succeeded(found: DeliveryRecord) -> Iterator[Attempt]:
    if found.state == "delivered" and found.settled_at is not None:
        duration_ms = found.duration_ms or 0.0
        yield Attempt(
            number=found.attempts,
            attempted_at=found.settled_at - duration_ms / 1000,
            duration_ms=duration_ms,
            status=found.last_status,
            error="",
            address=found.address,
        )
