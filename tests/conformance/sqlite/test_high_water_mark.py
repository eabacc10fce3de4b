"""An outbox whose end is missing is noticed: nothing that was acknowledged goes without a word."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.clock import HandClock
from support.outbox import flush, must_claim, settle
from support.outbox_harness import OutboxHarness
from support.readings import STARTED_AT, new_reading

from forwarder.errors import OutboxDamaged, OutboxIncomplete, OutboxUnavailable
from forwarder.outbox import (
    NewQuarantined,
    Outbox,
    Prune,
    PruneQuarantine,
    inspect,
    is_running,
    open_outbox,
    warn_of_foreign_writers,
)
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark
from forwarder.outbox.sqlite.file import DirectoryLock
from forwarder.outbox.sqlite.high_water_mark import Numbers
from forwarder.reading import Device

LOG_HEADER = 32
FRAME = 24 + 4096


def a_crash(outbox: Path, folder: Path) -> Path:
    """What is on disk if the process that has the outbox open dies at this instant."""
    folder.mkdir()
    for file in outbox.parent.glob(f"{outbox.name}*"):
        shutil.copy(file, folder / file.name)
    return folder / outbox.name


def cut_log(outbox: Path, *, frames: int) -> None:
    """Cut so many frames off its end."""
    log = outbox.with_name(outbox.name + "-wal")
    with log.open("r+b") as stream:
        stream.truncate(log.stat().st_size - frames * FRAME)


def contents(outbox: Path) -> dict[str, bytes]:
    """Of every file but SQLite's index of the log, which it makes anew."""
    return {
        file.name: file.read_bytes()
        for file in outbox.parent.iterdir()
        if not file.name.endswith("-shm")
    }


def start(outbox: Path, *, repair: bool = False) -> None:
    open_outbox(outbox, clock=HandClock(), may_repair=repair).release_files()


def a_quarantined() -> NewQuarantined:
    return NewQuarantined(
        device=Device("ECC9FF5C7F14"),
        topic="ext/partner/ECC9FF5C7F14",
        received_at=STARTED_AT,
        reason="not_json",
        detail="not JSON",
        size=1,
        payload=b"?",
    )


@pytest.fixture
async def crashed(outbox: Outbox, harness: OutboxHarness, tmp_path: Path) -> Path:
    """Three readings in a commit each, then a crash; nothing has been carried over from the log yet."""
    for number in range(3):
        await outbox.put([new_reading(payload=str(number))])
    return a_crash(harness.path, tmp_path / "crashed")


async def test_mark_stands_before_the_acknowledgement(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """Once a put has returned, and a PUBACK may leave, the mark says so."""
    await outbox.put([new_reading(payload="1"), new_reading(payload="2"), a_quarantined()])
    assert high_water_mark.read(harness.path) == Numbers(reading=2, quarantined=1)


async def test_mark_stands_after_the_commit(
    outbox: Outbox, harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the two leaves it behind the outbox, never ahead: that would look like a loss."""
    found: list[tuple[Numbers, Numbers]] = []

    def move(_: object, numbers: Numbers) -> None:
        with closing(outbox_file.connect(harness.path, is_read_only=True)) as file:
            found.append((numbers, high_water_mark.numbers_in(file)))

    monkeypatch.setattr(high_water_mark.HighWaterMark, "move", move)
    await outbox.put([new_reading(payload="1")])
    assert found[-1] == (Numbers(1, 0), Numbers(1, 0))


def test_a_whole_log_is_no_loss(crashed: Path) -> None:
    """A crash alone loses nothing, and is told nothing."""
    start(crashed)
    assert inspect(crashed).faults == ()


@pytest.mark.parametrize("has_index", [True, False])
def test_a_cut_log_is_refused(crashed: Path, has_index: bool) -> None:
    """In one sentence with how much is missing and what to do; no file is touched, also without the log's index."""
    cut_log(crashed, frames=1)
    if not has_index:
        crashed.with_name(crashed.name + "-shm").unlink()
    before = contents(crashed)
    with pytest.raises(OutboxIncomplete) as refusal:
        start(crashed)
    sentence = str(refusal.value)
    assert "up to 1 readings (3 to 3) that had been acknowledged are missing" in sentence
    assert "FORWARDER_OUTBOX_REPAIR=true to go on with what it holds" in sentence
    assert "\n" not in sentence
    assert contents(crashed) == before


async def test_lost_quarantine_is_told_too(
    outbox: Outbox, harness: OutboxHarness, tmp_path: Path
) -> None:
    """A message that could not be understood was acknowledged as well."""
    await outbox.put([new_reading()])
    await outbox.put([a_quarantined()])
    crashed = a_crash(harness.path, tmp_path / "crashed")
    cut_log(crashed, frames=1)
    with pytest.raises(OutboxIncomplete, match="up to 1 quarantined messages that had been"):
        start(crashed)


def test_repair_goes_on_with_what_is_there(crashed: Path) -> None:
    """It is not moved aside: what it holds is kept, the loss logged, and the next start is an ordinary one."""
    cut_log(crashed, frames=1)
    with capture_logs() as logs:
        start(crashed, repair=True)
    (event,) = [one for one in logs if one["event"] == "outbox.incomplete"]
    assert "up to 1 readings (3 to 3)" in event["problem"]
    assert inspect(crashed).readings == 2
    start(crashed)


def test_check_tells_the_loss(crashed: Path) -> None:
    """`outbox check` finds it without changing anything."""
    cut_log(crashed, frames=1)
    before = contents(crashed)
    (fault,) = inspect(crashed).faults
    assert fault.startswith("up to 1 readings (3 to 3) that had been acknowledged are missing;")
    assert contents(crashed) == before


async def test_what_was_forgotten_is_not_missing(outbox: Outbox, harness: OutboxHarness) -> None:
    """Numbers are never given out again, so an outbox that has emptied itself still knows how far it came."""
    await outbox.put([new_reading(payload="1"), a_quarantined()])
    settle(outbox, await must_claim(outbox))
    await flush(outbox)
    later = STARTED_AT + 60
    await outbox.operate(Prune(delivered_before=later, dead_before=later))
    await outbox.operate(PruneQuarantine(received_before=later, max_bytes=1 << 20))
    await harness.kill()
    assert inspect(harness.path).readings == 0
    start(harness.path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="an older release, or not restored"),
        pytest.param(b"", id="lost in a power cut"),
        pytest.param(bytes(51), id="half lost in a power cut"),
        pytest.param(b"%020d %020d 00000000\n" % (9, 9), id="a digit changed"),
        pytest.param(b"x y z\n", id="something else"),
    ],
)
def test_mark_that_says_nothing_is_in_nobodys_way(crashed: Path, content: bytes | None) -> None:
    high_water_mark.forget(crashed)
    if content is not None:
        high_water_mark.path_of(crashed).write_bytes(content)
    start(crashed)


