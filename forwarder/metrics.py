"""
Prometheus metrics of one running service, in a registry of its own.

Labels are bounded sets: endpoint names of routes.yaml, outcomes, reasons; never devices, topics or URLs.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600, 86400)


class Metrics:
    """Everything that /metrics shows; each is counted beside the log event of the same fact."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series per counter, of no use to anyone here
        self.registry = registry = CollectorRegistry()
        self.messages = Counter(
            "forwarder_messages", "Messages by outcome", ["outcome"], registry=registry
        )
        self.enqueued = Counter(
            "forwarder_deliveries_enqueued",
            "Deliveries put into the outbox",
            ["endpoint"],
            registry=registry,
        )
        self.deliveries = Counter(
            "forwarder_deliveries",
            "Deliveries that left the outbox",
            ["endpoint", "outcome"],
            registry=registry,
        )
        self.commits = Counter(
            "forwarder_outbox_commits", "Transactions that reached the disk", registry=registry
        )
        self.pending = Gauge(
            "forwarder_deliveries_pending", "Deliveries pending", ["endpoint"], registry=registry
        )
        self.oldest_pending_age = Gauge(
            "forwarder_oldest_pending_age_seconds",
            "Age of the oldest pending delivery",
            ["endpoint"],
            registry=registry,
        )
        self.attempts = Counter(
            "forwarder_attempts", "Attempts by result", ["endpoint", "result"], registry=registry
        )
        self.attempt_duration = Histogram(
            "forwarder_attempt_duration_seconds",
            "Duration of an attempt",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.delivery_latency = Histogram(
            "forwarder_delivery_latency_seconds",
            "From receipt by the forwarder until 2xx",
            ["endpoint"],
            buckets=_LATENCY,
            registry=registry,
        )
        self.endpoint_open = Gauge(
            "forwarder_endpoint_open",
            "1 while the endpoint's circuit is open",
            ["endpoint"],
            registry=registry,
        )
        self.next_probe = Gauge(
            "forwarder_endpoint_next_attempt_timestamp_seconds",
            "UNIX time until which an endpoint's circuit or Retry-After holds it back; 0 when nothing does",
            ["endpoint"],
            registry=registry,
        )
        self.dead_letters = Gauge(
            "forwarder_dead_letters",
            "Dead letters kept for an operator",
            ["endpoint", "reason"],
            registry=registry,
        )
        self.quarantined = Gauge(
            "forwarder_quarantined", "Messages in quarantine", ["reason"], registry=registry
        )
        self.misfits = Counter(
            "forwarder_misfit_values",
            "Values of readings that were no number where one belongs; they are kept in extra",
            registry=registry,
        )
        self.mqtt_connected = Gauge(
            "forwarder_mqtt_connected", "1 while subscribed to the broker", registry=registry
        )
        self.routes_reloads = Counter(
            "forwarder_routes_reloads",
            "Looks at a changed routing file",
            ["outcome"],
            registry=registry,
        )
        # From zero on: Prometheus sees no increase in a series that begins with 1.
        for outcome in ("applied", "rejected", "unchanged"):
            self.routes_reloads.labels(outcome)

    def text(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
