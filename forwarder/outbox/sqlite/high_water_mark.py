"""
The high-water mark, a file beside the outbox, notes how far the outbox has come. It reveals a log that lost its tail.

SQLite takes a write-ahead log that was cut for one that a crash left half written, and goes on with its beginning. The
service writes the mark after each commit, before it acknowledges that commit. An outbox that ends below its mark has
therefore lost what it promised to keep. A mark below its outbox is no loss: a crash between commit and mark leaves it
there, and so does a power cut, because the mark is not synced.
"""

import os
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from forwarder.errors import OutboxIncomplete
from forwarder.files import Unreadable, open_own, read_bytes
from forwarder.logs import logger
from forwarder.outbox.sqlite import file as outbox_file

WAY_OUT = "restore what is missing, or start with FORWARDER_OUTBOX_REPAIR=true to go on with what it holds"
_QUERY = "SELECT name, seq FROM sqlite_sequence WHERE name IN ('reading', 'quarantine')"
_LENGTH = 20 + 1 + 20 + 1 + 8 + 1


class Numbers(NamedTuple):
    """The highest numbers that were ever given out; SQLite keeps them when the rows are gone (AUTOINCREMENT)."""

    reading: int
    quarantined: int


def path_of(outbox: Path) -> Path:
    return outbox.with_name(outbox.name + outbox_file.MARK_SUFFIX)


def numbers_in(connection: sqlite3.Connection) -> Numbers:
    """The numbers that the connection's snapshot, or its transaction before the commit, sees."""
    found = dict(connection.execute(_QUERY).fetchall())
    return Numbers(found.get("reading", 0), found.get("quarantine", 0))


def read(outbox: Path) -> Numbers | None:
    """The mark's numbers; None when the mark is missing or not whole."""
    try:
        content = read_bytes(path_of(outbox), limit=_LENGTH)
    except Unreadable:
        return None
    words = content.split()
    if len(words) != 3 or content != _line(numbers := Numbers(*map(_number, words[:2]))):
        return None
    return numbers


def _number(word: bytes) -> int:
    return int(word) if word.isdigit() else 0


def _line(numbers: Numbers) -> bytes:
    """The whole file: two numbers and a checksum, always of one length, so that one write replaces it."""
    text = b"%020d %020d" % numbers
    return b"%s %08x\n" % (text, zlib.crc32(text))


def shortfall(marked: Numbers | None, held: Numbers) -> str | None:
    """The loss of an outbox with the numbers `held`, as a clause; None when it reaches its mark."""
    if marked is None:
        return None
    missing = {
        f"readings ({held.reading + 1} to {marked.reading})": marked.reading - held.reading,
        "quarantined messages": marked.quarantined - held.quarantined,
    }
    lost = [f"{count:,} {what}" for what, count in missing.items() if count > 0]
    return f"up to {' and '.join(lost)} that had been acknowledged are missing" if lost else None


def compare(outbox: Path) -> None:
    """
    Raises OutboxIncomplete when the outbox ends below its mark; file and log stay as they are.

    The error says "up to", because a repeated message may use up a number too.
    """
    marked = read(outbox)
    with (
        outbox_file.translated(outbox),
        closing(outbox_file.connect(outbox, is_read_only=True)) as file,
    ):
        outbox_file.schema_version(file, outbox)
        lost = shortfall(marked, numbers_in(file))
    if lost is not None:
        raise OutboxIncomplete(
            f"the outbox {outbox} has lost its end: {lost}, because its write-ahead log was cut or damaged, or an"
            f" older copy took its place; {WAY_OUT}"
        )


def forget(outbox: Path) -> None:
    """Remove the mark; the next commit begins a new one."""
    with outbox_file.translated(outbox):
        path_of(outbox).unlink(missing_ok=True)


class HighWaterMark:
    """
    A running service's mark.

    The mark is never synced, because a power cut can only make it older. The line goes on when the mark cannot be
    written, and the next commit tries again.
    """

    def __init__(self, outbox: Path) -> None:
        self._path = path_of(outbox)
        self._descriptor: int | None = None
        self._numbers: Numbers | None = None
        self._is_failing = False

    def move(self, numbers: Numbers) -> None:
        """Write the committed numbers, unless the mark holds them already."""
        if numbers == self._numbers:
            return
        try:
            self._write(_line(numbers))
        except OSError as error:
            if not self._is_failing:
                logger("outbox").error("outbox.unmarked", problem=f"{self._path}: {error.strerror}")
            self._is_failing = True
        else:
            self._numbers = numbers
            self._is_failing = False

    def _write(self, line: bytes) -> None:
        if self._descriptor is None:
            self._descriptor = open_own(self._path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(self._descriptor, line, 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
