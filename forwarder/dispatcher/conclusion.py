"""
The conclusion from an attempt's outcome: which deliveries are settled, and what is sent next. Pure.

    Accepted ─▶ the head is delivered; what comes after it in the lane goes on
    Refused  ─▶ one reading is a dead letter; of more, halves after a 413, each by itself after anything else
    else     ─▶ each delivery by the retry schedule; the batch stays together, and is halved once it failed too often
    unsent   ─▶ nothing counts, and the batch, or the lane of one reading, is put off
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TypeAlias

from forwarder.delivery import (
    Attempt,
    AttemptResult,
    Bury,
    Decision,
    Delivery,
    ReadingNumber,
    Refused,
    RetryAt,
)
from forwarder.dispatcher.batch import Batch
from forwarder.outbox import Settlement
from forwarder.retry import Circumstances, decide
from forwarder.routes import Endpoint

FAILURES_TO_HALVE = 3
"""Attempts after which a failing batch is halved, because one reading or their number may be the cause."""
PUT_OFF_SECONDS = 1.0
"""How long an unsent batch is put off."""
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Ended:
    """The batch is over; a reading that is tried again waits in its lane."""

    settlements: Sequence[Settlement]


@dataclass(frozen=True, slots=True)
class GoesOn:
    """These settlements are recorded, and these batches are sent after `wait_seconds`."""

    settlements: Sequence[Settlement]
    batches: Sequence[Batch]
    wait_seconds: float = 0.0


Conclusion: TypeAlias = Ended | GoesOn


def conclude(
    batch: Batch,
    result: AttemptResult,
    attempt: Attempt,
    *,
    endpoint: Endpoint,
    circumstances: Circumstances,
    superseded: Collection[ReadingNumber] = (),
) -> Conclusion:
    """Conclude an attempt; `superseded` are the readings of the head that a pending newer one replaces."""
    if isinstance(result, Refused) and len(batch.head) > 1:
        return _split(batch, result, attempt, circumstances.now)
    decisions = [
        _decide(one, result, endpoint, circumstances, one.reading in superseded)
        for one in batch.head
    ]
    return _settled(
        batch, settlements_of(batch.head, decisions, attempt), endpoint, circumstances.now
    )


def unrenderable(batch: Batch, deliveries: Sequence[Delivery], *, endpoint: Endpoint) -> Conclusion:
    """
    Bury deliveries of which no request can be made, today or later; the rest of the head is sent without them.

    An operator may replay them to another endpoint, or to this one with another template.
    """
    return _settled(batch, [Settlement(deliveries, Bury("unrenderable"), None)], endpoint, 0.0)


def unsent(batch: Batch, *, endpoint: Endpoint, now: float) -> Conclusion:
    """Put the batch off, because no descriptor was free; this is no attempt, and says nothing about the endpoint."""
    if batch.is_single(endpoint):
        return Ended([Settlement(batch.head[:1], RetryAt(now + PUT_OFF_SECONDS), None)])
    return GoesOn((), [batch], PUT_OFF_SECONDS)


def _settled(
    batch: Batch, settlements: Sequence[Settlement], endpoint: Endpoint, now: float
) -> Conclusion:
    if batch.is_single(endpoint):
        return Ended(settlements)
    return _go_on(batch, settlements, now)


def _decide(
    delivery: Delivery,
    result: AttemptResult,
    endpoint: Endpoint,
    circumstances: Circumstances,
    is_superseded: bool,  # noqa: FBT001 - beside the values that it is decided with
) -> Decision:
    if is_superseded:
        circumstances = replace(circumstances, is_superseded=True)
    return decide(delivery, result, endpoint, circumstances)


def _split(batch: Batch, result: Refused, attempt: Attempt, now: float) -> GoesOn:
    settlements = settlements_of(batch.head, repeat(RetryAt(now)), attempt)
    tried = batch.tried()
    return GoesOn(settlements, tried.halved() if result.status == _TOO_LARGE else tried.singled())


def _go_on(batch: Batch, settlements: Sequence[Settlement], now: float) -> GoesOn:
    retries = [one.decision for one in settlements if isinstance(one.decision, RetryAt)]
    ended = [one for one in settlements if not isinstance(one.decision, RetryAt)]
    left = batch.without([delivery for one in ended for delivery in one.deliveries])
    if not retries:
        return GoesOn(settlements, [left])
    wait_seconds = max(retry.due_at for retry in retries) - now
    return GoesOn(settlements, _after_failure(left.tried()), wait_seconds)


def _after_failure(batch: Batch) -> list[Batch]:
    is_halved = batch.failures >= FAILURES_TO_HALVE and len(batch.head) > 1
    return batch.halved() if is_halved else [batch]


def settlements_of(
    deliveries: Iterable[Delivery], decisions: Iterable[Decision], attempt: Attempt
) -> list[Settlement]:
    """Group deliveries into settlements, one for each decision and attempt number."""
    alike: defaultdict[tuple[Decision, int], list[Delivery]] = defaultdict(list)
    for one, decision in zip(deliveries, decisions, strict=False):
        alike[decision, one.attempts + 1].append(one)
    return [
        Settlement(
            some, decision, attempt if number == attempt.number else replace(attempt, number=number)
        )
        for (decision, number), some in alike.items()
    ]
