"""
The outbox on SQLite: one connection writes, one transaction at a time; one reads heads; accounts have one each.

`apply` begins, fills and commits a transaction in one call of the commit thread, which alone uses that connection.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

from forwarder.delivery import Delivery
from forwarder.errors import OutboxUnavailable
from forwarder.outbox.changes import (
    Applied,
    Changes,
    LaneKey,
    LaneRows,
    OperationFailed,
    Run,
)
from forwarder.outbox.intake import MessageOutcome, NewQuarantined, NewReading, Outcomes, Put
from forwarder.outbox.operations import BuryRemoved, ExpireOld, Operation
from forwarder.outbox.records import DeviceRecord, EndpointTotals, Overview
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import queries
from forwarder.outbox.sqlite.disk_space import DiskSpace
from forwarder.outbox.sqlite.file import pragma, translated
from forwarder.outbox.sqlite.high_water_mark import HighWaterMark
from forwarder.outbox.sqlite.operations import perform
from forwarder.outbox.sqlite.statements import Owed, Store

BUSY_SECONDS = 0.005
BUSY_TRIES = 2000
"""The wait between two tries to begin a transaction, and how many there are, while a command is writing."""


class SqliteEngine:
    """See `Engine`."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        quarantine_max_bytes: int,
        keep_delivered_seconds: float,
    ) -> None:
        self._path = path
        self._quarantine_max_bytes = quarantine_max_bytes
        self._keep_delivered_seconds = keep_delivered_seconds
        with translated(path):
            self._reader = outbox_file.connect(path, is_read_only=True)
            self._connection = _writer(path)
            self._disk_space = DiskSpace(
                self._connection,
                path,
                max_bytes=max_bytes,
                quarantine_max_bytes=quarantine_max_bytes,
            )
        self._level = outbox_file.SYNCHRONOUS
        self._store = Store(self._connection)
        self._mark = HighWaterMark(path)
        self._version = pragma(self._connection, "data_version")
        self._endpoint_ids: dict[str, int] = {}

    # What is read.

    @property
    def is_full(self) -> bool:
        return self._disk_space.is_full

    @property
    def used_bytes(self) -> int:
        return self._disk_space.used_bytes

    def lanes(self) -> Iterator[tuple[LaneKey, LaneRows]]:
        with translated(self._path):
            yield from queries.lanes(self._reader)

    def devices(self) -> Iterator[tuple[int, DeviceRecord]]:
        with translated(self._path):
            yield from queries.devices(self._reader)

    def heads(self, wanted: Mapping[LaneKey, int]) -> dict[LaneKey, list[Delivery]]:
        with translated(self._path):
            return {
                (name, device): queries.heads(
                    self._reader,
                    endpoint=self._endpoint_id(name),
                    endpoint_name=name,
                    device=device,
                    limit=limit,
                )
                for (name, device), limit in wanted.items()
            }

    def _endpoint_id(self, name: str) -> int:
        if name not in self._endpoint_ids:
            self._endpoint_ids.update(queries.endpoint_ids(self._reader))
        return self._endpoint_ids[name]

    def totals(self) -> list[EndpointTotals]:
        with (
            translated(self._path),
            closing(outbox_file.connect(self._path, is_read_only=True)) as connection,
        ):
            return queries.totals(connection)

    def log_length(self) -> int:
        with (
            translated(self._path),
            closing(outbox_file.connect(self._path, is_read_only=True)) as connection,
        ):
            return queries.log_length(connection)

    def overview(self) -> Overview:
        return queries.read_overview(self._path)

    def told(self) -> dict[str, str]:
        with translated(self._path):
            return dict(self._reader.execute("SELECT subject, what FROM told").fetchall())

    # What is written.

    def apply(self, changes: Changes, *, now: float) -> Applied:
        with translated(self._path):
            try:
                self._begin(waits_for_disk=changes.waits_for_disk)
                applied = self._bring_in(changes, now)
                self._commit()
                self._store.remember_forgotten(set(applied.forgotten))
                # Put back now, because it takes time, and the next message waits for the disk.
                self._set_level(outbox_file.SYNCHRONOUS)
            except BaseException:
                self._undo()
                raise
        return applied

    def _bring_in(self, changes: Changes, now: float) -> Applied:
        store = self._store
        if changes.settlements:
            store.settle(changes.settlements, now=now)
        for endpoint, health in changes.health.items():
            store.record_health(endpoint, health)
        for endpoint, url in changes.gone.items():
            store.record_gone(endpoint, url)
        answers = [
            self._perform(index, one, changes) for index, one in enumerate(changes.operations)
        ]
        owed, outcomes = self._put(changes, now) if changes.puts else (Owed(), [])
        store.count_messages(_messages(changes, outcomes))
        store.add_totals()
        # The count comes last, because it must see all that the transaction changed.
        counted = self._count(changes)
        forgotten = store.take_forgotten()
        if changes.devices:
            store.record_devices(changes.devices, but=forgotten)
        return Applied(owed.runs, outcomes, owed.superseded, answers, counted, forgotten)

    def _perform(self, index: int, operation: Operation[Any], changes: Changes) -> Any:
        in_flight = (
            changes.in_flight.get(operation.endpoint, ())
            if isinstance(operation, ExpireOld | BuryRemoved)
            else ()
        )
        try:
            return perform(self._store, operation, in_flight=in_flight)
        except sqlite3.Error:
            raise
        except Exception as error:
            raise OperationFailed(index, error) from error

    def _put(self, changes: Changes, now: float) -> tuple[Owed, list[Outcomes]]:
        readings: list[NewReading] = []
        quarantined: list[tuple[int, NewQuarantined]] = []
        for place, one in enumerate(chain.from_iterable(changes.puts)):
            if isinstance(one, NewQuarantined):
                quarantined.append((place, one))
            else:
                readings.append(one)
        owed = self._store.put_all(
            readings,
            now=now,
            content_since=now - self._keep_delivered_seconds,
            in_flight=changes.in_flight,
        )
        if quarantined:
            kept = [one for _, one in quarantined]
            self._store.quarantine(kept, max_bytes=self._quarantine_max_bytes)
        return owed, _outcomes(owed.runs, [place for place, _ in quarantined], changes.puts)

    def _count(self, changes: Changes) -> dict[LaneKey, LaneRows]:
        store = self._store
        lanes = changes.uncertain | store.touched
        if store.has_noted_lanes or changes.operations:
            lanes |= store.take_noted_lanes()
        store.touched.clear()
        return {
            (name, device): queries.rows_of_lane(
                self._connection, endpoint=store.endpoint_id(name), device=device
            )
            for name, device in lanes
        }

    def _begin(self, *, waits_for_disk: bool) -> None:
        if self._connection.in_transaction:
            self._undo()
        self._set_level(outbox_file.SYNCHRONOUS if waits_for_disk else "NORMAL")
        self._disk_space.look()
        for _ in range(BUSY_TRIES):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._store.begin()
            except sqlite3.OperationalError as busy:
                # The low byte is the primary code: another program may be recovering the log (SQLITE_BUSY_RECOVERY).
                if busy.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(BUSY_SECONDS)
            else:
                return
        raise OutboxUnavailable(
            f"the outbox {self._path} takes no writes: another program keeps it locked"
        )

    def _set_level(self, level: str) -> None:
        """Set how far the next transaction waits for the disk: a level of SQLite's `synchronous`."""
        if level != self._level:
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _commit(self) -> None:
        numbers = self._store.numbers()
        self._disk_space.require()
        self._connection.execute("COMMIT")
        self._disk_space.note()
        self._mark.move(numbers)

    def _undo(self) -> None:
        self._store.forget()
        if self._connection.in_transaction:
            self._connection.rollback()

    def has_foreign_change(self) -> bool:
        with translated(self._path):
            before, self._version = self._version, pragma(self._connection, "data_version")
        return before != self._version

    def trim(self) -> None:
        outbox_file.trim(self._path)

    def close(self) -> None:
        self._reader.close()
        self._mark.close()
        self._connection.close()


