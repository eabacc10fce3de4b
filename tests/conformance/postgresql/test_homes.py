"""Endpoints' homes over several replicas: each is delivered to from one of them, whoever has put its readings."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.clock import HandClock
from support.dispatcher_harness import DispatcherHarness
from support.engines import HeldDisk
from support.outbox import claim, flush, ids, is_reading, must_claim, settle, totals
from support.outbox_harness import OutboxHarness
from support.readings import STARTED_AT, endpoint, new_reading
from support.replicas import Replicas, delivered, replicas, seen

from forwarder.delivery import RetryAt
from forwarder.errors import OutboxTaken, OutboxUnavailable
from forwarder.outbox import (
    KeptLast,
    NewQuarantined,
    Outbox,
    Recipient,
    ReleaseHomes,
    ReplayQuarantined,
    TakeHomes,
    inspect,
    opened,
)
from forwarder.outbox.changes import Applied
from forwarder.outbox.postgresql.connection import PostgresConnection, opened_connection
from forwarder.outbox.postgresql.engine import PostgresEngine
from forwarder.outbox.postgresql.statements import Store
from forwarder.reading import Device
from forwarder.settings import Database

ONE, TWO = "ECC9FF5C0001", "ECC9FF5C0002"
LATEST = (Recipient("acme", only_latest=True),)


@pytest.fixture
async def both(place: Database) -> AsyncIterator[Replicas]:
    """Replica one leads and delivers to `home`, replica two to `acme`; one reading of each is settled."""
    async with replicas(place) as both:
        await both.leader.put([new_reading(ONE, "first", to="acme home")])
        await both.move("acme", "two")
        assert await delivered(both["one"], "home") == ["first"]
        assert await delivered(both["two"]) == ["first"]
        yield both


async def test_owner_reads_back_what_the_leader_puts(both: Replicas) -> None:
    """In order and once, together with what it is; of its own homes the leader knows it from memory."""
    engines = [both.harnesses[name].engine for name in ("one", "two")]
    before = [engine.read for engine in engines]
    for payload in "abc":
        await both.leader.put([new_reading(ONE, payload, to="acme home")])
    await both.leader.put([new_reading(TWO, "x")])
    assert await claim(both["one"]) is None
    assert ids(await must_claim(both["one"], "home", limit=9)) == ["a", "b", "c"]
    assert await delivered(both["two"]) == ["a", "b", "c", "x"]
    assert [engine.read for engine in engines] == before
    assert (await totals(both["one"])).delivered == 5
    assert inspect(both.harnesses["one"].place).faults == ()


async def test_leader_has_no_more_to_read_of_what_it_has_put(
    both: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look costs a statement, which each of its commits would pay."""
    await both.leader.put([new_reading(ONE, "a")])
    await seen(both.leader)
    told: list[bool] = []
    apply = PostgresEngine.apply

    def applied(engine: PostgresEngine, *args: Any, **options: Any) -> Applied:
        result = apply(engine, *args, **options)
        told.append(result.has_more)
        return result

    monkeypatch.setattr(PostgresEngine, "apply", applied)
    await both.leader.put([new_reading(ONE, "b")])
    assert told
    assert not any(told)


async def test_reading_back_alone_takes_no_transaction(
    both: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every replica reads after each commit of the leader."""
    engine = both.harnesses["two"].engine
    assert isinstance(engine, PostgresEngine)
    begun: list[None] = []
    monkeypatch.setattr(engine._writer, "begin", lambda **_: begun.append(None))
    await both.leader.put([new_reading(ONE, "a")])
    has_arrived = asyncio.Event()
    both["two"].schedule.on_claimable = lambda _: has_arrived.set()
    both["two"].look()
    await asyncio.wait_for(has_arrived.wait(), timeout=10)
    claimed = both["two"].schedule.claim("acme")
    assert claimed is not None
    assert ids(claimed) == ["a"]
    assert begun == []


async def test_settlements_share_a_commit_where_another_replica_puts(both: Replicas) -> None:
    """They make no message's commit longer, and the database has fewer of them."""
    owner = both["two"]
    await both.leader.put([new_reading(ONE, "a"), new_reading(TWO, "x")])
    await seen(owner)
    before = owner.accounts.commits
    for _ in range(2):
        settle(owner, await must_claim(owner))
        for _ in range(20):
            await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while not owner.is_at_rest:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)
    assert owner.accounts.commits == before + 1


