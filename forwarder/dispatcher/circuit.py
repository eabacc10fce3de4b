"""
The circuit of an endpoint: closed, held back by its own Retry-After, or open and probed. Pure.

After 5 failures in a row one probe at a time is sent, on the retry schedule but at most a minute apart, however many
devices wait; its success closes the circuit.
"""

from dataclasses import replace

from forwarder.delivery import Failed
from forwarder.outbox import EndpointHealth
from forwarder.outbox.words import FAILURES_TO_OPEN
from forwarder.retry import delay_before, retry_after_seconds
from forwarder.routes import RetrySchedule

LONGEST_PROBE_WAIT_SECONDS = 60.0
_COUNTED = frozenset({401, 403, 404, 429})


def counts(result: Failed) -> bool:
    """Whether it speaks of the endpoint as a whole, not of this one reading."""
    return (
        result.status is None or result.status not in range(400, 500) or result.status in _COUNTED
    )


def after_success(health: EndpointHealth, *, now: float) -> EndpointHealth:
    """Close the circuit; a Retry-After that another answer brought still holds."""
    return replace(
        health,
        failures=0,
        failing_since=None,
        last_success_at=now,
        open_until=None if health.is_open else health.open_until,
    )


def after_failure(
    health: EndpointHealth,
    result: Failed,
    *,
    schedule: RetrySchedule,
    now: float,
    held_seconds: float,
    spread: float,
) -> EndpointHealth:
    """
    Count a failure; the time until which nothing is sent never moves nearer.

    `held_seconds` is how long nothing is sent anyway. What fails in that time while the circuit is open began before
    it opened: it says nothing new, and asks for no longer wait than its own Retry-After.
    """
    is_late = health.is_open and held_seconds > 0
    failures = health.failures + (not is_late)
    waits = [held_seconds, retry_after_seconds(result.retry_after, now=now) or 0.0]
    if failures >= FAILURES_TO_OPEN and not is_late:
        waits.append(_probe_wait(failures, schedule, spread))
    return replace(
        health,
        failures=failures,
        open_until=_until(now, max(waits)),
        failing_since=health.failing_since or now,
        last_error=result.error,
        last_error_at=now,
    )


def after_other_answer(
    health: EndpointHealth,
    error: str,
    *,
    schedule: RetrySchedule,
    now: float,
    held_seconds: float,
    spread: float,
) -> EndpointHealth:
    """Neither count nor forget failures; where it answered a probe, the next one waits as long as that had to."""
    wait = held_seconds
    if health.is_open and held_seconds <= 0:
        wait = _probe_wait(health.failures, schedule, spread)
    return replace(health, open_until=_until(now, wait), last_error=error, last_error_at=now)


def _probe_wait(failures: int, schedule: RetrySchedule, spread: float) -> float:
    wait = delay_before(failures - FAILURES_TO_OPEN + 2, schedule, spread=spread)
    return min(wait, LONGEST_PROBE_WAIT_SECONDS)


def _until(now: float, wait: float) -> float | None:
    return now + wait if wait > 0 else None
