"""`format: cloudevents`: CloudEvents 1.0 in structured mode (HTTP binding §3.2), batched mode for batches (§3.3)."""

from collections.abc import Sequence
from urllib.parse import quote

from forwarder.event_data import write_json
from forwarder.render.event import Event

CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"
ENVELOPE_BYTES = 320

# CloudEvents 1.0 §3.1: a type should begin with the reverse domain name of the organisation it belongs to, whatwatt.ch.
TYPE_PREFIX = "ch.whatwatt."
# The source is an absolute URI, because consumers with many producers route and de-duplicate by it.
SOURCE_PREFIX = "urn:whatwatt:device:"
SERVICE_SOURCE = "urn:whatwatt:forwarder"
"""The source of notices about the service itself."""


def single(event: Event) -> bytes:
    """One event; its `id` is the reading's, because the specification wants `source` and `id` unique together."""
    return _event("meter.reading", event)


def _event(event_type: str, event: Event) -> bytes:
    source = SOURCE_PREFIX + quote(event.device, safe="", errors="replace")
    return write(event_type, event, data=event.data, source=source)


def write(event_type: str, event: Event, *, data: bytes, source: str) -> bytes:
    """One event with this data object; `event_type` is without its prefix."""
    attributes = write_json(
        {
            "specversion": "1.0",
            "id": event.webhook_id,
            "source": source,
            "type": TYPE_PREFIX + event_type,
            "subject": event.device,
            "time": event.measured_at,
            "datacontenttype": "application/json",
        }
    )
    return attributes[:-1] + b',"data":' + data + b"}"


def batch(events: Sequence[Event]) -> bytes:
    return b"[" + b",".join([single(event) for event in events]) + b"]"


def test(event: Event, *, is_batched: bool) -> tuple[bytes, str]:
    body = _event("webhook.test", event)
    return (b"[" + body + b"]", BATCH_CONTENT_TYPE) if is_batched else (body, CONTENT_TYPE)
