"""What minutes came to, in SQL."""

import json
from collections.abc import Sequence

from forwarder.outbox.records import Minute
from forwarder.outbox.sql.connection import Connection

_KEEP = """
    INSERT INTO minute (endpoint, at, counts, latency_seconds) VALUES (?, ?, ?, ?)
    ON CONFLICT (endpoint, at) DO UPDATE SET counts = excluded.counts, latency_seconds = excluded.latency_seconds"""
_SINCE = """
    SELECT endpoint, at, counts, latency_seconds FROM minute WHERE endpoint = ? AND at >= ? ORDER BY at"""


def keep(connection: Connection, minutes: Sequence[Minute], *, before: int) -> None:
    rows = [
        (one.endpoint, one.at, json.dumps(dict(one.counts)), one.latency_seconds) for one in minutes
    ]
    connection.executemany(_KEEP, rows)
    connection.execute("DELETE FROM minute WHERE at < ?", (before,))


def since(connection: Connection, endpoint: str, at: float) -> list[Minute]:
    """In order of time."""
    rows = connection.execute(_SINCE, (endpoint, at))
    return [
        Minute(name, begun, json.loads(counts), latency) for name, begun, counts, latency in rows
    ]
