"""The outbox file is damaged while nobody runs: the program refuses it in a sentence, or delivers what it holds."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from chaos.process import Impatient
from chaos.receiver import down, smooth
from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

PADDING = "·" * 500
PAGE = 4096
LOG_HEADER = 32
REFUSAL_SECONDS = 5.0


def overwrite_page(stage: Stage, file: Path) -> None:
    page = stage.dice.randrange(1, file.stat().st_size // PAGE)
    _overwrite(file, page * PAGE, stage.dice.randbytes(PAGE))


def overwrite_header(stage: Stage, file: Path) -> None:
    _overwrite(file, 0, stage.dice.randbytes(100))


def truncate(stage: Stage, file: Path) -> None:
    _resize(file, stage.dice.randrange(PAGE, file.stat().st_size - 1))


def empty(_: Stage, file: Path) -> None:
    _resize(file, 0)


def cut_log(stage: Stage, file: Path) -> None:
    _resize(_log_of(file), stage.dice.randrange(LOG_HEADER, _live_bytes(_log_of(file))))


def overwrite_log(stage: Stage, file: Path) -> None:
    log = _log_of(file)
    _overwrite(log, stage.dice.randrange(LOG_HEADER, _live_bytes(log)), stage.dice.randbytes(512))


def _live_bytes(log: Path) -> int:
    """How much of the log is of its present round: frames with the header's salts (sqlite.org/walformat.html)."""
    content = log.read_bytes()
    salts, frame = content[16:24], 24 + PAGE
    end = LOG_HEADER
    while content[end + 8 : end + 16] == salts:
        end += frame
    return end


def _log_of(file: Path) -> Path:
    return file.with_name(file.name + "-wal")


def _overwrite(file: Path, offset: int, data: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def _resize(file: Path, size: int) -> None:
    with file.open("r+b") as stream:
        stream.truncate(size)


async def _damage(
    stage: Stage, damage: Callable[[Stage, Path], None], *, is_log: bool = False
) -> None:
    outbox = stage.forwarder.outbox
    await stage.forwarder.start_ready()
    for receiver in stage.receivers.values():
        receiver.mood = down
    for _ in range(10):
        await stage.devices.publish_and_wait(20, padding=PADDING)
    await stage.until_status(lambda status: status["messages"]["accepted"] >= 200)
    await (stage.forwarder.kill() if is_log else stage.forwarder.stop())
    stage.inject("outbox damaged")
    damage(stage, outbox)
    if await _is_refused(stage, outbox):
        await _repair(stage)
    elif is_log:
        await _excuse_tail(stage)
    stage.hit("outbox damaged")
    for receiver in stage.receivers.values():
        receiver.mood = smooth


async def _excuse_tail(stage: Stage) -> None:
    """
    What stood behind the damage in the log is gone, and SQLite takes that for a crash in the middle of a write.

    So nothing can be said at start; but what stood before it, from the first message on, must all be there.
    """
    await stage.forwarder.ready()
    kept = (await stage.forwarder.status())["messages"].get("accepted", 0)
    stage.excused |= {number for number in stage.oracle.owed if number > kept}
    stage.notes.append(f"{kept} of {len(stage.oracle.owed)} messages stood before the damage")


async def _is_refused(stage: Stage, outbox: Path) -> bool:
    """Whether it does not start; then in a sentence, and without touching the file."""
    damaged, before = _digest(outbox), len(stage.forwarder.complaints)
    await stage.forwarder.start()
    try:
        code = await stage.forwarder.ended(patience_seconds=REFUSAL_SECONDS)
    except Impatient:
        stage.notes.append("started")
        return False
    said = stage.forwarder.complaints[before:].strip()
    if code != 1 or said.count("\n") or "FORWARDER_OUTBOX_REPAIR=true" not in said:
        raise AssertionError(f"exit {code}: {said}")
    if _digest(outbox) != damaged:
        raise AssertionError("it changed the damaged file")
    stage.notes.append("refused")
    return True


async def _repair(stage: Stage) -> None:
    """What was owed is in the file that was moved aside, from where the operator may save it."""
    checked = await stage.forwarder.command("outbox", "check")
    if checked.exit_code != 1 or "fault" not in checked.stdout:
        raise AssertionError(f"`outbox check` finds nothing wrong: {checked.stdout}")
    damaged = _digest(stage.forwarder.outbox)
    await stage.forwarder.start_ready(FORWARDER_OUTBOX_REPAIR="true")
    folder = stage.forwarder.outbox.parent
    if damaged not in {_digest(file) for file in folder.glob("outbox.db.damaged-*")}:
        raise AssertionError("the damaged file was not kept as it was")
    stage.notes.append("moved aside")
    stage.excused |= stage.oracle.owed
    stage.has_begun_anew = True


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _scenario(name: str, what: str, play: Callable[[Stage, Path], None]) -> Scenario:
    is_log = play in (cut_log, overwrite_log)
    return Scenario(name, what, partial(_damage, damage=play, is_log=is_log))


SCENARIOS = (
    _scenario("page", "a page of the outbox overwritten", overwrite_page),
    _scenario("header", "the outbox's header overwritten", overwrite_header),
    _scenario("truncated", "the outbox truncated", truncate),
    _scenario("emptied", "the outbox truncated to nothing", empty),
    _scenario("wal-cut", "the write-ahead log cut at a random byte", cut_log),
    _scenario("wal-bytes", "512 bytes of the write-ahead log overwritten", overwrite_log),
)
