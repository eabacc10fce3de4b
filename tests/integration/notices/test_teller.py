"""From what happens at a dispatcher over a real outbox to what the operator's endpoint is sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.clock import HandClock
from support.dispatcher_harness import DispatcherHarness
from support.outbox import flush, until_it_failed
from support.outbox_harness import OutboxHarness
from support.readings import endpoint, new_reading

from forwarder.dispatcher import Watch
from forwarder.endpoint_health import EndpointHealth
from forwarder.notice import DeviceSilent
from forwarder.notices import Room, Session, Teller
from forwarder.outbox import NewQuarantined, Pause, opened
from forwarder.reading import Device
from forwarder.routes import Endpoint, EndpointName, Rejection, RetrySchedule, Routes

QUICK = RetrySchedule(initial_seconds=1.0, max_seconds=1.0)
THERE = Session(is_subscribed=True, problem=None, gaps=0)


class Ear:
    """Passes on what the dispatcher tells, to whichever teller there is."""

    teller: Teller | None = None

    def endpoint_changed(self, endpoint: str, health: EndpointHealth) -> None:
        if self.teller is not None:
            self.teller.endpoint_changed(endpoint, health)

    def deliveries_died(self, endpoint: str, reason: str, count: int) -> None:
        if self.teller is not None:
            self.teller.deliveries_died(endpoint, reason, count)


class Office:
    """A dispatcher with an operator, whose posts are kept apart from the endpoints'."""

    def __init__(self, harness: OutboxHarness) -> None:
        self.harness = harness
        self.told: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.session = THERE
        self.free_bytes = 1 << 40
        self.status = 204
        """How the operator's receiver answers."""

    def open(self, *, events: tuple[str, ...] | None = ("*",)) -> None:
        ear = Ear()
        self.line = DispatcherHarness(self.harness)
        self.line.watch = Watch(self.line.metrics, listener=ear)
        self.line.open()
        self.teller = ear.teller = Teller(
            outbox=self.line.outbox,
            clock=self.line.clock,
            session=lambda: self.session,
            healths=self.line.dispatcher.healths,
            health_of=self.line.dispatcher.health_of,
            room=Room(1 << 30, lambda: self.free_bytes),
        )
        self.use(events=events)
        self._tasks = [
            asyncio.create_task(self.teller.run()),
            asyncio.create_task(self.teller.watch_outbox()),
        ]

    def use(self, *names: str, events: tuple[str, ...] | None = ("*",)) -> None:
        """Route to these endpoints, by default acme, and to the operator unless `events` is None."""
        endpoints = [endpoint(name, retry=QUICK) for name in names or ("acme",)]
        if events is not None:
            endpoints.append(endpoint("operator", events=events, retry=QUICK))
        routes = table(*endpoints)
        self.line.dispatcher.apply(routes)
        self.teller.use(routes)

    async def put(self, count: int = 1, *, to: str = "acme") -> None:
        puts = [
            new_reading(f"ECC9FF{n:06X}", str(len(self.line.posted)), to=to) for n in range(count)
        ]
        await self.line.outbox.put(puts)
        await self.line.rest()

    async def pause(self, name: str) -> None:
        """As `forwarder endpoints pause` does, beside the service."""
        await self.line.rest()
        with opened(self.harness.path) as access:
            access.operate(Pause(name))
        self.line.outbox.look()
        await self.line.rest()

    async def answer(self, status: int, *, seconds: float = 1.0) -> None:
        """Let a second pass after the other; endpoints answer with this status, the operator as it does."""
        for _ in range(max(round(seconds), 1)):
            await self.line.rest()
            self._answer_waiting(status)
            await self.line.advance(1)
            self._answer_waiting(status)
            await self.line.rest()

    def _answer_waiting(self, status: int) -> None:
        for posted in self.line.waiting:
            if posted.endpoint != "operator":
                posted.answer(status)
                continue
            if self.status == 204:
                self.told.append(json.loads(posted.body))
                self.ids.append(posted.webhook_id)
            posted.answer(self.status)

    @property
    def kinds(self) -> list[str]:
        return [one["type"] for one in self.told]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def kill(self) -> None:
        """What the teller had in memory is gone: it is not given the last word that a stop gives it."""
        self.teller._rules = None
        await self.close()
        await self.line.dispatcher.drain(timeout_seconds=0)
        await self.harness.kill()


