"""
The examples: one of every request that receivers get.

The renderers write them, so they are true to what is sent. They are the same at each call.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.event_data import write_json
from forwarder.normalise.example import EXAMPLE_DATA
from forwarder.notice import (
    OPERATOR,
    DeliveriesDead,
    DeviceResumed,
    DeviceSilent,
    DevicesSilent,
    EndpointFailing,
    EndpointPaused,
    EndpointRecovered,
    Notice,
    OutboxFellBack,
    OutboxNearlyFull,
    QuarantineGrowing,
    RoutesRejected,
    StreamInterrupted,
    StreamResumed,
)
from forwarder.notices import new_notice
from forwarder.reading import Device, JsonValue, WebhookId
from forwarder.render import Rendered, render, render_test
from forwarder.routes.model import BatchLimits, Endpoint, EndpointName, Format, NoticeFormat

_NOW = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)
_BEGAN = _NOW.timestamp()
_FAILING = EndpointFailing("acme", _BEGAN, "http_503", 5)
_NOTICES: tuple[Notice, ...] = (
    _FAILING,
    EndpointRecovered("acme", _BEGAN, _BEGAN + 754),
    EndpointPaused("acme", _BEGAN, "gone"),
    DeliveriesDead("acme", _BEGAN, 3, {"refused": 2, "expired": 1}),
    DeviceSilent("ECC9FF5C7F14", _BEGAN, 600.0),
    DeviceResumed("ECC9FF5C7F14", _BEGAN, _BEGAN + 1500),
    DevicesSilent(_BEGAN, 135, ("ECC9FF5C7F14", "ECC9FF5C7F15")),
    StreamInterrupted(_BEGAN, "mqtt.example:8883 refused the connection"),
    StreamResumed(_BEGAN, _BEGAN + 100, session_lost=False),
    RoutesRejected(_BEGAN, 2, "routes.yaml:14:13"),
    OutboxNearlyFull(_BEGAN, 9_900_000_000, 10_737_418_240),
    OutboxFellBack(_BEGAN, 1_204),
    QuarantineGrowing(_BEGAN, 12, {"not_json": 11, "no_device": 1}),
)


@dataclass(frozen=True, slots=True)
class Example:
    """One body, and its content type."""

    content_type: str
    body: JsonValue


def webhook_examples() -> dict[str, Example]:
    """An example for each schema of `forwarder schema event`, and for each of the operator's notices, by its name."""
    return {name: Example(one.content_type, json.loads(one.body)) for name, one in _rendered()}


def _rendered() -> Iterator[tuple[str, Rendered]]:
    single, batched = _endpoint("standard"), _endpoint("standard", is_batched=True)
    yield "reading", render([_reading()], endpoint=single)
    yield "readings", render([_reading()], endpoint=batched)
    yield "test", render_test(single, now=_NOW)
    yield "cloudevent", render([_reading()], endpoint=_endpoint("cloudevents"))
    yield "cloudevents", render([_reading()], endpoint=_endpoint("cloudevents", is_batched=True))
    for notice in _NOTICES:
        yield notice.TYPE, _told(notice, "standard")
    yield "text", _told(_FAILING, "text")
    yield "notice_cloudevent", _told(_FAILING, "cloudevents")


def _endpoint(form: Format, *, is_batched: bool = False) -> Endpoint:
    batch = BatchLimits(max_events=10, max_wait_seconds=1.0) if is_batched else None
    return Endpoint(EndpointName("acme"), url="", keys=(), format=form, batch=batch)


def _reading() -> Delivery:
    return _delivery(
        WebhookId(str(EXAMPLE_DATA["id"])),
        device=Device(str(EXAMPLE_DATA["device"])),
        measured_at=str(EXAMPLE_DATA["measured_at"]),
        data=write_json(EXAMPLE_DATA),
    )


def _told(notice: Notice, form: NoticeFormat) -> Rendered:
    row = new_notice(notice, at=_BEGAN, endpoint=OPERATOR)
    delivery = _delivery(
        row.webhook_id, device=row.device, measured_at=row.measured_at, data=row.data
    )
    operator = Endpoint(EndpointName(OPERATOR), url="", keys=(), format=form, events=("*",))
    return render([delivery], endpoint=operator)


def _delivery(identity: WebhookId, *, device: Device, measured_at: str, data: bytes) -> Delivery:
    return Delivery(
        reading=ReadingNumber(1),
        endpoint="",
        device=device,
        webhook_id=identity,
        measured_at=measured_at,
        received_at=_BEGAN,
        age_from=_BEGAN,
        attempts=0,
        data=data,
    )
