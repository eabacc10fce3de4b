"""`format: standard`: an envelope of type, timestamp and data, as Standard Webhooks 1.0.0 recommends it."""

from collections.abc import Sequence

from forwarder.render.event import Event

CONTENT_TYPE = "application/json"
BATCH_CONTENT_TYPE = "application/json"
ENVELOPE_BYTES = 1


def single(event: Event) -> bytes:
    return _envelope(event.type, timestamp=event.measured_at, data=event.data)


def batch(events: Sequence[Event]) -> bytes:
    """One `meter.readings` event; its timestamp is the newest of its readings'."""
    newest = max((event.measured_at for event in events), key=_by_instant)
    joined = b"[" + b",".join([event.data for event in events]) + b"]"
    return _envelope("meter.readings", timestamp=newest, data=joined)


def test(event: Event, *, is_batched: bool) -> tuple[bytes, str]:  # noqa: ARG001 - the type tells the two apart
    return single(event), CONTENT_TYPE


def _envelope(event_type: str, *, timestamp: str, data: bytes) -> bytes:
    start = f'{{"type":"{event_type}","timestamp":"{timestamp}","data":'
    return start.encode() + data + b"}"


def _by_instant(timestamp: str) -> str:
    """Sorts as the instants do; with its Z `…:40Z` would come after `…:40.203Z`."""
    return timestamp.removesuffix("Z")