async def test_endpoint_that_is_new_stays_where_it_was_made(place: Database) -> None:
    """Until a look that knows it says that it should be elsewhere."""
    harness = DispatcherHarness(OutboxHarness(place, HandClock()))
    outbox = harness.open(endpoint())
    await outbox.put([new_reading()])
    harness.dispatcher.follow_homes(elsewhere=set(), free=set())
    await harness.answer_all()
    assert "acme" in outbox.homes
    harness.dispatcher.follow_homes(elsewhere={"acme"}, free=set())
    async with asyncio.timeout(10):
        while "acme" in outbox.homes:
            await harness.rest()
    await harness.outbox_harness.kill()


async def test_more_than_is_read_back_at_once(
    both: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on by itself until nothing is left."""
    monkeypatch.setattr("forwarder.outbox.postgresql.reading_back.MOST_NUMBERS", 3)
    for number in range(20):
        await both.leader.put([new_reading(ONE, str(number))])
    sent: list[str] = []
    both["two"].look()
    async with asyncio.timeout(10):
        while len(sent) < 20:
            claimed = await claim(both["two"], limit=9)
            if claimed is not None:
                sent += ids(claimed)
                settle(both["two"], claimed)
            await asyncio.sleep(0)
    assert sent == [str(number) for number in range(20)]


async def test_home_goes_on_where_it_was_left(both: Replicas) -> None:
    """What was pending is sent from its new replica, what was settled is not; waits are kept."""
    await both.leader.put([new_reading(ONE, "a"), new_reading(ONE, "b"), new_reading(TWO, "x")])
    await seen(both["two"])
    settle(both["two"], await must_claim(both["two"]))
    claimed = await must_claim(both["two"])
    settle(both["two"], claimed, RetryAt(STARTED_AT + 60), error="http_500")
    await both.move("acme", "one")
    assert await claim(both["two"]) is None
    left = await delivered(both["one"])
    assert len(left) == 1  # of three, one was delivered before, and one waits
    both.harnesses["one"].clock.advance(60)
    assert len(await delivered(both["one"])) == 1
    accounts = await totals(both["one"])
    assert (accounts.delivered, accounts.pending) == (4, 0)


async def test_nothing_is_seen_twice_by_a_home_that_moves_while_readings_come(
    both: Replicas,
) -> None:
    """Whether a reading was counted with the lane or has arrived by itself."""
    sent: list[str] = []
    for number in range(12):
        await both.leader.put([new_reading(ONE, str(number))])
        to = "one" if number % 4 < 2 else "two"
        if "acme" not in both[to].homes:
            await both.move("acme", to)
        if number % 3 == 0:
            sent += await delivered(both[to])
    sent += await delivered(both["one"]) + await delivered(both["two"])
    assert sent == [str(number) for number in range(12)]


async def test_reading_that_comes_between_a_look_and_a_count_is_there_once(both: Replicas) -> None:
    """A count of a lane leaves out what has come since the look, because that arrives by itself."""
    owner = both["two"]
    await owner.operate(ReleaseHomes(["acme"]))
    with HeldDisk(both.harnesses["two"].engine) as disk:
        taking = asyncio.ensure_future(owner.operate(TakeHomes(["acme"])))
        assert await asyncio.to_thread(disk.is_reached.wait, 10)
        await both.leader.put([new_reading(ONE, "a")])
        disk.let_go()
        await taking
    await seen(owner)
    lane = owner.schedule.lanes_of("acme").find(Device(ONE))
    assert lane is not None
    assert lane.pending == 1
    assert await delivered(owner) == ["a"]


async def test_known_reading_that_is_owed_anew_reaches_its_home(both: Replicas) -> None:
    """Its number is an old one, so it does not arrive like others; its body is kept for it."""
    await both.leader.put([new_reading(TWO, "a", to="home")])
    assert await delivered(both["one"], "home") == ["a"]
    await seen(both["two"])
    await both.leader.put([new_reading(TWO, "a", to="home acme")])
    assert await delivered(both["two"]) == ["a"]


async def test_commands_are_seen_by_every_home(both: Replicas) -> None:
    """A message that is understood today, replayed beside the service, is owed to endpoints of both replicas."""
    junk = NewQuarantined(Device(TWO), "ext/t", STARTED_AT, "not_json", "no", 1, b"x")
    await both.leader.put([junk])
    (row,) = both.harnesses["one"].engine.rows("quarantine")
    with opened(both.harnesses["one"].place) as access:
        reading = new_reading(TWO, "q", to="acme home")
        assert access.operate(ReplayQuarantined(row["id"], reading, now=STARTED_AT)) == ["replayed"]
    assert await delivered(both["two"]) == ["q"]
    assert await delivered(both["one"], "home") == ["q"]


async def test_endpoint_that_only_a_command_has_named_finds_a_home(both: Replicas) -> None:
    junk = NewQuarantined(Device(TWO), "ext/t", STARTED_AT, "not_json", "no", 1, b"x")
    await both.leader.put([junk])
    (row,) = both.harnesses["one"].engine.rows("quarantine")
    with opened(both.harnesses["one"].place) as access:
        access.operate(ReplayQuarantined(row["id"], new_reading(TWO, "q", to="new"), now=0.0))
    assert await delivered(both["one"], "new") == ["q"]


@pytest.mark.parametrize("only_latest", [False, True])
async def test_last_reading_of_an_interval_reaches_its_home(
    both: Replicas, *, only_latest: bool
) -> None:
    """Whoever puts them keeps the last; where only the latest counts, it is the home's to let older ones give way."""
    owner, clock = both["two"], both.harnesses["one"].clock
    kept = KeptLast(60.0, only_latest=only_latest)
    both.leader.candidates.keep_last({"acme": kept})
    for payload in "abc":
        await both.leader.put([new_reading(ONE, payload)])
    await seen(owner)
    assert await claim(owner) is None
    clock.advance(61)
    both.leader.candidates.end_intervals("acme", kept)
    await flush(both.leader)
    async with asyncio.timeout(20):
        while (claimed := await claim(owner)) is None:
            owner.look()  # as it does twice a second
            await asyncio.sleep(0.01)
    assert ids(claimed) == ["c"]
    settle(owner, claimed)
    accounts = await totals(owner)
    assert (accounts.enqueued, accounts.delivered) == (2, 2)
    assert inspect(both.harnesses["one"].place).faults == ()


class TestLatest:
    """Where only the latest counts, the replica lets the older give way that knows what is in flight."""

    async def test_older_one_gives_way_unless_it_is_in_flight(self, both: Replicas) -> None:
        owner = both["two"]
        owner.schedule.serve("acme", longest_wait_seconds=60.0, only_latest=True)
        await both.leader.put([new_reading(ONE, "a", recipients=LATEST)])
        await seen(owner)
        flying = owner.schedule.claim("acme")
        assert flying is not None
        for payload in "bcd":
            await both.leader.put([new_reading(ONE, payload, recipients=LATEST)])
        await seen(owner)
        await flush(owner)
        settle(owner, flying)
        await flush(owner)
        owner.schedule.serve("acme", longest_wait_seconds=60.0, only_latest=True)
        assert await self._sent(owner) == ["d"]
        accounts = await totals(owner)
        assert (accounts.delivered, accounts.superseded, accounts.pending) == (3, 2, 0)

    async def test_what_came_while_it_had_no_home_gives_way(
        self, both: Replicas, place: Database
    ) -> None:
        with opened_connection(place) as connection:
            connection.execute("UPDATE home SET owner = 'nobody', epoch = epoch + 1")
            connection.execute("INSERT INTO member (id, name, version) VALUES ('nobody', 'n', '')")
        await both.kill()
        async with replicas(place, "three") as others:
            for payload in "abc":
                await others.leader.put([new_reading(ONE, payload, recipients=LATEST)])
            with opened_connection(place) as connection:
                connection.execute("DELETE FROM member WHERE id = 'nobody'")
            await others.leader.operate(TakeHomes(["acme"]))
            others.leader.schedule.serve("acme", longest_wait_seconds=60.0, only_latest=True)
            assert await self._sent(others.leader) == ["c"]
            assert (await totals(others.leader)).superseded == 2

    async def _sent(self, owner: Outbox) -> list[str]:
        sent: list[str] = []
        await flush(owner)
        while True:
            claimed = owner.schedule.claim("acme")
            if claimed is None and not is_reading(owner):
                return sent
            if claimed is not None:
                sent += ids(claimed)
                settle(owner, claimed)
                await flush(owner)
            await asyncio.sleep(0)


class TestFencing:
    """A home's epoch: whoever was taken over changes nothing any more."""

    async def test_deposed_owner_settles_nothing_and_ends(
        self, both: Replicas, place: Database
    ) -> None:
        """Also of homes that are its own still: it was taken for dead, and has to start anew."""
        await both.leader.put([new_reading(ONE, "a")])
        await seen(both["two"])
        claimed = await must_claim(both["two"])
        with opened_connection(place) as connection:
            connection.execute("DELETE FROM member WHERE id = 'two'")
        await both["one"].operate(TakeHomes(["acme"]))
        settle(both["two"], claimed)
        with pytest.raises(OutboxTaken, match="another forwarder has taken over"):
            await asyncio.wait_for(both.harnesses["two"].ended(), timeout=10)
        assert await delivered(both["one"]) == ["a"]
        assert (await totals(both["one"])).delivered == 2

    async def test_home_of_a_living_replica_is_not_taken(self, both: Replicas) -> None:
        await both["one"].operate(TakeHomes(["acme"]))
        assert "acme" not in both["one"].homes
        assert "acme" in both["two"].homes

    async def test_session_that_is_lost_loses_no_home(
        self, both: Replicas, place: Database
    ) -> None:
        """They are taken anew, and what has come meanwhile is in their lanes."""
        await both.leader.put([new_reading(ONE, "a")])
        with opened_connection(place) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'forwarder two'"
            )
        owner, harness = both["two"], both.harnesses["two"]
        owner.look()
        async with asyncio.timeout(10):
            while owner.capacity.is_writable:  # noqa: ASYNC110 - it is told to nobody, only shown
                await asyncio.sleep(0)
        await both.leader.put([new_reading(ONE, "b")])
        harness.clock.advance(1)
        assert await delivered(owner) == ["a", "b"]


