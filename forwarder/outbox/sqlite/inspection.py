"""Is the outbox file sound, do its rows belong together, and do the accounts agree with them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from forwarder.errors import OperationError, OutboxDamaged, OutboxError
from forwarder.outbox.records import Inspection
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import high_water_mark

_MOST_FAULTS = 10
_ORPHANS = {
    "deliveries belong to no reading": """
        FROM delivery WHERE NOT EXISTS (SELECT 1 FROM reading WHERE number = delivery.reading)""",
    "deliveries belong to no endpoint": """
        FROM delivery WHERE NOT EXISTS (SELECT 1 FROM endpoint WHERE id = delivery.endpoint)""",
    "deliveries are of another device than their reading": """
        FROM delivery JOIN reading ON number = delivery.reading WHERE reading.device <> delivery.device""",
    "pending or dead deliveries have lost their data": """
        FROM delivery WHERE state IN ('pending', 'dead')
        AND NOT EXISTS (SELECT 1 FROM body WHERE body.reading = delivery.reading)""",
    "bodies are kept that nothing needs": """
        FROM body WHERE NOT EXISTS
        (SELECT 1 FROM delivery WHERE delivery.reading = body.reading AND state IN ('pending', 'dead'))""",
    "readings are kept that nothing refers to": """
        FROM reading WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.reading = number)""",
    "attempts belong to no delivery": """
        FROM attempt WHERE NOT EXISTS (SELECT 1 FROM delivery
        WHERE delivery.reading = attempt.reading AND delivery.endpoint = attempt.endpoint)""",
}
_ACCOUNTS = """
    SELECT name, enqueued, delivered, dead, expired, superseded,
        coalesce(sum(state = 'pending'), 0), coalesce(sum(state = 'delivered'), 0), coalesce(sum(state = 'dead'), 0),
        coalesce(sum(state = 'expired'), 0), coalesce(sum(state = 'superseded'), 0)
    FROM endpoint LEFT JOIN delivery ON delivery.endpoint = endpoint.id GROUP BY endpoint.id ORDER BY name"""

_QUARANTINE = """
    SELECT account.reason, kept, account.kept_bytes, count(id), coalesce(sum(quarantine.kept_bytes), 0)
    FROM quarantine_account AS account LEFT JOIN quarantine ON quarantine.reason = account.reason
    GROUP BY account.reason"""


def inspect(path: Path) -> Inspection:
    """
    Look the file over without changing it; a fault is a finding, never an error.

    Raises OperationError when there is no file.
    """
    if not path.exists():
        raise OperationError(f"there is no outbox at {path} yet; start the service once")
    found = Inspection(
        path=path,
        file_bytes=path.stat().st_size,
        wal_bytes=_size(path.with_name(path.name + "-wal")),
        is_service_running=outbox_file.is_running(path.parent),
    )
    try:
        with (
            outbox_file.translated(path),
            closing(outbox_file.connect(path, is_read_only=True)) as connection,
        ):
            return _look(connection, found)
    except OutboxDamaged as damage:
        return replace(found, faults=(f"{damage.fault}; {outbox_file.WAY_OUT}",))
    except OutboxError as error:
        return replace(found, faults=(str(error.__cause__ or error),))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _look(connection: sqlite3.Connection, found: Inspection) -> Inspection:
    """Rows are looked at in a sound file alone, because they mean nothing in another one."""
    # The mark comes first: a running service moves on meanwhile, and its mark never stands before its outbox.
    marked = high_water_mark.read(found.path)
    version = outbox_file.schema_version(connection, found.path)
    faults = _structure(connection)
    if version != outbox_file.SCHEMA_VERSION:
        faults.append(
            f"its schema is of version {version}; start the service once to bring it up to date"
        )
    found = replace(found, schema_version=version, faults=tuple(faults))
    return found if faults else _look_at_rows(connection, found, marked)


def _structure(connection: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_FAULTS})")]
    return [] if found == ["ok"] else [fault.replace("\n", " ") for fault in found]


def _look_at_rows(
    connection: sqlite3.Connection, found: Inspection, marked: high_water_mark.Numbers | None
) -> Inspection:
    # One snapshot: a running service changes rows and totals together.
    connection.execute("BEGIN")
    try:
        by_state = "SELECT state, count(*) FROM delivery GROUP BY state ORDER BY state"
        return replace(
            found,
            faults=(
                *_orphans(connection),
                *_accounts(connection),
                *_quarantine(connection),
                *_shortfall(connection, marked),
            ),
            deliveries=dict(connection.execute(by_state).fetchall()),
            readings=_count(connection, "FROM reading"),
            quarantined=_count(connection, "FROM quarantine"),
        )
    finally:
        connection.execute("ROLLBACK")


def _shortfall(
    connection: sqlite3.Connection, marked: high_water_mark.Numbers | None
) -> Iterator[str]:
    lost = high_water_mark.shortfall(marked, high_water_mark.numbers_in(connection))
    if lost is not None:
        yield f"{lost}; {high_water_mark.WAY_OUT}"


def _count(connection: sqlite3.Connection, rows: str) -> int:
    count: int = connection.execute(f"SELECT count(*) {rows}").fetchone()[0]
    return count


def _orphans(connection: sqlite3.Connection) -> Iterator[str]:
    for fault, rows in _ORPHANS.items():
        count = _count(connection, rows)
        if count:
            yield f"{count} {fault}"


def _quarantine(connection: sqlite3.Connection) -> Iterator[str]:
    for reason, kept, kept_bytes, rows, rows_bytes in connection.execute(_QUARANTINE):
        if (kept, kept_bytes) != (rows, rows_bytes):
            yield (
                f"quarantine counts {kept} messages of {kept_bytes} bytes as {reason},"
                f" and has {rows} of {rows_bytes}"
            )


def _accounts(connection: sqlite3.Connection) -> Iterator[str]:
    for name, enqueued, *counts in connection.execute(_ACCOUNTS):
        totals, (pending, *kept) = counts[:4], counts[4:]
        owed = enqueued - sum(totals)
        if owed != pending:
            yield f"endpoint {name} counts {owed} deliveries as pending, and has {pending}"
        states = ("delivered", "dead", "expired", "superseded")
        for state, total, rows in zip(states, totals, kept, strict=True):
            # Fewer rows are right: they are forgotten in time, the totals never.
            if rows > total:
                yield f"endpoint {name} counts {total} deliveries as {state}, and has {rows}"
