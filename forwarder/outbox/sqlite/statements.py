"""
The hot path's SQL: it puts readings in and settles deliveries, inside a transaction that its caller owns.

Every call has the same outcome when it is made twice, so a commit that failed is simply tried again.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, repeat
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias, assert_never

from forwarder.delivery import (
    Attempt,
    Bury,
    Decision,
    Delivery,
    Done,
    Expire,
    ReadingNumber,
    RetryAt,
    Supersede,
)
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.changes import Run
from forwarder.outbox.intake import MessageOutcome, NewQuarantined, NewReading, Recipient
from forwarder.outbox.records import DeviceRecord
from forwarder.outbox.settlement import Settlement
from forwarder.outbox.sqlite import quarantine
from forwarder.outbox.sqlite.bulk_statement import BulkStatement
from forwarder.outbox.sqlite.high_water_mark import Numbers, numbers_in
from forwarder.reading import Device

EMPTY: Mapping[str, Collection[ReadingNumber]] = {}
KEPT_ATTEMPTS = 20
"""Failed attempts of a delivery that stay on record: the last ones."""

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
_INSERT_DELIVERY = """
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (reading, endpoint) DO NOTHING"""
_OLDER = """
    SELECT reading FROM delivery
    WHERE endpoint = ? AND device = ? AND state = 'pending' AND reading < ?"""
_SETTLE = BulkStatement(
    """
    UPDATE delivery SET state = ?, reason = ?, attempts = ?, last_status = coalesce(?, last_status),
        last_error = coalesce(?, last_error), duration_ms = coalesce(ended.column2, duration_ms), address = ?,
        settled_at = ?
    FROM (VALUES {rows}) AS ended
    WHERE delivery.reading = ended.column1 AND endpoint = ? AND state = 'pending'""",
    columns=2,
)
"""Settles deliveries of one endpoint that end alike; a row is a reading and the duration of its attempt."""
_POSTPONE = """
    UPDATE delivery SET due_at = ?, attempts = ?, last_status = ?, last_error = ?, duration_ms = ?
    WHERE reading = ? AND endpoint = ? AND state = 'pending'"""
_DROP_BODIES = BulkStatement(
    """
    DELETE FROM body WHERE reading IN (VALUES {rows}) AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE reading = body.reading AND state IN ('pending', 'dead'))""",
    columns=1,
)
_INSERT_ATTEMPT = """
    INSERT OR REPLACE INTO attempt SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
    WHERE EXISTS (SELECT 1 FROM delivery WHERE reading = ?1 AND endpoint = ?2)"""
"""A delivery that was erased while it was in flight gets no row."""
_ADD_TOTALS = """
    UPDATE endpoint SET enqueued = enqueued + ?, delivered = delivered + ?, dead = dead + ?,
        expired = expired + ?, superseded = superseded + ? WHERE id = ?"""
_RECORD_DEVICES = BulkStatement("REPLACE INTO device VALUES {rows}", columns=9)
NO_ENDPOINT = 0
"""In a note for the running service: it is about the device itself, which a command has erased."""
_columns = attrgetter(
    "number", "attempted_at", "duration_ms", "status", "error", "detail", "answer", "address"
)
_TOTALS = ("enqueued", "delivered", "dead", "expired", "superseded")


Attempted: TypeAlias = tuple[int, int | None, str | None]
"""The number of attempts, and the last one's status and error word."""
Ending: TypeAlias = tuple[str, str | None, int, int | None, str | None, str | None]
"""What deliveries that end alike share: state, reason, attempts, and the address that the last one dialled."""
Timed: TypeAlias = tuple[Delivery, float | None]
"""A delivery and its last attempt's milliseconds; None where there was no attempt."""


@dataclass(slots=True)
class Owed:
    """What became of a group of readings."""

    runs: list[Run] = field(default_factory=list)
    """All of them, in their order."""
    superseded: dict[tuple[str, Device], int] = field(default_factory=dict)
    """How many deliveries gave way to newer ones, by lane."""


