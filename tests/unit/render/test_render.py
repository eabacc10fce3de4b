import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forwarder.delivery import Delivery
from forwarder.render import FORMATS, TEST_DEVICE, envelope_bytes, render, render_test
from forwarder.routes.model import BatchLimits, Endpoint, EndpointName, SigningKey

MakeDelivery = Callable[..., Delivery]

NOW = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)
BATCH = BatchLimits(max_events=100, max_wait_seconds=2)
DATA = b'{"id":"msg_1","measurements":{"active_power_import_kw":7.8500}}'


def endpoint(**settings: Any) -> Endpoint:
    return Endpoint(
        EndpointName("acme"),
        url="https://hooks.acme.example/meters",
        keys=(SigningKey(b"k" * 32),),
        **settings,
    )


def test_a_single_reading_is_wrapped_as_it_is_stored(delivery: MakeDelivery) -> None:
    """The data object goes out byte for byte, under the reading's own id."""
    rendered = render([delivery(data=DATA)], endpoint=endpoint())
    assert rendered.body == (
        b'{"type":"meter.reading","timestamp":"2025-11-18T10:17:40Z","data":' + DATA + b"}"
    )
    assert (rendered.webhook_id, rendered.content_type) == ("msg_1", "application/json")


def test_a_batch_carries_its_readings_in_order(delivery: MakeDelivery) -> None:
    """Several readings are one `meter.readings` event whose data is a list."""
    rendered = render(
        [delivery(1, data=b'{"id":"msg_1"}'), delivery(2, data=b'{"id":"msg_2"}')],
        endpoint=endpoint(batch=BATCH),
    )
    assert rendered.body == (
        b'{"type":"meter.readings","timestamp":"2025-11-18T10:17:40Z",'
        b'"data":[{"id":"msg_1"},{"id":"msg_2"}]}'
    )


def test_one_reading_for_a_batched_endpoint_is_a_batch_of_one(delivery: MakeDelivery) -> None:
    """A receiver of batches has one shape to understand."""
    body = json.loads(render([delivery()], endpoint=endpoint(batch=BATCH)).body)
    assert body["type"] == "meter.readings"
    assert [item["id"] for item in body["data"]] == ["msg_1"]


@pytest.mark.parametrize(
    ("instants", "newest"),
    [
        pytest.param(["T10:00:02Z", "T10:00:01Z"], "T10:00:02Z", id="out of order"),
        pytest.param(["T10:00:02Z", "T10:00:02.203Z"], "T10:00:02.203Z", id="milliseconds later"),
        pytest.param(["T10:00:02.999Z", "T10:00:03Z"], "T10:00:03Z", id="milliseconds before"),
    ],
)
def test_the_timestamp_of_a_batch_is_its_newest(
    delivery: MakeDelivery, instants: list[str], newest: str
) -> None:
    """The newest `measured_at` counts, with or without a fraction."""
    members = [delivery(n, measured_at="2025-11-18" + text) for n, text in enumerate(instants)]
    body = json.loads(render(members, endpoint=endpoint(batch=BATCH)).body)
    assert body["timestamp"] == "2025-11-18" + newest


def test_the_id_of_a_batch_follows_from_its_members(delivery: MakeDelivery) -> None:
    """The same readings make the same id, at each attempt and after a restart; others make another."""
    batched = endpoint(batch=BATCH)
    ids = [
        render([delivery(n) for n in members], endpoint=batched).webhook_id
        for members in ([1, 2], [1, 2], [1], [1, 2, 3], [12])
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", webhook_id) for webhook_id in ids)


def test_the_id_of_a_batch_never_changes_with_a_release(delivery: MakeDelivery) -> None:
    """Receivers keep ids; the rule behind them is fixed."""
    rendered = render([delivery(1), delivery(2)], endpoint=endpoint(batch=BATCH))
    assert rendered.webhook_id == "batch_a5f5112d1ff82868726ca109371d3613"


@pytest.mark.parametrize("batch", [None, BATCH])
def test_no_request_without_a_delivery(batch: BatchLimits | None) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever sentence, there is no request
        render([], endpoint=endpoint(batch=batch))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("batch", [None, BATCH])
def test_rendering_again_makes_the_same_bytes(
    delivery: MakeDelivery, name: str, batch: BatchLimits | None
) -> None:
    """Each attempt of a delivery sends identical bytes under an identical id."""
    asked = endpoint(format=name, batch=batch, fields=("active_*",))
    assert render([delivery()], endpoint=asked) == render([delivery()], endpoint=asked)


@pytest.mark.parametrize("name", FORMATS)
def test_a_batch_is_no_longer_than_was_reckoned(delivery: MakeDelivery, name: str) -> None:
    """Cutting batches by the sizes of their deliveries keeps the body within its limit."""
    members = [delivery(n, measured_at="2025-11-18T10:17:40.203Z") for n in range(20)]
    batched = endpoint(format=name, batch=BATCH)
    reckoned = sum(len(member.data) + envelope_bytes(batched) for member in members)
    assert len(render(members, endpoint=batched).body) <= reckoned + 128


@pytest.mark.parametrize("batch", [None, BATCH])
def test_a_test_event_is_simple_and_holds_no_meter_data(batch: BatchLimits | None) -> None:
    """`webhook.test` has the standard envelope, also for an endpoint of batches."""
    rendered = render_test(endpoint(batch=batch), now=NOW)
    body = json.loads(rendered.body)
    assert (body["type"], body["timestamp"]) == ("webhook.test", "2025-11-18T10:17:40Z")
    assert body["data"] == {"id": rendered.webhook_id, "endpoint": "acme", "message": "It works."}


def test_each_test_event_is_a_new_one() -> None:
    """A receiver that keeps ids accepts a second test."""
    later = NOW + timedelta(milliseconds=1)
    assert render_test(endpoint(), now=NOW) == render_test(endpoint(), now=NOW)
    first, second = render_test(endpoint(), now=NOW), render_test(endpoint(), now=later)
    assert first.webhook_id != second.webhook_id


def test_the_test_device_stands_in_a_url() -> None:
    """An endpoint with `{device}` in its URL can be tested too."""
    asked = Endpoint(EndpointName("acme"), url="https://a.example/{device}", keys=())
    assert asked.url_for(TEST_DEVICE) == "https://a.example/000000000000"
