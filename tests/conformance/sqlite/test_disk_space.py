"""A disk that runs full: what is in the log can always be brought into the file."""

import asyncio
from contextlib import closing
from itertools import count
from types import SimpleNamespace

import pytest
from support.outbox import flush, must_claim, settle, totals
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.errors import OutboxUnavailable
from forwarder.outbox import Outbox
from forwarder.outbox.intake import NewReading
from forwarder.outbox.sqlite import disk_space
from forwarder.outbox.sqlite import file as outbox_file

PAGE = 4096


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes are free on it: the last one; it is looked at before each commit."""
    free = [1 << 40]
    monkeypatch.setattr(disk_space, "AMPLE_BYTES", 1 << 50)
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: free[-1])
    return free


def number(harness: OutboxHarness, name: str) -> int:
    with closing(outbox_file.connect(harness.path, is_read_only=True)) as connection:
        return outbox_file.pragma(connection, name)


def log_bytes(harness: OutboxHarness) -> int:
    return harness.path.with_name(harness.path.name + "-wal").stat().st_size


async def is_taken(outbox: Outbox, reading: NewReading) -> bool:
    """Whether it comes to be on disk, rather than be refused."""
    stored = outbox.put([reading])
    async with asyncio.timeout(10):
        while outbox.capacity.is_writable and not stored.done():  # noqa: ASYNC110 - it is told to nobody
            await asyncio.sleep(0)
    return stored.done()


async def test_log_takes_an_eighth_of_what_is_free(harness: OutboxHarness, disk: list[int]) -> None:
    """After 60 commits it has begun anew many times; where there is plenty of room, not once."""
    disk.append(40 * 8 * PAGE)
    outbox = harness.open()
    for number in range(60):
        await outbox.put([new_reading(payload=str(number))])
    assert 40 * PAGE < log_bytes(harness) < 80 * PAGE
    disk.append(1 << 40)
    for number in range(60, 120):
        await outbox.put([new_reading(payload=str(number))])
    assert log_bytes(harness) > 80 * PAGE


async def test_what_would_not_fit_is_refused_and_kept(
    harness: OutboxHarness, disk: list[int]
) -> None:
    """
    It is tried again every second, and stored once there is room.

    The disk has to take it twice, because it goes to the log first.
    """
    outbox = harness.open()
    await outbox.put([new_reading(payload="a")])
    disk.append(30 * PAGE)
    assert not await is_taken(outbox, new_reading(payload="b" * 20 * PAGE))
    assert (
        outbox.capacity.problem == f"the outbox {harness.path} takes no writes: {disk_space.FULL}"
    )
    disk.append(60 * PAGE)
    async with asyncio.timeout(10):
        while not outbox.capacity.is_writable:
            harness.clock.advance(1)
            await asyncio.sleep(0)
    assert (await totals(outbox)).pending == 2


async def test_deliveries_make_room_on_a_full_disk(harness: OutboxHarness, disk: list[int]) -> None:
    """What is settled does not make the file larger, and what comes next finds its room within it."""
    outbox = harness.open()
    await outbox.put([new_reading(payload="a" * 40 * PAGE)])
    disk.append(0)
    settle(outbox, await must_claim(outbox))
    async with asyncio.timeout(10):
        await flush(outbox)
    assert await is_taken(outbox, new_reading(payload="b" * 20 * PAGE))
    assert (await totals(outbox)).delivered == 1


async def test_what_was_taken_fits_into_the_file(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However full the disk: the room for what stands only in the log is still there."""
    monkeypatch.setattr(disk_space, "AMPLE_BYTES", 1 << 50)
    outbox = harness.open()

    def free(_: object) -> int:
        return max(0, 100 * PAGE - harness.path.stat().st_size - log_bytes(harness))

    monkeypatch.setattr(disk_space, "free_bytes", free)
    numbers = count()
    while await is_taken(outbox, new_reading(payload=f"{next(numbers)}" * 500)):
        assert number(harness, "page_count") * PAGE <= (harness.path.stat().st_size + free(None))
    assert next(numbers) > 20


async def test_plenty_of_room_is_looked_at_now_and_then(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each time once it is not plenty any more, be it on the disk or under the outbox's own limit."""
    looks = 0

    def free(_: object) -> int:
        nonlocal looks
        looks += 1
        return 1 << 40

    async def looks_in_five_commits(outbox: Outbox) -> int:
        before = looks
        for number in range(5):
            await outbox.put([new_reading(payload=str(number))])
        return looks - before

    monkeypatch.setattr(disk_space, "free_bytes", free)
    monkeypatch.setattr(disk_space, "LOOK_SECONDS", 3600.0)
    outbox = harness.open()
    assert await looks_in_five_commits(outbox) == 0
    await harness.kill()
    assert await looks_in_five_commits(harness.open(max_bytes=disk_space.AMPLE_BYTES)) == 5


async def test_deliveries_make_room_on_a_disk_that_is_suddenly_full(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed while nobody looked is not taken for what a settlement adds."""
    now, free = 0.0, 1 << 40
    monkeypatch.setattr(disk_space, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: free)
    outbox = harness.open()
    await outbox.put([new_reading(payload="a" * 40 * PAGE)])
    now, free = disk_space.LOOK_SECONDS, 0
    settle(outbox, await must_claim(outbox))
    async with asyncio.timeout(10):
        await flush(outbox)
    assert (await totals(outbox)).delivered == 1


def test_a_disk_that_does_not_tell(harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk_space, "free_bytes", fail)
    with pytest.raises(OutboxUnavailable, match="Input/output error"):
        harness.open()
