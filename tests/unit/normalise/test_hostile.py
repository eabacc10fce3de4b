"""For any bytes at all: a reading or a reason, never an exception, in bounded time."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.payloads import PAYLOADS, message, normaliser

from forwarder.event_data import encode_data
from forwarder.normalise.schema import event_schema
from forwarder.reading import Reading, Unreadable, webhook_id

SIZE = 65536
TEMPLATES = {
    "none": None,
    "json": '{"P_In":${1_7_0},"m":["${meter.vendor} ${meter.model}",-${2_7_0}],"${sys.id}":{"t":${timestamp}}}',
    "text": "m=${meter.vendor},${meter.model},p=${1_7_0},t=${meter.date_time},x=${x_y}",
    "csv": "${meter.vendor},${meter.model},${1_7_0},${2_7_0},${sys.id},${timestamp}",
}  # fmt: skip
READERS = {name: normaliser(template) for name, template in TEMPLATES.items()}
SAMPLES = [path.read_bytes() for path in sorted(PAYLOADS.iterdir())]
KEYS = [
    "P_In",
    "E_In",
    "T",
    "time",
    "Date",
    "Time",
    "Uptime",
    "Vol",
    "vol[0].bus",
    "report",
    "meter",
    "sys",
    "sys_id",
    "wifi",
    "m",
]
VALIDATOR = Draft202012Validator({"$ref": "#/$defs/data", "$defs": event_schema()["$defs"]})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)  # lone surrogates too
    | st.sampled_from(["null", "${1_7_0}", "NaN", "1e999", "ECC9FF5C7AD4", "2025-10-26T02:30:00Z"])
)
keys = st.sampled_from(KEYS) | st.text(max_size=4)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=20,
)


def holds_null(value: object) -> bool:
    if isinstance(value, dict | list):
        return any(map(holds_null, value.values() if isinstance(value, dict) else value))
    return value is None


def assert_bearable(payload: bytes) -> None:
    """Each reader says something, and a reading becomes data that any receiver can parse."""
    for reader in READERS.values():
        outcome = reader.normalise(message(payload))
        if isinstance(outcome, Reading):
            data = encode_data(webhook_id(outcome.device, payload), outcome)
            members = json.loads(data.decode(), parse_constant=pytest.fail)
            VALIDATOR.validate(members)
            assert not holds_null(members)
        else:
            assert isinstance(outcome, Unreadable)
            assert outcome.detail.isprintable()
            assert outcome.reason != "internal_error"


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_borne(payload: bytes) -> None:
    """Noise ends as a reason."""
    assert_bearable(payload)


@settings(deadline=None)
@given(documents, st.booleans())
def test_any_json_is_borne(document: Any, is_ascii: bool) -> None:
    """Any JSON, with known keys in every wrong place, ends as a reading or a reason."""
    text = json.dumps(document, ensure_ascii=is_ascii)

    assert_bearable(text.encode("utf-8", "surrogatepass"))


@settings(deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_any_damaged_payload_is_borne(sample: bytes, data: st.DataObject) -> None:
    """A real payload with something overwritten, cut out or put in ends as a reading or a reason."""
    start = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(start, min(len(sample), start + 20)))
    put_in = data.draw(
        st.binary(max_size=8)
        | st.sampled_from([b'"', b"{", b"\\", b"${", b"}", b",", b"NaN", b"1e999"])
    )

    assert_bearable(sample[:start] + put_in + sample[end:])


HOSTILE = {
    "open arrays": b"[",
    "open objects": b'{"a":',
    "known objects": b'{"report":',
    "quotes": b'"',
    "escaped quotes": b'"\\"',
    "backslashes": b'"\\\\',
    "open placeholders": b"${",
    "placeholders": b"${a}",
    "placeholders without braces": b"$",
    "bare words": b"a",
    "spaces behind a colon": b": ",
    "colons": b":",
    "digits": b"1",
    "fractions": b"0.1",
    "signs": b"+-",
    "exponents": b"1e",
    "commas": b",",
    "separators of the text template": b",p=1",
    "the whole text template": b"m=,,p=1,t=",
    "spaces": b" ",
    "zeros": b"\0",
    "line ends": b"\r\n",
    "escapes": b"\\ud800",
    "volumes": b'{"bus":1},',
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", [pytest.param(unit, id=name) for name, unit in HOSTILE.items()])
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        pytest.param(b"", b"", id="alone"),
        pytest.param(b'{"P_In":', b"}", id="as a bare value"),
        pytest.param(b'{"P_In":"', b'"}', id="as a quoted value"),
        pytest.param(b'{"m":["', b'",1]}', id="in a string of two variables"),
        pytest.param(b'{"x":', b"", id="unclosed"),
        pytest.param(b'{"Vol":[', b"{}]}", id="in an array of volumes"),
        pytest.param(b"m=", b",x=", id="in a text"),
        pytest.param(b"m=a,", b",p=x,t=,x=", id="in a text that fits in no way"),
    ],
)
def test_no_input_takes_long(unit: bytes, before: bytes, behind: bytes) -> None:
    """64 KiB of whatever repeats are read in time that grows with the size, not with its square."""
    times = (SIZE - len(before) - len(behind)) // len(unit)

    assert_bearable(before + unit * times + behind)
