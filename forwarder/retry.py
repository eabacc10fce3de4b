"""
What follows from an attempt: deliver, try again and when, give up. Pure.

The growth of the waits is tenacity's arithmetic. Its jitter is not used: it vanishes at the cap, and then a whole
backlog would wake at once.
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
    """Seconds that a delivery can have to wait at most; a due time further ahead means that the clock was set."""
    return max(schedule.max_seconds * (1 + SPREAD), RETRY_AFTER_MAX_SECONDS)


def expiry(endpoint: Endpoint) -> Decision:
    """What becomes of a reading older than `max_age`."""
    return Expire() if endpoint.mode == "latest" else Bury("expired")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision depends on besides the delivery and the answer."""

    now: float
    """UNIX seconds."""
    spread: float
    """Between -1 and 1."""
    is_superseded: bool = False
    """A newer reading of the device waits at an endpoint that wants only the latest."""


def decide(
    delivery: Delivery, result: AttemptResult, endpoint: Endpoint, circumstances: Circumstances
) -> Decision:
    """What to do with a delivery after an attempt at it alone."""
    match result:
        case Accepted():
            return Done()
        case Refused():
            return Bury("refused")
        case Gone() | Failed() if circumstances.is_superseded:
            return Supersede()
        case Gone():
            # The endpoint pauses; the reading stays until max_age, or until the endpoint is resumed.
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
