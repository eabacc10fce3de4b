"""
The circuit of an endpoint decides whether attempts may start, how many at once, and from when on. No I/O.

    closed ── 5 failures in a row ──▶ open: one probe at a time, on the retry schedule, at most a minute apart
       ▲                                │
       └──────── a probe succeeds ──────┘       however many devices wait

A Retry-After holds the endpoint back in either state. Nothing starts while it is paused, removed or stopped. A circuit
has no lock, because the event loop alone uses it.
"""

from collections.abc import Callable
from dataclasses import replace

from forwarder.clock import Clock
from forwarder.delivery import Accepted, AttemptResult, Failed, Gone, Refused
from forwarder.endpoint_health import FAILURES_TO_OPEN, EndpointHealth
from forwarder.retry import delay_before, longest_wait, retry_after_seconds
from forwarder.routes import Endpoint, RetrySchedule

LONGEST_PROBE_WAIT_SECONDS = 60.0
SUCCESS_SECONDS = 1.0
"""The circuit notes one success in so many seconds, as long as no failure comes between."""
_COUNTED = frozenset({401, 403, 404, 429})


class Circuit:
    """One endpoint's health and its consequences; `health` is a new object after each change."""

    def __init__(
        self,
        endpoint: Endpoint,
        health: EndpointHealth,
        *,
        clock: Clock,
        spread: Callable[[], float],
    ) -> None:
        self.health = health
        self._endpoint = endpoint
        self._clock = clock
        self._spread = spread
        self._is_removed = self._is_stopped = False
        self.held_until = self._restored_hold()
        """Nothing starts before this instant, in monotonic seconds."""
        self.places = 0
        """How many attempts may be under way; the count is kept, because every attempt asks for it."""
        self._count_places()

    def _restored_hold(self) -> float:
        wait = (self.health.open_until or 0.0) - self._clock.unix()
        # A wait beyond the longest possible one means that the wall clock was set meanwhile.
        if wait <= 0 or wait > longest_wait(self._endpoint.retry):
            return float("-inf")
        return self._clock.monotonic() + wait

    @property
    def is_open(self) -> bool:
        return self.health.is_open

    @property
    def is_removed(self) -> bool:
        return self._is_removed

    @property
    def is_stopped(self) -> bool:
        return self._is_stopped

    @property
    def is_paused(self) -> bool:
        return self._endpoint.paused or self.health.paused_by is not None

    @property
    def is_barred(self) -> bool:
        """Whether nothing starts until somebody acts."""
        return self._is_stopped or self._is_removed or self.is_paused

    def configure(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._is_removed = False
        self._count_places()

    def remove(self) -> None:
        self._is_removed = True
        self._count_places()

    def stop(self) -> None:
        self._is_stopped = True
        self._count_places()

    def pause(self, health: EndpointHealth) -> None:
        """Take over who has paused the endpoint."""
        self.health = replace(self.health, paused_by=health.paused_by, gone_url=health.gone_url)
        self._count_places()

    def pause_gone(self, url_digest: str) -> None:
        """Pause the endpoint, because it answered 410 at this URL."""
        self.health = replace(self.health, paused_by="gone", gone_url=url_digest)
        self._count_places()

    def resume(self) -> None:
        """End a pause, and forget what was held against the endpoint."""
        before = self.health
        self.health = EndpointHealth(
            last_success_at=before.last_success_at, outage_since=before.outage_since
        )
        self.held_until = float("-inf")
        self._count_places()

    def heed(self, result: AttemptResult, *, now: float) -> None:
        """Take in the result of an attempt; `now` is UNIX seconds."""
        before = self.health
        if isinstance(result, Accepted):
            self._heed_success(now)
        else:
            self._heed_other(result, now)
        if self.health is not before:
            self._count_places()

    def _heed_success(self, now: float) -> None:
        before = self.health
        if not before.failures and now - (before.last_success_at or 0.0) < SUCCESS_SECONDS:
            return
        self.health = after_success(before, now=now)
        if before.is_open:
            self.held_until = float("-inf")

    def _heed_other(self, result: Refused | Gone | Failed, now: float) -> None:
        schedule, spread = self._endpoint.retry, self._spread()
        held_seconds = self.held_until - self._clock.monotonic()
        if isinstance(result, Failed) and counts(result):
            self.health = after_failure(
                self.health,
                result,
                schedule=schedule,
                now=now,
                held_seconds=held_seconds,
                spread=spread,
            )
        else:
            self.health = after_other_answer(
                self.health,
                result.error if isinstance(result, Failed) else f"http_{result.status}",
                schedule=schedule,
                now=now,
                held_seconds=held_seconds,
                spread=spread,
            )
        wait = (self.health.open_until or now) - now
        self.held_until = max(self.held_until, self._clock.monotonic() + wait)

    def _count_places(self) -> None:
        if self.is_barred:
            self.places = 0
        else:
            self.places = 1 if self.is_open else self._endpoint.max_concurrency


def counts(result: Failed) -> bool:
    """Whether the failure speaks of the endpoint as a whole, not of this one reading."""
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

    `held_seconds` is how long nothing is sent anyway. An attempt that fails in that time while the circuit is open
    began before it opened. Such a failure does not count, and only its own Retry-After can prolong the wait.
    """
    is_late = health.is_open and held_seconds > 0
    failures = health.failures + (not is_late)
    waits = [held_seconds, retry_after_seconds(result.retry_after, now=now) or 0.0]
    if failures >= FAILURES_TO_OPEN and not is_late:
        waits.append(_probe_wait(failures, schedule, spread))
    since = health.failing_since or now
    return replace(
        health,
        failures=failures,
        open_until=_until(now, max(waits)),
        failing_since=since,
        last_error=result.error,
        last_error_at=now,
        outage_since=since if failures >= FAILURES_TO_OPEN else health.outage_since,
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
    """Neither count nor forget failures; after such an answer to a probe, the next probe waits as long again."""
    wait = held_seconds
    if health.is_open and held_seconds <= 0:
        wait = _probe_wait(health.failures, schedule, spread)
    return replace(health, open_until=_until(now, wait), last_error=error, last_error_at=now)


def _probe_wait(failures: int, schedule: RetrySchedule, spread: float) -> float:
    wait = delay_before(failures - FAILURES_TO_OPEN + 2, schedule, spread=spread)
    return min(wait, LONGEST_PROBE_WAIT_SECONDS)


def _until(now: float, wait: float) -> float | None:
    return now + wait if wait > 0 else None
