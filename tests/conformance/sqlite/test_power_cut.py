"""What a power cut may undo: no more than word of deliveries, which are then made again under the same ids."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.clock import HandClock
from support.outbox import claim, must_claim, settle, totals, until_it_failed
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.outbox import Outbox
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.engine import SqliteEngine

ONE = "ECC9FF5C0001"
NORMAL, FULL = 1, 2
"""What SQLite calls how far a commit waits for the disk."""


def files_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


async def test_delivery_whose_commit_did_not_wait_is_made_again(
    harness: OutboxHarness, tmp_path: Path
) -> None:
    """The disk is as after the last commit that waited for it: the reading is there, and is owed under the same id."""
    outbox, on_disk = harness.open(), tmp_path / "on-disk"
    await outbox.put([new_reading(ONE, "a")])
    assert harness.engine.waits[-1:] == [True]
    on_disk.mkdir()
    for one in files_of(harness.path):
        shutil.copy(one, on_disk)
    delivered = await must_claim(outbox)
    settle(outbox, delivered)
    async with asyncio.timeout(10):
        while not outbox.is_at_rest:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)
    assert harness.engine.waits[-1:] == [False]
    await harness.kill()
    for one in files_of(harness.path):
        one.unlink()
    for one in on_disk.iterdir():
        shutil.copy(one, harness.path.parent)

    outbox = harness.open()
    again = await must_claim(outbox)
    assert again.deliveries[0].webhook_id == delivered.deliveries[0].webhook_id
    settle(outbox, again)
    after = await totals(outbox)
    assert (after.enqueued, after.delivered, after.pending) == (1, 1, 0)


async def test_later_commit_takes_an_earlier_one_to_the_disk(harness: OutboxHarness) -> None:
    """Order holds over a power cut: what comes later in a lane is on disk only with what was delivered before it."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    settle(outbox, await must_claim(outbox))
    await outbox.put([new_reading(ONE, "b")])
    assert harness.engine.waits[-1:] == [True]
    states = [row["state"] for row in harness.engine.rows("delivery")]
    assert states == ["delivered", "pending"]
    await harness.kill()
    outbox = harness.open()
    assert (await must_claim(outbox)).deliveries[0].data == b'{"id":"b"}'
    assert await claim(outbox) is None


async def test_message_waits_for_the_disk_though_the_level_stayed(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A level that could not be set back after a commit that does not wait is set as the next one begins."""
    engine = harness.engine
    assert isinstance(engine, SqliteEngine)
    levels: list[int] = []
    set_level, commit = engine._set_level, engine._commit

    def fail_to_set_back(level: str) -> None:
        if level == outbox_file.SYNCHRONOUS and engine._level != level and not levels[1:]:
            levels.append(0)
            raise sqlite3.OperationalError("disk I/O error")
        set_level(level)

    def noted_commit() -> None:
        levels.append(outbox_file.pragma(engine._connection, "synchronous"))
        commit()

    await outbox.put([new_reading(ONE, "a")])
    monkeypatch.setattr(engine, "_set_level", fail_to_set_back)
    monkeypatch.setattr(engine, "_commit", noted_commit)
    settle(outbox, await must_claim(outbox))
    await until_it_failed(outbox)
    put = outbox.put([new_reading(ONE, "b")])
    clock.advance(1)
    await put
    assert levels == [NORMAL, 0, FULL]
