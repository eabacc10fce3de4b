"""
The retry policy decides what follows from an attempt: delivered, try again and when, or give up. Pure.

The growth of the waits is tenacity's arithmetic. Its jitter is not used, because it vanishes at the cap and a whole
backlog would then wake at once.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import assert_never

from tenacity import RetryCallState, wait_exponential

from forwarder.delivery import (
    Accepted,
    AttemptResult,
    Bury,
    Decision,
    Delivery,
    Done,
    Expire,
    Failed,
    Gone,
    Refused,
    RetryAt,
    Supersede,
)
from forwarder.routes import Endpoint, RetrySchedule

SPREAD = 0.2
"""Waits vary by this much either way."""
RETRY_AFTER_MAX_SECONDS = 3600.0


def delay_before(attempt_number: int, schedule: RetrySchedule, *, spread: float) -> float:
    """
    Seconds to wait before attempt `attempt_number`, which counts from 1 and is at least 2.

    min(max, initial * 2 ** (attempt_number - 2)), varied by ±20%: about 5 s, 10 s, 20 s … 15 min from the 10th on.
    `spread` is between -1 and 1 and applies at the cap too, so that a recovered endpoint is not hit all at once.
    """
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type] # only its attempt number is read
    state.attempt_number = attempt_number - 1
    wait = wait_exponential(multiplier=schedule.initial_seconds, max=schedule.max_seconds)
    return wait(state) * (1 + SPREAD * spread)


def longest_wait(schedule: RetrySchedule) -> float:
    """The most seconds that a delivery can have to wait; a due time further ahead means that the clock was set."""
    return max(schedule.max_seconds * (1 + SPREAD), RETRY_AFTER_MAX_SECONDS)


def expiry(endpoint: Endpoint) -> Decision:
    """The decision on a reading older than `max_age`."""
    return Expire() if endpoint.mode == "latest" else Bury("expired")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The facts of a decision that are in neither the delivery nor the answer."""

    now: float
    """UNIX seconds."""
    spread: float
    """Between -1 and 1."""
    is_superseded: bool = False
    """A newer reading of the device waits at an endpoint that wants only the latest."""


def decide(
    delivery: Delivery, result: AttemptResult, endpoint: Endpoint, circumstances: Circumstances
) -> Decision:
    """The decision on a delivery after an attempt that carried it; a refusal has to be of this delivery alone."""
    match result:
        case Accepted():
            return Done()
        case Refused():
            return Bury("refused")
        case Gone() | Failed() if circumstances.is_superseded:
            return Supersede()
        case Gone():
            # The endpoint pauses, and the reading waits until the endpoint is resumed, or until max_age.
            return RetryAt(circumstances.now)
        case Failed():
            return _after_failure(delivery, endpoint, circumstances)
        case _:
            assert_never(result)


def _after_failure(
    delivery: Delivery, endpoint: Endpoint, circumstances: Circumstances
) -> Decision:
    attempts = delivery.attempts + 1
    most = endpoint.retry.max_attempts
    if most is not None and attempts >= most:
        return Bury("exhausted")
    wait = delay_before(attempts + 1, endpoint.retry, spread=circumstances.spread)
    return RetryAt(circumstances.now + wait)


def retry_after_seconds(text: str | None, *, now: float) -> float | None:
    """
    Seconds that a Retry-After field asks for (RFC 9110 §10.2.3), at most an hour; None for none or garbage.

    `now` is UNIX seconds. A date in the past asks for nothing.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_MAX_SECONDS)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    wait = date.timestamp() - now
    return min(wait, RETRY_AFTER_MAX_SECONDS) if wait > 0 else None
