"""The service reads back its lanes: how much is pending in each, and the first deliveries of some."""

from collections.abc import Iterator, Mapping

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox.changes import LaneKey, LaneRows
from forwarder.outbox.sql.connection import Connection
from forwarder.outbox.sql.queries import endpoint_ids, pending_delivery
from forwarder.reading import Device

_HEADS = """
    SELECT d.reading, d.age_from, d.attempts, d.due_at, r.id, r.measured_at, r.received_at, b.data
    FROM delivery d JOIN reading r ON r.number = d.reading JOIN body b ON b.reading = d.reading
    WHERE d.endpoint = ? AND d.device = ? AND d.state = 'pending'
    ORDER BY d.reading LIMIT ?"""
_LANES = """
    SELECT e.name, l.device, l.pending, l.newest FROM (
        SELECT endpoint, device, count(*) AS pending, min(reading) AS first, max(reading) AS newest FROM delivery
        WHERE state = 'pending' GROUP BY endpoint, device) l JOIN endpoint e ON e.id = l.endpoint
    ORDER BY l.first"""


def heads(
    connection: Connection, wanted: Mapping[LaneKey, int], known_ids: dict[str, int]
) -> dict[LaneKey, list[Delivery]]:
    """The first pending deliveries of each lane, in order; `known_ids` are endpoints' rows, and takes up new ones."""
    if any(name not in known_ids for name, _ in wanted):
        known_ids |= endpoint_ids(connection)
    return {key: _head(connection, known_ids[key[0]], key, limit) for key, limit in wanted.items()}


def _head(connection: Connection, endpoint: int, key: LaneKey, limit: int) -> list[Delivery]:
    rows = connection.execute(_HEADS, (endpoint, key[1], limit))
    return [pending_delivery(key, *row) for row in rows]


def lanes(connection: Connection) -> Iterator[tuple[LaneKey, LaneRows]]:
    """Every lane with something pending, ordered by its oldest delivery."""
    for endpoint, device, pending, newest in connection.execute(_LANES):
        yield (endpoint, Device(device)), LaneRows(pending, ReadingNumber(newest))
