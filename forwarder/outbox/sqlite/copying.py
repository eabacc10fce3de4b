"""
An outbox's file is the source of a copy, or its destination.

The directory's lock keeps services away, and a transaction keeps commands waiting. A draft has another name until it is
whole, so a copy that broke off leaves nothing that a service would open.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from forwarder.errors import OperationError, OutboxLocked
from forwarder.outbox.copying import Row
from forwarder.outbox.sql.copying import SqlContents, select, take_evicted, without_triggered
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark
from forwarder.outbox.sqlite.access import opened

_COLUMNS = """
    SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.hidden = 0 ORDER BY t.name, c.cid"""


class SqliteContents(SqlContents):
    """See `Contents`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection: sqlite3.Connection = connection

    def tables(self) -> dict[str, tuple[str, ...]]:
        return without_triggered(self.connection.execute(_COLUMNS))

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        yield from self.connection.execute(select(table, columns))

    def highest_numbers(self) -> tuple[int, int]:
        return high_water_mark.numbers_in(self.connection)


class SqliteDraft(SqliteContents):
    """See `Draft`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.file = outbox_file.new_draft(path)
        super().__init__(outbox_file.connect(self.file))
        # No journal is needed, because a draft that is not finished is thrown away.
        self.connection.execute("PRAGMA journal_mode = OFF")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("DELETE FROM identity")

    def as_kept(self, row: Row) -> Row:
        return row

    def take(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        if table == "quarantine_account":
            take_evicted(self.connection, rows)
            return
        places = ", ".join("?" * len(columns))
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - names of the schema
        self.connection.executemany(insert, rows)

    def go_on_from(self, reading: int, quarantined: int) -> None:
        self.connection.execute("DELETE FROM sqlite_sequence")
        numbers = [("reading", reading), ("quarantine", quarantined)]
        self.connection.executemany("INSERT INTO sqlite_sequence VALUES (?, ?)", numbers)

    def finish(self) -> None:
        self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.close()
        # The file is on disk before it takes its name, so no crash leaves half an outbox under that name.
        _sync(self.file)
        self.file.rename(self._path)
        _sync(self._path.parent)

    def discard(self) -> None:
        """Remove the draft; a finished one has taken its name by then, and stays."""
        self.connection.close()
        outbox_file.remove_draft(self.file)


@contextmanager
def held(path: Path) -> Iterator[SqliteContents]:
    """
    Hold the outbox still inside the block, and give its contents.

    Raises OutboxLocked while a forwarder runs, and OutboxDamaged or OutboxIncomplete when the outbox is not sound.
    """
    if not path.exists():
        raise OperationError(f"there is no outbox at {path}")
    with _locked(path):
        # The check comes before any opening for writing, because SQLite would then tidy away the rest of a cut log.
        outbox_file.quick_check(path)
        high_water_mark.compare(path)
        with opened(path) as access, outbox_file.translated(path):
            # The directory's lock holds off no command, so the write lock does.
            access.connection.execute("BEGIN IMMEDIATE")
            yield SqliteContents(access.connection)


@contextmanager
def drafted(path: Path) -> Iterator[SqliteDraft]:
    """
    Make a draft of the outbox that is to be at `path`; a draft that the block does not finish is removed.

    Raises OperationError when an outbox, a log or a mark is there already.
    """
    with outbox_file.translated(path), _locked(path):
        for suffix in ("", "-wal", outbox_file.MARK_SUFFIX):
            if (there := path.with_name(path.name + suffix)).exists():
                raise OperationError(f"{there} is there already; copy to a path that is free")
        draft = SqliteDraft(path)
        try:
            yield draft
        finally:
            draft.discard()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        lock = outbox_file.DirectoryLock(path)
    except OutboxLocked as running:
        raise OutboxLocked(
            f"a forwarder is running on {path.parent.absolute()}; stop it, and copy then"
        ) from running
    try:
        yield
    finally:
        lock.release()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
