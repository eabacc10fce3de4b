"""What a replica reads back that others have put: how its lanes stand, and what has come since."""

from collections.abc import Collection, Iterator, Mapping

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox.changes import LaneKey, LaneRows
from forwarder.outbox.sql.connection import Connection
from forwarder.reading import Device, WebhookId

MOST_NUMBERS = 2000
"""Of readings that are looked through at once."""

_LANES = """
    SELECT r.name, l.device, l.pending, l.newest FROM (
        SELECT endpoint, device, count(*) AS pending, min(reading) AS first, max(reading) AS newest FROM delivery
        WHERE state = 'pending' AND endpoint = ANY(?) AND reading <= ? GROUP BY endpoint, device) l
    JOIN endpoint_row r ON r.id = l.endpoint ORDER BY l.first"""
# A range with both ends: with an ORDER BY and a LIMIT instead the planner may walk another index.
_ARRIVALS = """
    SELECT d.reading, d.endpoint, d.device, r.id, r.measured_at, r.received_at, d.age_from, d.attempts, b.data, d.due_at
    FROM delivery d JOIN reading r ON r.number = d.reading JOIN body b ON b.reading = d.reading
    WHERE d.reading > ? AND d.reading <= ? AND d.endpoint = ANY(?) AND d.state = 'pending' ORDER BY d.reading"""


def lanes(
    connection: Connection, endpoints: Collection[int], *, upto: int
) -> Iterator[tuple[LaneKey, LaneRows]]:
    """Every lane of these endpoints that holds a reading up to that number, the one with the oldest first."""
    for name, device, pending, newest in connection.execute(_LANES, (list(endpoints), upto)):
        yield (name, Device(device)), LaneRows(pending, ReadingNumber(newest))


def arrivals(
    connection: Connection, names: Mapping[int, str], *, after: int, upto: int
) -> list[Delivery]:
    """What is pending for these endpoints of the readings with these numbers, in order."""
    rows = connection.execute(_ARRIVALS, (after, upto, list(names)))
    return [
        Delivery(
            ReadingNumber(number), names[endpoint], Device(device), WebhookId("msg_" + key.hex()),
            measured_at, received_at, age_from, attempts, data, due_at,
        )
        for number, endpoint, device, key, measured_at, received_at, age_from, attempts, data, due_at in rows
    ]  # fmt: skip
