"""Many rows in few statements."""

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from forwarder.outbox.sqlite.bulk_statement import BulkStatement

PUT = BulkStatement("INSERT INTO pair VALUES {rows} ON CONFLICT DO NOTHING", columns=2)
CHANGE = BulkStatement(
    "UPDATE pair SET value = ? + new.column2 FROM (VALUES {rows}) AS new WHERE key = new.column1 AND key < ?",
    columns=2,
)


@given(st.lists(st.integers(0, 600), max_size=700), st.integers(0, 600))
def test_each_row_takes_effect_once(keys: list[int], end: int) -> None:
    """However many there are, in order, and with the parameters on both sides of them."""
    distinct = sorted(set(keys))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE pair (key INTEGER PRIMARY KEY, value INTEGER) WITHOUT ROWID"
        )
        assert PUT.execute(connection, [(key, place) for place, key in enumerate(keys)]) == len(
            distinct
        )
        rows = [(key, key) for key in distinct]
        changed = CHANGE.execute(connection, rows, before=(1000,), after=(end,))
        assert changed == len([key for key in distinct if key < end])
        found = dict(connection.execute("SELECT key, value FROM pair").fetchall())
    assert found == {key: 1000 + key if key < end else keys.index(key) for key in distinct}
