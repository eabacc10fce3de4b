"""The file itself: begun whole or not at all, and no larger for long than what it holds."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.outbox import flush, must_claim, settle
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.dispatcher import Dispatcher, Watch
from forwarder.errors import OutboxDamaged, OutboxError
from forwarder.metrics import Metrics
from forwarder.outbox import Shrink
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.sender import Sender, pooled_transports
from forwarder.service.expiry import Expiry
from forwarder.service.upkeep import Upkeep


def free_pages(harness: OutboxHarness) -> int:
    with closing(outbox_file.connect(harness.path, is_read_only=True)) as connection:
        return outbox_file.pragma(connection, "freelist_count")


async def test_free_pages_are_given_back(harness: OutboxHarness) -> None:
    """As many as are asked for, not just one."""
    outbox = harness.open()
    await outbox.put([new_reading(payload="x" * 100_000)])
    settle(outbox, await must_claim(outbox))
    await flush(outbox)
    free = free_pages(harness)
    assert free > 20
    await outbox.operate(Shrink(pages=15))
    assert free_pages(harness) == free - 15
    await outbox.operate(Shrink())
    assert free_pages(harness) == 0


async def test_the_file_of_an_idle_service_shrinks(harness: OutboxHarness) -> None:
    """No traffic is needed for the room to come back: one sweep brings the file down to what it holds."""
    outbox = harness.open()
    await outbox.put([new_reading(payload="x" * 500_000)])
    settle(outbox, await must_claim(outbox))
    await flush(outbox)
    with closing(outbox_file.connect(harness.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert harness.path.stat().st_size > 500_000
    sender = Sender(pooled_transports(proxy_url=None))
    watch = Watch(Metrics())
    dispatcher = Dispatcher(outbox=outbox, sender=sender, clock=harness.clock, watch=watch)
    sweeping = Upkeep(
        outbox=outbox,
        expiry=Expiry(outbox=outbox, dispatcher=dispatcher, clock=harness.clock, watch=watch),
        clock=harness.clock,
        minutes=lambda _: (),
        keep_delivered_seconds=3600,
        keep_dead_seconds=3600,
        max_bytes=1 << 30,
    )

    await sweeping.sweep()

    assert harness.path.stat().st_size < 200_000
    await sender.aclose()


def test_an_emptied_file_is_damaged_not_new(tmp_path: Path) -> None:
    """A file of no bytes held something once: it is not quietly begun anew."""
    path = tmp_path / "outbox.db"
    outbox_file.create(path)
    path.write_bytes(b"")
    with pytest.raises(OutboxDamaged, match="it is empty"):
        outbox_file.create(path)


def test_a_file_without_tables_is_damaged_not_new(tmp_path: Path) -> None:
    """Nor is one that SQLite would take for a database nobody has written to yet."""
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE gone (row)")
        connection.execute("DROP TABLE gone")
    assert path.stat().st_size
    with pytest.raises(OutboxDamaged, match="it is empty"):
        outbox_file.create(path)


def test_creation_that_was_interrupted_starts_over(tmp_path: Path) -> None:
    """What a crash left of a file in the making is no outbox, and in nobody's way."""
    (tmp_path / "outbox.db.new").write_bytes(b"SQLite format 3\x00")
    (tmp_path / "outbox.db.new-wal").write_bytes(b"half a page")
    outbox_file.create(tmp_path / "outbox.db")
    assert [file.name for file in tmp_path.iterdir()] == ["outbox.db"]
    outbox_file.quick_check(tmp_path / "outbox.db")


def test_look_at_a_large_file_ends_in_time(tmp_path: Path) -> None:
    """The start does not wait for a look at gigabytes: it ends when its time is up, and finds what it came to see."""
    path = tmp_path / "outbox.db"
    outbox_file.create(path)
    with closing(outbox_file.connect(path)) as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
            " INSERT INTO body SELECT i, zeroblob(100) FROM n"
        )
    outbox_file.quick_check(path, seconds=0.0)


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lacks what the statements need is told of at the start, in one sentence."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 26, 0))
    with pytest.raises(OutboxError, match=r"the outbox needs 3\.33 or newer; use another Python"):
        outbox_file.create(tmp_path / "outbox.db")
