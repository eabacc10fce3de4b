"""The table of variables, and what is made from it: the schema and the page."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from support.payloads import PAYLOADS, read

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.event_data import encode_data
from forwarder.normalise.events_table import table
from forwarder.normalise.example import EXAMPLE
from forwarder.normalise.schema import event_schema
from forwarder.normalise.shapes import known_shapes
from forwarder.reading import rfc3339, webhook_id
from forwarder.render import render
from forwarder.routes.model import BatchLimits, Endpoint, EndpointName
from forwarder.variables import variable_named, variables

DOCS = Path(__file__).parents[3] / "docs"
VALIDATOR = Draft202012Validator(event_schema())
FILES = [path.name for path in PAYLOADS.iterdir() if path.suffix == ".json"]
UNITS = {
    "kwh": "kWh", "kvarh": "kvarh", "kw": "kW", "kvar": "kvar", "kva": "kVA", "v": "V", "a": "A", "factor": "",
}  # fmt: skip


def endpoint(form: str, *, is_batched: bool) -> Endpoint:
    return Endpoint(
        EndpointName("acme"),
        url="https://a.example",
        keys=(),
        format="cloudevents" if form == "cloudevents" else "standard",
        batch=BatchLimits(max_events=10, max_wait_seconds=1) if is_batched else None,
    )


def delivery(file: str) -> Delivery:
    payload = (PAYLOADS / file).read_bytes()
    reading = read(payload, topic="lab/ECC9FF5C7F14" if b"7F14" in payload else "lab/whatwatt")
    reading_id = webhook_id(reading.device, payload)
    return Delivery(
        reading=ReadingNumber(1),
        endpoint="acme",
        device=reading.device,
        webhook_id=reading_id,
        measured_at=rfc3339(reading.measured_at),
        received_at=0.0,
        age_from=0.0,
        attempts=0,
        data=encode_data(reading_id, reading),
    )


@pytest.mark.parametrize("is_batched", [False, True])
@pytest.mark.parametrize("form", ["standard", "cloudevents"])
@pytest.mark.parametrize("file", FILES)
def test_bodies_of_real_payloads_validate(file: str, form: str, is_batched: bool) -> None:
    """What a receiver is sent is what the schema promises, in every format."""
    rendered = render([delivery(file)], endpoint=endpoint(form, is_batched=is_batched))

    VALIDATOR.validate(json.loads(rendered.body))


def test_the_schema_is_a_schema() -> None:
    """A receiver's tools can use it."""
    Draft202012Validator.check_schema(event_schema())


def test_the_example_of_the_page_validates() -> None:
    """The page shows what is sent."""
    (shown,) = re.findall(r"```json\n(.*?)```", (DOCS / "events.md").read_text(), re.DOTALL)

    VALIDATOR.validate(EXAMPLE)
    assert json.loads(shown) == EXAMPLE


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("data", "measurements", "power_in"), 1, id="an unknown measurement"),
        pytest.param(("data", "measurements", "voltage_l1_v"), "230", id="a quoted number"),
        pytest.param(("data", "measurements", "voltage_l1_v"), None, id="null"),
        pytest.param(("data", "tariff"), 0, id="tariff 0"),
        pytest.param(("data", "measured_at"), "2025-11-18T11:17:40+01:00", id="a local time"),
        pytest.param(("data", "id"), "a b", id="an id with a space"),
        pytest.param(("type",), "meter.other", id="an unknown type"),
    ],
)
def test_the_schema_refuses_what_is_never_sent(path: tuple[str, ...], value: object) -> None:
    """Otherwise it would prove nothing."""
    event: Any = json.loads(json.dumps(EXAMPLE))
    *parents, key = path
    place = event
    for parent in parents:
        place = place[parent]
    place[key] = value

    with pytest.raises(ValidationError):
        VALIDATOR.validate(event)


def test_the_list_of_values_is_current() -> None:
    """docs/events.csv is made by `python -m forwarder.normalise.events_table > docs/events.csv`."""
    assert (DOCS / "events.csv").read_text(encoding="utf-8") == table()


def test_the_page_names_values_that_there_are() -> None:
    """What it says of a name by hand is said of one in the list, under its whole name."""
    page = (DOCS / "events.md").read_text()
    names = {row.field.replace("volumes.", "volumes[n].") for row in variables()}

    beside = page.split("## Beside them")[1].split("## Times")[0]
    assert set(re.findall(r"`([a-z_.\[\]]*[._][a-z_.\[\]]*)`", beside)) <= names


def test_units_stand_in_the_names_of_measurements() -> None:
    """A name says its unit, and the table says the same."""
    for variable in variables():
        if variable.kind == "measurement":
            assert UNITS[variable.name.rpartition("_")[2]] == variable.unit, variable.name


def test_no_two_places_of_a_shape_are_the_same() -> None:
    """The tree of the known shapes can be built, which refuses a place of two variables."""
    assert known_shapes() is known_shapes()


def test_every_variable_of_the_table_can_be_named_in_a_template() -> None:
    """By its own name and by its alias."""
    for variable in variables():
        for name in filter(None, (variable.variable, variable.alias)):
            use = variable_named(name.replace("[n]", "[7]"))
            assert use is not None
            assert use.variable is variable
