"""
A purge erases every trace of one device from the outbox file.

Rows go first, in chunks. VACUUM then writes the file anew, because a database keeps copies of moved rows in unused
parts of its pages, and deleted rows in its free pages (sqlite.org/lang_vacuum.html).
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from forwarder.outbox.operations import ForgetNotes
from forwarder.outbox.records import Purged
from forwarder.outbox.sql.access import Access
from forwarder.outbox.sql.erasure import erase_rows, spellings
from forwarder.outbox.sqlite.file import is_running, translated
from forwarder.reading import Device

PATIENCE_SECONDS = 10.0
"""The service has this long to read the notes about erased lanes; it looks every half second."""
CHECKPOINT_SECONDS = 10.0
"""Readers have this long to let the write-ahead log be emptied."""
_POLL_SECONDS = 0.05
_NOTES = "SELECT count(*) FROM touched_lane WHERE device = ?"


def purge(access: Access, connection: sqlite3.Connection, path: Path, device: Device) -> Purged:
    """
    Erase the device's deliveries, readings and quarantined messages, and the bytes that they left in the file.

    `connection` belongs to `access`, and leads to the file at `path`.
    """
    with translated(path):
        connection.execute("PRAGMA secure_delete = ON")
        connection.create_function("mentions", 1, _mentions(device), deterministic=True)
    states, quarantined = erase_rows(access, device, "mentions({})".format)
    _await_notes_read(connection, path, device)
    access.operate(ForgetNotes(device))
    is_rewritten = _rewrite(connection, path)
    return Purged(states.total(), states["pending"], quarantined, is_rewritten)


def _mentions(device: Device) -> Callable[[object], bool]:
    """Make a test of texts and bytes for the device's MAC in any spelling; a name that is no MAC is never found."""
    needles = [spelling.encode() for spelling in spellings(device)]

    def mentions(value: object) -> bool:
        text = value if isinstance(value, bytes) else str(value).encode()
        lower = text.lower()
        return any(needle in lower for needle in needles)

    return mentions


def _await_notes_read(connection: sqlite3.Connection, path: Path, device: Device) -> None:
    """Wait until the service has read its notes, which hold the device's name and may go then, or until none runs."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and is_running(path):
        with translated(path):
            (left,) = connection.execute(_NOTES, (device,)).fetchone()
        if not left:
            return
        time.sleep(_POLL_SECONDS)


def _rewrite(connection: sqlite3.Connection, path: Path) -> bool:
    connection.execute("DROP TABLE IF EXISTS temp.chosen")
    # VACUUM makes its new file in the data directory, because other folders may be too small or read-only.
    connection.execute("PRAGMA temp_store = FILE")
    directory = str(path.parent.absolute()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory = '{directory}'")
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError:  # no room for it, or another program holds the file
        return False
    with translated(path):
        return _empty_log(connection)


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead log, in which erased rows still stand; False when readers have kept it too long."""
    until = time.monotonic() + CHECKPOINT_SECONDS
    while time.monotonic() < until:
        (is_blocked, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not is_blocked:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def copies_aside(path: Path) -> list[Path]:
    """Damaged outboxes that were moved aside, which may still hold the device."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))
