"""
The outbox on SQLite: one file, with its write-ahead log, its high-water mark and its lock beside it.

    engine.py      transactions and reads of the service    access.py      what commands do, beside the service
    statements.py  the hot path: put and settle             erasure.py     one device's every trace, erased
    file.py        connections, errors, the lock            opening.py     checked, repaired, moved aside
    disk_space.py  room on the disk, and under the limit    inspection.py  is it sound, do the accounts agree
    high_water_mark.py  how far the file has come           migrations.py  from one schema to the next
    bulk_statement.py   one statement over many rows        copying.py     to and from the other engine
    schema.sql

What is seldom run, and what is read, is in outbox/sql.
"""

from collections.abc import Callable
from pathlib import Path

from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import opening
from forwarder.outbox.sqlite.access import opened
from forwarder.outbox.sqlite.copying import drafted, held
from forwarder.outbox.sqlite.engine import SqliteEngine
from forwarder.outbox.sqlite.erasure import copies_aside
from forwarder.outbox.sqlite.inspection import inspect
from forwarder.outbox.sqlite.opening import prepare, repair


class DirectorySeat(outbox_file.DirectoryLock):
    """The only forwarder on a data directory: it leads from the start."""

    member = ""
    leads = True
    leader = ""
    outbox_id = ""
    is_sure = True
    is_dead = False
    problem = None
    homes = None
    differing = ()
    session_words = ()

    def __init__(self, path: Path, *, name: str, deployment: str) -> None:  # noqa: ARG002 - a database's matters
        super().__init__(path.parent)
        self.routes = self.session_word = ""

    def listen(self, ring: Callable[[], None]) -> None:
        """There is nobody to hear of."""

    def leave(self) -> None:
        """There is nobody to tell."""


take_seat = DirectorySeat


def open_engine(
    path: Path,
    *,
    member: str,  # noqa: ARG001 - of a database
    max_bytes: int,
    quarantine_max_bytes: int,
    keep_delivered_seconds: float,
) -> SqliteEngine:
    return SqliteEngine(
        path,
        max_bytes=max_bytes,
        quarantine_max_bytes=quarantine_max_bytes,
        keep_delivered_seconds=keep_delivered_seconds,
    )


def exists(path: Path) -> bool:
    return path.exists()


def remarks(_: Path) -> list[str]:
    return []


def is_running(path: Path) -> bool:
    return outbox_file.is_running(path.parent)


def warn_of_foreign_writers(path: Path) -> None:
    opening.warn_of_foreign_writers(path.parent)


__all__ = [
    "copies_aside",
    "drafted",
    "exists",
    "held",
    "inspect",
    "is_running",
    "open_engine",
    "opened",
    "prepare",
    "remarks",
    "repair",
    "take_seat",
    "warn_of_foreign_writers",
]
