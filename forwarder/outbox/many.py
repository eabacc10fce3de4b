"""
Statements over many rows.

SQLite runs without Python's lock, which is taken again after each statement: statements for single rows would have the
two threads hand it to and fro thousands of times a second. One over many rows also costs less by itself.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

SIZES = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement: any number is made up of few, and SQLite keeps each of them prepared."""

Row: TypeAlias = tuple[object, ...]


class ManyRows:
    """A statement with `{rows}` where its rows of so many `columns` belong, as VALUES takes them."""

    def __init__(self, statement: str, *, columns: int) -> None:
        row = f"({', '.join('?' * columns)})"
        self._statements = {size: statement.format(rows=", ".join([row] * size)) for size in SIZES}

    def execute(
        self,
        connection: sqlite3.Connection,
        rows: Sequence[Row],
        *,
        before: Row = (),
        after: Row = (),
    ) -> int:
        """How many rows it changed; `before` and `after` are the parameters on both sides of the rows."""
        changed = at = 0
        for size in SIZES:
            while len(rows) - at >= size:
                values = chain.from_iterable(rows[at : at + size])
                parameters = (*before, *values, *after)
                changed += connection.execute(self._statements[size], parameters).rowcount
                at += size
        return changed