async def test_replica_that_comes_to_lead_goes_on_with_what_it_has_not_seen(
    both: Replicas, place: Database
) -> None:
    """What the last leader has put is in its lanes with its first transaction, and no reading is there twice."""
    await both.leader.put([new_reading(ONE, "a", to="acme home"), new_reading(TWO, "b", to="home")])
    await both.harnesses["one"].kill()
    with opened_connection(place) as connection:
        connection.execute("DELETE FROM member WHERE id = 'one'")
        connection.execute("UPDATE line SET owner = 'two'")
    owner = both["two"]
    await owner.lead()
    await owner.operate(TakeHomes(["home"]))
    await owner.put([new_reading(ONE, "c", to="acme home")])
    assert await delivered(owner) == ["a", "c"]
    assert sorted(await delivered(owner, "home")) == ["a", "b", "c"]


async def test_take_over_that_could_not_read_all_is_whole_the_second_time(
    both: Replicas, place: Database
) -> None:
    """What it has read by then is not taken over, so nothing is there twice, or older than what has come since."""
    await both.leader.put([new_reading(ONE, "a")])
    await both.leader.tell("operator", [], {"a subject": "said"})
    both.leader.keep_devices()
    await flush(both.leader)
    await both.harnesses["one"].kill()
    with opened_connection(place) as connection:
        connection.execute("DELETE FROM member WHERE id = 'one'")
        connection.execute("UPDATE line SET owner = 'two'")
        connection.execute("ALTER TABLE told RENAME TO away")
    owner = both["two"]
    with pytest.raises(OutboxUnavailable):
        await owner.lead()
    assert (list(owner.devices), owner.told()) == ([], {})
    with opened_connection(place) as connection:
        connection.execute("ALTER TABLE away RENAME TO told")
    await owner.lead()
    assert [one.device for one in owner.devices] == [ONE]
    assert owner.told() == {"a subject": "said"}


