"""Links to endpoints, in SQL."""

from forwarder.outbox.records import Share
from forwarder.outbox.sql.connection import Connection

_ADD = """
    INSERT INTO share (id, endpoint, digest, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING"""
_EVERY = "SELECT id, endpoint, digest, created_at, expires_at FROM share ORDER BY created_at, id"


def add(connection: Connection, share: Share, *, now: float) -> None:
    connection.execute("DELETE FROM share WHERE expires_at <= ?", (now,))
    row = (share.id, share.endpoint, share.digest, share.created_at, share.expires_at)
    connection.execute(_ADD, row)


def revoke(connection: Connection, identity: str) -> bool:
    return connection.execute("DELETE FROM share WHERE id = ?", (identity,)).rowcount > 0


def every(connection: Connection) -> list[Share]:
    """All shares, in the order in which they were made."""
    return [Share(*row) for row in connection.execute(_EVERY)]
