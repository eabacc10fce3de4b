"""
Rendering turns deliveries into the bytes of a request: one module per format, one line per format below.

Rendering is pure and repeatable: the same stored readings and endpoint settings make the same bytes in each attempt.
After an edit of `fields` or `format` the next attempt is rendered anew.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from forwarder.delivery import Delivery
from forwarder.event_data import write_json
from forwarder.reading import Device, WebhookId, rfc3339
from forwarder.render import cloudevents, standard
from forwarder.render.event import Event, Renderer, TestEvent, Unrenderable
from forwarder.render.fields import keep_fields
from forwarder.render.notice import NOTICE_FORMATS
from forwarder.render.templated import NOTICE, READING, Templated
from forwarder.routes.model import Endpoint

__all__ = [
    "FORMATS",
    "TEST_DEVICE",
    "Rendered",
    "Unrenderable",
    "envelope_bytes",
    "form_of",
    "render",
    "render_test",
]

FORMATS: Mapping[str, Renderer] = {
    "standard": standard,
    "cloudevents": cloudevents,
}
"""Each `format` of routes.yaml that needs nothing else, and the module that writes it."""

TEST_DEVICE = Device("000000000000")
"""No whatwatt Go has this MAC; a `webhook.test` event names it, also in the place of `{device}` in a URL."""


@dataclass(slots=True)
class Rendered:
    """The body of one request, and the id by which a receiver de-duplicates it; nobody changes one."""

    body: bytes
    content_type: str
    webhook_id: WebhookId


def render(deliveries: Sequence[Delivery], *, endpoint: Endpoint) -> Rendered:
    """
    The request that carries these deliveries in their order.

    An endpoint without `batch` takes exactly one. An endpoint with `batch` gets the batch form even for one. Raises
    ValueError when there is no delivery, and Unrenderable when the endpoint's template makes nothing of some.
    """
    form = form_of(endpoint)
    events = deliveries
    if endpoint.fields is not None:
        events = [_of_fields(one, endpoint.fields) for one in deliveries]
    if endpoint.batch is None:
        (event,) = events
        return Rendered(form.single(event), form.CONTENT_TYPE, event.webhook_id)
    return Rendered(form.batch(events), form.BATCH_CONTENT_TYPE, _batch_id(events))


def render_test(endpoint: Endpoint, *, now: datetime) -> Rendered:
    """
    The `webhook.test` event: it carries no meter data, and a receiver only has to answer it with 2xx.

    The id follows from the endpoint and the instant, so that a second test is not taken for a repeat of the first.
    Raises Unrenderable when the endpoint's template makes nothing of the event.
    """
    webhook_id = _hashed("test_", [endpoint.name, str(now.timestamp())])
    data = write_json({"id": webhook_id, "endpoint": endpoint.name, "message": "It works."})
    event = TestEvent(webhook_id, TEST_DEVICE, rfc3339(now), data)
    form = form_of(endpoint)
    body, content_type = form.test(event, is_batched=endpoint.batch is not None)
    return Rendered(body, content_type, webhook_id)


def envelope_bytes(endpoint: Endpoint) -> int:
    """The most bytes that a delivery adds to a batch beside its data, when its device is named by a MAC."""
    return form_of(endpoint).ENVELOPE_BYTES


def form_of(endpoint: Endpoint) -> Renderer:
    """The renderer of this endpoint's bodies."""
    if endpoint.template is None:
        forms = FORMATS if endpoint.events is None else NOTICE_FORMATS
        return forms[endpoint.format]
    kind = READING if endpoint.events is None else NOTICE
    return Templated(endpoint.template, endpoint.name, endpoint.content_type, kind)


def _of_fields(delivery: Delivery, fields: tuple[str, ...]) -> Delivery:
    return replace(delivery, data=keep_fields(delivery.data, fields=fields))


def _batch_id(events: Sequence[Event]) -> WebhookId:
    if not events:
        raise ValueError("a request carries at least one delivery")
    return _hashed("batch_", [event.webhook_id for event in events])


def _hashed(prefix: str, members: Sequence[str]) -> WebhookId:
    digest = hashlib.blake2b("\n".join(members).encode(), digest_size=16)
    return WebhookId(prefix + digest.hexdigest())