class Store:
    """The outbox's tables, as operations inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._endpoint_ids: dict[str, int] = {}
        self._changes: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._numbers: Numbers | None = None
        """The `numbers`, while they are known without a query."""
        self.has_noted_lanes = False
        """Whether commands had changed lanes when the transaction began."""
        self.touched: set[tuple[str, Device]] = set()
        """Lanes that something else than a claim has changed."""
        self._forgotten: set[Device] = set()
        """Devices that commands have erased,"""
        self._forgotten_before: set[Device] = set()
        """and those of the transaction before: this one may have begun before the loop heard of them."""

    def begin(self) -> None:
        """Read what a transaction has to know at its beginning, in one query."""
        reading, quarantined, has_touched = self.connection.execute(_STATE).fetchone()
        self._numbers = Numbers(reading or 0, quarantined or 0)
        self.has_noted_lanes = bool(has_touched)

    def numbers(self) -> Numbers:
        """The highest numbers given out so far, this transaction's included."""
        return self._numbers or numbers_in(self.connection)

    def endpoint_id(self, name: str) -> int:
        """The row of an endpoint, made when it is new."""
        known = self._endpoint_ids.get(name)
        if known is not None:
            return known
        self.connection.execute("INSERT OR IGNORE INTO endpoint (name) VALUES (?)", (name,))
        row = self.connection.execute("SELECT id FROM endpoint WHERE name = ?", (name,)).fetchone()
        self._endpoint_ids[name] = row[0]
        return int(row[0])

    def forget(self) -> None:
        """After a rollback: rows that the transaction made are gone."""
        self._endpoint_ids.clear()
        self._changes.clear()
        self._numbers = None
        self.touched.clear()
        self._forgotten.clear()

    def take_noted_lanes(self) -> set[tuple[str, Device]]:
        """The lanes that commands have changed since the last call."""
        rows = self.connection.execute("SELECT endpoint, device FROM touched_lane").fetchall()
        if not rows:
            return set()
        self.connection.execute("DELETE FROM touched_lane")
        names = dict(self.connection.execute("SELECT id, name FROM endpoint").fetchall())
        self._forgotten.update(device for endpoint, device in rows if endpoint == NO_ENDPOINT)
        return {(names[endpoint], device) for endpoint, device in rows if endpoint != NO_ENDPOINT}

    def take_forgotten(self) -> set[Device]:
        """The devices among them that commands have erased."""
        forgotten, self._forgotten = self._forgotten, set()
        return forgotten

    def remember_forgotten(self, forgotten: set[Device]) -> None:
        """After a commit: what it has found erased."""
        self._forgotten_before = forgotten

    def put(
        self, reading: NewReading, *, now: float, content_since: float
    ) -> tuple[ReadingNumber, tuple[Recipient, ...]]:
        """Owe one reading; returns its number, and each recipient that did not have it yet."""
        (run,) = self.put_all([reading], now=now, content_since=content_since).runs
        return run.first, run.recipients

    def put_all(
        self,
        readings: Sequence[NewReading],
        *,
        now: float,
        content_since: float,
        in_flight: Mapping[str, Collection[ReadingNumber]] = EMPTY,
    ) -> Owed:
        """
        Owe readings to their recipients, in this order.

        `content_since` is how far back the same content of a redelivered, timeless message is the same reading;
        what is `in_flight` at an endpoint is not superseded there.
        """
        owed = Owed()
        for is_timeless, some in groupby(readings, key=_is_timeless_repetition):
            if not is_timeless:
                owed.runs += self._put_run(list(some), now)
                continue
            for reading in some:
                known = self._by_content(reading, content_since)
                owed.runs += self._put_run([reading], now) if known is None else [known]
        for (endpoint, device), number in _newest(owed.runs).items():
            gone = self._supersede(number, device, endpoint, now, in_flight.get(endpoint, ()))
            owed.superseded[endpoint, device] = gone
        return owed

    def _by_content(self, reading: NewReading, since: float) -> Run | None:
        row = self.connection.execute(
            "SELECT number FROM reading WHERE content = ? AND received_at >= ? LIMIT 1",
            (reading.content, since),
        ).fetchone()
        return Run(ReadingNumber(row[0]), [reading], ()) if row else None

    def _put_run(self, readings: list[NewReading], now: float) -> list[Run]:
        numbers = self.numbers()
        next_number = numbers.reading + 1
        rows = [
            (
                number, bytes.fromhex(one.webhook_id[4:]), one.device, one.measured_at, one.received_at,
                one.content,
            )
            for number, one in enumerate(readings, next_number)
        ]  # fmt: skip
        # Numbers are given here, not by SQLite: then a group is one statement, and no row is read back.
        if _INSERT_READINGS.execute(self.connection, rows) == len(rows):
            if self._numbers is not None:
                self._numbers = Numbers(numbers.reading + len(rows), numbers.quarantined)
            runs = _runs(readings, next_number)
            self._owe_new(runs, now)
            return runs
        return self._put_partly_known(readings, rows, now)

    def _put_partly_known(
        self, readings: list[NewReading], rows: list[tuple[Any, ...]], now: float
    ) -> list[Run]:
        self._numbers = None  # a repetition may have used up a number
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

    def _owe_known(self, run: Run, now: float) -> tuple[Recipient, ...]:
        (reading,) = run.readings
        added = tuple(one for one in run.recipients if self._owe(run.first, reading, one, now))
        if added:
            body = (run.first, reading.data)
            self.connection.execute("INSERT OR IGNORE INTO body VALUES (?, ?)", body)
        return added

    def _owe(
        self, number: ReadingNumber, reading: NewReading, recipient: Recipient, now: float
    ) -> bool:
        endpoint = self.endpoint_id(recipient.endpoint)
        row = (number, endpoint, reading.device, now, reading.received_at)
        if self.connection.execute(_INSERT_DELIVERY, row).rowcount == 0:
            return False
        self._changes[endpoint, "enqueued"] += 1
        return True

    def _supersede(
        self,
        number: ReadingNumber,
        device: Device,
        name: str,
        now: float,
        in_flight: Collection[ReadingNumber],
    ) -> int:
        endpoint = self.endpoint_id(name)
        rows = self.connection.execute(_OLDER, (endpoint, device, number)).fetchall()
        older = [reading for (reading,) in rows if reading not in in_flight]
        for reading in older:
            self.finish(reading, endpoint, state="superseded", reason=None, settled_at=now)
        self.drop_bodies(older)
        return len(older)

    def finish(
        self,
        reading: ReadingNumber,
        endpoint: int,
        *,
        state: str,
        reason: str | None,
        settled_at: float,
    ) -> bool:
        """Settle one pending delivery by a rule, not by an attempt; False when it is pending no more."""
        changed = self.connection.execute(
            "UPDATE delivery SET state = ?, reason = ?, settled_at = ?"
            " WHERE reading = ? AND endpoint = ? AND state = 'pending'",
            (state, reason, settled_at, reading, endpoint),
        ).rowcount
        self._changes[endpoint, state] += changed
        return changed > 0

    def settle(self, settlements: Sequence[Settlement], *, now: float) -> None:
        """Record what was decided; a lane in which a delivery was not pending any more is touched."""
        ended: defaultdict[tuple[str, Ending], list[Timed]] = defaultdict(list)
        for settlement in settlements:
            attempt, decision = settlement.attempt, settlement.decision
            # Postponements are written before ends, because an end is for good.
            if isinstance(decision, RetryAt):
                self._postpone(settlement, decision.due_at)
            elif attempt is not None:
                ending = (*_ending(decision), *_attempted(attempt), attempt.address)
                timed = zip(settlement.deliveries, repeat(attempt.duration_ms))
                ended[settlement.deliveries[0].endpoint, ending].extend(timed)
            else:
                for one in settlement.deliveries:
                    ending = (*_ending(decision), one.attempts, None, None, None)
                    ended[one.endpoint, ending].append((one, None))
        for (endpoint, ending), some in ended.items():
            self._close(some, self.endpoint_id(endpoint), ending, now)
        self.drop_bodies(
            delivery.reading
            for (_, ending), some in ended.items()
            if ending[0] != "dead"
            for delivery, _ in some
        )
        self._record_failures(settlements)

    def _postpone(self, settlement: Settlement, due_at: float) -> None:
        attempt = settlement.attempt
        for one in settlement.deliveries:
            key = (one.reading, self.endpoint_id(one.endpoint))
            attempted = (one.attempts, None, None) if attempt is None else _attempted(attempt)
            duration = None if attempt is None else attempt.duration_ms
            row = (due_at, *attempted, duration, *key)
            if self.connection.execute(_POSTPONE, row).rowcount == 0:
                self._touch([one])

    def _close(self, ended: list[Timed], endpoint: int, ending: Ending, now: float) -> None:
        rows = [(delivery.reading, duration) for delivery, duration in ended]
        # In the order of the table, so that each page is met once.
        rows.sort(key=itemgetter(0))
        changed = _SETTLE.execute(self.connection, rows, before=(*ending, now), after=(endpoint,))
        self._changes[endpoint, ending[0]] += changed
        if changed < len(ended):
            # Nothing tells which of them it was, and a count in vain does no harm.
            self._touch(delivery for delivery, _ in ended)

    def _touch(self, deliveries: Iterable[Delivery]) -> None:
        self.touched.update((one.endpoint, one.device) for one in deliveries)

    def drop_bodies(self, readings: Iterable[int]) -> None:
        """Forget these readings' bodies, unless a pending or dead delivery needs them."""
        _DROP_BODIES.execute(self.connection, [(reading,) for reading in sorted(set(readings))])

    def _record_failures(self, settlements: Sequence[Settlement]) -> None:
        for settlement in settlements:
            attempt = settlement.attempt
            if attempt is None or not attempt.error:
                continue
            for one in settlement.deliveries:
                self._record_failure(one, attempt)

    def _record_failure(self, delivery: Delivery, attempt: Attempt) -> None:
        key = (delivery.reading, self.endpoint_id(delivery.endpoint))
        self.connection.execute(_INSERT_ATTEMPT, (*key, *_columns(attempt)))
        self.connection.execute(
            "DELETE FROM attempt WHERE reading = ? AND endpoint = ? AND number <= ?",
            (*key, attempt.number - KEPT_ATTEMPTS),
        )

    def quarantine(self, messages: Sequence[NewQuarantined], *, max_bytes: int) -> None:
        """Keep messages that could not be understood, and let the oldest go for them; see `quarantine.keep`."""
        self._numbers = None
        quarantine.keep(self.connection, messages, max_bytes=max_bytes)

    def count_messages(self, outcomes: Mapping[MessageOutcome, int]) -> None:
        self.connection.executemany(
            "INSERT INTO message_total VALUES (?1, ?2)"
            " ON CONFLICT (outcome) DO UPDATE SET count = count + ?2",
            outcomes.items(),
        )

    def record_devices(
        self, devices: Mapping[int, DeviceRecord | None], *, but: Collection[Device]
    ) -> None:
        """Keep records of devices at their places, without those that were erased meanwhile."""
        erased = self._forgotten_before.union(but)
        rows = [(place, *one) for place, one in devices.items() if one and one.device not in erased]
        _RECORD_DEVICES.execute(self.connection, rows)
        empty = [(place,) for place, one in devices.items() if one is None]
        self.connection.executemany("DELETE FROM device WHERE place = ?", empty)

    def record_health(self, name: str, health: EndpointHealth) -> None:
        """Keep an endpoint's circuit; a pause that an operator set meanwhile stays."""
        self.connection.execute(
            "UPDATE endpoint SET failures = ?, open_until = ?, failing_since = ?,"
            " last_success_at = ?, last_error = ?, last_error_at = ? WHERE id = ?",
            (
                health.failures, health.open_until, health.failing_since, health.last_success_at,
                health.last_error, health.last_error_at, self.endpoint_id(name),
            ),
        )  # fmt: skip

    def record_gone(self, name: str, url_digest: str | None) -> None:
        """Pause an endpoint for its 410, or end that pause; an operator's pause stays."""
        self.connection.execute(
            "UPDATE endpoint SET paused_by = ?, gone_url = ? WHERE id = ? AND paused_by IS NOT 'operator'",
            ("gone" if url_digest else None, url_digest, self.endpoint_id(name)),
        )

    def add_totals(self) -> None:
        """Add what the transaction changed to the endpoints' totals; its last statement."""
        endpoints = {endpoint for endpoint, _ in self._changes}
        self.connection.executemany(
            _ADD_TOTALS,
            (
                (*[self._changes.get((endpoint, total), 0) for total in _TOTALS], endpoint)
                for endpoint in endpoints
            ),
        )
        self._changes.clear()


