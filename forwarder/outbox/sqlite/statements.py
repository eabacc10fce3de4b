"""
The hot path's SQL puts readings in and settles deliveries, inside a transaction that its caller owns.

Every call has the same outcome when it is made twice, so a commit that failed is simply tried again.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from forwarder.delivery import RetryAt
from forwarder.outbox.changes import Run
from forwarder.outbox.intake import NewQuarantined, NewReading
from forwarder.outbox.settlement import Settlement
from forwarder.outbox.sql.devices import DeviceTable
from forwarder.outbox.sql.endings import Ending, Timed, attempted, ended_alike, runs_of
from forwarder.outbox.sql.endpoints import EndpointTable
from forwarder.outbox.sql.quarantine import Quarantine
from forwarder.outbox.sql.tables import Tables
from forwarder.outbox.sql.webhook_ids import as_bytes
from forwarder.outbox.sqlite.bulk_statement import BulkStatement
from forwarder.outbox.sqlite.high_water_mark import Numbers, numbers_in

_STATE = """
    SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'reading'),
        (SELECT seq FROM sqlite_sequence WHERE name = 'quarantine'), EXISTS (SELECT 1 FROM touched_lane)"""
_INSERT_READINGS = BulkStatement(
    """
    INSERT INTO reading (number, id, device, measured_at, received_at, content) VALUES {rows}
    ON CONFLICT DO NOTHING""",
    columns=6,
)
_INSERT_BODIES = BulkStatement("INSERT INTO body VALUES {rows} ON CONFLICT DO NOTHING", columns=2)
_INSERT_DELIVERIES = """
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from)
    SELECT number, ?, device, ?, received_at FROM reading WHERE number BETWEEN ? AND ?"""
_SETTLE = BulkStatement(
    """
    UPDATE delivery SET state = ?, reason = ?, attempts = ?,
        last_status = CASE WHEN ended.column2 IS NULL THEN last_status ELSE ? END,
        last_error = coalesce(?, last_error), duration_ms = coalesce(ended.column2, duration_ms), address = ?,
        settled_at = ?
    FROM (VALUES {rows}) AS ended
    WHERE delivery.reading = ended.column1 AND endpoint = ? AND state = 'pending'""",
    columns=2,
)
"""
Settles deliveries of one endpoint that end alike; a row is a reading and the duration of its attempt.

Only a pending row is changed, so a settlement that is brought in twice counts once. A row without a duration had no
attempt, and keeps the result of the last one.
"""
_POSTPONE = """
    UPDATE delivery SET due_at = ?, attempts = ?, last_status = ?, last_error = ?, duration_ms = ?
    WHERE reading = ? AND endpoint = ? AND state = 'pending'"""
_PUT_OFF = "UPDATE delivery SET due_at = ? WHERE reading = ? AND endpoint = ? AND state = 'pending'"
"""Postpones without an attempt; the result of the last one stays."""
_DROP_BODIES = BulkStatement(
    """
    DELETE FROM body WHERE reading IN (VALUES {rows}) AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE reading = body.reading AND state IN ('pending', 'dead', 'candidate'))""",
    columns=1,
)
_ADD_TOTALS = """
    UPDATE endpoint SET enqueued = enqueued + ?, delivered = delivered + ?, dead = dead + ?,
        expired = expired + ?, superseded = superseded + ? WHERE id = ?"""
_RECORD_DEVICES = BulkStatement("REPLACE INTO device VALUES {rows}", columns=9)
_TOTALS = ("enqueued", "delivered", "dead", "expired", "superseded")


class SqliteDevices(DeviceTable):
    """Writes all records in one statement."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._connection: sqlite3.Connection = connection

    def _replace(self, rows: Sequence[tuple[object, ...]]) -> None:
        _RECORD_DEVICES.execute(self._connection, rows)


