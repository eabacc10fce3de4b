"""The outbox file is damaged while nobody runs: the program refuses it in a sentence, and delivers what it holds."""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from chaos.process import Impatient
from chaos.receiver import Policy, accepting, down
from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

PADDING = "·" * 500
PAGE = 4096
LOG_HEADER = 32
NAMED = "outbox.incomplete"
"""The event that says what is missing."""


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
    _resize(_log_of(file), _place_in_log(stage, file))


def overwrite_log(stage: Stage, file: Path) -> None:
    _overwrite(_log_of(file), _place_in_log(stage, file), stage.dice.randbytes(512))


def _place_in_log(stage: Stage, file: Path) -> int:
    """In its first half, so that some reading stands behind it."""
    return stage.dice.randrange(LOG_HEADER, _live_bytes(_log_of(file)) // 2)


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


async def _fill(stage: Stage) -> None:
    """Two hundred readings that nobody takes yet."""
    await stage.forwarder.start_ready()
    for _ in range(10):
        await stage.devices.publish_and_wait(20, padding=PADDING)
    await stage.until_status(lambda status: status["messages"]["accepted"] >= 200)


def _all(stage: Stage, policy: Policy) -> None:
    for receiver in stage.receivers.values():
        receiver.policy = policy


async def _damage(stage: Stage, damage: Callable[[Stage, Path], None]) -> None:
    _all(stage, down)
    await _fill(stage)
    await stage.forwarder.stop()
    stage.inject("outbox damaged")
    damage(stage, stage.forwarder.outbox)
    if await _is_refused(stage):
        await _repair(stage)
    stage.hit("outbox damaged")
    _all(stage, accepting)


async def _damage_log(stage: Stage, damage: Callable[[Stage, Path], None]) -> None:
    """
    The end of the log is gone, as after a crash in the middle of a write: SQLite itself would say nothing.

    So the start must; and what stood before the damage, from the first message on, must all be there afterwards.
    """
    # Paused, so that the log is full of readings and not of settlements, which nobody would miss.
    stage.write_routes(paused=True)
    await _fill(stage)
    await stage.forwarder.kill()
    stage.write_routes()
    stage.inject("log damaged")
    damage(stage, stage.forwarder.outbox)
    if not await _is_refused(stage):
        raise AssertionError("it started, with the end of its log gone")
    missing = _missing(stage.forwarder.complaints.splitlines()[-1])
    checked = await stage.forwarder.command("outbox", "check")
    if checked.exit_code != 1 or _missing(checked.stdout) != missing:
        raise AssertionError(f"`outbox check` says something else: {checked.stdout}")
    await stage.forwarder.start_ready(FORWARDER_OUTBOX_REPAIR="true")
    kept = (await stage.forwarder.status())["messages"].get("accepted", 0)
    stage.notes.append(f"{kept} of {len(stage.oracle.owed)} messages stood before the damage")
    if len(stage.oracle.owed) - kept > missing or not stage.forwarder.count_logged(NAMED):
        raise AssertionError(f"more is missing than the {missing} that were named")
    stage.excused |= {number for number in stage.oracle.owed if number > kept}
    stage.hit("log damaged")


def _missing(said: str) -> int:
    found = re.search(r"up to ([\d,]+) readings", said)
    return int(found[1].replace(",", "")) if found else 0


async def _is_refused(stage: Stage) -> bool:
    """Whether it does not start; then in a sentence, and without touching the file, its log or its mark."""
    outbox = stage.forwarder.outbox
    damaged, before = _digests(outbox), len(stage.forwarder.complaints)
    await stage.forwarder.start()
    try:
        await stage.forwarder.ready()
    except Impatient:  # at once, when it has ended
        code = await stage.forwarder.ended()
    else:
        stage.notes.append("started")
        return False
    said = stage.forwarder.complaints[before:].strip()
    if code != 1 or said.count("\n") or "FORWARDER_OUTBOX_REPAIR=true" not in said:
        raise AssertionError(f"exit {code}: {said}")
    if _digests(outbox) != damaged:
        raise AssertionError("it changed the damaged outbox")
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


def _digests(outbox: Path) -> dict[str, str]:
    parts = (outbox, _log_of(outbox), outbox.with_name(outbox.name + "-mark"))
    # An empty log is as good as none: whoever only reads an outbox makes one.
    return {part.name: _digest(part) for part in parts if part.exists() and part.stat().st_size}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _scenario(name: str, what: str, play: Callable[[Stage, Path], None]) -> Scenario:
    damage = _damage_log if play in (cut_log, overwrite_log) else _damage
    return Scenario(name, what, partial(damage, damage=play), engines=("sqlite",))


SCENARIOS = (
    _scenario("page", "a page of the outbox overwritten", overwrite_page),
    _scenario("header", "the outbox's header overwritten", overwrite_header),
    _scenario("truncated", "the outbox truncated", truncate),
    _scenario("emptied", "the outbox truncated to nothing", empty),
    _scenario("wal-cut", "the write-ahead log cut at a random byte", cut_log),
    _scenario("wal-bytes", "512 bytes of the write-ahead log overwritten", overwrite_log),
)
