"""
The outbox's file is made, opened, checked and locked here, and its errors are translated.

SQLite's WAL with synchronous=FULL makes commits durable: each returns after its fsync (sqlite.org/wal.html,
sqlite.org/pragma.html#pragma_synchronous).
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from forwarder.errors import OutboxDamaged, OutboxError, OutboxLocked, OutboxUnavailable
from forwarder.files import open_own
from forwarder.outbox.sqlite.migrations import STEPS, Step

SCHEMA_VERSION = 1 + len(STEPS)
SYNCHRONOUS = "FULL"
"""A commit returns once it is on disk."""
OLDEST_SQLITE = (3, 33)
"""The first version with UPDATE … FROM."""
CHECK_SECONDS = 0.5
"""A check's share of a start, which has three seconds with a million deliveries; a slow machine checks 200 MB in it."""
CHECK_STEPS = 10_000
"""SQLite's virtual machine runs this many steps between two looks at the time."""
APPLICATION_ID = 0x77_77_66_6F  # "wwfo": tells our files from other SQLite databases
MARK_SUFFIX = "-mark"
"""The mark's file name is the outbox's with this suffix; see `high_water_mark`."""
WAY_OUT = "restore it from a copy, or start with FORWARDER_OUTBOX_REPAIR=true to move it aside and begin a new one"
"""An operator's two ways out of a damaged outbox."""

_DAMAGED = ("malformed", "not a database", "file is encrypted")
_BUSY_SECONDS = 10.0
"""A command's longest wait for the write lock; the service's writer waits in `SqliteEngine._begin` instead."""
_LOCK_TRIES = 5
_LOCK_SECONDS = 0.02


def connect(path: Path, *, is_read_only: bool = False) -> sqlite3.Connection:
    """
    Open a connection in autocommit mode with this program's pragmas; any thread may use it, one at a time.

    Raises OutboxUnavailable when the file cannot be opened, and OutboxDamaged when it is no sound database.
    """
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if is_read_only else 'rw'}",
            uri=True,
            # Python begins no transaction by itself, because each caller begins one with the lock that it needs.
            isolation_level=None,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA journal_size_limit = 67108864")
    return connection


def create(path: Path, *, steps: Sequence[Step] = STEPS) -> None:
    """
    Make a missing file with the current schema, and bring an existing one up to it.

    A new file takes its name once it is complete, so an empty file has been emptied and raises OutboxDamaged. A missing
    file whose log or mark is still there raises OutboxDamaged too.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise OutboxError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and the outbox needs {oldest} or newer;"
            " use another Python"
        )
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _refuse_leavings(path)
            _make(path)
    with closing(connect(path)) as connection, translated(path):
        _migrate(connection, path, steps)


def _refuse_leavings(path: Path) -> None:
    """Refuse a log or a mark without its file: a new file would take that log over, and a mark proves a loss."""
    for suffix, name in (("-wal", "write-ahead log"), (MARK_SUFFIX, "mark")):
        left = path.with_name(path.name + suffix)
        if left.exists() and left.stat().st_size:
            raise _damage(path, f"it is gone, and its {name} is still there")


def _make(path: Path) -> None:
    new_draft(path).rename(path)


def new_draft(path: Path) -> Path:
    """Make an outbox without rows beside `path`, for the caller to rename; an earlier draft's files are removed."""
    draft = path.with_name(path.name + ".new")
    remove_draft(draft)
    draft.touch(mode=0o600)
    with closing(connect(draft)) as connection:
        _lay_out(connection)
    return draft


def remove_draft(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _lay_out(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    schema = files("forwarder.outbox.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    connection.executescript(
        f"BEGIN IMMEDIATE; {schema}; PRAGMA application_id = {APPLICATION_ID};"
        f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> None:
    """Run all steps and set the version in one transaction, so that a crash leaves the earlier version whole."""
    newest = 1 + len(steps)
    # The version stays true until the transaction begins, because the caller holds the directory's lock.
    version = schema_version(connection, path, newest=newest)
    if version == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version - 1 :]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def schema_version(
    connection: sqlite3.Connection, path: Path, *, newest: int = SCHEMA_VERSION
) -> int:
    """
    The schema's version, from 1 on.

    Raises OutboxError for a file of a newer or of another program, and OutboxDamaged for a file without a schema.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise OutboxError(
            f"{path} is a database of another program; point FORWARDER_OUTBOX_URL elsewhere"
        )
    if version > newest:
        raise OutboxError(
            f"{path} was written by a newer forwarder (schema {version}, this one knows {newest});"
            " run that version or newer"
        )
    if version < 1 or not tables:
        raise _damage(path, "it is empty")
    return version


def quick_check(path: Path, *, seconds: float = CHECK_SECONDS) -> None:
    """
    Check the file's structure for so many seconds (PRAGMA quick_check); raises OutboxDamaged when it is not sound.

    A start must not wait for gigabytes; `forwarder outbox check` checks all. File and log stay as they are.
    """
    with translated(path), closing(connect(path, is_read_only=True)) as connection:
        ends_at = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > ends_at, CHECK_STEPS)
        try:
            faults = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return
    if faults != ["ok"]:
        raise _damage(path, faults[0].replace("\n", " "))


def trim(path: Path) -> None:
    """
    Cut free space off the file's end.

    SQLite cuts at a checkpoint, and the log of an idle service never grows enough for one. A passive checkpoint keeps
    no writer waiting; a reader of an older state puts the cut off.
    """
    with translated(path), closing(connect(path)) as connection:
        if path.stat().st_size > pragma(connection, "page_count") * pragma(connection, "page_size"):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The value of a numeric pragma."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _damage(path: Path, fault: str) -> OutboxDamaged:
    return OutboxDamaged(
        f"the outbox {path} is damaged ({fault}); run `forwarder outbox check`, {WAY_OUT}",
        fault=fault,
    )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system into the outbox's errors, each one sentence."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if any(word in str(error) for word in _DAMAGED):
            raise _damage(path, str(error)) from error
        raise OutboxUnavailable(f"the outbox {path} takes no writes: {error}") from error
    except OSError as error:
        raise OutboxUnavailable(f"the outbox {path} cannot be used: {error.strerror}") from error


class DirectoryLock:
    """
    The lock that admits one forwarder to an outbox's directory, held until `release` or the process's end.

    The kernel drops it with the process, so a killed forwarder leaves no stale lock. Raises OutboxLocked when another
    forwarder holds it.
    """

    def __init__(self, outbox: Path) -> None:
        path = _lock_of(outbox)
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            _hold(self._descriptor)
        except OSError as held:
            os.close(self._descriptor)
            raise OutboxLocked(
                f"another forwarder is running on {path.parent.absolute()}; stop it first,"
                " or give this one a data directory of its own with FORWARDER_OUTBOX_URL"
            ) from held

    def release(self) -> None:
        os.close(self._descriptor)


def _lock_of(outbox: Path) -> Path:
    return outbox.with_name("forwarder.lock")


def _hold(descriptor: int) -> None:
    """Take the lock, in several tries because `is_running` holds it for an instant; raises OSError when it is taken."""
    for _ in range(_LOCK_TRIES - 1):
        with suppress(OSError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOCK_SECONDS)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_running(outbox: Path) -> bool:
    """Whether a forwarder runs on the outbox's directory; one that starts at this very instant may be missed."""
    try:
        descriptor = open_own(_lock_of(outbox), os.O_RDONLY)
    except OSError:
        return False
    try:
        # A shared lock fails only beside a forwarder's exclusive one, so two commands that look at once both get it.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
