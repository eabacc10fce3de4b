"""The metrics and log events of the right half; each metric is counted beside its event."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from forwarder.delivery import Attempt, Bury, Delivery, Done, Expire, RetryAt, Supersede
from forwarder.endpoint_health import EndpointHealth
from forwarder.logs import logger
from forwarder.metrics import Metrics
from forwarder.outbox import Settlement
from forwarder.reading import rfc3339


class Listener(Protocol):
    """A listener hears what concerns an endpoint as a whole. It neither waits nor raises."""

    def endpoint_changed(self, endpoint: str, health: EndpointHealth) -> None:
        """The endpoint's circuit has opened or closed, or the endpoint was paused or resumed."""

    def deliveries_died(self, endpoint: str, reason: str, count: int) -> None:
        """So many of the endpoint's deliveries became dead letters."""


class _Nobody:
    def endpoint_changed(self, endpoint: str, health: EndpointHealth) -> None: ...
    def deliveries_died(self, endpoint: str, reason: str, count: int) -> None: ...


class Watch:
    """Counts and logs what happens to deliveries; endpoints by name, devices in logs only."""

    def __init__(self, metrics: Metrics, listener: Listener | None = None) -> None:
        self._listener = listener or _Nobody()
        self.endpoint_changes = 0
        """How often an endpoint's circuit has opened or closed, or an endpoint was paused or resumed."""
        self._attempts = metrics.attempts
        self._attempt_duration = metrics.attempt_duration
        self._delivery_latency = metrics.delivery_latency
        self._deliveries = metrics.deliveries
        self._endpoint_open = metrics.endpoint_open
        self._log = logger("dispatcher")
        # Nearly every attempt succeeds, so an event that nobody reads is not even put together.
        self._tells_successes = self._log.is_enabled_for(logging.DEBUG)

    def attempted(self, endpoint: str, deliveries: Sequence[Delivery], attempt: Attempt) -> None:
        self._attempts.count(endpoint, attempt.error or f"http_{attempt.status}")
        self._attempt_duration.of(endpoint).observe(attempt.duration_ms / 1000)
        if self._tells_successes and not attempt.error:
            self._log.debug("delivery.attempted", **_fields(endpoint, deliveries, attempt))

    def failed(
        self,
        endpoint: str,
        deliveries: Sequence[Delivery],
        attempt: Attempt,
        *,
        wait_seconds: float | None,
    ) -> None:
        """Log a failed attempt and the wait before the next one; None when there is no next one."""
        self._log.info(
            "delivery.attempted",
            **_fields(endpoint, deliveries, attempt),
            retry_in_seconds=None if wait_seconds is None else round(wait_seconds, 1),
        )

    def delivered(self, endpoint: str, deliveries: Sequence[Delivery], *, now: float) -> None:
        self._deliveries.count(endpoint, "delivered", by=len(deliveries))
        observe = self._delivery_latency.of(endpoint).observe
        for delivery in deliveries:
            latency = now - delivery.received_at
            observe(latency if latency > 0 else 0.0)

    def settled(self, endpoint: str, settlements: Iterable[Settlement], *, now: float) -> None:
        for settlement in settlements:
            self._settled_alike(endpoint, settlement, now)

    def _settled_alike(self, endpoint: str, settlement: Settlement, now: float) -> None:
        deliveries = settlement.deliveries
        match settlement.decision:
            case RetryAt():
                pass
            case Done():
                self.delivered(endpoint, deliveries, now=now)
            case Bury(reason):
                self._deliveries.count(endpoint, "dead", by=len(deliveries))
                self._listener.deliveries_died(endpoint, reason, len(deliveries))
                for delivery in deliveries:
                    self._log.warning(
                        "delivery.buried",
                        endpoint=endpoint,
                        device=delivery.device,
                        webhook_id=delivery.webhook_id,
                        reason=reason,
                        attempts=delivery.attempts + (settlement.attempt is not None),
                    )
            case Expire():
                self._deliveries.count(endpoint, "expired", by=len(deliveries))
            case Supersede():
                self._deliveries.count(endpoint, "superseded", by=len(deliveries))

    def swept(self, endpoint: str, decision: Bury | Expire, count: int) -> None:
        """Count and log deliveries that a rule has settled, not an attempt."""
        outcome = "dead" if isinstance(decision, Bury) else "expired"
        self._deliveries.count(endpoint, outcome, by=count)
        self._log.warning("deliveries.swept", endpoint=endpoint, outcome=outcome, count=count)
        if isinstance(decision, Bury):
            self._listener.deliveries_died(endpoint, decision.reason, count)

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
        self.pause_changed(endpoint, health)

    def pause_changed(self, endpoint: str, health: EndpointHealth) -> None:
        self.endpoint_changes += 1
        self._listener.endpoint_changed(endpoint, health)

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


def _fields(endpoint: str, deliveries: Sequence[Delivery], attempt: Attempt) -> dict[str, object]:
    return {
        "endpoint": endpoint,
        "device": deliveries[0].device,
        "webhook_id": deliveries[0].webhook_id,
        "readings": len(deliveries),
        "attempt": attempt.number,
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error or None,
        "detail": attempt.detail or None,
        "address": attempt.address,
    }


def _instant(unix: float | None) -> str | None:
    return None if unix is None else rfc3339(datetime.fromtimestamp(unix, UTC))
