"""
The quarantine's SQL: what is kept, and what gives way.

The quarantine is bounded in bytes, because a publisher chooses the names of devices and topics. Triggers count what
each reason takes (schema.sql), so that nothing has to be added up.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence

from forwarder.outbox.intake import NewQuarantined

KEPT_QUARANTINE = 1000
"""Messages of a device that are kept: the newest."""

_INSERT = """
    INSERT INTO quarantine (device, topic, received_at, reason, detail, size, payload) VALUES (?, ?, ?, ?, ?, ?, ?)"""
_BEYOND_THE_NEWEST = """
    SELECT id, reason FROM quarantine WHERE device = ?1 AND id <= (
        SELECT id FROM quarantine WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"""
_OLDEST = "SELECT id, reason, kept_bytes FROM quarantine ORDER BY id"
_COUNT_EVICTED = "UPDATE quarantine_account SET evicted = evicted + ? WHERE reason = ?"


def keep(
    connection: sqlite3.Connection, messages: Sequence[NewQuarantined], *, max_bytes: int
) -> None:
    """Keep messages: the newest 1,000 of a device, and of all the newest that fit into `max_bytes`."""
    held = held_bytes(connection)
    for message in messages:
        _keep(connection, message)
    came = held_bytes(connection) - held
    # Twice what came: a large excess goes over many transactions, not in one.
    evict(connection, max_bytes=max_bytes, most_bytes=2 * max(came, 0))


def _keep(connection: sqlite3.Connection, message: NewQuarantined) -> None:
    connection.execute(
        _INSERT,
        (
            message.device, message.topic, message.received_at, message.reason, message.detail,
            message.size, message.payload,
        ),
    )  # fmt: skip
    beyond = connection.execute(_BEYOND_THE_NEWEST, (message.device, KEPT_QUARANTINE)).fetchall()
    _erase(connection, beyond)


def held_bytes(connection: sqlite3.Connection) -> int:
    """The bytes of the quarantine's rows and their index."""
    query = "SELECT coalesce(sum(kept_bytes), 0) FROM quarantine_account"
    return int(connection.execute(query).fetchone()[0])


def evict(connection: sqlite3.Connection, *, max_bytes: int, most_bytes: int) -> bool:
    """Let the oldest go until `max_bytes` are held, about `most_bytes` of them; whether more has to go."""
    excess = held_bytes(connection) - max_bytes
    if excess <= 0:
        return False
    going, freed = [], 0
    for number, reason, size in connection.execute(_OLDEST):
        if freed >= min(excess, most_bytes):
            break
        going.append((number, reason))
        freed += size
    _erase(connection, going)
    return freed < excess


def _erase(connection: sqlite3.Connection, going: Iterable[tuple[int, str]]) -> None:
    reasons: Counter[str] = Counter()
    for number, reason in going:
        connection.execute("DELETE FROM quarantine WHERE id = ?", (number,))
        reasons[reason] += 1
    connection.executemany(_COUNT_EVICTED, ((count, reason) for reason, count in reasons.items()))
