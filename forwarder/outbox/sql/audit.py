"""Records of what people changed, in SQL; the newest MOST_AUDITED stay."""

from forwarder.outbox.operations import MOST_AUDITED
from forwarder.outbox.records import BEYOND_ALL, AuditRecord
from forwarder.outbox.sql.connection import Connection

_KEEP = """
    INSERT INTO audit (id, at, via, who, what, endpoint, count) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET count = excluded.count"""
_FORGET = "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?"
_NEWEST = """
    SELECT id, at, via, who, what, endpoint, count, number FROM audit WHERE number < ?
    ORDER BY number DESC LIMIT ?"""


def keep(connection: Connection, record: AuditRecord) -> None:
    row = (
        record.id, record.at, record.via, record.who, record.what, record.endpoint, record.count,
    )  # fmt: skip
    connection.execute(_KEEP, row)
    connection.execute(_FORGET, (MOST_AUDITED,))


def newest(connection: Connection, *, limit: int, before: int | None) -> list[AuditRecord]:
    """The newest records first, or those before the record with number `before`."""
    number = BEYOND_ALL if before is None else before
    return [AuditRecord(*row) for row in connection.execute(_NEWEST, (number, limit))]
