"""What a template writes, value by value, and how its mistakes are told."""
# ruff: noqa: E501 - sentences stand here as operators see them

import json

import pytest

from forwarder.body_template import (
    NothingToSay,
    TemplateMistakes,
    View,
    compile_template,
    notice_finder_of,
)
from forwarder.body_template.line_body import Escape
from forwarder.event_data import write_json

DATA = (
    b'{"id":"msg_1","device":"ECC9FF5C7F14","measured_at":"2025-11-18T10:17:40.5Z","time_source":"utc",'
    b'"received_at":"2025-11-18T10:17:41.203Z","measurements":{"active_power_import_kw":7.8500,"voltage_l1_v":231},'
    b'"tariff":1,"meter":{"vendor":"Landis \\"+\\" Gyr","id":"a,b"},"network":{"wifi.sta.rssi":-30},'
    b'"volumes":[{"bus":1,"meter_id":"2000"}],"extra":{"x":true,"deep":{"er":[1,2]},"a.b":"dotted"}}'
)


def written(
    template: str,
    *,
    escape: Escape | None = None,
    data: bytes = DATA,
    event_type: str = "meter.reading",
) -> str:
    view = View(data, event_type=event_type, timestamp="2025-11-18T10:17:40.5Z", endpoint="acme")
    return compile_template(template, escape=escape, is_batched=False).write(view)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("${active_power_import_kw}", "7.8500", id="a number keeps its digits"),
        pytest.param('"${active_power_import_kw}"', '"7.8500"', id="a number as text"),
        pytest.param("${device}", '"ECC9FF5C7F14"', id="a text as it is is quoted"),
        pytest.param('"${meter.vendor}"', '"Landis \\"+\\" Gyr"', id="a text is escaped"),
        pytest.param("${extra.x}", "true", id="a truth value"),
        pytest.param("${extra.deep}", '{"er":[1,2]}', id="a part as it is"),
        pytest.param('"${extra.deep}"', '"{\\"er\\":[1,2]}"', id="a part as text"),
        pytest.param("${extra.deep.er}", "[1,2]", id="what is nested"),
        pytest.param("${extra.a.b}", '"dotted"', id="a key that holds a dot"),
        pytest.param("${network.wifi.sta.rssi}", "-30", id="a section's key with dots"),
        pytest.param("${volumes[0].meter_id}", '"2000"', id="one of several"),
        pytest.param("${measurements.voltage_l1_v}", "231", id="a measurement by its section"),
        pytest.param("${tariff}", "1", id="a value beside the sections"),
        pytest.param("${measured_at_s}", "1763461060", id="seconds"),
        pytest.param("${measured_at_ms}", "1763461060500", id="milliseconds"),
        pytest.param("${measured_at_ns}", "1763461060500000000", id="nanoseconds"),
        pytest.param("${received_at_ms}", "1763461061203", id="when it came"),
        pytest.param('"${endpoint} ${type}"', '"acme meter.reading"', id="the envelope"),
        pytest.param('"at ${timestamp}"', '"at 2025-11-18T10:17:40.5Z"', id="its time"),
        pytest.param('"a ${meter.status} b"', '"a  b"', id="absent inside a text is empty"),
        pytest.param('["${meter.status}", 1]', "[1]", id="absent in a list is left out"),
        pytest.param("null", "null", id="what the template says itself"),
    ],
)
def test_json_value(value: str, expected: str) -> None:
    """Outside of quotes a value as it is, inside text."""
    body = written(f'{{"d": "${{device}}", "x": {value}}}')
    assert body == f'{{"d":"ECC9FF5C7F14","x":{expected}}}'
    json.loads(body)


@pytest.mark.parametrize("value", ["${meter.status}", '"${meter.status}"', "${extra.no.where}"])
def test_member_whose_only_value_is_absent_is_left_out(value: str) -> None:
    assert written(f'{{"d":"${{device}}","x":{value}}}') == '{"d":"ECC9FF5C7F14"}'


def test_key_may_be_a_variable() -> None:
    assert (
        written('{"${device}":{"kw":${active_power_import_kw}}}')
        == '{"ECC9FF5C7F14":{"kw":7.8500}}'
    )


@pytest.mark.parametrize(
    ("escape", "template", "expected"),
    [
        ("none", "${device} ${meter.vendor}", 'ECC9FF5C7F14 Landis "+" Gyr'),
        ("none", "a\n${device}\n${meter.status}\nb", "a\nECC9FF5C7F14\nb"),
        ("csv", "${device};${meter.vendor};${meter.status}", 'ECC9FF5C7F14;"Landis ""+"" Gyr";'),
        ("csv", '"${meter.vendor}",${meter.id}', '"Landis ""+"" Gyr","a,b"'),
        ("influx", "m,d=${device} v=${voltage_l1_v}", "m,d=ECC9FF5C7F14 v=231"),
        ("influx", "m,i=${meter.id} v=${voltage_l1_v}i", "m,i=a\\,b v=231i"),
        ("influx", 'm v="${meter.vendor}" ${measured_at_ns}', 'm v="Landis \\"+\\" Gyr" 1763461060500000000'),
        ("influx", "m v=${meter.vendor},x=${extra.x}", 'm v="Landis \\"+\\" Gyr",x=true'),
        ("influx", "m,s=${meter.status} s=${meter.status},v=1", "m v=1"),
        ("influx", "m a=${voltage_l1_v}\nm b=${meter.status}\nn c=${tariff}", "m a=231\nn c=1"),
    ],
)  # fmt: skip
def test_line(escape: Escape, template: str, expected: str) -> None:
    """Each line of a text, its values escaped; a line without any value is left out."""
    assert written(template, escape=escape) == expected


