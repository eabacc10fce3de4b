"""More endpoints than file descriptors: everything is delivered, and the service answers and obeys throughout."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.attack import Extent, Tried
from support.line import Line, a_line, assert_balanced
from support.receiver_policies import always
from support.webhooks import Answer, Policy, Post, Webhooks

SHARE_OF_TIME = 2.0
"""A limit may make it take at most so many times as long."""
DEVICES, READINGS = 12, 24
ANSWER_SECONDS = 0.1


def taking_its_time() -> Policy:
    """Answers each post after 100 ms."""

    def decide(_: Post) -> Answer:
        answered = asyncio.Event()
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, answered.set)
        return Answer(after=answered)

    return decide


@asynccontextmanager
async def pestering(line: Line) -> AsyncIterator[list[float]]:
    """Ask /healthz all the time; how long each answer took, and infinite where there was none."""
    took: list[float] = []

    async def ask() -> None:
        while True:
            started = time.monotonic()
            answer = await line.service.ask("/healthz")
            is_well = answer is not None and answer.status_code == 200
            took.append(time.monotonic() - started if is_well else float("inf"))
            await asyncio.sleep(0.05)

    asking = asyncio.create_task(ask())
    try:
        yield took
    finally:
        asking.cancel()


async def seconds_to_deliver(line: Line, endpoints: int, limit: int | None) -> float:
    """Until so many endpoints of one slow receiver have all that was published, under a limit of descriptors."""
    line.fleet.size = DEVICES
    receiver = await line.receiver("shared", taking_its_time())
    shared = line.endpoints.pop("shared")
    names = [f"customer-{number}" for number in range(endpoints)]
    line.endpoints.update({name: {**shared, "url": f"{receiver.url}/{name}"} for name in names})
    line.service.descriptor_limit = limit
    await line.start()
    started = time.monotonic()
    async with pestering(line) as took:
        await line.publish(READINGS)
        for name in names:
            await line.service.settled(name, lambda totals: totals.delivered >= READINGS)
        seconds = time.monotonic() - started
    assert max(took) < float("inf")
    await assert_no_harm(line)
    assert receiver.forged == []
    assert {post.attempt for post in receiver.posts} == {1}
    assert len(receiver.posts) == len(receiver.accepted) == endpoints * READINGS
    return seconds


async def assert_no_harm(line: Line) -> None:
    """No attempt failed, no circuit opened; an edit and a stop work as ever."""
    assert [one for one in line.service.events if one["event"] == "delivery.attempted"] == []
    assert_balanced(await line.service.status())
    line.endpoints.pop("customer-0")
    line.write_routes()
    await line.service.logged("routes.reloaded")
    assert await line.service.stop() == 0
    assert line.service.complaints == []


@pytest.mark.timeout(180)
async def test_forty_endpoints_share_128_descriptors(
    tmp_path: Path, extent: Extent, tried: list[Tried]
) -> None:
    """320 connections are wanted, 80 may be: none is called a failure, and all is delivered at the first attempt."""
    await compare(tmp_path, extent, tried, endpoints=40, limit=128)


@pytest.mark.timeout(300)
async def test_140_endpoints_share_1024_descriptors(
    tmp_path: Path, extent: Extent, tried: list[Tried]
) -> None:
    """The same at the usual limit of a shell, in the full form."""
    if extent == "full":
        await compare(tmp_path, extent, tried, endpoints=140, limit=1024)


async def compare(
    folder: Path, extent: Extent, tried: list[Tried], *, endpoints: int, limit: int
) -> None:
    async with a_line(_made(folder / "limited")) as line:
        limited = await seconds_to_deliver(line, endpoints, limit)
    if extent == "short":
        return
    async with a_line(_made(folder / "free")) as line:
        free = await seconds_to_deliver(line, endpoints, None)
    assert limited <= SHARE_OF_TIME * free
    tried.append(
        Tried(
            "descriptors",
            f"{endpoints} endpoints of 8 connections at a limit of {limit:,}",
            endpoints * READINGS,
            f"all delivered at the first attempt, in {limited / free:.1f} times the time; /healthz answered throughout",
        )
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.timeout(120)
async def test_service_that_has_none_left_goes_on(line: Line, tried: list[Tried]) -> None:
    """Every open fails: it is told once, blames nobody, rejects no edit, and is made up for afterwards."""
    receiver = await line.receiver("home", always(Answer(headers=("connection: close",))))
    other = await line.listen(Webhooks("other"))
    await line.start()
    await line.publish(1)
    await receiver.until_count(1)
    async with pestering(line):
        await go_without(line, other)
    await line.service.logged("routes.reloaded")
    await receiver.until_count(1 + 2 * DEVICES)
    await line.publish(1)
    await other.until_count(1)
    assert {post.attempt for post in receiver.posts} == {1}
    events = [one["event"] for one in line.service.events]
    assert events.count("descriptors.exhausted") == 1
    assert not {"delivery.attempted", "routes.rejected", "endpoint.opened"} & set(events)
    assert await line.service.stop() == 0
    tried.append(
        Tried(
            "descriptors",
            "every open fails with EMFILE while readings and an edit come",
            2 * DEVICES,
            "told once; no attempt and no endpoint blamed; all delivered and applied afterwards",
        )
    )


async def test_service_that_has_none_left_stops_as_ever(line: Line) -> None:
    """SIGTERM ends it with exit code 0 and no complaint; what could not be sent is sent after the next start."""
    receiver = await line.receiver("home", always(Answer(headers=("connection: close",))))
    await line.start()
    await line.publish(1)
    await receiver.until_count(1)
    with line.service.no_descriptor_left():
        await line.publish(DEVICES)
        await line.service.logged("descriptors.exhausted")
        assert await line.service.stop() == 0
    assert line.service.complaints == []
    await line.service.start_ready()
    await receiver.until_count(1 + DEVICES)


async def go_without(line: Line, other: Webhooks) -> None:
    """Readings and an edit come while the process has no descriptor left."""
    with line.service.no_descriptor_left():
        await line.publish(DEVICES)
        await line.service.logged("descriptors.exhausted")
        said = await line.service.readiness(lambda _, said: said["descriptors"]["problem"])
        assert said["ready"] is True
        line.name_endpoint(other)
        line.write_routes()
        await line.publish(DEVICES)
        await line.service.counted("accepted", 1 + 2 * DEVICES)
        assert "routes.reloaded" not in [one["event"] for one in line.service.events]
