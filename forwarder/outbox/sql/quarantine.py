"""
The quarantine's SQL: what is kept, and what gives way.

Its share of the outbox is bounded in bytes, because names of devices and topics are chosen by whoever publishes. The
tables count what each reason takes (triggers in each schema.sql), so that nothing has to be added up.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from forwarder.outbox.intake import NewQuarantined
from forwarder.outbox.sql.connection import Connection

if TYPE_CHECKING:
    from forwarder.outbox.sql.tables import Tables

KEPT_QUARANTINE = 1000
"""Quarantined messages of a device that are kept: the newest."""

LEAST_BYTES = 256
"""What a row takes at least (kept_bytes in the schema)."""

_INSERT = """
    INSERT INTO quarantine (device, topic, received_at, reason, detail, size, payload) VALUES (?, ?, ?, ?, ?, ?, ?)"""
_BEYOND_THE_NEWEST = """
    SELECT id, reason FROM quarantine WHERE device = ? AND id <= (
        SELECT id FROM quarantine WHERE device = ? ORDER BY id DESC LIMIT 1 OFFSET ?)"""
_OLDEST = "SELECT id, reason, kept_bytes FROM quarantine ORDER BY id LIMIT ?"
_DELETE = "DELETE FROM quarantine WHERE id = ?"
_COUNT_EVICTED = "UPDATE quarantine_account SET evicted = evicted + ? WHERE reason = ?"


def keep(tables: "Tables", messages: Sequence[NewQuarantined], *, max_bytes: int) -> None:
    """Keep messages that could not be understood: of a device the newest 1,000, of all what fits into `max_bytes`."""
    connection = tables.connection
    held = held_bytes(connection)
    count_evicted(connection, tables.insert_messages(messages))
    came = held_bytes(connection) - held
    # Twice what came: where much more is held than may be, one transaction does not have to end that.
    evict(tables, max_bytes=max_bytes, most_bytes=2 * max(came, 0))


def insert_one_by_one(
    connection: Connection, messages: Sequence[NewQuarantined]
) -> Mapping[str, int]:
    """Insert them; by reason, how many have left that were beyond the newest of their device."""
    gone: Counter[str] = Counter()
    for message in messages:
        connection.execute(
            _INSERT,
            (
                message.device, message.topic, message.received_at, message.reason, message.detail,
                message.size, message.payload,
            ),
        )  # fmt: skip
        key = (message.device, message.device, KEPT_QUARANTINE)
        for number, reason in connection.execute(_BEYOND_THE_NEWEST, key).fetchall():
            connection.execute(_DELETE, (number,))
            gone[reason] += 1
    return gone


def erase_one_by_one(connection: Connection, numbers: Sequence[int]) -> None:
    connection.executemany(_DELETE, [(number,) for number in numbers])


def held_bytes(connection: Connection) -> int:
    """What the quarantine takes, rows and their index included."""
    query = "SELECT coalesce(sum(kept_bytes), 0) FROM quarantine_account"
    return int(connection.execute(query).fetchone()[0])


def evict(tables: "Tables", *, max_bytes: int, most_bytes: int) -> bool:
    """Let the oldest go until `max_bytes` are held, about `most_bytes` of them; whether more has to go."""
    excess = held_bytes(tables.connection) - max_bytes
    if excess <= 0:
        return False
    going: list[int] = []
    reasons: Counter[str] = Counter()
    freed = 0
    for number, reason, size in tables.connection.execute(
        _OLDEST, (most_bytes // LEAST_BYTES + 1,)
    ):
        if freed >= min(excess, most_bytes):
            break
        going.append(number)
        reasons[reason] += 1
        freed += size
    tables.erase_messages(going)
    count_evicted(tables.connection, reasons)
    return freed < excess


def count_evicted(connection: Connection, reasons: Mapping[str, int]) -> None:
    connection.executemany(_COUNT_EVICTED, [(count, reason) for reason, count in reasons.items()])
