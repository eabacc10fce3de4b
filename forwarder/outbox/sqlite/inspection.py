"""An inspection tells whether the outbox file is sound, its rows belong together, and the accounts agree with them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from forwarder.errors import OutboxDamaged, OutboxError
from forwarder.outbox.records import Inspection
from forwarder.outbox.sql.access import no_outbox, other_schema
from forwarder.outbox.sql.consistency import Rows, look_at_rows
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark

_MOST_FAULTS = 10


def inspect(path: Path) -> Inspection:
    """
    Look the file over without changing it; a fault is a finding, never an error.

    Raises OperationError when there is no file.
    """
    if not path.exists():
        raise no_outbox(f"at {path}")
    found = Rows()
    try:
        with (
            outbox_file.translated(path),
            closing(outbox_file.connect(path, is_read_only=True)) as connection,
        ):
            found = _look(connection, path)
    except OutboxDamaged as damage:
        found.faults.append(f"{damage.fault}; {outbox_file.WAY_OUT}")
    except OutboxError as error:
        found.faults.append(str(error.__cause__ or error))
    return found.inspection(
        path,
        file_bytes=path.stat().st_size,
        wal_bytes=_size(path.with_name(path.name + "-wal")),
        is_service_running=outbox_file.is_running(path),
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _look(connection: sqlite3.Connection, path: Path) -> Rows:
    """Look at the structure, and then at rows and mark, because the rows of an unsound file would mean nothing."""
    # The mark is read first, because a running service commits before it moves its mark.
    marked = high_water_mark.read(path)
    version = outbox_file.schema_version(connection, path)
    faults = _structure(connection)
    if version != outbox_file.SCHEMA_VERSION:
        faults.append(other_schema(version))
    if faults:
        return Rows(version, faults)
    connection.execute("BEGIN")
    try:
        rows = look_at_rows(connection, version)
    finally:
        connection.execute("ROLLBACK")
    if (
        lost := high_water_mark.shortfall(marked, high_water_mark.numbers_in(connection))
    ) is not None:
        rows.faults.append(f"{lost}; {high_water_mark.WAY_OUT}")
    return rows


def _structure(connection: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_FAULTS})")]
    return [] if found == ["ok"] else [fault.replace("\n", " ") for fault in found]
