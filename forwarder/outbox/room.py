"""
Room on the disk for what the log still has to bring into the file.

SQLite carries its log over into the file from time to time, and the file may have to grow for that
(sqlite.org/wal.html#ckpt). A disk that the log has filled leaves no room for it: the log could neither grow nor begin
anew, however many deliveries made room within the file. So it may take only a share of what is free, and what would
not fit into the file is not committed.
"""

import os
import sqlite3
from pathlib import Path

from forwarder.errors import OutboxUnavailable
from forwarder.outbox import sqlite

MOST_PAGES = 4000
"""A checkpoint is part of a commit, and with SQLite's 1000 every 80th single message met one."""
FULL = "the disk is full; make room on it"
SHARE = 8
"""The log is carried over once it has taken an eighth of what is free."""


class Room:
    """For the connection that writes."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._page_size = sqlite.pragma(connection, "page_size")
        self._page_count = sqlite.pragma(connection, "page_count")
        self._log_pages = 0
        self._free_pages = 0
        self.look()

    def look(self) -> None:
        """See how much is free, and let the log grow accordingly; raises OSError when the disk does not tell."""
        self._free_pages = free_bytes(self._path.parent) // self._page_size
        log_pages = max(1, min(MOST_PAGES, self._free_pages // SHARE))
        if log_pages != self._log_pages:
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages}")
            self._log_pages = log_pages

    def require(self, page_count: int) -> None:
        """
        Raises OutboxUnavailable when a transaction makes so many pages of the file that the disk cannot take them.

        One that adds none may always go on: deliveries that are settled make room.
        """
        if self._log_pages == MOST_PAGES or page_count <= self._page_count:
            return
        growth = page_count - self._path.stat().st_size // self._page_size
        # The log takes them first.
        if 2 * growth > self._free_pages:
            raise OutboxUnavailable(f"the outbox {self._path} takes no writes: {FULL}")

    def committed(self, page_count: int) -> None:
        self._page_count = page_count


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk that a folder is on; raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
