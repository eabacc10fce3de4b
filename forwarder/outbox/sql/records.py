"""Queries of deliveries, their attempts and quarantined messages, as an operator sees them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from forwarder.delivery import Attempt
from forwarder.errors import OperationError
from forwarder.outbox.records import (
    BEYOND_ALL,
    DeliveryFile,
    DeliveryId,
    DeliveryRecord,
    Outlook,
    Quarantined,
    Selection,
)
from forwarder.outbox.sql import webhook_ids
from forwarder.outbox.sql.connection import Connection

_RECORD = """
    SELECT e.name, d.device, d.state, d.reason, d.attempts, d.last_status, d.last_error, d.duration_ms,
        d.address, d.enqueued_at, d.due_at, d.settled_at, r.id, r.measured_at, r.received_at
    FROM delivery d JOIN endpoint e ON e.id = d.endpoint JOIN reading r ON r.number = d.reading
    WHERE d.reading = ? AND d.endpoint = ?"""
_ID = 12
"""The place of the reading's id among these columns."""
_KEYS = "SELECT d.reading, d.endpoint FROM delivery d JOIN endpoint e ON e.id = d.endpoint WHERE"
_COLUMNS = {
    "id": "(d.reading, d.endpoint)",
    "endpoint": "e.name",
    "device": "d.device",
    "reason": "d.reason",
    "state": "d.state",
}
_DIED = {**_COLUMNS, "time": "d.settled_at"}
# The expression fits no index of states, because that would find readings in another order, and all would be sorted.
_ENQUEUED = {**_COLUMNS, "state": "coalesce(d.state, '')", "time": "d.enqueued_at"}
_QUARANTINED = {
    "id": "(id, 0)",
    "device": "device",
    "reason": "reason",
    "time": "received_at",
}
_MESSAGE_KEYS = "SELECT id, 0 FROM quarantine WHERE TRUE"
_MESSAGE = """
    SELECT id, device, topic, received_at, reason, detail, size, payload FROM quarantine WHERE id = ?"""


STEP_SECONDS = 3600.0
"""Numbers of readings grow with the time of enqueuing, save for steps of the clock; lists allow for smaller ones."""
_BOUND = """
    SELECT reading FROM delivery WHERE reading BETWEEN ? AND ? ORDER BY reading DESC LIMIT 1 OFFSET ?"""
_ENDS = ("SELECT min(reading) FROM delivery", "SELECT max(reading) FROM delivery")
_FROM = "SELECT reading, enqueued_at FROM delivery WHERE reading >= ? ORDER BY reading LIMIT 1"


class Clauses(NamedTuple):
    """The end of a query, with its parameters in order."""

    sql: str
    parameters: list[object]


def clauses(
    selection: Selection, columns: Mapping[str, str], *, order: str, behind: Clauses | None
) -> Clauses:
    """
    The end of a query after its WHERE: `AND … ORDER BY … LIMIT …`.

    `columns` maps the names of `Selection` to SQL; `since` and `until` compare with `time`, ids with `id`.
    `behind` is the condition of the rows that follow the selection's `after`.
    """
    parts: list[tuple[str, object]] = [
        (f"{columns[name]} = ?", getattr(selection, name))
        for name in ("endpoint", "device", "reason", "state")
        if getattr(selection, name) is not None
    ]
    if selection.since is not None:
        parts.append((f"{columns['time']} >= ?", selection.since))
    if selection.until is not None:
        parts.append((f"{columns['time']} < ?", selection.until))
    sql = "".join(f" AND {clause}" for clause, _ in parts)
    parameters = [value for _, value in parts]
    if selection.ids:
        sql += f" AND {columns['id']} IN (VALUES {', '.join(['(?, ?)'] * len(selection.ids))})"
        parameters += [number for key in selection.ids for number in key]
    if behind is not None:
        sql += f" AND {behind.sql}"
        parameters += behind.parameters
    sql += f" ORDER BY {order}"
    if selection.limit is not None:
        sql += " LIMIT ?"
        parameters.append(selection.limit)
    return Clauses(sql, parameters)


def dead_letters(selection: Selection) -> Clauses:
    """The keys of dead letters, in the order of their deaths."""
    behind = _behind("(d.settled_at, d.reading, d.endpoint) > (?, ?, ?)", selection.after)
    end = clauses(selection, _DIED, order="d.settled_at, d.reading, d.endpoint", behind=behind)
    return Clauses(
        f"{_KEYS} d.state = 'dead' AND d.settled_at IS NOT NULL{end.sql}", end.parameters
    )


