"""A transaction brings its changes into the tables in their order; the engine begins and commits it."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

from forwarder.outbox.changes import Applied, Changes, LaneKey, LaneRows, OperationFailed, Run
from forwarder.outbox.engine import Limits
from forwarder.outbox.intake import MessageOutcome, NewQuarantined, NewReading, Outcomes, Put
from forwarder.outbox.operations import BuryRemoved, EndIntervals, ExpireOld, Operation
from forwarder.outbox.sql import operations
from forwarder.outbox.sql.putting import put_all
from forwarder.outbox.sql.tables import Tables


def bring_in(
    tables: Tables,
    changes: Changes,
    *,
    now: float,
    limits: Limits,
    engine_error: type[Exception],
) -> Applied:
    """
    Bring the changes in, and return everything that they did.

    Raises OperationFailed for an operation's own error; an `engine_error` passes, because it is no operation's.
    """
    # Settlements come first, because an operation may expire or bury everything that is still pending.
    _settle(tables, changes, now)
    answers = [
        _perform(tables, index, one, changes, engine_error)
        for index, one in enumerate(changes.operations)
    ]
    _supersede(tables, changes, now)
    applied = Applied()
    if changes.puts:
        applied = _put(tables, changes, now, limits)
    applied.answers = answers
    count_messages(tables, _messages(changes, applied.outcomes))
    tables.add_totals()
    # Lanes are counted last, so that a count holds all that the transaction changed.
    applied.counted = _count(tables, changes)
    applied.forgotten = tables.take_forgotten()
    if changes.devices:
        tables.devices.record(changes.devices, but=applied.forgotten)
    return applied


def _settle(tables: Tables, changes: Changes, now: float) -> None:
    """Record the results of attempts, and the health of their endpoints."""
    if changes.settlements:
        tables.settle(changes.settlements, now=now)
    for endpoint, health in changes.health.items():
        tables.endpoints.record_health(tables.endpoint_id(endpoint), health)
    for endpoint, url in changes.gone.items():
        tables.endpoints.record_gone(tables.endpoint_id(endpoint), url)


def _supersede(tables: Tables, changes: Changes, now: float) -> None:
    for (endpoint, device), number in changes.latest.items():
        in_flight = changes.in_flight.get(endpoint, ())
        tables.supersede(number, device, endpoint, now, in_flight)
        tables.touched.add((endpoint, device))


def _perform(
    tables: Tables,
    index: int,
    operation: Operation[Any],
    changes: Changes,
    engine_error: type[Exception],
) -> Any:
    in_flight = (
        changes.in_flight.get(operation.endpoint, ())
        if isinstance(operation, ExpireOld | BuryRemoved | EndIntervals)
        else ()
    )
    try:
        return operations.perform(tables, operation, in_flight=in_flight)
    except engine_error:
        raise
    except Exception as error:
        raise OperationFailed(index, error) from error


def _put(tables: Tables, changes: Changes, now: float, limits: Limits) -> Applied:
    readings: list[NewReading] = []
    quarantined: list[tuple[int, NewQuarantined]] = []
    for place, one in enumerate(chain.from_iterable(changes.puts)):
        if isinstance(one, NewQuarantined):
            quarantined.append((place, one))
        else:
            readings.append(one)
    applied = put_all(
        tables,
        readings,
        now=now,
        content_since=now - limits.keep_delivered_seconds,
        in_flight=changes.in_flight,
        kept_last=changes.kept_last,
    )
    if quarantined:
        kept = [one for _, one in quarantined]
        tables.quarantine(kept, max_bytes=limits.quarantine_max_bytes)
    places = [place for place, _ in quarantined]
    applied.outcomes = _outcomes(applied.runs, places, changes.puts)
    return applied


def _count(tables: Tables, changes: Changes) -> dict[LaneKey, LaneRows]:
    lanes = changes.uncertain | tables.touched
    if tables.has_noted_lanes or changes.operations:
        lanes |= tables.take_noted_lanes()
    tables.touched.clear()
    return {(name, device): tables.rows_of_lane(name, device) for name, device in lanes}


def _outcomes(
    runs: Sequence[Run], quarantined: Sequence[int], puts: Sequence[Sequence[Put]]
) -> list[Outcomes]:
    """Each message's outcome, in the groups in which they were put; `quarantined` are places among all messages."""
    outcomes: Outcomes = []
    for run in runs:
        outcomes += ["accepted" if run.recipients or run.kept_for else "duplicate"] * len(
            run.readings
        )
    for place in quarantined:
        outcomes.insert(place, "quarantined")
    ends = accumulate(map(len, puts), initial=0)
    return [outcomes[start:end] for start, end in pairwise(ends)]


def _messages(changes: Changes, outcomes: Sequence[Outcomes]) -> dict[MessageOutcome, int]:
    counts = changes.messages.copy()
    for outcome in chain.from_iterable(outcomes):
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def count_messages(tables: Tables, outcomes: Mapping[MessageOutcome, int]) -> None:
    """Add to the totals of messages by outcome."""
    tables.connection.executemany(
        "INSERT INTO message_total VALUES (?, ?)"
        " ON CONFLICT (outcome) DO UPDATE SET count = message_total.count + excluded.count",
        list(outcomes.items()),
    )
