"""Tables of before, brought up to date. postgresql-v1.sql is the text that made them when they were version 1."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from support.clock import HandClock
from support.outbox import must_claim, settle
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.outbox.postgresql.connection import PostgresConnection, opened_connection
from forwarder.outbox.postgresql.schema import STEPS, prepare
from forwarder.settings import Database

if TYPE_CHECKING:
    from forwarder.outbox.intake import Outcomes

WRITTEN = Path(__file__).parents[2] / "fixtures" / "postgresql-v1.sql"
_COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"""
_VIEWS = "SELECT viewname, definition FROM pg_views WHERE schemaname = current_schema()"
_WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND application_name = 'forwarder under-test'"""
ONE = "ECC9FF5C0001"


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


async def test_replica_that_runs_goes_on_beside_an_upgrade(place: Database) -> None:
    """Its transactions wait, and neither side fails: both lock the line before any home."""
    harness = OutboxHarness(place, HandClock())
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    claimed = await must_claim(outbox)
    loop = asyncio.get_running_loop()
    puts: list[asyncio.Future[Outcomes]] = []

    def work() -> None:
        settle(outbox, claimed)
        puts.append(asyncio.ensure_future(outbox.put([new_reading(ONE, "b")])))

    def step(connection: PostgresConnection) -> None:
        connection.execute("ALTER TABLE home ADD COLUMN more int")
        loop.call_soon_threadsafe(work)
        give_up_at = time.monotonic() + 4
        while connection.execute(_WAITING).fetchone() == (0,):
            assert time.monotonic() < give_up_at
            time.sleep(0.01)

    await asyncio.to_thread(prepare, place, steps=(*STEPS, step))
    assert await asyncio.wait_for(puts[0], timeout=10) == ["accepted"]
    assert outbox.capacity.is_writable
    await harness.kill()
