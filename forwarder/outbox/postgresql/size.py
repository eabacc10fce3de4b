"""
Size measures how much the outbox holds, for FORWARDER_OUTBOX_MAX_BYTES.

Size measures rows instead of files, because PostgreSQL's files do not shrink when rows go. It counts small tables row
by row, and takes large ones from PostgreSQL's statistics, because a look at each row would hold up commits. The engine
adds what it puts between two measurements, and takes off what it drops.
"""

from forwarder.outbox.sql.connection import Connection
from forwarder.outbox.sql.quarantine import held_bytes

MEASURE_SECONDS = 10.0
SMALL_BYTES = 16 << 20
"""PostgreSQL looks through tables of this many bytes in some ten milliseconds."""
ROW_BYTES = 200
"""A row of a reading or a delivery takes about this many bytes, with its part of the indexes."""
BODY_BYTES = 700
"""A body counts as this many bytes before PostgreSQL has statistics."""

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
        """The bytes of readings, their bodies and deliveries."""
        self.quarantine_bytes = 0
        self._measured_at = float("-inf")

    @property
    def used_bytes(self) -> int:
        return self.readings_bytes + self.quarantine_bytes

    def measure(self, connection: Connection, *, now: float) -> None:
        """Measure again when the last measurement is old; `now` is monotonic seconds."""
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
