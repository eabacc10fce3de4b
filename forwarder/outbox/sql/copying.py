"""A move to another engine reads an outbox's tables, and fills the other's, by these statements."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from forwarder.outbox.records import EndpointTotals
from forwarder.outbox.sql import queries
from forwarder.outbox.sql.connection import Connection

BY_TRIGGERS = {("quarantine_account", "kept"), ("quarantine_account", "kept_bytes")}
"""Triggers fill these columns as the rows of other tables come, so they are not copied."""

_STATES = """
    SELECT e.name, d.state, count(*) FROM delivery d JOIN endpoint e ON e.id = d.endpoint GROUP BY e.name, d.state"""
_EVICTED = """
    INSERT INTO quarantine_account (reason, evicted) VALUES (?, ?)
    ON CONFLICT (reason) DO UPDATE SET evicted = excluded.evicted"""


class SqlContents:
    """The part of `Contents` that engines share."""

    connection: Connection

    def deployment(self) -> str | None:
        return None

    def totals(self) -> list[EndpointTotals]:
        return queries.totals(self.connection)

    def states(self) -> Mapping[tuple[str, str], int]:
        return {(name, state): count for name, state, count in self.connection.execute(_STATES)}


def without_triggered(columns: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Gather pairs of table and column by table, without the columns that triggers fill."""
    tables: dict[str, tuple[str, ...]] = {}
    for table, column in columns:
        if (table, column) not in BY_TRIGGERS:
            tables[table] = (*tables.get(table, ()), column)
    return tables


def select(table: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 - names of the schema


def take_evicted(connection: Connection, rows: Iterable[Sequence[Any]]) -> None:
    """Complete the accounts of the quarantine, which triggers have made with its rows."""
    connection.executemany(_EVICTED, rows)
