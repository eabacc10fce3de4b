"""What operators learn of the right half: each metric is counted beside its log event."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from forwarder.delivery import Bury, Delivery, Done, Expire, RetryAt, Supersede
from forwarder.logs import logger
from forwarder.metrics import Metrics
from forwarder.outbox import Attempt, EndpointHealth, Settlement
from forwarder.reading import rfc3339


class Watch:
    """Counts and logs what happens to deliveries; endpoints by name, devices in logs only."""

    def __init__(self, metrics: Metrics) -> None:
        # Looking a label's child up costs more than counting on it.
        self._attempts = lru_cache(maxsize=None)(metrics.attempts.labels)
        self._attempt_duration = lru_cache(maxsize=None)(metrics.attempt_duration.labels)
        self._delivery_latency = lru_cache(maxsize=None)(metrics.delivery_latency.labels)
        self._deliveries = lru_cache(maxsize=None)(metrics.deliveries.labels)
        self._endpoint_open = metrics.endpoint_open
        self._log = logger("dispatcher")

    def attempted(self, endpoint: str, deliveries: Sequence[Delivery], attempt: Attempt) -> None:
        self._attempts(endpoint, attempt.error or f"http_{attempt.status}").inc()
        self._attempt_duration(endpoint).observe(attempt.duration_ms / 1000)
        log = self._log.info if attempt.error else self._log.debug
        log(
            "delivery.attempted",
            endpoint=endpoint,
            device=deliveries[0].device,
            webhook_id=deliveries[0].webhook_id,
            readings=len(deliveries),
            attempt=attempt.number,
            duration_ms=attempt.duration_ms,
            status=attempt.status,
            error=attempt.error or None,
            detail=attempt.detail or None,
        )

    def settled(self, endpoint: str, settlement: Settlement, *, now: float) -> None:
        delivery = settlement.delivery
        match settlement.decision:
            case RetryAt():
                return
            case Done():
                outcome = "delivered"
                latency = max(0.0, now - delivery.received_at)
                self._delivery_latency(endpoint).observe(latency)
            case Bury(reason):
                outcome = "dead"
                self._log.warning(
                    "delivery.buried",
                    endpoint=endpoint,
                    device=delivery.device,
                    webhook_id=delivery.webhook_id,
                    reason=reason,
                    attempts=delivery.attempts + (settlement.attempt is not None),
                )
            case Expire():
                outcome = "expired"
            case Supersede():
                outcome = "superseded"
        self._deliveries(endpoint, outcome).inc()

    def swept(self, endpoint: str, outcomes: Counter[str]) -> None:
        for outcome, count in outcomes.items():
            self._deliveries(endpoint, outcome).inc(count)
            self._log.warning("deliveries.swept", endpoint=endpoint, outcome=outcome, count=count)

    def circuit_changed(self, endpoint: str, health: EndpointHealth) -> None:
        is_open = health.is_open
        self._endpoint_open.labels(endpoint).set(is_open)
        if is_open:
            self._log.warning(
                "endpoint.opened",
                endpoint=endpoint,
                failures=health.failures,
                error=health.last_error,
                next_probe_at=_instant(health.open_until),
            )
        else:
            self._log.info("endpoint.recovered", endpoint=endpoint)

    def gone(self, endpoint: str) -> None:
        self._log.warning(
            "endpoint.paused",
            endpoint=endpoint,
            hint="it answered 410 Gone; change its URL, or run: forwarder endpoints resume "
            + endpoint,
        )

    def split(self, endpoint: str, *, status: int) -> None:
        self._log.info("batch.split", endpoint=endpoint, status=status)

    def broke(self, endpoint: str, error: Exception) -> None:
        self._log.error("delivery.broke", endpoint=endpoint, exc_info=error)


def _instant(unix: float | None) -> str | None:
    return None if unix is None else rfc3339(datetime.fromtimestamp(unix, UTC))
