"""
The outbox on SQLite: one file, with its write-ahead log, its high-water mark and its lock beside it.

    engine.py      transactions and reads of the service    access.py      what commands do, beside the service
    statements.py  the hot path: put and settle             operations.py  what time and operators do
    queries.py     what is read back                        records.py     deliveries as operators see them
    quarantine.py  what could not be understood             erasure.py     one device's every trace, erased
    file.py        connections, errors, the lock            opening.py     checked, repaired, moved aside
    disk_space.py  room on the disk, and under the limit    inspection.py  is it sound, do the accounts agree
    high_water_mark.py  how far the file has come           migrations.py  from one schema to the next
    bulk_statement.py   one statement over many rows        schema.sql
"""

from forwarder.outbox.sqlite.access import opened
from forwarder.outbox.sqlite.engine import SqliteEngine
from forwarder.outbox.sqlite.erasure import copies_aside
from forwarder.outbox.sqlite.file import DirectoryLock, is_running
from forwarder.outbox.sqlite.inspection import inspect
from forwarder.outbox.sqlite.opening import prepare, repair, warn_of_foreign_writers

open_engine = SqliteEngine
take_lock = DirectoryLock

__all__ = [
    "copies_aside",
    "inspect",
    "is_running",
    "open_engine",
    "opened",
    "prepare",
    "repair",
    "take_lock",
    "warn_of_foreign_writers",
]