def deliveries(selection: Selection) -> Clauses:
    """The keys of deliveries in any state, the newest first."""
    # The first comparison is for the search in the primary key.
    after = (*selection.after[:1], *selection.after)
    behind = _behind("d.reading <= ? AND (d.reading < ? OR d.endpoint > ?)", after)
    if selection.readings is not None:
        behind = _and("d.reading BETWEEN ? AND ?", selection.readings, behind)
    end = clauses(selection, _ENQUEUED, order="d.reading DESC, d.endpoint", behind=behind)
    return Clauses(f"{_KEYS} TRUE{end.sql}", end.parameters)


def outlook(connection: Connection, selection: Selection, *, most: int) -> Outlook:
    """The readings that hold the newest `most` deliveries, among those that the selection may mean."""
    lowest, highest = 0, int(selection.after[0]) if selection.after else BEYOND_ALL
    if not replace(selection, limit=None, after=()).narrows:
        return Outlook(lowest, highest, is_whole=True)
    if selection.until is not None:
        highest = min(highest, _first_since(connection, selection.until + STEP_SECONDS) - 1)
    if selection.since is not None:
        lowest = _first_since(connection, selection.since - STEP_SECONDS)
    row = connection.execute(_BOUND, (lowest, highest, most)).fetchone()
    if row is None:
        return Outlook(lowest, highest, is_whole=True)
    # The range ends between two readings, because a reading is never divided among its endpoints.
    return Outlook(min(row[0] + 1, highest), highest, is_whole=False)


def _first_since(connection: Connection, instant: float) -> int:
    """The first reading's number that was enqueued then or later, found by halving; without one, above them all."""
    (low,), (high,) = (connection.execute(query).fetchone() for query in _ENDS)
    if high is None:
        return 0
    low, high = int(low), int(high) + 1
    while low < high:
        middle = (low + high) // 2
        number, enqueued_at = connection.execute(_FROM, (middle,)).fetchone()
        low, high = (low, middle) if enqueued_at >= instant else (int(number) + 1, high)
    return low


def quarantined(selection: Selection) -> Clauses:
    """The keys of messages in quarantine, in order of arrival."""
    behind = _behind("id > ?", selection.after)
    end = clauses(selection, _QUARANTINED, order="id", behind=behind)
    return Clauses(_MESSAGE_KEYS + end.sql, end.parameters)


def _and(sql: str, parameters: Sequence[float], further: Clauses | None) -> Clauses:
    if further is None:
        return Clauses(sql, [*parameters])
    return Clauses(f"{sql} AND {further.sql}", [*parameters, *further.parameters])


def _behind(sql: str, after: Sequence[float]) -> Clauses | None:
    """The condition of the rows behind `after`; raises OperationError when that belongs to another list."""
    if after and len(after) != sql.count("?"):
        raise OperationError("that cursor belongs to another list")
    return Clauses(sql, [*after]) if after else None


def endpoints_of_chosen(connection: Connection) -> list[str]:
    query = "SELECT name FROM endpoint WHERE id IN (SELECT second FROM chosen) ORDER BY name"
    return [name for (name,) in connection.execute(query)]


def quarantined_messages(connection: Connection, numbers: Sequence[int]) -> list[Quarantined]:
    rows = [connection.execute(_MESSAGE, (number,)).fetchone() for number in numbers]
    return [Quarantined(*row) for row in rows if row is not None]


def record(connection: Connection, key: DeliveryId) -> DeliveryRecord | None:
    row = connection.execute(_RECORD, key).fetchone()
    if row is None:
        return None
    columns = [*row]
    columns[_ID] = webhook_ids.from_bytes(row[_ID])
    return DeliveryRecord(key, *columns)


def delivery_file(connection: Connection, key: DeliveryId) -> DeliveryFile | None:
    found = record(connection, key)
    if found is None:
        return None
    attempts = [*_failed(connection, key), *_succeeded(found)]
    return DeliveryFile(found, body(connection, key.reading), tuple(attempts))


def body(connection: Connection, reading: int) -> bytes | None:
    row = connection.execute("SELECT data FROM body WHERE reading = ?", (reading,)).fetchone()
    return row[0] if row else None


def _failed(connection: Connection, key: DeliveryId) -> Iterator[Attempt]:
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
