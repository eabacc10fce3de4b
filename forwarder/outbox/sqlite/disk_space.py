"""
DiskSpace keeps room for readings: on the disk, and under FORWARDER_OUTBOX_MAX_BYTES.

A checkpoint copies the write-ahead log into the file, and may make the file grow (sqlite.org/wal.html#ckpt). A log that
has filled the disk can neither grow nor start over, even when settled deliveries free pages within the file. The log
therefore takes only a share of the free space, and a transaction that would not fit into the file is not committed.

The quarantine has a share of its own. Unreadable messages never keep readings out, however many come.
"""

import os
import sqlite3
import time
from pathlib import Path

from forwarder.errors import OutboxUnavailable
from forwarder.outbox.sql.quarantine import held_bytes
from forwarder.outbox.sqlite import file as outbox_file

MOST_PAGES = 4000
"""The log's largest size at a checkpoint, which a commit waits for; by SQLite's 1000 every 80th single message did."""
FULL = "the disk is full; make room on it"
SHARE = 8
"""A checkpoint runs once the log has taken an eighth of the free space."""
AMPLE_BYTES = 256 << 20
"""No service writes this much within LOOK_SECONDS."""
LOOK_SECONDS = 1.0
"""Ample space is not measured more often than this, because a look adds 80 µs to a single message."""


class DiskSpace:
    """
    The room of the writing connection: `look` precedes a transaction, `require` its commit, and `note` follows it.

    `max_bytes` bounds readings alone, because the quarantine has a share of its own.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, max_bytes: int) -> None:
        self._connection = connection
        self._path = path
        self._max_bytes = max_bytes
        self._page_size = outbox_file.pragma(connection, "page_size")
        self._log_pages = 0
        self._free_bytes = 0
        self._next_look = 0.0
        self._is_watched = True
        """Whether this transaction is measured; ample space is not."""
        self._measure()
        self._committed_pages, self._committed = self._pages, self._bytes
        self.look()

    @property
    def is_full(self) -> bool:
        """Whether readings take as many bytes as they may."""
        return self._readings_bytes >= self._max_bytes

    @property
    def used_bytes(self) -> int:
        """The bytes of the pages in use, as of the last look."""
        return self._committed[0]

    @property
    def _readings_bytes(self) -> int:
        used, quarantined = self._committed
        return used - quarantined

    def look(self) -> None:
        """Measure the free space and bound the log by it; raises OSError when the disk does not tell."""
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
        Raises OutboxUnavailable when the disk cannot take the pages that the transaction adds.

        A transaction that adds no page is always committed, because settlements make room.
        """
        if not self._is_watched:
            return
        self._measure()
        # A log of MOST_PAGES has eight times as much free beside it, more than a transaction adds.
        if self._log_pages == MOST_PAGES or self._pages <= self._committed_pages:
            return
        growth = self._pages * self._page_size - self._path.stat().st_size
        # Twice, because the log takes each page before a checkpoint copies it into the file.
        if 2 * growth > self._free_bytes:
            raise OutboxUnavailable(f"the outbox {self._path} takes no writes: {FULL}")

    def note(self) -> None:
        """Take the measured state as committed."""
        if self._is_watched:
            self._committed_pages, self._committed = self._pages, self._bytes

    def _measure(self) -> None:
        self._pages = outbox_file.pragma(self._connection, "page_count")
        used_pages = self._pages - outbox_file.pragma(self._connection, "freelist_count")
        self._bytes = used_pages * self._page_size, held_bytes(self._connection)


def free_bytes(folder: Path) -> int:
    """The bytes that this user may still write to the folder's disk; raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
