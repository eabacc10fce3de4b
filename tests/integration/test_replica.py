"""A replica stops by itself before another may begin, leads when it is its turn, and ends when taken for dead."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from support.clock import HandClock
from support.dispatcher_harness import DispatcherHarness
from support.outbox_harness import OutboxHarness
from support.readings import endpoint, new_reading

from forwarder.errors import OutboxTaken, OutboxUnavailable
from forwarder.outbox import Seat
from forwarder.service.last_let_through import last_let_through
from forwarder.service.replica import Sureness, doubt_while_unsure, keep_the_seat, tell_routes
from forwarder.settings import Database


class ASeat(Seat):
    """The test says how it stands."""

    leads = False
    leader = "another"
    is_sure = True


@pytest.fixture
def seat() -> Any:
    return ASeat()


async def test_no_attempt_starts_while_in_doubt(seat: Any, tmp_path: Path) -> None:
    """From the very moment on, not from the next look; all goes on once it is sure and a commit has held."""
    harness = DispatcherHarness(OutboxHarness(tmp_path / "outbox.db", HandClock()))
    outbox = harness.open(endpoint())
    sureness = outbox.capacity.is_sure = Sureness(seat)
    doubts = asyncio.create_task(doubt_while_unsure(seat, sureness, outbox, clock=harness.clock))
    seat.is_sure = False
    await outbox.put([new_reading()])
    await harness.rest()
    assert harness.posted == []
    seat.is_sure = True
    await harness.advance(0.5)
    async with asyncio.timeout(10):
        while not harness.posted:
            await harness.rest()
    assert len(harness.posted) == 1
    doubts.cancel()
    await harness.answer_all()
    await harness.outbox_harness.kill()


async def test_doubt_is_said(seat: Any, tmp_path: Path) -> None:
    """`/readyz` shows what is in the way."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    outbox = harness.open()
    doubting = doubt_while_unsure(seat, Sureness(seat), outbox, clock=harness.clock)
    doubts = asyncio.create_task(doubting)
    await asyncio.sleep(0)
    seat.is_sure, seat.problem = False, "the database is away"
    harness.clock.advance(0.5)
    await asyncio.sleep(0)
    assert outbox.capacity.problem == "the database is away"
    doubts.cancel()
    await harness.kill()


async def test_it_leads_once_and_ends_when_it_was_taken_for_dead(seat: Any) -> None:
    clock, led = HandClock(), 0

    async def lead() -> None:
        nonlocal led
        led += 1

    keeping = asyncio.create_task(keep_the_seat(seat, cast("Any", None), lead=lead, clock=clock))
    for seat.leads in (False, True, True):
        await asyncio.sleep(0)
        clock.advance(0.2)
    await asyncio.sleep(0)
    assert led == 1
    seat.is_dead = True
    clock.advance(0.2)
    with pytest.raises(OutboxTaken, match="another forwarder has taken over"):
        await keeping


async def test_take_over_is_tried_again_while_the_database_is_away(seat: Any) -> None:
    """The replica that is to lead lives on, says so once, and leads with the first try that holds."""
    clock, tries = HandClock(), 0

    async def lead() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OutboxUnavailable("the database is away")

    seat.leads = True
    with capture_logs() as logs:
        keeping = asyncio.create_task(
            keep_the_seat(seat, cast("Any", None), lead=lead, clock=clock)
        )
        for _ in range(5):
            await asyncio.sleep(0)
            clock.advance(0.2)
        await asyncio.sleep(0)
    assert not keeping.done()
    keeping.cancel()
    assert tries == 3
    assert [one["event"] for one in logs] == ["replica.waits", "replica.leads"]


def test_what_was_let_through_is_unknown_while_the_database_is_away() -> None:
    """It costs each device one reading too many, and the take-over goes on."""
    away = Database("postgresql://u:p@127.0.0.1:1/nowhere")
    assert list(last_let_through(away, {"acme": 60.0}, now=0.0)) == []


async def test_clock_that_is_off_is_logged_once(seat: Any) -> None:
    """And again only when the difference is another."""
    clock = HandClock()
    with capture_logs() as logs:
        keeping = asyncio.create_task(
            keep_the_seat(seat, cast("Any", None), lead=never, clock=clock)
        )
        for seat.clock_ahead in (0.0, 3600.04, 3600.04, 0.0, -7.0):
            await asyncio.sleep(0)
            clock.advance(0.2)
        await asyncio.sleep(0)
    keeping.cancel()
    said = [one["seconds"] for one in logs if one["event"] == "clock.differs"]
    assert said == [3600.0, -7.0]


async def never() -> None:
    """It does not lead."""


async def test_routes_are_told_apart_by_their_text_and_by_what_their_groups_hold(
    seat: Any, tmp_path: Path
) -> None:
    """A group's devices may come from another file."""
    file = tmp_path / "routes.yaml"

    class Table:
        groups: dict[str, frozenset[str]]

    async def digest(text: str, **groups: frozenset[str]) -> str:
        file.write_text(text)
        Table.groups = groups
        await tell_routes(seat, cast("Any", Table), file)
        return str(seat.routes)

    first = await digest("a", fleet=frozenset({"1", "2"}))
    assert await digest("a", fleet=frozenset({"2", "1"})) == first
    assert await digest("b", fleet=frozenset({"1", "2"})) != first
    assert await digest("a", fleet=frozenset({"1"})) != first
