"""A standby is no outbox: it takes no writes, and an address may lead to one for a moment."""

import asyncio
import time
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from support.clock import HandClock
from support.outbox import ids, must_claim, until_it_failed
from support.outbox_harness import OutboxHarness
from support.postgres import PostgresServer, PostgresStandby
from support.readings import new_reading

from forwarder.errors import OutboxUnavailable
from forwarder.outbox.postgresql.connection import connect, opened_connection
from forwarder.outbox.postgresql.engine import PostgresEngine, overview, read
from forwarder.outbox.postgresql.members import DatabaseSeat
from forwarder.outbox.postgresql.schema import prepare
from forwarder.settings import Database

ONE = "ECC9FF5C0001"
READ_ONLY = b"SET default_transaction_read_only = on"
"""What a session with a standby is like."""


def test_standby_is_refused_unless_the_url_asks_for_any() -> None:
    """So a name that leads to both finds the primary; one that only looks may ask for any."""
    with PostgresServer() as primary:
        place = primary.database()
        prepare(place)
        options = parse_qs(urlsplit(place.url).query)["options"][0]
        with PostgresStandby(primary) as standby:
            with pytest.raises(OutboxUnavailable, match="read-only"):
                connect(Database(standby.url(options=options)))
            both = f"{standby.folder},{primary.folder}"
            with opened_connection(Database(primary.url(options=options, host=both))) as connection:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
            assert row == (False,)
            asks = standby.url(options=options, target_session_attrs="any")
            assert read(Database(asks), overview).endpoints == []


def test_session_that_takes_no_writes_is_closed(place: Database) -> None:
    with opened_connection(place) as connection:
        connection.raw.execute(READ_ONLY)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE one (two int)")
        assert connection.is_lost


async def test_puts_go_on_over_another_session(place: Database) -> None:
    harness = OutboxHarness(place, HandClock())
    outbox = harness.open()
    assert isinstance(harness.engine, PostgresEngine)
    await outbox.put([new_reading(ONE, "a")])
    harness.engine._writer.raw.execute(READ_ONLY)
    waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "b")]))
    await until_it_failed(outbox)
    harness.clock.advance(1)
    assert await asyncio.wait_for(waiting, timeout=10) == ["accepted"]
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]
    await harness.kill()


def test_beats_go_on_over_another_session(place: Database) -> None:
    seat = DatabaseSeat(place, name="one", deployment="ours")
    assert seat._session is not None
    seat._session.raw.execute(READ_ONLY)
    changed_at = time.monotonic()
    while seat._sure_since < changed_at + 1:
        assert time.monotonic() < changed_at + 20
        time.sleep(0.01)
    seat.release()


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        *((level, "on") for level in ("off", "local", "remote_write", "on")),
        ("remote_apply", "remote_apply"),
    ],
)
def test_no_commit_is_believed_before_a_standby_has_it(
    place: Database, asked: str, used: str
) -> None:
    """Whatever the server, the role or the URL is set to; to wait for longer is anybody's choice."""
    asking = Database(f"{place.url}%20-csynchronous_commit%3D{asked}")
    with opened_connection(asking) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == (used,)
