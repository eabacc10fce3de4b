"""The outbox at start: locked for this process, brought up to date, and moved aside when it is damaged."""

import time
from pathlib import Path

from forwarder.clock import Clock
from forwarder.errors import OutboxDamaged, OutboxIncomplete
from forwarder.files import foreign_writers
from forwarder.logs import logger
from forwarder.outbox.outbox import MEMORY_LIMIT, Outbox
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark
from forwarder.outbox.sqlite.disk_space import quarantine_share
from forwarder.outbox.sqlite.engine import SqliteEngine

_PARTS = ("-wal", "-shm", "", high_water_mark.SUFFIX)
"""Of an outbox, in the order in which they are moved: a crash in between is noticed at the next start."""


def open_outbox(
    path: Path,
    *,
    clock: Clock,
    max_bytes: int = 10 << 30,
    quarantine_max_bytes: int | None = None,
    keep_delivered_seconds: float = 3600.0,
    may_repair: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Outbox:
    """
    The outbox of this process; the caller holds the directory's lock.

    Raises OutboxDamaged when the file is not sound and OutboxIncomplete when it has lost its end, unless it
    `may_repair`: then it moves the file aside, or goes on with what it holds.
    """

    def begin() -> Outbox:
        _check(path)
        share = (
            quarantine_share(max_bytes) if quarantine_max_bytes is None else quarantine_max_bytes
        )
        engine = SqliteEngine(
            path,
            max_bytes=max_bytes,
            quarantine_max_bytes=share,
            keep_delivered_seconds=keep_delivered_seconds,
        )
        return Outbox(
            engine, path, clock=clock, quarantine_max_bytes=share, memory_limit=memory_limit
        )

    try:
        return begin()
    except (OutboxDamaged, OutboxIncomplete) as trouble:
        if not may_repair:
            raise
        _repair(path, trouble)
        return begin()


def _repair(path: Path, trouble: OutboxDamaged | OutboxIncomplete) -> None:
    if isinstance(trouble, OutboxDamaged):
        aside = move_aside(path)
        logger("outbox").error("outbox.moved_aside", path=str(aside), problem=str(trouble))
    else:
        logger("outbox").error("outbox.incomplete", problem=str(trouble))
        high_water_mark.forget(path)


def warn_of_foreign_writers(directory: Path) -> None:
    """Log it when others may put files of theirs in the place of ours."""
    if writers := foreign_writers(directory):
        who = "everybody" if writers == "everybody" else "a group that the forwarder is not in"
        problem = f"{directory} may be written by {who}; take that right away (chmod go-w)"
        logger("outbox").warning("outbox.exposed", problem=problem)


def _check(path: Path) -> None:
    # Looked at before it is opened for writing, which would have SQLite tidy away what can still be saved of a log.
    if path.exists():
        outbox_file.quick_check(path)
        high_water_mark.compare(path)
    outbox_file.create(path)


def move_aside(path: Path) -> Path:
    """Rename a damaged outbox, with its write-ahead log and mark, to `<name>.damaged-<time>`; nothing is deleted."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in _PARTS:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