async def test_body_is_gone_once_two_replicas_have_settled_it_at_once(
    both: Replicas, place: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them is the last to commit sees that nobody needs it any more."""
    await both.leader.put([new_reading(ONE, "a", to="acme home")])
    await seen(both["two"])
    engine = both.harnesses["one"].engine
    assert isinstance(engine, PostgresEngine)
    commit, is_reached, may_go = engine._writer.commit, threading.Event(), threading.Event()

    def held_commit() -> None:
        is_reached.set()
        assert may_go.wait(10)
        commit()

    monkeypatch.setattr(engine._writer, "commit", held_commit)
    settle(both["one"], await must_claim(both["one"], "home"))
    assert await asyncio.to_thread(is_reached.wait, 10)
    settle(both["two"], await must_claim(both["two"]))
    async with asyncio.timeout(10):
        while not (both["two"].is_at_rest or await asyncio.to_thread(_waits, place, "two")):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    may_go.set()
    await asyncio.gather(flush(both["one"]), flush(both["two"]))
    assert engine.rows("body") == []
    assert inspect(place).faults == ()


@pytest.mark.usefixtures("both")
def test_replicas_that_drop_the_same_bodies_do_not_wait_in_a_circle(place: Database) -> None:
    """A transaction finds out in any order what is needed no more; it locks bodies at its end, in their order."""
    with opened_connection(place) as first, opened_connection(place) as second:
        first.raw.execute("INSERT INTO body VALUES (101, ''), (102, '')")
        stores = [_store_of_many(each) for each in (first, second)]
        for store, number in zip(stores, (101, 102), strict=True):
            store.connection.begin()
            store.drop_bodies([number])
        for store, number in zip(stores, (102, 101), strict=True):
            store.drop_bodies([number])
        for store in stores:
            store.drop_unneeded()
            store.connection.commit()
        assert first.execute("SELECT count(*) FROM body WHERE reading > 100").fetchone() == (0,)


def _store_of_many(connection: PostgresConnection) -> Store:
    """One that has others beside it, and gives up where it would wait for one of them."""
    connection.raw.execute("SET lock_timeout = '1s'")
    store = Store(connection, member="any")
    store.has_others = True
    return store


def _waits(place: Database, member: str) -> bool:
    """Whether the replica waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = ?"
    with opened_connection(place) as connection:
        return bool(connection.execute(query, (f"forwarder {member}",)).fetchone()[0])


async def test_number_order_is_the_order_in_which_readings_are_seen(
    both: Replicas, place: Database
) -> None:
    """Eight commands put at once beside the leader: no reader meets a gap that fills later."""
    messages = [
        NewQuarantined(Device(f"D{n}"), "ext/t", STARTED_AT, "not_json", "no", 1, b"x")
        for n in range(40)
    ]
    await both.leader.put(messages)
    numbers = [row["id"] for row in both.harnesses["one"].engine.rows("quarantine")]

    def replay(some: list[int]) -> None:
        with opened(place) as access:
            for number in some:
                reading = new_reading(f"D{number}", f"q{number}", to="acme home")
                access.operate(ReplayQuarantined(number, reading, now=STARTED_AT))

    def read(until: asyncio.Event) -> list[list[int]]:
        looks = []
        with opened_connection(place) as connection:
            while not until.is_set():
                rows = connection.execute("SELECT number FROM reading ORDER BY number").fetchall()
                looks.append([number for (number,) in rows])
        return looks

    over = asyncio.Event()
    reader = asyncio.create_task(asyncio.to_thread(read, over))
    replays = [asyncio.to_thread(replay, numbers[n::8]) for n in range(8)]
    puts = [both.leader.put([new_reading(TWO, f"p{n}")]) for n in range(20)]
    await asyncio.gather(*replays, *puts)
    over.set()
    seen_up_to: list[int] = []
    for look in await reader:
        assert look[: len(seen_up_to)] == seen_up_to
        seen_up_to = look
    sent = await delivered(both["two"])
    assert len(sent) == len(set(sent)) == 60
