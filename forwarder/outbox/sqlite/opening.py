"""A start checks the outbox and brings it up to date, or moves a damaged one aside."""

import time
from pathlib import Path

from forwarder.errors import OutboxDamaged, OutboxIncomplete
from forwarder.files import foreign_writers
from forwarder.logs import logger
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark

_PARTS = ("-wal", "-shm", "", outbox_file.MARK_SUFFIX)
"""An outbox's files in the order of their move, in which the next start notices a crash in between."""


def prepare(path: Path) -> None:
    """
    Make a missing outbox, or check an existing one and bring it up to date; the caller holds the directory's lock.

    Raises OutboxDamaged when the file is not sound, and OutboxIncomplete when it has lost its end.
    """
    # The check comes before any opening for writing, because SQLite would then tidy away the rest of a cut log.
    if path.exists():
        outbox_file.quick_check(path)
        high_water_mark.compare(path)
    outbox_file.create(path)


def repair(path: Path, trouble: OutboxDamaged | OutboxIncomplete) -> None:
    """Move a damaged file aside, or have the service go on with what an incomplete one holds."""
    if isinstance(trouble, OutboxDamaged):
        aside = move_aside(path)
        logger("outbox").error("outbox.moved_aside", path=str(aside), problem=str(trouble))
    else:
        logger("outbox").error("outbox.incomplete", problem=str(trouble))
        high_water_mark.forget(path)


def warn_of_foreign_writers(path: Path) -> None:
    """Log a warning when other users may put files of theirs in place of the outbox's."""
    if writers := foreign_writers(path.parent):
        who = "everybody" if writers == "everybody" else "a group that the forwarder is not in"
        problem = f"{path.parent} may be written by {who}; take that right away (chmod go-w)"
        logger("outbox").warning("outbox.exposed", problem=problem)


def move_aside(path: Path) -> Path:
    """Rename a damaged outbox, with its write-ahead log and mark, to `<name>.damaged-<time>`; nothing is deleted."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in _PARTS:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
