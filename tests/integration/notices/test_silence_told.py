"""From readings at a real outbox to notices in it, across kills: a silence is told once, and so is its end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock import HandClock
from support.outbox import flush
from support.outbox_harness import OutboxHarness
from support.readings import endpoint

from forwarder.notices import LOOK_SECONDS, Room, Session, Silence, Teller
from forwarder.outbox import NewReading, Recipient, opened
from forwarder.reading import Device, rfc3339, webhook_id
from forwarder.routes import EndpointName, Routes

ONE = Device("ECC9FF5C0001")
ACME, OPERATOR = endpoint("acme"), endpoint("operator", events=("*",))
ROUTES = Routes(
    {one.name: one for one in (ACME, OPERATOR)},
    every_device=(EndpointName("acme"),),
    by_device={},
    groups={},
)
WITHOUT = Routes({ACME.name: ACME}, every_device=(EndpointName("acme"),), by_device={}, groups={})
UNASKED = Routes(
    {one.name: one for one in (replace(ACME, silent_after=None), OPERATOR)},
    every_device=(EndpointName("acme"),),
    by_device={},
    groups={},
)
EVERY = 10


class Line:
    """The parts that matter to silence, in one process after the other."""

    def __init__(self, harness: OutboxHarness) -> None:
        self.harness = harness
        self.clock = harness.clock

    def open(self) -> None:
        self.outbox = self.harness.open()
        self.teller = Teller(
            outbox=self.outbox,
            clock=self.clock,
            session=lambda: Session(is_subscribed=True, problem=None, gaps=0),
            healths=dict,
            health_of=lambda _: None,
            room=Room(1 << 30, lambda: 1 << 40),
        )
        self.silence = Silence(self.outbox.devices, tell=self.teller.devices_changed)
        self.teller.use(ROUTES)
        self.silence.use(ROUTES)
        self._telling = asyncio.create_task(self.teller.run())

    def stop_telling(self) -> None:
        """The next kill comes before anything more is told."""
        self.teller._rules = self.teller._events = None

    async def kill(self) -> None:
        """Nothing of what memory holds stays."""
        self._telling.cancel()
        with suppress(asyncio.CancelledError):
            await self._telling
        await self.harness.kill()

    async def report(self) -> None:
        at = self.clock.now()
        measured_at = rfc3339(at.replace(microsecond=0))
        payload = measured_at.encode()
        await self.outbox.put(
            [
                NewReading(
                    webhook_id(ONE, payload), ONE, measured_at, at.timestamp(), b"{}",
                    (Recipient("acme"),),
                )
            ]
        )  # fmt: skip

    async def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK_SECONDS)):
            self.clock.advance(LOOK_SECONDS)
            self.outbox.keep_devices()
            self.silence.look(is_flowing=True, now=self.clock.monotonic())
            for _ in range(3):
                await asyncio.sleep(0)
            await flush(self.outbox)

    def since(self) -> float:
        """Since when the device is silent, as it was told."""
        (row,) = self.harness.engine.rows("told")
        return float(json.loads(row["what"])["since"])

    def told(self) -> list[str]:
        bodies = [json.loads(row["data"]) for row in self.harness.engine.rows("body")]
        return [body["type"] for body in bodies if body.get("device") == ONE]


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    line = Line(OutboxHarness(tmp_path / "outbox.db", HandClock()))
    line.clock.started_at += timedelta(microseconds=250_000)
    line.open()
    for _ in range(6):
        await line.report()
        await line.wait(EVERY)
    yield line
    await line.kill()


async def test_a_silence_and_its_end_are_told_once_each(line: Line) -> None:
    """Through the outbox, to the operator; and the record says since when."""
    await line.wait(100)
    assert line.told() == ["device.silent"]
    with opened(line.harness.path, is_read_only=True) as file:
        (record,) = file.devices()
    assert record.silent_since == record.last_at
    await line.report()
    await line.wait(5)
    assert line.told() == ["device.silent", "device.resumed"]
    await line.wait(200)
    assert line.told().count("device.silent") == 2


@pytest.mark.parametrize(
    "kills_at", [(70,), (84,), (85,), (88,), (95,), (70, 100, 160), (85, 87, 89)]
)
async def test_kills_neither_forget_nor_repeat(line: Line, kills_at: tuple[float, ...]) -> None:
    """Whenever the process dies, before, while or after it tells; each life gives devices their time once more."""
    elapsed = 0.0
    for at in kills_at:
        await line.wait(at - elapsed)
        elapsed = at
        await line.kill()
        line.open()
    await line.wait(120)
    assert line.told() == ["device.silent"]
    await line.kill()
    line.open()
    await line.report()
    await line.wait(5)
    await line.kill()
    line.open()
    await line.wait(5)
    assert line.told() == ["device.silent", "device.resumed"]


async def test_a_return_that_a_kill_kept_back_is_told_by_the_next_process(line: Line) -> None:
    """The device's record is on disk, and what the operator is told of it is not."""
    await line.wait(100)
    line.stop_telling()
    await line.report()
    await line.wait(5)
    assert line.told() == ["device.silent"]
    await line.kill()
    line.open()
    await line.wait(5)
    assert line.told() == ["device.silent", "device.resumed"]
    await line.kill()
    line.open()
    await line.wait(5)
    assert line.told() == ["device.silent", "device.resumed"]


async def test_a_silence_that_its_record_does_not_know_still_ends(line: Line) -> None:
    """The operator is told before the device's record is on disk, and a kill comes between."""
    await line.wait(80)
    line.outbox.keep_devices = lambda: False  # type: ignore[method-assign]  # no record reaches the disk any more
    await line.wait(20)
    assert line.told() == ["device.silent"]
    await line.kill()
    line.open()
    assert [one.silent_since for one in line.outbox.devices] == [line.since()]
    await line.report()
    await line.wait(5)
    assert line.told() == ["device.silent", "device.resumed"]


async def test_whoever_was_dismissed_comes_back_without_a_word(line: Line) -> None:
    """Neither at once nor in the next process."""
    await line.wait(100)
    line.silence.use(UNASKED)
    await line.wait(5)
    await line.report()
    await line.wait(2 * EVERY)
    await line.kill()
    line.open()
    await line.wait(5)
    assert line.told() == ["device.silent"]


async def test_a_return_without_an_operator_is_told_to_the_next(line: Line) -> None:
    """Who was told of the silence is told of its end, however late `operator:` is there again."""
    await line.wait(100)
    line.teller.use(WITHOUT)
    await line.report()
    await line.wait(5)
    line.teller.use(ROUTES)
    await line.wait(5)
    assert line.told() == ["device.silent", "device.resumed"]


async def test_a_purged_device_is_told_of_no_more(line: Line) -> None:
    """Nothing of it stays, neither in memory nor in what is remembered as told."""
    await line.wait(100)
    with opened(line.harness.path) as file:
        file.purge(ONE)
    line.outbox.look()
    await line.wait(300)
    await line.kill()
    line.open()
    await line.wait(200)
    assert line.told() == []
    assert [row for row in line.harness.engine.rows("told") if ONE in row["subject"]] == []
    assert line.harness.engine.rows("device") == []
