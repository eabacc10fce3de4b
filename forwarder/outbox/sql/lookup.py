"""A lookup finds deliveries by the ids that people know."""

from collections.abc import Sequence

from forwarder.outbox.records import DeliveryId, Found
from forwarder.outbox.sql import webhook_ids
from forwarder.outbox.sql.connection import Connection
from forwarder.reading import Device, WebhookId

_FOUND = """
    SELECT r.id, d.reading, d.endpoint, d.state
    FROM reading r JOIN delivery d ON d.reading = r.number WHERE {} ORDER BY d.reading, d.endpoint"""
_KNOWN = """
    SELECT EXISTS (SELECT 1 FROM reading WHERE device = ?)
    OR EXISTS (SELECT 1 FROM quarantine WHERE device = ?)
    OR EXISTS (SELECT 1 FROM device WHERE name = ?)"""
_MEASURED = """
    SELECT d.reading, d.endpoint FROM reading r JOIN delivery d ON d.reading = r.number
    WHERE r.measured_at = ? AND r.device = ? ORDER BY d.reading, d.endpoint"""
_LENGTH = len("msg_") + 32


def with_ids(connection: Connection, ids: Sequence[WebhookId]) -> list[Found]:
    """Find all ids in one call, because no index leads with ids and each call looks at every reading."""
    if not ids:
        return []
    values = [webhook_ids.as_bytes(one) for one in ids]
    return _found(connection, f"r.id IN ({', '.join('?' * len(ids))})", values)


def with_beginning(connection: Connection, beginning: str) -> list[Found]:
    """`beginning` is `msg_` and at most 32 hex digits."""
    bounds = [webhook_ids.as_bytes(beginning.ljust(_LENGTH, fill)) for fill in "0f"]
    return _found(connection, "r.id BETWEEN ? AND ?", bounds)


def with_key(connection: Connection, key: DeliveryId) -> list[Found]:
    return _found(connection, "d.reading = ? AND d.endpoint = ?", key)


def _found(connection: Connection, condition: str, values: Sequence[object]) -> list[Found]:
    rows = connection.execute(_FOUND.format(condition), values)
    return [
        Found(webhook_ids.from_bytes(identity), DeliveryId(reading, endpoint), state)
        for identity, reading, endpoint, state in rows
    ]


def measured(connection: Connection, device: Device, measured_at: str) -> list[DeliveryId]:
    """The deliveries of the device's readings that were measured at this instant."""
    rows = connection.execute(_MEASURED, (measured_at, device))
    return [DeliveryId(*row) for row in rows]


def knows_device(connection: Connection, device: Device) -> bool:
    """Whether a reading, a quarantined message or a record is of this device."""
    (is_known,) = connection.execute(_KNOWN, (device, device, device)).fetchone()
    return bool(is_known)