def table(*endpoints: Endpoint) -> Routes:
    readers = tuple(one.name for one in endpoints if one.events is None)
    return Routes(
        {EndpointName(one.name): one for one in endpoints},
        every_device=readers,
        by_device={},
        groups={},
    )


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    office = Office(harness)
    office.open()
    yield office
    await office.close()
    await office.line.dispatcher.drain(timeout_seconds=0)
    await harness.kill()


async def test_an_outage_is_told_by_signed_posts(office: Office) -> None:
    """One failing, one recovered, and both counted as deliveries of the endpoint `operator`."""
    await office.put(5)
    await office.answer(503, seconds=5)
    assert office.kinds == ["endpoint.failing"]
    assert office.told[0]["data"]["reason"] == "http_503"

    await office.answer(204, seconds=20)
    assert office.kinds == ["endpoint.failing", "endpoint.recovered"]
    totals = await office.line.totals("operator")
    assert (totals.enqueued, totals.delivered, totals.pending) == (2, 2, 0)
    assert office.line.outbox.accounts.enqueued["operator"] == 2


async def test_a_kill_in_the_middle_of_an_outage_repeats_nothing(office: Office) -> None:
    await office.put(5)
    await office.answer(503, seconds=5)
    for status in (503, 503, 204):
        await office.kill()
        office.open()
        await office.answer(status, seconds=5)
    await office.answer(204, seconds=20)

    assert office.kinds == ["endpoint.failing", "endpoint.recovered"]


async def test_nothing_is_told_about_the_operator_itself(office: Office) -> None:
    """It fails, refuses and is paused: of that only its own row in the status speaks."""
    await office.put(5)
    office.status = 400
    await office.answer(503, seconds=10)
    office.status = 410
    await office.answer(204, seconds=30)
    dead = (await office.line.totals("operator")).dead
    assert dead >= 1

    office.status = 204
    await office.pause("operator")
    await office.answer(204, seconds=70)
    assert office.told == []
    assert (await office.line.totals("operator")).dead == dead


async def test_what_the_operator_did_not_take_is_tried_again(office: Office) -> None:
    office.status = 503
    await office.put(5)
    await office.answer(503, seconds=30)
    await office.answer(204, seconds=30)
    office.status = 204
    await office.answer(204, seconds=90)

    assert office.kinds == ["endpoint.failing", "endpoint.recovered"]


async def test_dead_letters_are_told_with_their_reasons(office: Office) -> None:
    await office.put(3)
    await office.answer(400, seconds=5)

    (told,) = office.told
    assert told["type"] == "deliveries.dead"
    assert (told["data"]["count"], told["data"]["reasons"]) == (3, {"refused": 3})


@pytest.mark.parametrize("after", [0, 1])
async def test_what_is_wrong_when_an_operator_is_named_is_told_then(
    office: Office, after: int
) -> None:
    """An outage that had begun before, and a pause; not what was over by then."""
    office.use("acme", "home", events=None)
    await office.put(5)
    await office.answer(503, seconds=5)
    await office.pause("home")
    assert office.told == []

    await office.answer(503, seconds=after)
    office.use("acme", "home")
    await office.answer(503, seconds=3)
    assert sorted(office.kinds) == ["endpoint.failing", "endpoint.paused"]


async def test_only_the_events_that_are_wanted_are_sent(office: Office) -> None:
    """The others are known all the same, and are not told later."""
    office.use(events=("deliveries.*",))
    await office.put(5)
    await office.answer(503, seconds=5)
    office.use(events=("*",))
    await office.answer(503, seconds=5)
    assert office.told == []
    await office.answer(204, seconds=20)
    assert office.kinds == ["endpoint.recovered"]


