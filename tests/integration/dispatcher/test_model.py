"""The dispatcher against a model: random receivers, random edits, random restarts."""

import asyncio
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.clock import HandClock
from support.dispatcher_harness import DispatcherHarness, Posted
from support.outbox_harness import OutboxHarness
from support.properties import examples
from support.readings import endpoint, new_reading

from forwarder.operator import (
    choose_dead_letters,
    replay,
)
from forwarder.outbox import (
    NewReading,
    Pause,
    Recipient,
    Resume,
    Selection,
)
from forwarder.outbox.sqlite import opened
from forwarder.routes import BatchLimits, Endpoint, RetrySchedule

DEVICES = ["ECC9FF5C0001", "ECC9FF5C0002", "ECC9FF5C0003"]
RETRY = RetrySchedule(initial_seconds=1, max_seconds=8)
CAP = 2
SINGLE = endpoint("acme", retry=RETRY, max_concurrency=CAP)
BATCHED = endpoint("home", retry=RETRY, max_concurrency=CAP, batch=BatchLimits(3, 2.0))
LATEST = endpoint("last", retry=RETRY, max_concurrency=CAP, mode="latest", max_age_seconds=1e9)
SHAPES = [
    (SINGLE, BATCHED, LATEST),
    (replace(SINGLE, batch=BatchLimits(2, 0.0)), replace(BATCHED, batch=None), LATEST),
    (SINGLE, replace(BATCHED, url="https://home.example/{device}"), replace(LATEST, mode="every")),
    (SINGLE, BATCHED, replace(LATEST, batch=BatchLimits(2, 1.0))),
    (replace(SINGLE, mode="latest"), replace(BATCHED, paused=True), LATEST),
    (replace(SINGLE, max_age_seconds=30), replace(BATCHED, max_age_seconds=30), LATEST),
]
"""What an operator makes of the three endpoints by editing routes.yaml."""
NAMES = [one.name for one in SHAPES[0]]
STATUSES = [204, 204, 204, 500, 503, 429, 404, 400, 413, 422, 302, 409, 410]


