import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat

from forwarder.delivery import Delivery
from forwarder.render import Rendered, render, render_test
from forwarder.routes.model import BatchLimits, Endpoint, EndpointName

MakeDelivery = Callable[..., Delivery]

SINGLE = Endpoint(EndpointName("acme"), url="https://a.example", keys=(), format="cloudevents")
BATCHED = Endpoint(
    EndpointName("acme"),
    url="https://a.example",
    keys=(),
    format="cloudevents",
    batch=BatchLimits(max_events=10, max_wait_seconds=1),
)
NOW = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)


def as_message(rendered: Rendered) -> HTTPMessage:
    return HTTPMessage({"content-type": rendered.content_type}, rendered.body)


def test_the_official_library_reads_a_reading(delivery: MakeDelivery) -> None:
    """A structured-mode request is a whole CloudEvent 1.0 by the official library's rules."""
    reading = delivery(measured_at="2025-11-18T10:17:40.203Z", data=b'{"tariff":1}')
    event = from_http_event(as_message(render([reading], endpoint=SINGLE)))
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": "msg_1",
        "source": "urn:whatwatt:device:ECC9FF5C7F14",
        "type": "ch.whatwatt.meter.reading",
        "subject": "ECC9FF5C7F14",
        "time": datetime(2025, 11, 18, 10, 17, 40, 203_000, tzinfo=UTC),
        "datacontenttype": "application/json",
    }
    assert event.get_data() == {"tariff": 1}


def test_the_data_is_carried_byte_for_byte(delivery: MakeDelivery) -> None:
    """Numbers keep their digits in this format too."""
    assert delivery().data in render([delivery()], endpoint=SINGLE).body


def test_a_batch_is_a_list_of_whole_events(delivery: MakeDelivery) -> None:
    """Batched mode is a JSON array; each member stands on its own."""
    rendered = render([delivery(1), delivery(2)], endpoint=BATCHED)
    members = [JSONFormat().read(None, json.dumps(member)) for member in json.loads(rendered.body)]
    assert [member.get_id() for member in members] == ["msg_1", "msg_2"]
    assert rendered.content_type == "application/cloudevents-batch+json"
    assert rendered.webhook_id.startswith("batch_")


def test_the_content_type_of_one_event(delivery: MakeDelivery) -> None:
    assert render([delivery()], endpoint=SINGLE).content_type == "application/cloudevents+json"


def test_a_device_that_is_no_mac_makes_a_valid_source(delivery: MakeDelivery) -> None:
    """Whatever the topic's last level holds, the source is a URI and the subject the device."""
    event = from_http_event(as_message(render([delivery(device='Zähler "1"')], endpoint=SINGLE)))
    assert event.get_source() == "urn:whatwatt:device:Z%C3%A4hler%20%221%22"
    assert event.get_subject() == 'Zähler "1"'


def test_a_test_event_is_an_event_too() -> None:
    """A receiver of CloudEvents can parse `webhook.test` like any other."""
    event = from_http_event(as_message(render_test(SINGLE, now=NOW)))
    assert (event.get_type(), event.get_time()) == ("ch.whatwatt.webhook.test", NOW)


def test_a_test_event_for_a_receiver_of_batches_is_a_batch() -> None:
    rendered = render_test(BATCHED, now=NOW)
    (event,) = json.loads(rendered.body)
    assert event["id"] == rendered.webhook_id
    assert rendered.content_type == "application/cloudevents-batch+json"


@pytest.mark.parametrize("endpoint", [SINGLE, BATCHED])
def test_null_is_never_written(delivery: MakeDelivery, endpoint: Endpoint) -> None:
    assert b"null" not in render([delivery()], endpoint=endpoint).body
