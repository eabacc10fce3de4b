"""The outbox at start: locked for this process, brought up to date, and moved aside when it is damaged."""

import time
from pathlib import Path

from forwarder.clock import Clock
from forwarder.errors import OutboxDamaged, OutboxIncomplete
from forwarder.files import foreign_writers
from forwarder.logs import logger
from forwarder.outbox import Outbox
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark
from forwarder.settings import Settings

_PARTS = ("-wal", "-shm", "", high_water_mark.SUFFIX)
"""Of an outbox, in the order in which they are moved: a crash in between is noticed at the next start."""


def open_outbox(settings: Settings, clock: Clock) -> Outbox:
    """
    The outbox of this process; the caller holds the directory's lock.

    Raises OutboxDamaged when the file is not sound and OutboxIncomplete when it has lost its end, unless
    FORWARDER_OUTBOX_REPAIR allows to move it aside, and to go on with what it holds.
    """
    path = settings.outbox_path
    try:
        return _open(path, settings, clock)
    except OutboxDamaged as damage:
        if not settings.outbox_repair:
            raise
        aside = move_aside(path)
        logger("outbox").error("outbox.moved_aside", path=str(aside), problem=str(damage))
        return _open(path, settings, clock)
    except OutboxIncomplete as loss:
        if not settings.outbox_repair:
            raise
        logger("outbox").error("outbox.incomplete", problem=str(loss))
        high_water_mark.forget(path)
        return _open(path, settings, clock)


def warn_of_foreign_writers(directory: Path) -> None:
    """Log it when others may put files of theirs in the place of ours."""
    if writers := foreign_writers(directory):
        who = "everybody" if writers == "everybody" else "a group that the forwarder is not in"
        problem = f"{directory} may be written by {who}; take that right away (chmod go-w)"
        logger("outbox").warning("outbox.exposed", problem=problem)


def _open(path: Path, settings: Settings, clock: Clock) -> Outbox:
    # Looked at before it is opened for writing, which would have SQLite tidy away what can still be saved of a log.
    if path.exists():
        outbox_file.quick_check(path)
        high_water_mark.compare(path)
    outbox_file.create(path)
    return Outbox(
        path,
        clock=clock,
        max_bytes=settings.outbox_max_bytes,
        quarantine_max_bytes=settings.quarantine_max_bytes,
        keep_delivered_seconds=settings.keep_delivered,
    )


def move_aside(path: Path) -> Path:
    """Rename a damaged outbox, with its write-ahead log and mark, to `<name>.damaged-<time>`; nothing is deleted."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in _PARTS:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