class DispatcherAgainstModel(RuleBasedStateMachine):
    """Order per lane, one in flight per lane, the cap, the accounts, and in the end everything is settled."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: tuple[Endpoint, ...] = SHAPES[0]
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.harness = DispatcherHarness(OutboxHarness(self.folder / "outbox.db", HandClock()))
        self.number = 0
        self.device_of: dict[str, str] = {}
        self.delivered: dict[str, list[str]] = defaultdict(list)
        self.replayed: set[str] = set()
        self.run(self.open())

    async def store(self, readings: Sequence[NewReading]) -> None:
        await self.harness.outbox.put(readings)

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, timeout=30))

    async def open(self) -> None:
        self.harness.open(*self.routes)
        await self.harness.rest()

    @rule(device=st.sampled_from(DEVICES), count=st.integers(1, 3))
    def put(self, device: str, count: int) -> None:
        readings = []
        for _ in range(count):
            self.number += 1
            payload = str(self.number)
            self.device_of[payload] = device
            recipients = tuple(
                Recipient(one.name, only_latest=one.mode == "latest") for one in self.routes
            )
            at = self.harness.clock.unix()
            readings.append(new_reading(device, payload, recipients=recipients, received_at=at))
        self.run(self.store(readings))
        self.run(self.harness.rest())

    @precondition(lambda self: self.harness.waiting)
    @rule(data=st.data(), status=st.sampled_from(STATUSES), is_lost=st.booleans())
    def answer(self, data: st.DataObject, status: int, is_lost: bool) -> None:
        posted = data.draw(st.sampled_from(self.harness.waiting))
        if is_lost and status >= 500:
            posted.fail()
        else:
            posted.answer(status)
        self.note(posted, status)
        self.run(self.harness.rest())

    def note(self, posted: Posted, status: int) -> None:
        if status == 204:
            self.delivered[posted.endpoint] += posted.ids

    @rule(seconds=st.sampled_from([0.5, 2.0, 9.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.harness.advance(seconds))

    @rule()
    def restart(self) -> None:
        self.run(self.harness.dispatcher.drain(timeout_seconds=0))
        self.run(self.harness.outbox_harness.kill())
        self.harness.posted.clear()
        self.run(self.open())

    @rule()
    def edit(self) -> None:
        self.run(self.route(SINGLE))
        self.run(self.route(*self.routes))

    @rule(number=st.integers(0, len(SHAPES) - 1))
    def reshape(self, number: int) -> None:
        self.routes = SHAPES[number]
        self.run(self.route(*self.routes))

    async def route(self, *endpoints: Endpoint) -> None:
        self.harness.route(*endpoints)
        await self.harness.rest()

    @rule()
    def sweep(self) -> None:
        self.run(self.harness.expiry.sweep())
        self.run(self.harness.rest())

    @rule(name=st.sampled_from(NAMES), is_pause=st.booleans())
    def pause_or_resume(self, name: str, is_pause: bool) -> None:
        with opened(self.harness.outbox_harness.path) as file:
            file.operate(Pause(name) if is_pause else Resume(name))
        self.run(self.look())

    async def look(self) -> None:
        """What the outbox does by itself every half second."""
        self.harness.outbox.look()
        await self.harness.rest()

    @rule()
    def replay_all(self) -> None:
        with opened(self.harness.outbox_harness.path) as file:
            dead = "SELECT data FROM body WHERE reading IN (SELECT reading FROM delivery WHERE state = 'dead')"
            self.replayed.update(
                row[0].decode().split('"')[3] for row in file.connection.execute(dead)
            )
            replay(file, choose_dead_letters(file, Selection()), now=self.harness.clock.unix())
        self.run(self.look())

    @invariant()
    def caps_hold(self) -> None:
        in_flight = Counter(one.endpoint for one in self.harness.waiting)
        assert all(count <= CAP for count in in_flight.values())

    @invariant()
    def one_in_flight_per_lane(self) -> None:
        lanes: Counter[tuple[str, str]] = Counter()
        for posted in self.harness.waiting:
            lanes.update({(posted.endpoint, self.device_of[one]) for one in posted.ids})
        assert all(count == 1 for count in lanes.values())

    @invariant()
    def order_holds(self) -> None:
        for readings in self.delivered.values():
            first = [one for one in dict.fromkeys(readings) if one not in self.replayed]
            for device in DEVICES:
                numbers = [int(one) for one in first if self.device_of[one] == device]
                assert numbers == sorted(numbers)

    def teardown(self) -> None:
        """Heal everything: then nothing waits for ever, and the accounts agree with what the receivers saw."""
        try:
            self.heal()
            for one in self.routes:
                self.check_accounts(one)
        finally:
            self.run(self.harness.dispatcher.drain(timeout_seconds=0))
            self.run(self.harness.outbox_harness.kill())
            self.loop.close()
            shutil.rmtree(self.folder)

    def heal(self) -> None:
        for name in NAMES:
            self.pause_or_resume(name, is_pause=False)
        self.reshape(0)
        for _ in range(10):
            for posted in self.run(self.harness.answer_all()):
                self.note(posted, 204)
            self.run(self.harness.advance(70))
        assert not self.harness.waiting

    def check_accounts(self, one: Endpoint) -> None:
        if self.number == 0:
            return
        accounts = self.run(self.harness.totals(one.name))
        assert accounts.enqueued == self.number
        assert accounts.pending == 0
        assert accounts.delivered == len(set(self.delivered[one.name]))
        engine = self.harness.outbox_harness.engine
        ids = {row["name"]: row["id"] for row in engine.rows("endpoint")}
        rows = engine.rows("delivery")
        kept = Counter(row["state"] for row in rows if row["endpoint"] == ids[one.name])
        assert kept["delivered"] == accounts.delivered
        assert kept["dead"] == accounts.dead
        assert kept["superseded"] == accounts.superseded
        assert kept["expired"] == accounts.expired


DispatcherAgainstModel.TestCase.settings = settings(
    max_examples=examples(25),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.timeout(300)
class TestDispatcherAgainstModel(DispatcherAgainstModel.TestCase):  # type: ignore[misc,valid-type]
    """Run by pytest."""
