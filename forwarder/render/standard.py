"""`format: standard` is an envelope of type, timestamp and data, as Standard Webhooks 1.0.0 recommends."""

from collections.abc import Sequence

from forwarder.render.event import Event, newest

CONTENT_TYPE = "application/json"
BATCH_CONTENT_TYPE = "application/json"
ENVELOPE_BYTES = 1


def single(event: Event) -> bytes:
    return envelope("meter.reading", timestamp=event.measured_at, data=event.data)


def batch(events: Sequence[Event]) -> bytes:
    """One `meter.readings` event, with the timestamp of its newest reading."""
    joined = b"[" + b",".join([event.data for event in events]) + b"]"
    return envelope("meter.readings", timestamp=newest(events), data=joined)


def test(event: Event, *, is_batched: bool) -> tuple[bytes, str]:  # noqa: ARG001 - the type tells the two apart
    return envelope("webhook.test", timestamp=event.measured_at, data=event.data), CONTENT_TYPE


def envelope(event_type: str, *, timestamp: str, data: bytes) -> bytes:
    start = f'{{"type":"{event_type}","timestamp":"{timestamp}","data":'
    return start.encode() + data + b"}"
