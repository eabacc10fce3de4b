"""What the log says of attempts: what happened, and what comes next."""

from structlog.testing import capture_logs
from support.dispatcher_harness import DispatcherHarness
from support.readings import endpoint, new_reading

from forwarder.routes import RetrySchedule


async def test_failed_attempt_says_when_the_next_may_come(harness: DispatcherHarness) -> None:
    """By the schedule, and later where the endpoint as a whole is held back; a refused reading has no next."""
    schedule = RetrySchedule(initial_seconds=1, max_seconds=8)
    with capture_logs() as logs:
        harness.open(endpoint(retry=schedule))
        await harness.outbox.put(
            [new_reading("ECC9FF5C0001", "a", received_at=harness.clock.unix())]
        )
        await harness.rest()
        for status, headers in ((500, {}), (503, {"retry_after": "30"}), (400, {})):
            harness.waiting[0].answer(status, **headers)
            await harness.rest()
            await harness.advance(30.1)
    attempted = [one for one in logs if one["event"] == "delivery.attempted"]
    assert [one["retry_in_seconds"] for one in attempted] == [1.0, 30.0, None]
    assert [one["error"] for one in attempted] == ["http_500", "http_503", "http_400"]


async def test_what_follows_is_told_after_the_attempt(harness: DispatcherHarness) -> None:
    """Cause before consequence: an attempt, then the dead letter or the circuit that opens because of it."""
    with capture_logs() as logs:
        harness.open(endpoint(retry=RetrySchedule(1, 8, max_attempts=5)))
        await harness.outbox.put(
            [new_reading("ECC9FF5C0001", "a", received_at=harness.clock.unix())]
        )
        await harness.rest()
        for _ in range(5):
            harness.waiting[0].answer(500)
            await harness.rest()
            await harness.advance(20)
    told = [one["event"] for one in logs]
    assert told == ["delivery.attempted"] * 5 + ["delivery.buried", "endpoint.opened"]
