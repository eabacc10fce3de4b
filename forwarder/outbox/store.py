"""
The hot path's SQL: putting readings in, settling deliveries. Runs inside a transaction that its caller owns.

Each operation can be run twice with the same outcome, so a commit that failed is simply tried again.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import assert_never

from forwarder.delivery import Bury, Done, Expire, ReadingNumber, RetryAt, Supersede
from forwarder.outbox.words import (
    Attempt,
    EndpointHealth,
    NewQuarantined,
    NewReading,
    Recipient,
    Settlement,
)
from forwarder.reading import Device

KEPT_ATTEMPTS = 20
"""Failed attempts of a delivery that stay on record: the last ones."""
KEPT_QUARANTINE = 1000
"""Quarantined messages of a device that are kept: the newest."""

_INSERT_READING = """
    INSERT INTO reading (id, device, measured_at, received_at, content) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING RETURNING number"""
_INSERT_DELIVERY = """
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (reading, endpoint) DO NOTHING"""
_OLDER = """
    SELECT reading FROM delivery
    WHERE endpoint = ? AND device = ? AND state = 'pending' AND reading < ?"""
_SETTLE = """
    UPDATE delivery SET state = ?, reason = ?, attempts = ?, settled_at = ?,
        last_status = coalesce(?, last_status), last_error = coalesce(?, last_error),
        duration_ms = coalesce(?, duration_ms)
    WHERE reading = ? AND endpoint = ? AND state = 'pending'"""
_POSTPONE = """
    UPDATE delivery SET due_at = ?, attempts = ?, last_status = ?, last_error = ?, duration_ms = ?
    WHERE reading = ? AND endpoint = ? AND state = 'pending'"""
_DROP_BODY = """
    DELETE FROM body WHERE reading = ?1 AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE reading = ?1 AND state IN ('pending', 'dead'))"""
_INSERT_ATTEMPT = """
    INSERT OR REPLACE INTO attempt SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
    WHERE EXISTS (SELECT 1 FROM delivery WHERE reading = ?1 AND endpoint = ?2)"""
"""Nothing for a delivery that was erased while it was in flight."""
_ADD_TOTALS = """
    UPDATE endpoint SET enqueued = enqueued + ?, delivered = delivered + ?, dead = dead + ?,
        expired = expired + ?, superseded = superseded + ? WHERE id = ?"""
_TOTALS = ("enqueued", "delivered", "dead", "expired", "superseded")


class Store:
    """The outbox's tables, as operations inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._endpoint_ids: dict[str, int] = {}
        self._changes: Counter[tuple[int, str]] = Counter()
        self.touched: set[tuple[str, Device]] = set()
        """Lanes in which something else than a claim changed what is pending."""

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
        """After a rollback: rows made in the transaction are gone."""
        self._endpoint_ids.clear()
        self._changes.clear()
        self.touched.clear()

    def take_touched_lanes(self) -> set[tuple[str, Device]]:
        """The lanes that commands have changed since this was last asked."""
        rows = self.connection.execute(
            "DELETE FROM touched_lane RETURNING endpoint, device"
        ).fetchall()
        if not rows:
            return set()
        names = dict(self.connection.execute("SELECT id, name FROM endpoint").fetchall())
        return {(names[endpoint], device) for endpoint, device in rows}

    def put(
        self,
        reading: NewReading,
        *,
        now: float,
        content_since: float,
        in_flight: Collection[tuple[str, ReadingNumber]] = (),
    ) -> tuple[ReadingNumber, list[tuple[Recipient, int]]]:
        """
        Owe the reading to its recipients.

        The answer: its number, and each recipient that did not have it yet with how many older readings it superseded.
        `content_since` is how far back the same content of a redelivered, timeless message is the same reading;
        what is `in_flight` is not superseded.
        """
        if reading.is_redelivery and reading.content is not None:
            known = self._by_content(reading.content, content_since)
            if known is not None:
                return known, []
        number = self._reading_number(reading)
        added = [one for one in reading.recipients if self._owe(number, reading, one, now)]
        if added:
            self.connection.execute(
                "INSERT OR IGNORE INTO body VALUES (?, ?)", (number, reading.data)
            )
        return number, [
            (one, self._supersede(number, reading.device, one, now, in_flight)) for one in added
        ]

    def _by_content(self, content: bytes, since: float) -> ReadingNumber | None:
        row = self.connection.execute(
            "SELECT number FROM reading WHERE content = ? AND received_at >= ? LIMIT 1",
            (content, since),
        ).fetchone()
        return ReadingNumber(row[0]) if row else None

    def _reading_number(self, reading: NewReading) -> ReadingNumber:
        key = bytes.fromhex(reading.webhook_id[4:])
        row = self.connection.execute(
            _INSERT_READING,
            (key, reading.device, reading.measured_at, reading.received_at, reading.content),
        ).fetchone()
        if row is None:
            query = "SELECT number FROM reading WHERE id = ?"
            row = self.connection.execute(query, (key,)).fetchone()
        return ReadingNumber(row[0])

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
        recipient: Recipient,
        now: float,
        in_flight: Collection[tuple[str, ReadingNumber]],
    ) -> int:
        if not recipient.only_latest:
            return 0
        endpoint = self.endpoint_id(recipient.endpoint)
        rows = self.connection.execute(_OLDER, (endpoint, device, number)).fetchall()
        older = [reading for (reading,) in rows if (recipient.endpoint, reading) not in in_flight]
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
        """Settle one pending delivery by a rule rather than by an attempt; False when it is pending no more."""
        changed = self.connection.execute(
            "UPDATE delivery SET state = ?, reason = ?, settled_at = ?"
            " WHERE reading = ? AND endpoint = ? AND state = 'pending'",
            (state, reason, settled_at, reading, endpoint),
        ).rowcount
        self._changes[endpoint, state] += changed
        return changed > 0

    def settle(self, settlements: Sequence[Settlement], *, now: float) -> None:
        """Record what was decided; a lane in which a delivery was not pending any more is touched."""
        for settlement in settlements:
            if not self._settle_one(settlement, now):
                self.touched.add((settlement.delivery.endpoint, settlement.delivery.device))
        self.drop_bodies(
            settlement.delivery.reading
            for settlement in settlements
            if isinstance(settlement.decision, Done | Expire | Supersede)
        )
        self._record_failures(settlements)

    def _settle_one(self, settlement: Settlement, now: float) -> bool:
        delivery, attempt = settlement.delivery, settlement.attempt
        endpoint = self.endpoint_id(delivery.endpoint)
        match settlement.decision:
            case Done():
                return self._close(settlement, endpoint, "delivered", None, now)
            case Bury(reason):
                return self._close(settlement, endpoint, "dead", reason, now)
            case Expire():
                return self._close(settlement, endpoint, "expired", None, now)
            case Supersede():
                return self._close(settlement, endpoint, "superseded", None, now)
            case RetryAt(due_at):
                row = (due_at, *_attempted(delivery.attempts, attempt), delivery.reading, endpoint)
                return self.connection.execute(_POSTPONE, row).rowcount > 0
            case _:
                assert_never(settlement.decision)

    def _close(
        self, settlement: Settlement, endpoint: int, state: str, reason: str | None, now: float
    ) -> bool:
        delivery = settlement.delivery
        attempts, status, error, duration = _attempted(delivery.attempts, settlement.attempt)
        row = (
            state, reason, attempts, now, status, error, duration, delivery.reading, endpoint,
        )  # fmt: skip
        changed = self.connection.execute(_SETTLE, row).rowcount
        self._changes[endpoint, state] += changed
        return changed > 0

    def drop_bodies(self, readings: Iterable[int]) -> None:
        """Forget the bodies of those readings that no pending and no dead delivery needs."""
        self.connection.executemany(_DROP_BODY, ((reading,) for reading in readings))

    def _record_failures(self, settlements: Sequence[Settlement]) -> None:
        for settlement in settlements:
            attempt = settlement.attempt
            if attempt is None or not attempt.error:
                continue
            reading = settlement.delivery.reading
            endpoint = self.endpoint_id(settlement.delivery.endpoint)
            self.connection.execute(_INSERT_ATTEMPT, (reading, endpoint, *_columns(attempt)))
            self.connection.execute(
                "DELETE FROM attempt WHERE reading = ? AND endpoint = ? AND number <= ?",
                (reading, endpoint, attempt.number - KEPT_ATTEMPTS),
            )

    def quarantine(self, message: NewQuarantined) -> None:
        """Keep a message that could not be understood; of its device only the newest 1,000."""
        self.connection.execute(
            "INSERT INTO quarantine (device, topic, received_at, reason, detail, size, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                message.device, message.topic, message.received_at, message.reason, message.detail,
                message.size, message.payload,
            ),
        )  # fmt: skip
        self.connection.execute(
            "DELETE FROM quarantine WHERE device = ?1 AND id <= ("
            "SELECT id FROM quarantine WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (message.device, KEPT_QUARANTINE),
        )

    def count_messages(self, outcomes: Counter[str]) -> None:
        self.connection.executemany(
            "INSERT INTO message_total VALUES (?1, ?2)"
            " ON CONFLICT (outcome) DO UPDATE SET count = count + ?2",
            outcomes.items(),
        )

    def record_health(self, name: str, health: EndpointHealth) -> None:
        """Keep an endpoint's circuit; a pause that an operator set meanwhile is not touched."""
        self.connection.execute(
            "UPDATE endpoint SET failures = ?, open_until = ?, failing_since = ?,"
            " last_success_at = ?, last_error = ?, last_error_at = ? WHERE id = ?",
            (
                health.failures, health.open_until, health.failing_since, health.last_success_at,
                health.last_error, health.last_error_at, self.endpoint_id(name),
            ),
        )  # fmt: skip

    def record_gone(self, name: str, url_digest: str | None) -> None:
        """Pause an endpoint because of its 410, or end that pause; one that an operator set stays."""
        self.connection.execute(
            "UPDATE endpoint SET paused_by = ?, gone_url = ? WHERE id = ? AND paused_by IS NOT 'operator'",
            ("gone" if url_digest else None, url_digest, self.endpoint_id(name)),
        )

    def add_totals(self) -> None:
        """Bring the endpoints' totals up to what this transaction changed; its last operation."""
        endpoints = {endpoint for endpoint, _ in self._changes}
        self.connection.executemany(
            _ADD_TOTALS,
            (
                (*(self._changes[endpoint, total] for total in _TOTALS), endpoint)
                for endpoint in endpoints
            ),
        )
        self._changes.clear()


def _attempted(
    attempts: int, attempt: Attempt | None
) -> tuple[int, int | None, str | None, float | None]:
    if attempt is None:
        return attempts, None, None, None
    return attempt.number, attempt.status, attempt.error or None, attempt.duration_ms


def _columns(attempt: Attempt) -> tuple[object, ...]:
    return (
        attempt.number,
        attempt.attempted_at,
        attempt.duration_ms,
        attempt.status,
        attempt.error,
        attempt.detail,
        attempt.answer,
    )
