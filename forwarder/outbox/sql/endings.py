"""Settlements are turned into the columns that they set, alike on every engine."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, repeat
from operator import attrgetter
from typing import TypeAlias, assert_never

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
from forwarder.outbox.changes import LaneKey, Run
from forwarder.outbox.intake import NewReading
from forwarder.outbox.settlement import Settlement

KEPT_ATTEMPTS = 20
"""A delivery's last failed attempts stay on record, at most this many."""

Attempted: TypeAlias = tuple[int, int | None, str | None]
"""The number of attempts, and the last one's status and error word."""
Ending: TypeAlias = tuple[str, str | None, int, int | None, str | None, str | None]
"""State, reason of a dead letter, number of attempts, and the last attempt's status, error word and dialled address."""
Timed: TypeAlias = tuple[Delivery, float | None]
"""A delivery and the duration of its last attempt in milliseconds; None without an attempt."""


def ended_alike(settlements: Sequence[Settlement]) -> Mapping[tuple[str, Ending], list[Timed]]:
    """The deliveries that are settled for good, by endpoint and ending."""
    ended: defaultdict[tuple[str, Ending], list[Timed]] = defaultdict(list)
    for settlement in settlements:
        attempt, decision = settlement.attempt, settlement.decision
        if isinstance(decision, RetryAt):
            continue
        if attempt is not None:
            ending = (*ending_of(decision), *attempted(attempt), attempt.address)
            timed = zip(settlement.deliveries, repeat(attempt.duration_ms))
            ended[settlement.deliveries[0].endpoint, ending].extend(timed)
        else:
            for one in settlement.deliveries:
                ending = (*ending_of(decision), one.attempts, None, None, None)
                ended[one.endpoint, ending].append((one, None))
    return ended


def is_timeless_repetition(reading: NewReading) -> bool:
    return reading.is_redelivery and reading.content is not None


def runs_of(readings: Iterable[NewReading], number: int) -> list[Run]:
    """Cut new readings, the first of which has this number, into runs with the same recipients."""
    runs: list[Run] = []
    for _, same in groupby(readings, key=attrgetter("recipients")):
        some = list(same)
        runs.append(Run(ReadingNumber(number), some, some[0].recipients))
        number += len(some)
    return runs


def newest(runs: Iterable[Run]) -> dict[LaneKey, ReadingNumber]:
    """The highest number that was put into each lane in which only the latest counts."""
    found: dict[LaneKey, ReadingNumber] = {}
    for run in runs:
        for recipient in run.recipients:
            if recipient.only_latest:
                for number, reading in enumerate(run.readings, run.first):
                    lane = (recipient.endpoint, reading.device)
                    found[lane] = ReadingNumber(max(number, found.get(lane, number)))
    return found


def ending_of(decision: Decision) -> tuple[str, str | None]:
    """The state, and the reason of a dead letter."""
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


def attempted(attempt: Attempt) -> Attempted:
    return attempt.number, attempt.status, attempt.error or None


def columns(attempt: Attempt) -> tuple[object, ...]:
    return (
        attempt.number,
        attempt.attempted_at,
        attempt.duration_ms,
        attempt.status,
        attempt.error,
        attempt.detail,
        attempt.answer,
        attempt.address,
    )
