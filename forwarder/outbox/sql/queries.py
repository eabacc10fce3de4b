"""Queries read back from the outbox: a delivery, devices, the accounts, an overview of it all."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.changes import LaneKey, LaneRows
from forwarder.outbox.records import DeviceRecord, EndpointTotals, Overview
from forwarder.outbox.sql import webhook_ids
from forwarder.outbox.sql.connection import Connection
from forwarder.reading import Device

_DEAD_LETTERS = """
    SELECT e.name, l.reason, l.count FROM (
        SELECT endpoint, reason, count(*) AS count FROM delivery
        WHERE state = 'dead' AND settled_at IS NOT NULL GROUP BY endpoint, reason) l
    JOIN endpoint e ON e.id = l.endpoint"""


def pending_delivery(
    lane: LaneKey,
    number: int,
    age_from: float,
    attempts: int,
    due_at: float,
    key: bytes,
    measured_at: str,
    received_at: float,
    data: bytes,
) -> Delivery:
    """Make a delivery of this lane from columns of its own row, its reading's and its body's."""
    return Delivery(
        reading=ReadingNumber(number),
        endpoint=lane[0],
        device=lane[1],
        webhook_id=webhook_ids.from_bytes(key),
        measured_at=measured_at,
        received_at=received_at,
        age_from=age_from,
        attempts=attempts,
        data=data,
        due_at=due_at,
    )


def endpoint_ids(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT name, id FROM endpoint").fetchall())


def devices(
    connection: Connection, names: Sequence[Device] | None = None
) -> Iterator[tuple[int, DeviceRecord]]:
    """Every device's record, or those of some devices, with its place."""
    condition, values = _among("name", names)
    query = f"SELECT * FROM device WHERE {condition} ORDER BY place"  # noqa: S608 - our own words
    for place, *record in connection.execute(query, values):
        yield place, DeviceRecord(*record)


def quarantined_devices(
    connection: Connection, names: Sequence[Device] | None = None
) -> dict[Device, int]:
    """The number of messages in quarantine by device, for all devices or for some."""
    condition, values = _among("device", names)
    query = f"SELECT device, count(*) FROM quarantine WHERE {condition} GROUP BY device"  # noqa: S608 - as above
    return dict(connection.execute(query, values).fetchall())


def _among(column: str, names: Sequence[Device] | None) -> tuple[str, Sequence[Device]]:
    if names is None:
        return "TRUE", ()
    return f"{column} IN ({', '.join('?' * len(names))})" if names else "FALSE", names


class Ordered(NamedTuple):
    """A column of names, with the collation by which it is ordered."""

    table: str
    column: str
    condition: str = "TRUE"
    each: str = ""
    """`DISTINCT ` where a name may be there several times."""


def names(
    connection: Connection, ordered: Ordered, *, behind: str, limit: int | None
) -> list[Device]:
    """The names behind `behind`, each once: the first `limit` in their order, or all as they come."""
    table, column, condition, _ = ordered
    first = "" if limit is None else f" ORDER BY {column} LIMIT {limit:d}"
    chosen = f"SELECT {ordered.each}{column} FROM {table} WHERE {condition} AND {column} > ?"  # noqa: S608 - as above
    return [name for (name,) in connection.execute(f"{chosen}{first}", (behind,)).fetchall()]


def rows_of_lane(connection: Connection, *, endpoint: int, device: Device) -> LaneRows:
    pending, newest = connection.execute(
        "SELECT count(*), coalesce(max(reading), 0) FROM delivery"
        " WHERE endpoint = ? AND device = ? AND state = 'pending'",
        (endpoint, device),
    ).fetchone()
    return LaneRows(pending, ReadingNumber(newest))


def log_length(connection: Connection) -> int:
    """The number of settled deliveries that are no dead letters, by a walk over one index."""
    (count,) = connection.execute(
        "SELECT count(*) FROM delivery"
        " WHERE state IN ('delivered', 'expired', 'superseded', 'thinned') AND settled_at IS NOT NULL"
    ).fetchone()
    return int(count)


def totals(connection: Connection) -> list[EndpointTotals]:
    """The accounts of every endpoint the outbox has ever known, by name."""
    rows = connection.execute(
        "SELECT name, enqueued, delivered, dead, expired, superseded,"
        " (SELECT min(age_from) FROM delivery WHERE endpoint = endpoint.id AND state = 'pending'),"
        " removed_at, (SELECT count(*) FROM candidate WHERE endpoint = endpoint.id), failures, open_until,"
        " paused_by, gone_url, failing_since, last_success_at, last_error, last_error_at, outage_since"
        " FROM endpoint ORDER BY name"
    )
    return [
        EndpointTotals(
            name=name,
            enqueued=enqueued,
            delivered=delivered,
            dead=dead,
            expired=expired,
            superseded=superseded,
            oldest_pending_at=oldest_pending_at,
            removed_at=removed_at,
            health=EndpointHealth(*health),
            candidates=candidates,
        )
        for (
            name, enqueued, delivered, dead, expired, superseded, oldest_pending_at, removed_at, candidates,
            *health,
        ) in rows
    ]  # fmt: skip


def message_totals(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT outcome, count FROM message_total").fetchall())


def dead_letters(connection: Connection) -> dict[tuple[str, str], int]:
    """The number of dead letters that wait for an operator, by endpoint and reason."""
    return {(name, reason): count for name, reason, count in connection.execute(_DEAD_LETTERS)}


def told(connection: Connection) -> dict[str, str]:
    """The lasting conditions that the operator has been told of, as JSON by subject."""
    return dict(connection.execute("SELECT subject, what FROM told").fetchall())


def identity(connection: Connection) -> str:
    """The outbox's random id."""
    (found,) = connection.execute("SELECT id FROM identity").fetchone()
    return str(found)


def overview(connection: Connection) -> Overview:
    """Query the overview within the caller's transaction, so that all of it is as of one instant."""
    accounts = connection.execute("SELECT reason, kept, evicted FROM quarantine_account").fetchall()
    return Overview(
        identity=identity(connection),
        endpoints=totals(connection),
        messages=message_totals(connection),
        dead_letters=dead_letters(connection),
        quarantined={reason: kept for reason, kept, _ in accounts if kept},
        quarantine_evicted={reason: evicted for reason, _, evicted in accounts if evicted},
    )
