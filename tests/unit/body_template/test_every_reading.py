"""Whatever a device sent: a template writes a valid body, or says that there is nothing to say."""

import csv
import io
import json
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.any_reading import any_text, readings

from forwarder.body_template import (
    BodyTemplate,
    NothingToSay,
    TemplateMistakes,
    View,
    compile_template,
)
from forwarder.event_data import encode_data
from forwarder.reading import Reading, WebhookId, rfc3339

NAMES = (
    "id",
    "device",
    "measured_at",
    "received_at",
    "measured_at_ns",
    "active_power_import_kw",
    "voltage_l1_v",
    "tariff",
    "meter.vendor",
    "network.wifi.sta.rssi",
    "volumes[0].bus",
    "extra.a",
    "extra.a.b",
    "extra",
    "measurements",
    "data",
    "endpoint",
)
names = st.sampled_from(NAMES)
fields_of_json = st.recursive(
    names.map("${{{}}}".format)
    | names.map('"${{{}}}"'.format)
    | st.tuples(any_text, names).map(lambda both: _quoted(both[0], both[1]))
    | any_text.map(lambda text: json.dumps(text.replace("$", ""))),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(inner, max_size=3).map(
            lambda items: (
                "{" + ",".join(f'"k{place}":{item}' for place, item in enumerate(items)) + "}"
            )
        )
    ),
    max_leaves=6,
)
INFLUX = (
    "energy,device=${device},vendor=${meter.vendor},x=${extra.a}"
    ' kw=${active_power_import_kw},v=${voltage_l1_v},who="${meter.vendor}, ${extra.a.b}",any=${extra.a}'
    " ${measured_at_ns}"
)


def _quoted(text: str, name: str) -> str:
    return json.dumps(text.replace("$", ""))[:-1] + f'${{{name}}}"'


def view_of(reading: Reading) -> View:
    return View(
        encode_data(WebhookId("msg_1"), reading),
        event_type="meter.reading",
        timestamp=rfc3339(reading.measured_at),
        endpoint="acme",
    )


def strictly(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse, parse_float=Decimal)


@given(reading=readings, template=fields_of_json)
def test_json_template_writes_json(reading: Reading, template: str) -> None:
    """Whatever the template and the reading hold, the body is JSON without null, NaN or `${`."""
    compiled = _compiled(f'{{"d":"${{device}}","x":{template}}}')
    body = strictly(compiled.write(view_of(reading)))
    assert body["d"] == strictly(view_of(reading).data)["device"]
    assert body.keys() <= {"d", "x"}


@given(reading=readings)
def test_bare_value_is_as_it_is_in_the_event(reading: Reading) -> None:
    """Outside of quotes a variable is what the event has, digit by digit."""
    view = view_of(reading)
    event = strictly(view.data)
    compiled = _compiled('{"p":${active_power_import_kw},"m":${measurements},"d":${data}}')
    body = strictly(compiled.write(view))
    assert body.get("p") == event.get("measurements", {}).get("active_power_import_kw")
    assert body.get("m") == event.get("measurements")
    assert body["d"] == event


@given(reading=readings, name=names)
def test_value_is_found_as_if_the_whole_event_were_decoded(reading: Reading, name: str) -> None:
    """Reading no more of an event than is asked for changes nothing."""
    template = _compiled(f'{{"x":${{{name}}}}}')
    lazily = view_of(reading)
    whole = View(
        lazily.data.encode(),
        event_type="another",
        timestamp=lazily.timestamp,
        endpoint=lazily.endpoint,
    )
    assert strictly(template.write(lazily)) == strictly(template.write(whole))


@given(reading=readings)
def test_line_is_valid_line_protocol(reading: Reading) -> None:
    """InfluxDB's line protocol: one line, no empty tag or field, and values that end where they should."""
    compiled = compile_template(INFLUX, escape="influx", is_batched=False)
    assume(_written(compiled, reading) is not None)
    line = _written(compiled, reading) or ""
    name, tags, fields, timestamp = parse_line(line)
    assert name == "energy"
    assert all(tags.values())
    assert fields
    assert re.fullmatch(r"-?[0-9]+", timestamp)
    assert set(tags) <= {"device", "vendor", "x"}
    assert set(fields) <= {"kw", "v", "who", "any"}
    for value in fields.values():
        assert re.fullmatch(r'"([^"\\]|\\.)*"|true|false|-?[0-9.]+([eE][+-]?[0-9]+)?', value)


@given(reading=readings)
def test_row_is_valid_csv(reading: Reading) -> None:
    """RFC 4180: the columns stay the columns, whatever stands in them."""
    template = '${device},${meter.vendor},"${extra.a}",${active_power_import_kw}'
    compiled = compile_template(template, escape="csv", is_batched=False)
    body = compiled.write(view_of(reading))
    (row,) = csv.reader(io.StringIO(body, newline=""), strict=True)
    assert len(row) == 4
    assert row[3] == re.sub(r".*,", "", body)


