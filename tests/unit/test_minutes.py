"""What each minute came to: differences of counters, told once."""

from collections import defaultdict

import pytest

from forwarder.metrics import Metrics
from forwarder.outbox import MOST_ROWS, Minute
from forwarder.service.minutes import KEPT_MINUTES, Minutes

START = 1_763_460_000


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def enqueued() -> defaultdict[str, int]:
    return defaultdict(int)


@pytest.fixture
def minutes(metrics: Metrics, enqueued: defaultdict[str, int]) -> Minutes:
    return Minutes(metrics, enqueued, now=START + 5.0)


def test_a_minute_is_told_once_it_is_over(
    minutes: Minutes, metrics: Metrics, enqueued: defaultdict[str, int]
) -> None:
    """With what was counted in it, of the line and of each endpoint; and what is old may go."""
    metrics.messages.count("accepted", by=3)
    metrics.deliveries.count("acme", "delivered", by=2)
    metrics.attempts.count("acme", "http_200", by=2)
    metrics.attempts.count("acme", "timeout")
    metrics.delivery_latency.of("acme").observe(0.5)
    enqueued["acme"] += 3
    assert minutes.over(START + 59.9) == ()
    (kept,) = minutes.over(START + 64.0)
    assert sorted(kept.minutes, key=lambda one: one.endpoint) == [
        Minute("", START, {"accepted": 3, "delivered": 2, "enqueued": 3}),
        Minute("acme", START, {"delivered": 2, "answer:http_200": 2, "answer:timeout": 1}, 0.5),
    ]
    assert kept.before == START + 60 - KEPT_MINUTES * 60
    assert minutes.over(START + 74.0) == ()


def test_nothing_is_told_twice(minutes: Minutes, metrics: Metrics) -> None:
    """The next minute has what came since; one in which nothing happened has no row."""
    metrics.messages.count("accepted", by=3)
    minutes.over(START + 61.0)
    metrics.messages.count("accepted")
    (kept,) = minutes.over(START + 121.0)
    assert list(kept.minutes) == [Minute("", START + 60, {"accepted": 1})]
    (kept,) = minutes.over(START + 181.0)
    assert list(kept.minutes) == []


def test_many_endpoints_go_in_parts(minutes: Minutes, metrics: Metrics) -> None:
    """No operation changes more rows than the line may wait for."""
    for number in range(MOST_ROWS + 1):
        metrics.deliveries.count(f"endpoint-{number}", "delivered")
    sizes = [len(kept.minutes) for kept in minutes.over(START + 61.0)]
    assert sizes == [MOST_ROWS, 2]
