"""
The quarantine's SQL keeps messages that could not be understood, and evicts the oldest.

The quarantine's share of the outbox is bounded in bytes, because publishers choose the names of devices and topics.
Triggers in each schema.sql count the bytes of each reason, so no statement adds up rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from forwarder.outbox.intake import NewQuarantined
from forwarder.outbox.sql.connection import Connection

KEPT_QUARANTINE = 1000
"""The quarantine keeps this many messages of a device, the newest."""

LEAST_BYTES = 256
"""A row takes at least this many bytes (kept_bytes in the schema)."""

_INSERT = """
    INSERT INTO quarantine (device, topic, received_at, reason, detail, size, payload) VALUES (?, ?, ?, ?, ?, ?, ?)"""
_BEYOND_THE_NEWEST = """
    SELECT id, reason FROM quarantine WHERE device = ? AND id <= (
        SELECT id FROM quarantine WHERE device = ? ORDER BY id DESC LIMIT 1 OFFSET ?)"""
_OLDEST = "SELECT id, reason, kept_bytes FROM quarantine ORDER BY id LIMIT ?"
_DELETE = "DELETE FROM quarantine WHERE id = ?"
_COUNT_EVICTED = "UPDATE quarantine_account SET evicted = evicted + ? WHERE reason = ?"


def held_bytes(connection: Connection) -> int:
    """The bytes that the quarantine takes, rows and their index included."""
    query = "SELECT coalesce(sum(kept_bytes), 0) FROM quarantine_account"
    return int(connection.execute(query).fetchone()[0])


class Quarantine:
    """The quarantine inside one transaction; it inserts and erases row by row unless an engine has a better way."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, messages: Sequence[NewQuarantined], *, max_bytes: int) -> None:
        """Keep messages: a device's newest 1,000, and of all the newest that fit into `max_bytes`."""
        held = held_bytes(self._connection)
        self._count_evicted(self._insert(messages))
        came = held_bytes(self._connection) - held
        # Twice what came is enough, because a large excess is worked off over many transactions.
        self.evict(max_bytes=max_bytes, most_bytes=2 * max(came, 0))

    def evict(self, *, max_bytes: int, most_bytes: int) -> bool:
        """Evict the oldest down to `max_bytes`, about `most_bytes` of them; returns whether more has to go."""
        excess = held_bytes(self._connection) - max_bytes
        if excess <= 0:
            return False
        going: list[int] = []
        reasons: Counter[str] = Counter()
        freed = 0
        rows = self._connection.execute(_OLDEST, (most_bytes // LEAST_BYTES + 1,))
        for number, reason, size in rows:
            if freed >= min(excess, most_bytes):
                break
            going.append(number)
            reasons[reason] += 1
            freed += size
        self._erase(going)
        self._count_evicted(reasons)
        return freed < excess

    def _count_evicted(self, reasons: Mapping[str, int]) -> None:
        rows = [(count, reason) for reason, count in reasons.items()]
        self._connection.executemany(_COUNT_EVICTED, rows)

    def _insert(self, messages: Sequence[NewQuarantined]) -> Mapping[str, int]:
        """Insert messages, and erase those beyond the newest of their device; returns how many, by reason."""
        gone: Counter[str] = Counter()
        for one in messages:
            self._connection.execute(_INSERT, row_of(one))
            beyond = self._connection.execute(
                _BEYOND_THE_NEWEST, (one.device, one.device, KEPT_QUARANTINE)
            ).fetchall()
            self._erase([number for number, _ in beyond])
            gone.update(reason for _, reason in beyond)
        return gone

    def _erase(self, numbers: Sequence[int]) -> None:
        self._connection.executemany(_DELETE, [(number,) for number in numbers])


def row_of(one: NewQuarantined) -> tuple[object, ...]:
    """The columns of a message, in the table's order."""
    return (
        one.device, one.topic, one.received_at, one.reason, one.detail, one.size, one.payload,
    )  # fmt: skip
