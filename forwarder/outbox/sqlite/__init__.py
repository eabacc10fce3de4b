"""
The outbox on SQLite: one file, with its write-ahead log, its high-water mark and its lock beside it.

    engine.py      transactions and reads of the service    access.py      what commands do, beside the service
    statements.py  the hot path: put and settle             erasure.py     one device's every trace, erased
    file.py        connections, errors, the lock            opening.py     checked, repaired, moved aside
    disk_space.py  room on the disk, and under the limit    inspection.py  is it sound, do the accounts agree
    high_water_mark.py  how far the file has come           migrations.py  from one schema to the next
    bulk_statement.py   one statement over many rows        copying.py     to and from the other engine
    reading_back.py     lanes, and their first deliveries
    schema.sql

Statements that seldom run, and queries, are in outbox/sql.
"""

from pathlib import Path

from forwarder.outbox.seat import Seat
from forwarder.outbox.sqlite.access import opened
from forwarder.outbox.sqlite.copying import drafted, held
from forwarder.outbox.sqlite.engine import SqliteEngine
from forwarder.outbox.sqlite.erasure import copies_aside
from forwarder.outbox.sqlite.file import DirectoryLock, is_running
from forwarder.outbox.sqlite.inspection import inspect
from forwarder.outbox.sqlite.opening import prepare, repair, warn_of_foreign_writers


class DirectorySeat(DirectoryLock, Seat):
    """The seat of the only forwarder on a data directory, which leads from the start."""

    def __init__(self, path: Path, *, name: str, deployment: str) -> None:  # noqa: ARG002 - a database's matters
        super().__init__(path)


take_seat = DirectorySeat
open_engine = SqliteEngine


def exists(path: Path) -> bool:
    return path.exists()


def remarks(_: Path) -> list[str]:
    return []


def refuse_strangers(_: Path, *, deployment: str) -> None:
    """A file refuses nobody, because its one forwarder may subscribe to something else than before."""


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
    "refuse_strangers",
    "remarks",
    "repair",
    "take_seat",
    "warn_of_foreign_writers",
]