class Store(Tables):
    """See `Tables`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(
            EndpointTable(connection), Quarantine(connection), SqliteDevices(connection)
        )
        self.connection: sqlite3.Connection = connection
        self._numbers: Numbers | None = None
        """The answer of `numbers`, as long as it is known without a query."""

    def begin(self) -> None:
        """Read the state at a transaction's beginning, in one query."""
        # The caller holds the write lock, so nobody else gives out a number before the commit.
        reading, quarantined, has_touched = self.connection.execute(_STATE).fetchone()
        self._numbers = Numbers(reading or 0, quarantined or 0)
        self.has_noted_lanes = bool(has_touched)

    def numbers(self) -> Numbers:
        """The highest numbers given out so far, this transaction's included."""
        return self._numbers or numbers_in(self.connection)

    def _row_of_endpoint(self, name: str) -> int:
        self.connection.execute("INSERT OR IGNORE INTO endpoint (name) VALUES (?)", (name,))
        row = self.connection.execute("SELECT id FROM endpoint WHERE name = ?", (name,)).fetchone()
        return int(row[0])

    def forget(self) -> None:
        super().forget()
        self._numbers = None

    def put_run(self, readings: list[NewReading], now: float) -> list[Run]:
        numbers = self.numbers()
        next_number = numbers.reading + 1
        rows = [
            (
                number, as_bytes(one.webhook_id), one.device, one.measured_at, one.received_at,
                one.content,
            )
            for number, one in enumerate(readings, next_number)
        ]  # fmt: skip
        # The store gives the numbers rather than SQLite, so that a group is one statement and no row is read back.
        if _INSERT_READINGS.execute(self.connection, rows) == len(rows):
            if self._numbers is not None:
                self._numbers = Numbers(numbers.reading + len(rows), numbers.quarantined)
            runs = runs_of(readings, next_number)
            self._owe_new(runs, now)
            return runs
        return self._put_partly_known(readings, rows, now)

    def _put_partly_known(
        self, readings: list[NewReading], rows: list[tuple[Any, ...]], now: float
    ) -> list[Run]:
        self._numbers = None  # SQLite may have used up a number on a repetition
        query = "SELECT number FROM reading WHERE measured_at = ? AND id = ?"
        runs = []
        for reading, row in zip(readings, rows, strict=True):
            (number,) = self.connection.execute(query, (row[3], row[1])).fetchone()
            run = Run(number, [reading], reading.recipients)
            if number == row[0]:
                self._owe_new([run], now)
            else:
                run.recipients = self._owe_known(run, now)
            runs.append(run)
        return runs

    def _owe_new(self, runs: list[Run], now: float) -> None:
        bodies = [
            (number, one.data)
            for run in runs
            if run.recipients
            for number, one in enumerate(run.readings, run.first)
        ]
        _INSERT_BODIES.execute(self.connection, bodies)
        ranges = []
        for run in runs:
            for recipient in run.recipients:
                endpoint = self.endpoint_id(recipient.endpoint)
                ranges.append((endpoint, now, run.first, run.last))
                self._changes[endpoint, "enqueued"] += len(run.readings)
        self.connection.executemany(_INSERT_DELIVERIES, ranges)

    def settle(self, settlements: Sequence[Settlement], *, now: float) -> None:
        # Postponements come first, because a delivery may be postponed and end in one commit, and its end is for good.
        for settlement in settlements:
            if isinstance(settlement.decision, RetryAt):
                self._postpone(settlement, settlement.decision.due_at)
        ended = ended_alike(settlements)
        for (endpoint, ending), some in ended.items():
            self._close(some, self.endpoint_id(endpoint), ending, now)
        self.drop_bodies(
            delivery.reading
            for (_, ending), some in ended.items()
            if ending[0] != "dead"
            for delivery, _ in some
        )
        self.record_failures(settlements)

    def _postpone(self, settlement: Settlement, due_at: float) -> None:
        attempt = settlement.attempt
        statement = _PUT_OFF if attempt is None else _POSTPONE
        last = () if attempt is None else (*attempted(attempt), attempt.duration_ms)
        for one in settlement.deliveries:
            row = (due_at, *last, one.reading, self.endpoint_id(one.endpoint))
            if self.connection.execute(statement, row).rowcount == 0:
                self.touch([one])

    def _close(self, ended: list[Timed], endpoint: int, ending: Ending, now: float) -> None:
        rows = [(delivery.reading, duration) for delivery, duration in ended]
        # The rows go in the table's order, so that each page is met once.
        rows.sort(key=itemgetter(0))
        changed = _SETTLE.execute(self.connection, rows, before=(*ending, now), after=(endpoint,))
        self._changes[endpoint, ending[0]] += changed
        if changed < len(ended):
            # The statement does not tell which rows were pending no more; counting a lane in vain does no harm.
            self.touch(delivery for delivery, _ in ended)

    def drop_bodies(self, readings: Iterable[int]) -> None:
        _DROP_BODIES.execute(self.connection, [(reading,) for reading in sorted(set(readings))])

    def quarantine(self, messages: Sequence[NewQuarantined], *, max_bytes: int) -> None:
        self._numbers = None
        super().quarantine(messages, max_bytes=max_bytes)

    def shrink(self, pages: int) -> None:
        for _ in range(pages):
            # One page a call, because SQLite frees a page a step, and Python's sqlite3 takes only the first step.
            self.connection.execute("PRAGMA incremental_vacuum(1)").fetchall()

    def add_totals(self) -> None:
        endpoints = {endpoint for endpoint, _ in self._changes}
        self.connection.executemany(
            _ADD_TOTALS,
            (
                (*[self._changes.get((endpoint, total), 0) for total in _TOTALS], endpoint)
                for endpoint in endpoints
            ),
        )
        self._changes.clear()
