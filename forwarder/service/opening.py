"""The outbox at start: locked for this process, brought up to date, and moved aside when it is damaged."""

import time
from pathlib import Path

from forwarder.clock import Clock
from forwarder.errors import OutboxDamaged
from forwarder.logs import logger
from forwarder.outbox import Outbox, sqlite
from forwarder.settings import Settings

_WITH_THEIR_WAL = ("", "-wal", "-shm")


def open_outbox(settings: Settings, clock: Clock) -> Outbox:
    """
    The outbox of this process; the caller holds the directory's lock.

    Raises OutboxDamaged when the file is not sound and FORWARDER_OUTBOX_REPAIR does not allow to move it aside.
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


def _open(path: Path, settings: Settings, clock: Clock) -> Outbox:
    sqlite.create(path)
    sqlite.quick_check(path)
    return Outbox(
        path,
        clock=clock,
        max_bytes=settings.outbox_max_bytes,
        keep_delivered_seconds=settings.keep_delivered,
    )


def move_aside(path: Path) -> Path:
    """Rename a damaged outbox, with its write-ahead log, to `<name>.damaged-<time>`; nothing is deleted."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in _WITH_THEIR_WAL:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
