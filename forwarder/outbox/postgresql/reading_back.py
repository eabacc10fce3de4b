"""A replica reads back its lanes: how much is pending in each, the first deliveries, and what others have put since."""

from collections.abc import Collection, Iterator, Mapping

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox.changes import LaneKey, LaneRows
from forwarder.outbox.postgresql.connection import PostgresConnection
from forwarder.outbox.sql.connection import Connection
from forwarder.outbox.sql.queries import endpoint_ids, pending_delivery
from forwarder.reading import Device

MOST_NUMBERS = 2000
"""One statement looks through at most this many numbers of readings."""

_LANES = """
    SELECT r.name, l.device, l.pending, l.newest FROM (
        SELECT endpoint, device, count(*) AS pending, min(reading) AS first, max(reading) AS newest FROM delivery
        WHERE state = 'pending' AND endpoint = ANY(?) AND reading <= ? GROUP BY endpoint, device) l
    JOIN endpoint_row r ON r.id = l.endpoint ORDER BY l.first"""
# Each table has a range with both ends, and `state || ''` fits no index of pending rows. With a LIMIT instead, or one
# range for all, the planner may walk another index or a whole table.
_ARRIVALS = """
    SELECT d.endpoint, d.device, d.reading, d.age_from, d.attempts, d.due_at, r.id, r.measured_at, r.received_at, b.data
    FROM delivery d JOIN reading r ON r.number = d.reading JOIN body b ON b.reading = d.reading
    WHERE d.reading > ? AND d.reading <= ? AND r.number > ? AND r.number <= ? AND b.reading > ? AND b.reading <= ?
        AND d.endpoint = ANY(?::int[]) AND d.state || '' = 'pending' ORDER BY d.reading"""
# One statement reads all lanes, because each statement is planned anew. The lanes share a limit that the planner knows:
# with a limit of its own for each lane it would prepare to read a tenth of a backlog.
_HEADS = """
    SELECT wanted.place, head.* FROM unnest(?::int[], ?::int[], ?::text[]) AS wanted (place, endpoint, device)
    CROSS JOIN LATERAL (
        SELECT d.reading, d.age_from, d.attempts, d.due_at, r.id, r.measured_at, r.received_at, b.data
        FROM delivery d JOIN reading r ON r.number = d.reading JOIN body b ON b.reading = d.reading
        WHERE d.endpoint = wanted.endpoint AND d.device = wanted.device AND d.state = 'pending'
        ORDER BY d.reading LIMIT ?) AS head
    ORDER BY wanted.place, head.reading"""


def heads(
    connection: PostgresConnection, wanted: Mapping[LaneKey, int], known_ids: dict[str, int]
) -> dict[LaneKey, list[Delivery]]:
    """The first pending deliveries of each lane, in order; `known_ids` are endpoints' rows, and takes up new ones."""
    if any(name not in known_ids for name, _ in wanted):
        known_ids |= endpoint_ids(connection)
    keys = list(wanted)
    places = (
        list(range(len(keys))),
        [known_ids[name] for name, _ in keys],
        [device for _, device in keys],
    )
    found: dict[LaneKey, list[Delivery]] = {key: [] for key in keys}
    for place, *row in connection.read(_HEADS, (*places, max(wanted.values(), default=0))):
        key = keys[place]
        if len(found[key]) < wanted[key]:
            found[key].append(pending_delivery(key, *row))
    return found


def lanes(
    connection: Connection, endpoints: Collection[int], *, upto: int
) -> Iterator[tuple[LaneKey, LaneRows]]:
    """Every lane of these endpoints with something pending up to that number, ordered by its oldest delivery."""
    for name, device, pending, newest in connection.execute(_LANES, (list(endpoints), upto)):
        yield (name, Device(device)), LaneRows(pending, ReadingNumber(newest))


def arrivals(
    connection: PostgresConnection, names: Mapping[int, str], *, after: int, upto: int
) -> list[Delivery]:
    """The pending deliveries of readings with these numbers to these endpoints, in order."""
    rows = connection.read(_ARRIVALS, (*(after, upto) * 3, list(names)))
    return [
        pending_delivery((names[endpoint], Device(device)), *row) for endpoint, device, *row in rows
    ]
