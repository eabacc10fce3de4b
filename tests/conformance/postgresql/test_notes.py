"""What a command changes in a lane reaches whoever delivers, whichever of the two commits first."""

import asyncio
import threading
from typing import Any

from support.clock import HandClock
from support.outbox import flush, must_claim, settle
from support.outbox_harness import OutboxHarness
from support.readings import STARTED_AT, new_reading
from support.replicas import delivered, until_somebody_waits

from forwarder.delivery import Bury
from forwarder.outbox import Replay, Selection, opened
from forwarder.outbox.postgresql.access import PostgresAccess
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.postgresql.schema import prepare
from forwarder.outbox.postgresql.statements import Store
from forwarder.reading import Device
from forwarder.settings import Database

ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")


async def test_note_of_a_command_under_way_is_not_taken_by_a_put(place: Database) -> None:
    """A lane is noted already as a second command changes it; the note is taken with what both have changed."""
    harness = OutboxHarness(place, HandClock())
    outbox = harness.open()
    for name in "ab":
        await outbox.put([new_reading(ONE, name)])
        settle(outbox, await must_claim(outbox), Bury("refused"), error="http_400")
        await flush(outbox)
    with opened(place) as first, opened(place) as second:
        assert isinstance(second, PostgresAccess)
        one, two = (key for some in first.choose_dead_letters(Selection()).chunks() for key in some)
        commit, is_done, may_commit = second.connection.commit, threading.Event(), threading.Event()

        def commit_later() -> None:
            is_done.set()
            assert may_commit.wait(10)
            commit()

        second.connection.commit = commit_later  # type: ignore[method-assign]  # the instant is the test's matter
        first.operate(Replay([one], now=STARTED_AT))
        replay = asyncio.create_task(
            asyncio.to_thread(second.operate, Replay([two], now=STARTED_AT))
        )
        await asyncio.to_thread(is_done.wait, 10)
        put = asyncio.ensure_future(outbox.put([new_reading(TWO, "x")]))
        waiting = asyncio.create_task(until_somebody_waits(place, "%FROM home%"))
        both: set[asyncio.Future[Any]] = {put, waiting}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        may_commit.set()
        await asyncio.gather(replay, put)
        waiting.cancel()
    assert sorted(await delivered(outbox)) == ["a", "b", "x"]
    await harness.kill()


async def test_note_is_not_taken_from_under_its_writer(place: Database) -> None:
    """A replica that leads notes lanes of others' homes without locking those."""
    prepare(place)
    with opened_connection(place) as writing, opened_connection(place) as taking:
        store, owner = Store(writing), Store(taking, member="owner")
        owner.homes = {7: 1}
        writing.execute("INSERT INTO touched_lane VALUES (7, ?)", (ONE,))
        writing.begin()
        store.note_lane(7, ONE)
        store.add_totals()
        taken = asyncio.create_task(asyncio.to_thread(owner.noted_lanes))
        waiting = asyncio.create_task(until_somebody_waits(place, "%touched_lane%"))
        both: set[asyncio.Future[Any]] = {taken, waiting}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        assert not taken.done()
        writing.commit()
        assert await taken == [(7, ONE)]


async def test_notes_are_taken_in_the_order_in_which_they_are_written(place: Database) -> None:
    """So two that are at several at once do not wait for each other in a circle."""
    prepare(place)
    with opened_connection(place) as first, opened_connection(place) as second:
        store, owner = Store(first), Store(second, member="owner")
        owner.homes = {7: 1}
        first.execute("INSERT INTO touched_lane VALUES (7, ?), (7, ?)", (TWO, ONE))
        first.begin()
        store.write_notes([(7, ONE)])
        taken = asyncio.create_task(asyncio.to_thread(owner.noted_lanes))
        await until_somebody_waits(place, "%touched_lane%")
        first.execute("SET LOCAL lock_timeout = '2s'")
        store.note_lane(7, TWO)
        store.note_lane(7, ONE)
        store.add_totals()
        first.commit()
        assert sorted(await taken) == [(7, ONE), (7, TWO)]


async def test_notes_are_written_in_the_order_in_which_they_are_taken(place: Database) -> None:
    """A writer waits for a taker with nothing in hand, so the two do not wait in a circle."""
    prepare(place)
    with (
        opened_connection(place) as first,
        opened_connection(place) as second,
        opened_connection(place) as third,
    ):
        store, owner = Store(first), Store(second, member="owner")
        owner.homes = {7: 1}
        third.execute("INSERT INTO touched_lane VALUES (7, ?), (7, ?)", (ONE, TWO))
        third.begin()
        third.execute("SELECT 1 FROM touched_lane WHERE device = ? FOR UPDATE", (ONE,))
        second.begin()
        taken = asyncio.create_task(asyncio.to_thread(owner.noted_lanes))
        await until_somebody_waits(place, "%SELECT%touched_lane%")
        first.begin()
        store.note_lane(7, TWO)
        store.note_lane(7, ONE)
        written = asyncio.create_task(asyncio.to_thread(store.add_totals))
        await until_somebody_waits(place, "%INSERT%touched_lane%")
        third.commit()
        assert sorted(await taken) == [(7, ONE), (7, TWO)]
        second.commit()
        await written
        first.commit()
