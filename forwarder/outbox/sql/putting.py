"""A put brings in readings: known or new ones, owed at once or at an interval's end, superseding older ones."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

from forwarder.delivery import ReadingNumber
from forwarder.outbox.changes import Applied, Run
from forwarder.outbox.intake import NewReading, Recipient
from forwarder.outbox.kept_last import KeptLast
from forwarder.outbox.sql import candidates
from forwarder.outbox.sql.endings import is_timeless_repetition, newest
from forwarder.outbox.sql.tables import Tables

_EMPTY: Mapping[str, Collection[ReadingNumber]] = {}
_NONE_KEPT: Mapping[str, KeptLast] = {}


def put(
    tables: Tables, reading: NewReading, *, now: float, content_since: float
) -> tuple[ReadingNumber, tuple[Recipient, ...]]:
    """Owe one reading; returns its number, and each recipient that did not have it yet."""
    (run,) = put_all(tables, [reading], now=now, content_since=content_since).runs
    return run.first, run.recipients


def put_all(
    tables: Tables,
    readings: Sequence[NewReading],
    *,
    now: float,
    content_since: float,
    in_flight: Mapping[str, Collection[ReadingNumber]] = _EMPTY,
    kept_last: Mapping[str, KeptLast] = _NONE_KEPT,
) -> Applied:
    """
    Owe readings to their recipients, in this order.

    A redelivered, timeless message is a known reading where its content came since `content_since` (UNIX seconds).
    Readings that are `in_flight` at an endpoint are not superseded there. Endpoints of `kept_last` are owed the last
    reading of each interval, at its end.
    """
    applied = Applied()
    for is_timeless, some in groupby(readings, key=is_timeless_repetition):
        if not is_timeless:
            applied.runs += tables.put_run(list(some), now)
            continue
        for reading in some:
            known = _by_content(tables, reading, content_since)
            applied.runs += tables.put_run([reading], now) if known is None else [known]
    if kept_last:
        candidates.keep_last(tables, applied, kept_last, now=now, in_flight=in_flight)
    for (endpoint, device), number in newest(applied.runs).items():
        # The home alone knows what is in flight, so another replica leaves superseding to it.
        if tables.is_home_of(endpoint):
            gone = tables.supersede(number, device, endpoint, now, in_flight.get(endpoint, ()))
            applied.superseded[endpoint, device] = gone
    return applied


def _by_content(tables: Tables, reading: NewReading, since: float) -> Run | None:
    row = tables.connection.execute(
        "SELECT number FROM reading WHERE content = ? AND received_at >= ? LIMIT 1",
        (reading.content, since),
    ).fetchone()
    return Run(ReadingNumber(row[0]), [reading], ()) if row else None