def test_mark_behind_its_outbox_is_no_loss(crashed: Path) -> None:
    """As a power cut leaves it, which may take the newest mark and never the commit before it."""
    moved = high_water_mark.HighWaterMark(crashed)
    moved.move(Numbers(reading=1, quarantined=0))
    moved.close()
    start(crashed)


async def test_mark_that_cannot_be_written_stops_nothing(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """It is logged once, tried again with the next commit, and written as soon as that is possible."""
    high_water_mark.path_of(harness.path).mkdir()
    with capture_logs() as logs:
        await outbox.put([new_reading(payload="1")])
        await outbox.put([new_reading(payload="2")])
    assert [one["event"] for one in logs] == ["outbox.unmarked"]
    high_water_mark.path_of(harness.path).rmdir()
    await outbox.put([new_reading(payload="3")])
    assert high_water_mark.read(harness.path) == Numbers(reading=3, quarantined=0)


@pytest.mark.parametrize("left", ["-wal", "-mark"])
def test_an_outbox_that_is_gone_is_not_begun_anew(crashed: Path, left: str) -> None:
    """What stood beside it says that there was one; with the setting that too is moved aside."""
    for suffix in {"", "-wal", "-shm", "-mark"} - {left}:
        crashed.with_name(crashed.name + suffix).unlink()
    with pytest.raises(OutboxDamaged, match="it is gone, and its"):
        start(crashed)
    assert not crashed.exists()
    start(crashed, repair=True)
    assert inspect(crashed).faults == ()
    (aside,) = crashed.parent.glob("*.damaged-*")
    assert aside.name.endswith(left)


async def test_mark_is_not_written_through_a_link(
    outbox: Outbox, harness: OutboxHarness, tmp_path: Path
) -> None:
    """What it leads to keeps its bytes, the line goes on without a mark, and the log says what to do."""
    victim, path = tmp_path / "victim", high_water_mark.path_of(harness.path)
    victim.write_text("precious" * 20)
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    with capture_logs() as logs:
        await outbox.put([new_reading()])
    assert victim.read_text() == "precious" * 20
    assert [log["event"] for log in logs] == ["outbox.unmarked"]
    assert "is a symbolic link; remove it" in logs[0]["problem"]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("victim")])
def test_lock_is_no_other_file(make: Callable[[Path], object], tmp_path: Path) -> None:
    """A link or a FIFO in its place is refused with a sentence, and not waited for."""
    make(tmp_path / "forwarder.lock")
    with pytest.raises(OutboxUnavailable, match=r"remove it|Is a directory"):
        DirectoryLock(tmp_path / "outbox.db")
    assert not is_running(tmp_path / "outbox.db")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(("mode", "events"), [(0o777, ["outbox.exposed"]), (0o750, [])])
def test_a_data_directory_that_others_may_write_into_is_told(
    mode: int, events: list[str], tmp_path: Path
) -> None:
    """Whoever may write there may put an outbox of theirs in the place of ours."""
    tmp_path.chmod(mode)
    with capture_logs() as logs:
        warn_of_foreign_writers(tmp_path / "outbox.db")
    assert [log["event"] for log in logs] == events