def _is_timeless_repetition(reading: NewReading) -> bool:
    return reading.is_redelivery and reading.content is not None


def _runs(readings: Iterable[NewReading], number: int) -> list[Run]:
    """New readings, the first with this number, cut where their recipients change."""
    runs: list[Run] = []
    for _, same in groupby(readings, key=attrgetter("recipients")):
        some = list(same)
        runs.append(Run(ReadingNumber(number), some, some[0].recipients))
        number += len(some)
    return runs


def _newest(runs: Iterable[Run]) -> dict[tuple[str, Device], ReadingNumber]:
    """By lane where only the latest counts, the highest number that was put into it."""
    newest: dict[tuple[str, Device], ReadingNumber] = {}
    for run in runs:
        for recipient in run.recipients:
            if recipient.only_latest:
                for number, reading in enumerate(run.readings, run.first):
                    lane = (recipient.endpoint, reading.device)
                    newest[lane] = ReadingNumber(max(number, newest.get(lane, number)))
    return newest


def _ending(decision: Decision) -> tuple[str, str | None]:
    """State and why dead."""
    match decision:
        case Done():
            return "delivered", None
        case Bury(reason):
            return "dead", reason
        case Expire():
            return "expired", None
        case Supersede():
            return "superseded", None
        case RetryAt():
            raise TypeError("a retry is no end")
        case _:
            assert_never(decision)


def _attempted(attempt: Attempt) -> Attempted:
    return attempt.number, attempt.status, attempt.error or None
