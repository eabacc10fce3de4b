"""
The candidates' SQL keeps the last reading of each interval so far, and thins the others.

A reading that may be owed later has a delivery in state `candidate`, and a row of the table `candidate` points to it.
A reading that never will be owed has a delivery in state `thinned`. No total counts either of them. The delivery keeps
the body while it is needed, and makes a repetition known. Lists, pruning and erasure treat both as deliveries.
"""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from forwarder.delivery import ReadingNumber
from forwarder.outbox.changes import Applied, LaneKey, Run
from forwarder.outbox.kept_last import Arrival, Candidate, KeptLast, sift
from forwarder.outbox.operations import Ended, EndIntervals
from forwarder.outbox.sql.tables import Tables

_FIND = "SELECT reading, opened_at FROM candidate WHERE endpoint = ? AND device = ?"
_KEEP = """
    INSERT INTO candidate (endpoint, device, reading, opened_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (endpoint, device) DO UPDATE SET reading = excluded.reading, opened_at = excluded.opened_at"""
_CANDIDATE = "UPDATE delivery SET state = 'candidate' WHERE reading = ? AND endpoint = ?"
_THINNED = (
    "UPDATE delivery SET state = 'thinned', settled_at = ? WHERE reading = ? AND endpoint = ?"
)
# `enqueued_at` stays as of the put, because lists rely on its growing with the numbers of readings.
_ENQUEUED = "UPDATE delivery SET state = 'pending' WHERE reading = ? AND endpoint = ?"
_OVER = """
    SELECT device, reading FROM (
        SELECT device, reading, opened_at FROM candidate WHERE endpoint = ? AND opened_at <= ?
        UNION ALL SELECT device, reading, opened_at FROM candidate WHERE endpoint = ? AND opened_at > ?
    ) AS over ORDER BY opened_at LIMIT ?"""
_ENDED = "DELETE FROM candidate WHERE endpoint = ? AND device = ?"
_NEXT = "SELECT min(opened_at) FROM candidate WHERE endpoint = ?"


def keep_last(
    tables: Tables,
    applied: Applied,
    kept_last: Mapping[str, KeptLast],
    *,
    now: float,
    in_flight: Mapping[str, Collection[ReadingNumber]],
) -> None:
    """Owe these endpoints only the last reading of each interval, among those that were just put for them."""
    for (name, device), arrivals in _arrivals(applied.runs, kept_last).items():
        endpoint, kept = tables.endpoint_id(name), kept_last[name]
        row = tables.connection.execute(_FIND, (endpoint, device)).fetchone()
        sifted = sift(Candidate(*row) if row else None, arrivals, kept.seconds)
        thinned = [(now, reading, endpoint) for reading in sifted.thinned]
        tables.connection.executemany(_THINNED, thinned)
        tables.drop_bodies(sifted.thinned)
        if sifted.candidate is not None:
            reading, opened_at = sifted.candidate
            tables.connection.execute(_CANDIDATE, (reading, endpoint))
            tables.connection.execute(_KEEP, (endpoint, device, reading, opened_at))
        tables.add(endpoint, "enqueued", -len(arrivals))
        applied.thinned[name] = applied.thinned.get(name, 0) + len(sifted.thinned)
        applied.enqueued[name] = applied.enqueued.get(name, 0) + len(sifted.enqueued)
        _enqueue(
            tables,
            (name, device),
            sifted.enqueued,
            now=now,
            superseding_but=in_flight.get(name, ()) if kept.only_latest else None,
        )
    for run in applied.runs:
        _keep_apart(run, kept_last)


def _keep_apart(run: Run, kept_last: Container[str]) -> None:
    """Move endpoints that may be owed the readings later from `recipients` to `kept_for`."""
    run.kept_for = tuple(one for one in run.recipients if one.endpoint in kept_last)
    if run.kept_for:
        run.recipients = tuple(one for one in run.recipients if one.endpoint not in kept_last)


def _arrivals(
    runs: Iterable[Run], kept_last: Mapping[str, KeptLast]
) -> Mapping[LaneKey, list[Arrival]]:
    arrivals: defaultdict[LaneKey, list[Arrival]] = defaultdict(list)
    for run in runs:
        for recipient in run.recipients:
            if recipient.endpoint in kept_last:
                for number, one in enumerate(run.readings, run.first):
                    arrival = Arrival(ReadingNumber(number), one.received_at)
                    arrivals[recipient.endpoint, one.device].append(arrival)
    return arrivals


def _enqueue(
    tables: Tables,
    lane: LaneKey,
    readings: Sequence[ReadingNumber],
    *,
    now: float,
    superseding_but: Collection[ReadingNumber] | None,
) -> None:
    """Owe these readings; they supersede older ones that `superseding_but` does not name, or none where it is None."""
    if not readings:
        return
    name, device = lane
    endpoint = tables.endpoint_id(name)
    tables.connection.executemany(_ENQUEUED, [(one, endpoint) for one in readings])
    tables.add(endpoint, "enqueued", len(readings))
    # Only the home knows what is in flight, so another replica notes the lane and leaves superseding to the home.
    if tables.is_home_of(name):
        if superseding_but is not None:
            tables.supersede(max(readings), device, name, now, superseding_but)
        tables.touched.add(lane)
    else:
        tables.note_lane(endpoint, device)


def end_intervals(
    tables: Tables, wanted: EndIntervals, in_flight: Collection[ReadingNumber]
) -> Ended:
    """See `EndIntervals`."""
    endpoint = tables.endpoint_id(wanted.endpoint)
    rows = tables.connection.execute(
        _OVER, (endpoint, wanted.opened_before, endpoint, wanted.now, wanted.most)
    ).fetchall()
    tables.connection.executemany(_ENDED, [(endpoint, device) for device, _ in rows])
    for device, reading in rows:
        _enqueue(
            tables,
            (wanted.endpoint, device),
            [reading],
            now=wanted.now,
            superseding_but=in_flight if wanted.only_latest else None,
        )
    (next_opened_at,) = tables.connection.execute(_NEXT, (endpoint,)).fetchone()
    return Ended(len(rows), next_opened_at)


def forget_erased(tables: Tables, deliveries: Iterable[tuple[int, int]]) -> None:
    """End the intervals whose candidates were erased."""
    forget = "DELETE FROM candidate WHERE reading = ? AND endpoint = ?"
    tables.connection.executemany(forget, list(deliveries))