def test_no_value_breaks_a_line() -> None:
    """Control characters become blanks, because a line break would be another reading."""
    data = write_json({"device": "A", "extra": {"x": "1\r\n2"}})
    assert written("${device},${extra.x}", data=data) == "A,1  2"


def test_batch_is_joined_or_one_body() -> None:
    one = compile_template('{"d":"${device}"}', is_batched=True)
    lines = compile_template("${device}", is_batched=True)
    every = compile_template('{"all":${events}}', is_batched=True)
    assert one.join(['{"d":"A"}', '{"d":"B"}']) == b'[{"d":"A"},{"d":"B"}]'
    assert lines.join(["A", "B"]) == b"A\nB"
    assert (one.takes_all, every.takes_all) == (False, True)
    view = View(b'[{"id":"1"}]', event_type="meter.readings", timestamp="t", endpoint="acme")
    assert every.write(view) == '{"all":[{"id":"1"}]}'


def test_event_without_any_value_has_no_body() -> None:
    with pytest.raises(NothingToSay):
        written("${meter.status}")


@pytest.mark.parametrize(
    ("template", "escape", "mistakes"),
    [
        pytest.param(
            '{"a": 1,\n "b": "${activ_power_import_kw}"}',
            None,
            ["line 2, column 8: ${activ_power_import_kw}: no event has a value of that name; did you mean ${active_power_import_kw}?"],
            id="a misspelt name",
        ),
        pytest.param("${1_7_0}", None, ["line 1, column 1: ${1_7_0}: no event has a value of that name; did you mean ${active_power_import_kw}?"], id="a device's own name"),
        pytest.param("${meter.colour} ${x}", None, ["line 1, column 1: ${meter.colour}: no event has a value of that name; did you mean ${meter.model}?", "line 1, column 17: ${x}: no event has a value of that name"], id="two of them"),
        pytest.param("slack.json", None, ["it holds no variable such as ${device}; a file is named file:NAME"], id="a file's name alone"),
        pytest.param('{"a": "${device"}', None, ["line 1, column 8: this ${ is not closed by a }; a variable is ${name}"], id="not closed"),
        pytest.param('{"a": ${device},\n "b" 1}', None, ["it is no JSON: line 2, column 6: expecting ':' delimiter"], id="no JSON"),
        pytest.param('{"a": -${tariff}}', None, ["it is no JSON: line 1, column 8: outside of quotes a variable stands alone; put quotes around the whole text"], id="glued"),
        pytest.param('{"a": ${device}, "b": NaN}', None, ["it is no JSON: NaN is no JSON"], id="NaN"),
        pytest.param('{"a": ${device}}', "csv", ["it is JSON, which is escaped by itself; leave out escape"], id="JSON with escape"),
        pytest.param("${events}", None, ["line 1, column 1: ${events}: it stands for the readings of a batch, and the endpoint has no batch"], id="events of no batch"),
        pytest.param("m,d=${device}", "influx", ["line 1: expected measurement,tag=… field=…,field=… timestamp, with one blank between"], id="a line without fields"),
        pytest.param("m f=a${device}", "influx", ["line 1: the value of a field is one variable, or a text in quotes"], id="a field that is glued"),
        pytest.param("m f=1,${device}", "influx", ["line 1: expected each tag and each field as name=value"], id="a field without its name"),
    ],
)  # fmt: skip
def test_mistake_is_told_with_its_place(
    template: str, escape: Escape | None, mistakes: list[str]
) -> None:
    with pytest.raises(TemplateMistakes) as told:
        compile_template(template, escape=escape, is_batched=False)
    assert list(told.value.mistakes) == mistakes


def test_beside_events_there_is_no_single_reading() -> None:
    with pytest.raises(TemplateMistakes, match="no single reading"):
        compile_template('{"a":${events},"d":"${device}"}', is_batched=True)


def test_equal_templates_make_equal_endpoints() -> None:
    """A reload that changes nothing finds nothing changed, although everything was compiled anew."""
    one, same, other = (
        compile_template(text, is_batched=False) for text in ("${id}", "${id}", "${device}")
    )
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


def test_operator_event_is_written_by_its_own_names() -> None:
    """`operator:` takes templates too, over what its events hold."""
    template = compile_template(
        '{"text": "${type}: ${message}", "at": "${timestamp}", "where": "${endpoint}"}',
        name_to_finder=notice_finder_of,
    )
    data = (
        b'{"type":"endpoint.failing","id":"msg_1","endpoint":"acme","message":"acme \\"fails\\""}'
    )
    view = View(data, event_type="notice", timestamp="2025-11-18T10:17:40Z", endpoint="operator")
    assert json.loads(template.write(view)) == {
        "text": 'endpoint.failing: acme "fails"',
        "at": "2025-11-18T10:17:40Z",
        "where": "acme",
    }
    test = View(
        b'{"id":"test_1","endpoint":"operator","message":"It works."}', event_type="webhook.test",
        timestamp="2025-11-18T10:17:40Z", endpoint="operator",
    )  # fmt: skip
    assert json.loads(template.write(test))["text"] == "webhook.test: It works."
    with pytest.raises(TemplateMistakes, match="no operator event has a value of that name"):
        compile_template("${active_power_import_kw}", name_to_finder=notice_finder_of)
