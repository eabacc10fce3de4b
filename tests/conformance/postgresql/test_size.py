"""How much the outbox holds is seen between two commits, so it must not take long whatever there is."""

from collections.abc import Iterable, Sequence
from typing import Any

from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.postgresql.schema import prepare
from forwarder.outbox.postgresql.size import _EXACT, ROW_BYTES, Size
from forwarder.outbox.sql.connection import Connection, Cursor
from forwarder.settings import Database

_READINGS = """
    INSERT INTO reading SELECT n, int8send(n), 'D', n::text, n FROM generate_series(1, {count}) AS n"""
_DELIVERIES = """
    INSERT INTO delivery (reading, endpoint, device, state, enqueued_at, age_from)
    SELECT n, 1, 'D', 'delivered', n, n FROM generate_series(1, {count}) AS n"""


class _Asked:
    """A connection that remembers what it was asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statements: list[str] = []

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        self.statements.append(statement)
        return self._connection.execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        self._connection.executemany(statement, rows)


def _measured(place: Database, count: int) -> tuple[bool, int]:
    """Whether rows were counted one by one, and what it came to, with so many readings delivered and no body left."""
    prepare(place)
    with opened_connection(place) as connection:
        for statement in (_READINGS, _DELIVERIES):
            connection.execute(statement.format(count=count))
    size = Size()
    with opened_connection(place) as connection:
        asked = _Asked(connection)
        size.measure(asked, now=0.0)
    return _EXACT in asked.statements, size.used_bytes


def test_small_outbox_is_counted_row_by_row(place: Database) -> None:
    assert _measured(place, 100) == (True, 200 * ROW_BYTES)


def test_large_log_without_bodies_is_taken_from_statistics(place: Database) -> None:
    """Bodies go with their deliveries, and the log stays: it alone may be what is large."""
    is_counted, used_bytes = _measured(place, 100_000)
    assert not is_counted
    assert 0.9 < used_bytes / (200_000 * ROW_BYTES) < 1.1
