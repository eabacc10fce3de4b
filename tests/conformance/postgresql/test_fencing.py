"""Whoever has been taken over changes nothing any more, and nothing is believed that a commit has not confirmed."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from support.clock import HandClock
from support.engines import PostgresUnderTest
from support.outbox import claim, flush, ids, must_claim, settle, totals, until_it_failed
from support.outbox_harness import OutboxHarness
from support.postgres import PostgresServer, PostgresStandby
from support.readings import new_reading

from forwarder.delivery import Bury, RetryAt
from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import OutboxTaken
from forwarder.outbox import Outbox, inspect
from forwarder.outbox.engine import Limits
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.postgresql.engine import PostgresEngine
from forwarder.outbox.postgresql.reading_back import _ARRIVALS, _HEADS
from forwarder.outbox.postgresql.size import Size
from forwarder.outbox.postgresql.statements import _DROP_BODIES, _POSTPONE, _SETTLE
from forwarder.settings import Database

ONE, TWO = "ECC9FF5C0001", "ECC9FF5C0002"


def engine_of(harness: OutboxHarness) -> PostgresEngine:
    assert isinstance(harness.engine, PostgresEngine)
    return harness.engine


async def take_over(harness: OutboxHarness) -> OutboxHarness:
    """Another replica takes the line and every home."""
    other = OutboxHarness(harness.place, HandClock())
    other.open()
    return other


async def ended(harness: OutboxHarness) -> None:
    with pytest.raises(OutboxTaken, match="another forwarder has taken over"):
        await asyncio.wait_for(harness.ended(), timeout=10)


async def test_deposed_leader_stores_nothing(harness: OutboxHarness) -> None:
    """Its put is refused whole, and nobody hears that it was done."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    other = await take_over(harness)
    waiting = outbox.put([new_reading(ONE, "b")])
    await ended(harness)
    assert not waiting.done()
    assert [row["number"] for row in other.engine.rows("reading")] == [1]
    await other.kill()


@pytest.mark.parametrize("decision", [None, RetryAt(0.0), Bury("refused")])
async def test_deposed_owner_settles_nothing(
    harness: OutboxHarness, decision: RetryAt | Bury | None
) -> None:
    """Not even a 2xx that came too late: the new owner sends it again."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    claimed = await must_claim(outbox)
    other = await take_over(harness)
    settle(outbox, claimed, decision, error="http_500" if decision else "")
    await ended(harness)
    (row,) = other.engine.rows("delivery")
    assert (row["state"], row["attempts"], row["due_at"]) == ("pending", 0, 0.0)
    assert other.engine.rows("attempt") == []
    await other.kill()


async def test_deposed_owner_changes_no_circuit(harness: OutboxHarness) -> None:
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    other = await take_over(harness)
    outbox.record_gone("acme", "digest")
    await ended(harness)
    assert other.engine.rows("endpoint_row")[0]["paused_by"] is None
    await other.kill()


async def test_deposed_owner_changes_no_health(harness: OutboxHarness) -> None:
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    other = await take_over(harness)
    outbox.record_health("acme", EndpointHealth(failures=9))
    await ended(harness)
    assert other.engine.rows("home")[0]["failures"] == 0
    await other.kill()


@pytest.mark.parametrize("is_committed", [True, False])
async def test_session_lost_in_a_commit(
    harness: OutboxHarness, clock: HandClock, monkeypatch: pytest.MonkeyPatch, *, is_committed: bool
) -> None:
    """Whatever became of it: each reading is offered once, in order, and the accounts agree."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a"), new_reading(TWO, "x")])
    settle(outbox, await must_claim(outbox))
    session = engine_of(harness)._writer
    commit = session.commit

    def lose() -> None:
        if is_committed:
            commit()
        session.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(session, "commit", lose)
    waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "b")]))
    await until_it_failed(outbox)
    clock.advance(1)
    await waiting
    await flush(outbox)
    offered = []
    while (claimed := await claim(outbox, limit=9)) is not None:
        offered.append(ids(claimed))
        settle(outbox, claimed)
    assert sorted(offered) == [["b"], ["x"]]
    accounts = await totals(outbox)
    assert (accounts.enqueued, accounts.delivered, accounts.pending) == (3, 3, 0)
    assert inspect(harness.place).faults == ()


