import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

from hypothesis import given
from hypothesis import strategies as st
from support.any_reading import readings

from forwarder.delivery import Delivery
from forwarder.event_data import encode_data
from forwarder.reading import Reading, WebhookId
from forwarder.render import FORMATS, render
from forwarder.routes.model import BatchLimits, Endpoint, EndpointName

endpoints = st.builds(
    Endpoint,
    name=st.just(EndpointName("acme")),
    url=st.just("https://a.example"),
    keys=st.just(()),
    batch=st.none() | st.just(BatchLimits(max_events=10, max_wait_seconds=1)),
    fields=st.none() | st.sets(st.sampled_from(["*_a", "meter", "extra.*", "*.a*"])).map(tuple),
    format=st.sampled_from(sorted(FORMATS)),
)


def strictly(body: bytes) -> Any:
    """The JSON of a body as the strictest receiver reads it."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(body.decode("utf-8", "strict"), parse_constant=refuse)


@given(reading=readings, endpoint=endpoints)
def test_every_body_is_json(
    delivery: Callable[..., Delivery], reading: Reading, endpoint: Endpoint
) -> None:
    """Whatever a device sent, whatever the endpoint asks for: UTF-8, JSON, no NaN, no null."""
    stored = delivery(device=reading.device, data=encode_data(WebhookId("msg_1"), reading))
    body = strictly(render([stored], endpoint=endpoint).body)
    assert all(value is not None for value in leaves(body))


@given(reading=readings)
def test_every_finite_number_arrives_exactly(reading: Reading) -> None:
    """A receiver that reads decimals sees the numbers that the reading holds."""
    data = json.loads(encode_data(WebhookId("msg_1"), reading), parse_float=Decimal)
    finite = {
        name: Decimal(repr(value)) if isinstance(value, float) else value
        for name, value in reading.measurements.items()
        if Decimal(value).is_finite()
    }
    assert data.get("measurements", {}) == finite


def leaves(value: Any) -> list[object]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]
