"""Deliveries by the ids that people know them by."""

from collections.abc import Sequence
from typing import NamedTuple

from forwarder.dead_letters.file import OutboxFile
from forwarder.dead_letters.selection import DeliveryId
from forwarder.reading import Device, WebhookId

_FOUND = """
    SELECT 'msg_' || lower(hex(r.id)), d.reading, d.endpoint, d.state
    FROM reading r JOIN delivery d ON d.reading = r.number WHERE {} ORDER BY d.reading, d.endpoint"""
_KNOWN = """
    SELECT EXISTS (SELECT 1 FROM reading WHERE device = :device)
    OR EXISTS (SELECT 1 FROM quarantine WHERE device = :device)"""
_DIGITS = 32


class Found(NamedTuple):
    """A delivery as far as it takes to name it."""

    webhook_id: WebhookId
    key: DeliveryId
    state: str


def with_ids(file: OutboxFile, ids: Sequence[WebhookId]) -> list[Found]:
    """All at once: no index knows ids alone, so each call looks at every reading."""
    if not ids:
        return []
    values = [bytes.fromhex(one.removeprefix("msg_")) for one in ids]
    return _found(file, f"r.id IN ({', '.join('?' * len(ids))})", values)


def with_beginning(file: OutboxFile, beginning: str) -> list[Found]:
    """`beginning` is `msg_` and at most 32 hex digits."""
    digits = beginning.removeprefix("msg_")
    bounds = [bytes.fromhex(digits.ljust(_DIGITS, fill)) for fill in "0f"]
    return _found(file, "r.id BETWEEN ? AND ?", bounds)


def with_key(file: OutboxFile, key: DeliveryId) -> list[Found]:
    return _found(file, "d.reading = ? AND d.endpoint = ?", key)


def _found(file: OutboxFile, condition: str, values: Sequence[object]) -> list[Found]:
    with file.snapshot() as connection:
        rows = connection.execute(_FOUND.format(condition), values).fetchall()
    return [
        Found(WebhookId(identity), DeliveryId(reading, endpoint), state)
        for identity, reading, endpoint, state in rows
    ]


def knows_device(file: OutboxFile, device: Device) -> bool:
    """Whether a reading or a quarantined message is of this device."""
    with file.snapshot() as connection:
        (is_known,) = connection.execute(_KNOWN, {"device": device}).fetchone()
    return bool(is_known)
