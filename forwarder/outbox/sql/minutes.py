"""The counts of each minute, in SQL."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from forwarder.outbox.records import Minute
from forwarder.outbox.sql.connection import Connection

_KEEP = """
    INSERT INTO minute (endpoint, at, replica, counts, latency_seconds) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (endpoint, at, replica)
    DO UPDATE SET counts = excluded.counts, latency_seconds = excluded.latency_seconds"""
_SINCE = """
    SELECT at, counts, latency_seconds FROM minute WHERE endpoint = ? AND at >= ? ORDER BY at"""


def keep(connection: Connection, minutes: Sequence[Minute], *, before: int, replica: str) -> None:
    """Keep minutes of one replica; a minute that is kept again replaces itself."""
    rows = [
        (one.endpoint, one.at, replica, json.dumps(dict(one.counts)), one.latency_seconds)
        for one in minutes
    ]
    connection.executemany(_KEEP, rows)
    connection.execute("DELETE FROM minute WHERE at < ?", (before,))


def since(connection: Connection, endpoint: str, at: float) -> list[Minute]:
    """The minutes from `at` on, in order of time; the counts of all replicas are added up."""
    return list(_added_up(endpoint, connection.execute(_SINCE, (endpoint, at))))


def _added_up(endpoint: str, rows: Iterable[Sequence[Any]]) -> Iterator[Minute]:
    for at, parts in groupby(rows, lambda row: row[0]):
        counts, latency_seconds = Counter[str](), 0.0
        for _, kept, latency in parts:
            counts.update(json.loads(kept))
            latency_seconds += latency
        yield Minute(endpoint, at, counts, latency_seconds)
