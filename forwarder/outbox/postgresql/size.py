"""
How much the outbox holds, for FORWARDER_OUTBOX_MAX_BYTES.

PostgreSQL's files do not shrink when rows go; their places are used again. So rows are measured, not files: exactly
while their tables are small, and by PostgreSQL's own statistics where looking at each row would hold up commits.
Between two measurements the engine adds what it puts, and takes off what it drops.
"""

from forwarder.outbox.sql.connection import Connection
from forwarder.outbox.sql.quarantine import held_bytes

MEASURE_SECONDS = 10.0
SMALL_BYTES = 16 << 20
"""Tables that hold this much between them are looked through in some ten milliseconds."""
ROW_BYTES = 200
"""What a row of a reading or a delivery takes, with its part of the indexes."""
BODY_BYTES = 700
"""What a body is taken for before PostgreSQL has looked at any."""

_FILES = (
    "SELECT pg_relation_size('body') + pg_relation_size('reading') + pg_relation_size('delivery')"
)
_EXACT = """
    SELECT (SELECT coalesce(sum(octet_length(data)), 0) FROM body), (SELECT count(*) FROM reading),
        (SELECT count(*) FROM delivery)"""
_STATISTICS = """
    SELECT relname, n_live_tup FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname IN ('body', 'reading', 'delivery')"""
_WIDTH = """
    SELECT avg_width FROM pg_stats
    WHERE schemaname = current_schema() AND tablename = 'body' AND attname = 'data'"""


class Size:
    """Bytes in use, as of the last commit."""

    def __init__(self) -> None:
        self.readings_bytes = 0
        """Of readings, their bodies and deliveries."""
        self.quarantine_bytes = 0
        self._measured_at = float("-inf")

    @property
    def used_bytes(self) -> int:
        return self.readings_bytes + self.quarantine_bytes

    def measure(self, connection: Connection, *, now: float) -> None:
        """See how much there is, when the last look is old; `now` is monotonic seconds."""
        if now - self._measured_at < MEASURE_SECONDS:
            return
        self._measured_at = now
        (files_bytes,) = connection.execute(_FILES).fetchone()
        is_small = files_bytes <= SMALL_BYTES
        self.readings_bytes = _exact(connection) if is_small else _estimated(connection)
        self.quarantine_bytes = held_bytes(connection)


def _exact(connection: Connection) -> int:
    bodies, readings, deliveries = map(int, connection.execute(_EXACT).fetchone())
    return bodies + (readings + deliveries) * ROW_BYTES


def _estimated(connection: Connection) -> int:
    rows: dict[str, int] = dict(connection.execute(_STATISTICS).fetchall())
    width = connection.execute(_WIDTH).fetchone()
    body_bytes = int(width[0]) if width else BODY_BYTES
    others = rows.get("reading", 0) + rows.get("delivery", 0)
    return rows.get("body", 0) * body_bytes + others * ROW_BYTES