@given(reading=readings, template=any_text)
def test_text_is_one_line_or_nothing(reading: Reading, template: str) -> None:
    """A value never begins a line of its own."""
    text = template.replace("$", "").replace("\n", "").replace("\r", "")
    compiled = compile_template(text + " ${extra.a}", is_json=False, is_batched=False)
    written = _written(compiled, reading)
    assert written is None or "\n" not in written


@given(text=any_text, is_batched=st.booleans(), escape=st.sampled_from([None, "csv", "influx"]))
def test_any_text_is_a_template_or_a_mistake(text: str, is_batched: bool, escape: Any) -> None:
    """No text of an operator's breaks the loading of routes.yaml."""
    with suppress(TemplateMistakes):
        compile_template(text, escape=escape, is_batched=is_batched)


def _compiled(text: str) -> BodyTemplate:
    return compile_template(text, is_batched=False)


def _written(template: BodyTemplate, reading: Reading) -> str | None:
    try:
        return template.write(view_of(reading))
    except NothingToSay:
        return None


def parse_line(line: str) -> tuple[str, dict[str, str], dict[str, str], str]:
    """A line as InfluxDB takes it apart: blanks, commas and = count unless escaped or, in fields, in quotes."""
    head = split(line, " ", quotes=False)[0]
    fields, timestamp = split(line[len(head) + 1 :], " ", quotes=True)
    name, *tags = split(head, ",", quotes=False)
    return (
        name,
        _pairs(tags, quotes=False),
        _pairs(split(fields, ",", quotes=True), quotes=True),
        timestamp,
    )


def _pairs(texts: list[str], *, quotes: bool) -> dict[str, str]:
    pairs = [split(text, "=", quotes=quotes) for text in texts]
    assert all(len(pair) == 2 for pair in pairs), pairs
    return {key: value for key, value in pairs}  # noqa: C416 - of lists


def split(text: str, separator: str, *, quotes: bool) -> list[str]:
    parts, is_inside, is_escaped = [""], False, False
    for character in text:
        if character == separator and not (is_inside or is_escaped):
            parts.append("")
            continue
        if character == '"' and quotes and not is_escaped:
            is_inside = not is_inside
        is_escaped = character == "\\" and not is_escaped
        parts[-1] += character
    return parts


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ('"${extra.nothing}"', "a value for none"),
        ("${active_energy_import_kwh}i", "whole numbers"),
    ],
)
def test_what_cannot_be_written_says_why(template: str, why: str) -> None:
    data = b'{"id":"m","measurements":{"active_energy_import_kwh":1.5}}'
    view = View(data, event_type="meter.reading", timestamp="2025-01-01T00:00:00Z", endpoint="a")
    compiled = compile_template(f"m f={template}", escape="influx", is_batched=False)
    with pytest.raises(NothingToSay, match=why):
        compiled.write(view)


@pytest.mark.parametrize(
    ("behind", "vendor"),
    [
        pytest.param('"meter":{"vendor":"L+G","type":"x"}', "L+G", id="as devices send it"),
        pytest.param('"tariff":1,"meter":{"type":"x","vendor":"L+G"}', "L+G", id="behind numbers"),
        pytest.param('"extra":{"meter":{"vendor":"no"}}', None, id="only within another"),
        pytest.param('"extra":{"a":1,"meter":{"vendor":"no"}}', None, id="within, behind a number"),
        pytest.param(
            '"system":{"meter":{"vendor":"no"}},"meter":{"vendor":"L+G"}', "L+G", id="within, too"
        ),
        pytest.param('"meter":{"type":{"vendor":"no"}}', None, id="nested in it"),
        pytest.param('"meter":{"a":{"vendor":"no"},"vendor":"L+G"}', "L+G", id="behind a nested"),
        pytest.param('"meter":{"type":"}","vendor":"L{G"}', "L{G", id="braces in texts"),
        pytest.param('"meter":{"type":"x"},"extra":{"vendor":"no"}', None, id="of another section"),
        pytest.param(
            r'"meter":{"type":"\"vendor\":1","vendor":"L\"G"}', 'L"G', id="quotes in texts"
        ),
        pytest.param('"meter":["vendor"]', None, id="no object"),
    ],
)
def test_value_of_a_section_is_its_own(behind: str, vendor: str | None) -> None:
    """However sections and texts are made, no other value is taken for it."""
    head = '"id":"msg_1","device":"ECC9FF5C7F14","measured_at":"2025-11-18T10:17:40Z","time_source":"utc"'
    data = f'{{{head},"received_at":"2025-11-18T10:17:41Z","measurements":{{"p":1}},{behind}}}'
    view = View(data.encode(), event_type="meter.reading", timestamp="", endpoint="acme")
    body = strictly(_compiled('{"d":"${device}","x":"${meter.vendor}"}').write(view))
    assert body.get("x") == vendor
