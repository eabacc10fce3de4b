"""
A JSON key given twice (thomasnordquist/MQTT-Explorer#705): the first value stays, a different second goes to `extra`.

One rule for each depth, for shapes and templates, and for the fast path.
"""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fuzz import assert_read_alike, payloads
from support.payloads import DEVICE, message, normaliser, read, refuse
from support.properties import examples

from forwarder.normalise import FastPath
from forwarder.normalise.template import Template

BOTH_OF_A_TEMPLATE = (
    '{"P_In":${2_7_0},"net":${1_7_0},"P_In":${1_7_0},"ts":${timestamp}}'  # `check` takes it
)


@pytest.mark.parametrize(
    ("payload", "power", "extra"),
    [
        pytest.param('{"P_In":1,"P_In":2}', 1, {"P_In": 2}, id="the second differs"),
        pytest.param('{"P_In":1,"P_In":1.0}', 1, {}, id="it is the same number"),
        pytest.param('{"P_In":3,"P_In":""}', 3, {}, id="it is absent"),
        pytest.param('{"P_In":null,"P_In":3}', 3, {}, id="the first is absent"),
        pytest.param('{"P_In":null,"power_in":1,"P_In":1}', 1, {}, id="beside another name of it"),
        pytest.param('{"P_In":1,"P_In":2,"P_In":3}', 1, {"P_In": [2, 3]}, id="three of them"),
        pytest.param('{"P_In":1,"P_In":2,"P_In":2}', 1, {"P_In": 2}, id="two of them equal"),
        pytest.param('{"P_In":1,"x":1,"x":2,"x":1}', 1, {"x": [1, 2]}, id="of a key of no rule"),
        pytest.param('{"P_In":1,"x":[1],"x":[2]}', 1, {"x": [[1], [2]]}, id="arrays"),
        pytest.param('{"P_In":1,"x":1,"x":true}', 1, {"x": [1, True]}, id="true is not 1"),
        pytest.param('{"P_In":1,"x":{"a":1},"x":{"b":2}}', 1, {"x": {"a": 1, "b": 2}}, id="objects are merged"),
        pytest.param('{"P_In":1,"x":{"a":1},"x":{"a":2}}', 1, {"x": {"a": [1, 2]}}, id="and differ within"),
        pytest.param('{"P_In":1,"x":{"a":1,"a":2}}', 1, {"x": {"a": [1, 2]}}, id="at any depth"),
        pytest.param('{"P_In":1,"x":[{"a":1,"a":2}]}', 1, {"x": [{"a": [1, 2]}]}, id="in an array"),
        pytest.param(r'{"P_In":1,"\ud800":1,"\ud801":2}', 1, {"�": [1, 2]}, id="keys that become one"),
        pytest.param('{"P_In":1,"Date":"x","Date":"y"}', 1, {"Date": ["x", "y"]}, id="dates that are none"),
    ],
)  # fmt: skip
def test_first_value_stays(payload: str, power: float, extra: dict[str, object]) -> None:
    """And what differs from it is carried in `extra`, where it stood."""
    reading = read(payload)
    assert reading.measurements == {"active_power_import_kw": power}
    assert json.dumps(reading.extra) == json.dumps(extra)


def test_known_objects_given_twice_are_merged() -> None:
    """Their values are read wherever they stand."""
    reading = read(
        '{"report":{"instantaneous_power":{"active":{"positive":{"total":1}}}},'
        '"report":{"instantaneous_power":{"active":{"negative":{"total":2},"negative":{"total":3}}}}}'
    )
    assert reading.measurements == {"active_power_import_kw": 1, "active_power_export_kw": 2}
    (left,) = _leaves(reading.extra)
    assert left == 3


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return [value]


def test_first_time_stays() -> None:
    """An absent second takes nothing away, and neither does a different one."""
    assert read('{"timestamp":1795884652,"P_In":3,"timestamp":null}').time_source == "timestamp"
    reading = read('{"P_In":3,"Date":"2026-11-28","Time":"17:00:00","Date":"2026-11-27"}')
    assert (reading.measured_at.day, reading.extra) == (28, {"Date": "2026-11-27"})


@pytest.mark.parametrize("topic", [f"ext/partner/{DEVICE}", "lab/house"])
def test_two_devices_under_one_key_are_a_mismatch(topic: str) -> None:
    """Meter data is personal: where two devices are named nobody gets the reading."""
    payload = f'{{"sys_id":"{DEVICE}","P_In":1,"sys_id":"ECC9FF5C7B01"}}'
    assert refuse(payload, topic=topic).reason == "device_mismatch"


def test_rules_of_a_template_are_met_in_its_order() -> None:
    """A template that gives a key twice says what each of the two is."""
    payload = '{"P_In":2.5,"net":1.5,"P_In":1.5,"ts":1795884652}'
    reading = read(payload, template=BOTH_OF_A_TEMPLATE)
    assert reading.measurements == {"active_power_export_kw": 2.5, "active_power_import_kw": 1.5}
    assert reading.extra == {}
    assert Template.parse(BOTH_OF_A_TEMPLATE).remarks == ()


def test_more_of_a_key_than_in_the_template_are_read_by_its_last_rule() -> None:
    payload = '{"P_In":2.5,"net":1.5,"P_In":1.5,"P_In":7,"ts":1795884652}'
    assert read(payload, template=BOTH_OF_A_TEMPLATE).extra == {"P_In": 7}


def test_each_message_of_such_a_template_is_read() -> None:
    """Of 40 messages 16 went to quarantine, because learning their layout broke."""
    line = normaliser(BOTH_OF_A_TEMPLATE)
    fast_path = FastPath(line)
    for number in range(40):
        one = message(f'{{"P_In":null,"net":{number},"P_In":{number},"ts":{1795884652 + number}}}')
        assert fast_path.read(one) is None
        assert not hasattr(line.normalise(one), "reason")


members = st.lists(
    st.tuples(st.sampled_from(["P_In", "P_Out", "PF"]), st.integers(0, 3)), min_size=1, max_size=6
)


@given(members)
@settings(max_examples=examples(200), deadline=None)
def test_reading_is_that_of_the_first_values(some: list[tuple[str, int]]) -> None:
    """Whatever comes again changes nothing but `extra`, which holds what differs."""
    first = dict(reversed(some))
    reading = read(_text(some))
    assert replace(reading, extra={}) == read(_text(list(first.items())))
    others = {key: {v for k, v in some if k == key} - {first[key]} for key in first}
    kept = {key: v if isinstance(v, list) else [v] for key, v in reading.extra.items()}
    assert {key: set(v) for key, v in kept.items()} == {k: v for k, v in others.items() if v}


def _text(some: list[tuple[str, int]]) -> str:
    return "{" + ",".join(f'"{key}":{value}' for key, value in some) + "}"


def test_thousands_of_one_key_take_no_longer_than_other_keys() -> None:
    """Each of them is looked at once; the time is that of the payload's length."""
    reading = read('{"P_In":1' + "".join(f',"x":{number}' for number in range(5_000)) + "}")
    assert reading.extra["x"] == [*range(5_000)]


@pytest.mark.parametrize("seed", range(5))
def test_forms_and_normaliser_read_alike(seed: int) -> None:
    """Generated payloads, keys repeated at every depth: the fast path writes the same bytes."""
    assert_read_alike(payloads(seed, 100))
