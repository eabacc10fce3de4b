"""Tables of before, brought up to date. postgresql-v1.sql is the text that made them when they were version 1."""

from collections.abc import Callable
from pathlib import Path

from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.postgresql.schema import prepare
from forwarder.settings import Database

WRITTEN = Path(__file__).parents[2] / "fixtures" / "postgresql-v1.sql"
_COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"""
_VIEWS = "SELECT viewname, definition FROM pg_views WHERE schemaname = current_schema()"


def shape(place: Database) -> list[list[tuple[object, ...]]]:
    with opened_connection(place) as connection:
        return [connection.execute(query).fetchall() for query in (_COLUMNS, _VIEWS)]


def test_tables_of_version_1_become_those_of_today(new_database: Callable[[], Database]) -> None:
    today, before = new_database(), new_database()
    prepare(today)
    with opened_connection(before) as connection:
        connection.raw.execute(WRITTEN.read_bytes())
        connection.execute("INSERT INTO line (schema) VALUES (1)")
    prepare(before)
    assert shape(before) == shape(today)