async def test_an_endpoint_that_left_the_routes_and_came_back_goes_on(office: Office) -> None:
    """It is the same outage."""
    await office.put(5)
    await office.answer(503, seconds=5)
    office.use("home")
    await office.answer(204, seconds=30)
    office.use("acme", "home")
    await office.answer(204, seconds=80)

    assert office.kinds == ["endpoint.failing", "endpoint.recovered"]


async def test_gone_endpoint_is_told_as_paused(office: Office) -> None:
    await office.put(1)
    await office.answer(410, seconds=5)

    assert [(one["type"], one["data"]["reason"]) for one in office.told] == [
        ("endpoint.paused", "gone")
    ]


async def test_the_stream_is_told(office: Office) -> None:
    office.session = Session(is_subscribed=False, problem="no route", gaps=0)
    await office.answer(204, seconds=64)
    office.session = THERE._replace(gaps=1)
    await office.answer(204, seconds=5)

    assert office.kinds == ["stream.interrupted", "stream.resumed"]
    assert office.told[1]["data"]["session_lost"]


async def test_a_rejected_edit_is_told_by_its_place(office: Office) -> None:
    """What is wrong there stays in the log."""
    rejection = Rejection(("routes.yaml:3:1: a sentence",), 1, "routes.yaml:3:1")
    office.teller.routes_rejected(rejection)
    await office.answer(204, seconds=2)

    assert office.kinds == ["routes.rejected"]
    assert "a sentence" not in json.dumps(office.told)


async def test_little_room_on_the_disk_is_told(office: Office) -> None:
    """The size limit is far away, the end of the disk is not."""
    office.free_bytes = 0
    await office.answer(204, seconds=10)
    for _ in range(20):
        await asyncio.sleep(0.01)  # the look runs in a thread
        await office.answer(204)

    assert office.kinds == ["outbox.nearly_full"]


async def test_a_growing_quarantine_is_told(office: Office) -> None:
    async def quarantine(count: int) -> None:
        await office.line.outbox.put(
            [
                NewQuarantined(Device("d"), "t", 0.0, "not_json", "not JSON", 1, b"%d" % n)
                for n in range(count)
            ]
        )

    await office.teller._look_at_outbox()
    await quarantine(12)
    office.line.clock.advance(60)
    await office.teller._look_at_outbox()
    await office.answer(204, seconds=2)

    (told,) = office.told
    assert (told["type"], told["data"]["count"]) == ("quarantine.growing", 12)


async def test_what_others_tell_is_passed_on(office: Office) -> None:
    silent = DeviceSilent("ECC9FF5C7F14", office.line.clock.unix() - 600, 600.0)
    office.teller.tell([silent])
    await office.answer(204, seconds=2)
    office.teller.tell([silent])
    await office.answer(204, seconds=2)

    assert office.kinds == ["device.silent"]


async def test_a_stop_has_the_last_word_written(office: Office) -> None:
    """What was noticed a moment before is in the outbox when the process has ended."""
    await flush(office.line.outbox)
    office.teller.endpoint_changed("acme", EndpointHealth(5, failing_since=1.0, last_error="dns"))
    await office.close()
    await office.line.rest()

    assert (await office.line.totals("operator")).enqueued == 1


async def test_a_disk_that_takes_nothing_is_not_flooded(office: Office) -> None:
    """One hand-over waits, and everything else with the rules; all of it comes in the end."""
    await flush(office.line.outbox)
    office.harness.engine.refuse_writes()
    office.teller.deliveries_died("acme", "refused", 1)
    for _ in range(100):
        office.line.clock.advance(0.01)
        await asyncio.sleep(0)
    await until_it_failed(office.line.outbox)
    for _ in range(1000):
        office.teller.deliveries_died("acme", "refused", 1)
        await asyncio.sleep(0)
    assert len(office.line.outbox._commits.next.changes.operations) <= 1

    office.harness.engine.accept_writes()
    office.line.clock.advance(1)
    await office.answer(204, seconds=70)
    assert sum(one["data"]["count"] for one in office.told) == 1001
