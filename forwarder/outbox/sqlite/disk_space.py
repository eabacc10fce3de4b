"""
Room for what comes: on the disk, and under FORWARDER_OUTBOX_MAX_BYTES.

SQLite carries its log over into the file from time to time, and the file may have to grow for that
(sqlite.org/wal.html#ckpt). A disk that the log has filled leaves no room for it: the log could neither grow nor begin
anew, however many deliveries made room within the file. So it may take only a share of what is free, and what would
not fit into the file is not committed.

The quarantine has a share of its own, which readings do not touch and which does not count for them: however much comes
that nobody can read, readings are taken as long as there is room for readings.
"""

import os
import sqlite3
import time
from pathlib import Path

from forwarder.errors import OutboxUnavailable
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.quarantine import held_bytes

MOST_PAGES = 4000
"""A checkpoint is part of a commit, and with SQLite's 1000 every 80th single message met one."""
FULL = "the disk is full; make room on it"
SHARE = 8
"""The log is carried over once it has taken an eighth of what is free."""
AMPLE_BYTES = 256 << 20
"""More than is ever written in LOOK_SECONDS."""
LOOK_SECONDS = 1.0
"""How often it is looked at where it is ample. To look takes 80 µs of a message that comes alone."""


class DiskSpace:
    """
    For the connection that writes: `look` before each transaction, `require` before it is committed, `note` after that.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        max_bytes: int,
        quarantine_max_bytes: int,
    ) -> None:
        self._connection = connection
        self._path = path
        self._max_bytes = max_bytes - quarantine_max_bytes
        self._page_size = outbox_file.pragma(connection, "page_size")
        self._log_pages = 0
        self._free_bytes = 0
        self._next_look = 0.0
        self._is_watched = True
        self._measure()
        self._committed_pages, self._committed = self._pages, self._bytes
        self.look()

    @property
    def is_full(self) -> bool:
        """Whether the outbox holds as much as it may, quarantine apart."""
        return self._readings_bytes >= self._max_bytes

    @property
    def used_bytes(self) -> int:
        """What its pages come to that hold something, as of the last look."""
        return self._committed[0]

    @property
    def _readings_bytes(self) -> int:
        used, quarantined = self._committed
        return used - quarantined

    def look(self) -> None:
        """See how much is free, and let the log grow accordingly; raises OSError when the disk does not tell."""
        now = time.monotonic()
        was_watched, self._is_watched = self._is_watched, now >= self._next_look
        if not self._is_watched:
            return
        if not was_watched:
            self._measure()
            self.note()
        self._free_bytes = free_bytes(self._path.parent)
        log_pages = max(1, min(MOST_PAGES, self._free_bytes // self._page_size // SHARE))
        if log_pages != self._log_pages:
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages}")
            self._log_pages = log_pages
        is_ample = min(self._free_bytes, self._max_bytes - self._readings_bytes) >= AMPLE_BYTES
        self._next_look = now + LOOK_SECONDS if is_ample else 0.0

    def require(self) -> None:
        """
        Raises OutboxUnavailable when the transaction makes so many pages of the file that the disk cannot take them.

        One that adds none may always go on: deliveries that are settled make room.
        """
        if not self._is_watched:
            return
        self._measure()
        if self._log_pages == MOST_PAGES or self._pages <= self._committed_pages:
            return
        growth = self._pages * self._page_size - self._path.stat().st_size
        # The log takes them first.
        if 2 * growth > self._free_bytes:
            raise OutboxUnavailable(f"the outbox {self._path} takes no writes: {FULL}")

    def note(self) -> None:
        """What was measured is committed."""
        if self._is_watched:
            self._committed_pages, self._committed = self._pages, self._bytes

    def _measure(self) -> None:
        self._pages = outbox_file.pragma(self._connection, "page_count")
        used_pages = self._pages - outbox_file.pragma(self._connection, "freelist_count")
        self._bytes = used_pages * self._page_size, held_bytes(self._connection)


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk that a folder is on; raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
