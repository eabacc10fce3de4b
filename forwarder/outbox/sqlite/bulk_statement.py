"""
A bulk statement runs once for many rows.

SQLite runs without Python's lock, and a thread waits up to a millisecond to get it back while the loop is busy. One
statement for a whole group waits once, and costs less than many.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain, repeat
from typing import TypeAlias

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, *range(64, 513, 64), *range(640, 1025, 128))
"""Rows of one statement; each size stays prepared. A group is padded to the next size by repeating its last row."""

Row: TypeAlias = tuple[object, ...]


class BulkStatement:
    """
    A statement in which `{rows}` stands for the rows of VALUES, of so many `columns` each.

    A repeated row must change nothing.
    """

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
        """Returns how many rows were changed; `before` and `after` are the parameters on both sides of the rows."""
        changed = 0
        for at in range(0, len(rows), SIZES[-1]):
            some = rows[at : at + SIZES[-1]]
            size = SIZES[bisect_left(SIZES, len(some))]
            values = chain.from_iterable(chain(some, repeat(some[-1], size - len(some))))
            parameters = (*before, *values, *after)
            changed += connection.execute(self._statements[size], parameters).rowcount
        return changed
