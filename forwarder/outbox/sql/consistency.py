"""A check tells whether the rows belong together, and whether the accounts agree with them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from forwarder.outbox.records import Inspection
from forwarder.outbox.sql.connection import Connection
from forwarder.settings import OutboxPlace

_ORPHANS = {
    "deliveries belong to no reading": """
        FROM delivery WHERE NOT EXISTS (SELECT 1 FROM reading WHERE number = delivery.reading)""",
    "deliveries belong to no endpoint": """
        FROM delivery WHERE NOT EXISTS (SELECT 1 FROM endpoint WHERE id = delivery.endpoint)""",
    "deliveries are of another device than their reading": """
        FROM delivery JOIN reading ON number = delivery.reading WHERE reading.device <> delivery.device""",
    "pending or dead deliveries have lost their data": """
        FROM delivery WHERE state IN ('pending', 'dead', 'candidate')
        AND NOT EXISTS (SELECT 1 FROM body WHERE body.reading = delivery.reading)""",
    "bodies are kept that nothing needs": """
        FROM body WHERE NOT EXISTS
        (SELECT 1 FROM delivery
        WHERE delivery.reading = body.reading AND state IN ('pending', 'dead', 'candidate'))""",
    "readings are kept that nothing refers to": """
        FROM reading WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.reading = number)""",
    "deliveries wait for the end of no interval": """
        FROM delivery WHERE state = 'candidate' AND NOT EXISTS (SELECT 1 FROM candidate
        WHERE candidate.reading = delivery.reading AND candidate.endpoint = delivery.endpoint)""",
    "intervals have no reading": """
        FROM candidate WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.reading = candidate.reading
        AND delivery.endpoint = candidate.endpoint AND delivery.state = 'candidate')""",
    "attempts belong to no delivery": """
        FROM attempt WHERE NOT EXISTS (SELECT 1 FROM delivery
        WHERE delivery.reading = attempt.reading AND delivery.endpoint = attempt.endpoint)""",
}
_ACCOUNTS = """
    SELECT name, enqueued, delivered, dead, expired, superseded, coalesce(a, 0), coalesce(b, 0), coalesce(c, 0),
        coalesce(d, 0), coalesce(e, 0)
    FROM endpoint LEFT JOIN (
        SELECT endpoint, count(*) FILTER (WHERE state = 'pending') AS a,
            count(*) FILTER (WHERE state = 'delivered') AS b, count(*) FILTER (WHERE state = 'dead') AS c,
            count(*) FILTER (WHERE state = 'expired') AS d, count(*) FILTER (WHERE state = 'superseded') AS e
        FROM delivery GROUP BY endpoint) AS found ON found.endpoint = endpoint.id ORDER BY name"""
_QUARANTINE = """
    SELECT account.reason, kept, account.kept_bytes, coalesce(rows, 0), coalesce(bytes, 0)
    FROM quarantine_account AS account LEFT JOIN (
        SELECT reason, count(*) AS rows, sum(kept_bytes) AS bytes FROM quarantine GROUP BY reason) AS found
    ON found.reason = account.reason"""


@dataclass(slots=True)
class Rows:
    """Counts of the tables' rows, and the faults among them."""

    schema_version: int | None = None
    faults: list[str] = field(default_factory=list)
    deliveries: dict[str, int] = field(default_factory=dict)
    readings: int = 0
    quarantined: int = 0

    def inspection(
        self, place: OutboxPlace, *, file_bytes: int, wal_bytes: int, is_service_running: bool
    ) -> Inspection:
        return Inspection(
            path=place,
            file_bytes=file_bytes,
            wal_bytes=wal_bytes,
            schema_version=self.schema_version,
            is_service_running=is_service_running,
            faults=tuple(self.faults),
            deliveries=self.deliveries,
            readings=self.readings,
            quarantined=self.quarantined,
        )


def look_at_rows(connection: Connection, version: int) -> Rows:
    """Look within the caller's snapshot, because a running service changes rows and totals together."""
    by_state = "SELECT state, count(*) FROM delivery GROUP BY state ORDER BY state"
    return Rows(
        version,
        faults=[*_orphans(connection), *_accounts(connection), *_quarantine(connection)],
        deliveries=dict(connection.execute(by_state).fetchall()),
        readings=_count(connection, "FROM reading"),
        quarantined=_count(connection, "FROM quarantine"),
    )


def _count(connection: Connection, rows: str) -> int:
    count: int = connection.execute(f"SELECT count(*) {rows}").fetchone()[0]
    return count


def _orphans(connection: Connection) -> Iterator[str]:
    for fault, rows in _ORPHANS.items():
        count = _count(connection, rows)
        if count:
            yield f"{count} {fault}"


def _quarantine(connection: Connection) -> Iterator[str]:
    for reason, kept, kept_bytes, rows, rows_bytes in connection.execute(_QUARANTINE):
        if (kept, kept_bytes) != (rows, rows_bytes):
            yield (
                f"quarantine counts {kept} messages of {kept_bytes} bytes as {reason},"
                f" and has {rows} of {rows_bytes}"
            )


def _accounts(connection: Connection) -> Iterator[str]:
    for name, enqueued, *counts in connection.execute(_ACCOUNTS):
        totals, (pending, *kept) = counts[:4], counts[4:]
        owed = enqueued - sum(totals)
        if owed != pending:
            yield f"endpoint {name} counts {owed} deliveries as pending, and has {pending}"
        states = ("delivered", "dead", "expired", "superseded")
        for state, total, rows in zip(states, totals, kept, strict=True):
            # Fewer rows than the total are right, because rows are forgotten in time and totals never.
            if rows > total:
                yield f"endpoint {name} counts {total} deliveries as {state}, and has {rows}"