async def test_measuring_that_fails_repeats_no_commit(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was put is committed by then: brought in again it would be known, and in no lane."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])

    def fail(*_: object, **__: object) -> None:
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    monkeypatch.setattr(Size, "measure", fail)
    put = outbox.put([new_reading(ONE, "b")])
    assert await asyncio.wait_for(put, timeout=10) == ["accepted"]
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]
    assert harness.engine.rows("message_total") == [{"outcome": "accepted", "count": 2}]


async def test_session_that_is_lost_counts_in_nobodys_favour(
    harness: OutboxHarness, clock: HandClock
) -> None:
    """A database that was away is not another replica: what was ours is ours under a new epoch."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    before = engine_of(harness)._line_epoch or 0
    with opened_connection(engine_of(harness)._database) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?",
            ("forwarder under-test",),
        )
    waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "b")]))
    await until_it_failed(outbox)
    clock.advance(1)
    assert await waiting == ["accepted"]
    assert engine_of(harness)._line_epoch == before + 1
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]


async def test_session_that_could_not_take_what_is_ours_is_not_kept(place: Database) -> None:
    """An error of the server is no loss of the session, which has a transaction in the way of every later one."""
    harness = OutboxHarness(Database(f"{place.url}%20-clock_timeout%3D100ms"), HandClock())
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    with opened_connection(place) as connection:
        connection.begin()
        connection.execute("SELECT 1 FROM home FOR UPDATE")
        engine_of(harness)._writer.close()
        waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "b")]))
        async with _passing(harness.clock):
            await _until_it_says(outbox, "lock timeout")
            connection.roll_back()
            assert await asyncio.wait_for(waiting, timeout=10) == ["accepted"]
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]
    await harness.kill()


async def test_start_that_has_to_yield_in_a_deadlock_is_tried_again(place: Database) -> None:
    """The server chooses who has to, and a replica that starts has done nothing wrong."""
    harness = OutboxHarness(place, HandClock())
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a", to="acme home")])
    await harness.kill()
    last = "SELECT 1 FROM home WHERE endpoint = (SELECT max(endpoint) FROM home) FOR UPDATE"
    with opened_connection(place) as other:
        other.execute("SET deadlock_timeout = '1min'")
        other.begin()
        other.execute(last)
        begin = partial(PostgresUnderTest, place, limits=Limits(10**9, 10**8, 3600.0))
        opening = asyncio.create_task(asyncio.to_thread(begin))
        await asyncio.to_thread(_until_somebody_waits, place)
        await asyncio.to_thread(other.execute, "SELECT 1 FROM home FOR UPDATE")
        other.roll_back()
        engine = await opening
    assert {*(engine.start().homes or ())} == {"acme", "home"}
    engine.close()


def _until_somebody_waits(place: Database) -> None:
    with opened_connection(place) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while connection.execute(query).fetchone() == (0,):
            time.sleep(0.01)


async def _until_it_says(outbox: Outbox, words: str) -> None:
    async with asyncio.timeout(10):
        while words not in (outbox.capacity.problem or ""):  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _passing(clock: HandClock) -> AsyncIterator[None]:
    """Time goes on inside the block: the next try waits for it, and when that begins is told to nobody."""

    async def pass_on() -> None:
        while True:
            await asyncio.sleep(0.05)
            clock.advance(0.05)

    passing = asyncio.create_task(pass_on())
    try:
        yield
    finally:
        passing.cancel()


class TestWhenNoStandbyAnswers:
    """A commit that no standby has is not believed, however often it is brought in again."""

    async def test_message_is_not_acknowledged(self) -> None:
        with PostgresServer() as server:
            harness = OutboxHarness(server.database(), HandClock())
            outbox = harness.open()
            assert await outbox.put([new_reading(ONE, "a")]) == ["accepted"]
            server.set("synchronous_standby_names", "missing")
            waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "b")]))
            async with _passing(harness.clock):
                for _ in range(3):
                    await self._cancel_the_wait(server)
                    assert not waiting.done()
                server.set("synchronous_standby_names", "")
                await asyncio.wait_for(waiting, timeout=20)
            await flush(outbox)
            assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]
            assert inspect(harness.place).faults == ()
            await harness.kill()

    async def _cancel_the_wait(self, server: PostgresServer) -> None:
        """As an operator would, who does not know what it means."""
        cancel = (
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            " AND application_name = 'forwarder under-test'"
        )
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(server.ask, cancel):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.02)


async def test_failover_that_lost_something_is_told() -> None:
    """Nobody waited for the standby, which had not received the last readings: how many, only the leader knows."""
    with PostgresServer() as primary:
        schema = parse_qs(urlsplit(primary.database().url).query)["options"][0]
        with PostgresStandby(primary) as standby:
            url = primary.url(
                options=schema,
                host=f"{primary.folder},{standby.folder}",
                target_session_attrs="read-write",
            )
            harness = OutboxHarness(Database(url), HandClock())
            outbox = harness.open()
            await outbox.put([new_reading(ONE, "a")])
            await asyncio.to_thread(_until_replayed, primary)
            standby.signal(signal.SIGSTOP, named="walreceiver")
            await outbox.put([new_reading(ONE, name) for name in "bcd"])
            primary.kill()
            standby.signal(signal.SIGKILL, named="walreceiver")
            standby.promote()
            async with _passing(harness.clock):
                assert await outbox.put([new_reading(ONE, "e")]) == ["accepted"]
            assert "up to 3 readings: a failover took" in str(outbox.capacity.missing)
            assert [row["number"] for row in harness.engine.rows("reading")] == [1, 2]
            await harness.kill()


def _until_replayed(primary: PostgresServer) -> None:
    """Return once the standby shows all that the primary has."""
    behind = "SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
    give_up_at = time.monotonic() + 20
    while not primary.ask(behind):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


_MANY = b"""
    ALTER TABLE reading SET (autovacuum_enabled = off);
    ALTER TABLE body SET (autovacuum_enabled = off);
    ALTER TABLE delivery SET (autovacuum_enabled = off);
    INSERT INTO reading SELECT n, int8send(n), 'D' || n % 1000, n::text, n FROM generate_series(2, 30000) AS n;
    INSERT INTO body SELECT n, decode(repeat('ab', 400), 'hex') FROM generate_series(2, 30000) AS n;
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from)
        SELECT n, 1, 'D' || n % 1000, n, n FROM generate_series(2, 30000) AS n"""


@pytest.mark.parametrize("is_analyzed", [False, True])
async def test_statements_find_their_rows_by_their_numbers(
    place: Database, *, is_analyzed: bool
) -> None:
    """Also where PostgreSQL has no statistics yet, and believes that few of the rows are pending."""
    harness = OutboxHarness(place, HandClock())
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    with opened_connection(place) as connection:
        connection.raw.execute(_MANY)
        if is_analyzed:
            connection.raw.execute("ANALYZE")
    numbers = list(range(1, 1001))
    one, none = [1] * 1000, [None] * 1000
    keys = (numbers, one, [f"D{number}" for number in numbers])
    statements: dict[str, tuple[object, ...]] = {
        _SETTLE: (*keys, ["delivered"] * 1000, none, one, one, none, [1.0] * 1000, none, 0.0),
        _POSTPONE: (*keys, [0.0] * 1000, one, one, ["http_500"] * 1000, [1.0] * 1000),
        _DROP_BODIES: (numbers,),
        _ARRIVALS: (*(0, 1000) * 3, [1]),
        _HEADS: ([0, 1], [1, 1], [ONE, TWO], 32),
    }
    for statement, parameters in statements.items():
        rows = engine_of(harness)._writer.execute(f"EXPLAIN {statement}", parameters)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan" not in plan, plan
        assert "delivery_age" not in plan, plan
        assert ("delivery_lane" in plan) is (statement == _HEADS), plan
    await harness.kill()


def test_text_of_strangers_is_kept_as_far_as_it_is_text(
    new_database: Callable[[], Database],
) -> None:
    """Alone and in an array, which goes to the server in another form."""
    odd = "a\0b\ud800\u00e9"
    with opened_connection(new_database()) as connection:
        row = connection.execute("SELECT ?::text, ?::text[]", (odd, [odd, None])).fetchone()
    assert row == ("a\ufffdb?\u00e9", ["a\ufffdb?\u00e9", None])