def _writer(path: Path) -> sqlite3.Connection:
    connection = outbox_file.connect(path)
    # `_begin` waits for a locked file.
    connection.execute("PRAGMA busy_timeout = 0")
    # Debian's SQLite blanks whatever is deleted: here the body of each reading. `purge` erases for good, and writes the
    # file anew.
    connection.execute("PRAGMA secure_delete = OFF")
    # The check of a state costs a microsecond a delivery. `Store` writes only the states of its own statements, and
    # `outbox check` looks at them too.
    connection.execute("PRAGMA ignore_check_constraints = ON")
    return connection


def _outcomes(
    runs: Sequence[Run], quarantined: Sequence[int], puts: Sequence[Sequence[Put]]
) -> list[Outcomes]:
    """What each message came to, in the groups in which they were put; `quarantined` are places among all."""
    outcomes: Outcomes = []
    for run in runs:
        outcomes += ["accepted" if run.recipients else "duplicate"] * len(run.readings)
    for place in quarantined:
        outcomes.insert(place, "quarantined")
    ends = accumulate(map(len, puts), initial=0)
    return [outcomes[start:end] for start, end in pairwise(ends)]


def _messages(changes: Changes, outcomes: Sequence[Outcomes]) -> dict[MessageOutcome, int]:
    counts = changes.messages.copy()
    for outcome in chain.from_iterable(outcomes):
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts
