import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from forwarder.event_data import MAX_DEPTH, encode_data
from forwarder.reading import Device, JsonValue, Reading, WebhookId

MEASURED_AT = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)
RECEIVED_AT = datetime(2025, 11, 18, 10, 17, 41, 203_000, tzinfo=UTC)


def reading(**parts: Any) -> Reading:
    return Reading(
        device=Device("ECC9FF5C7F14"),
        measured_at=MEASURED_AT,
        time_source="utc",
        received_at=RECEIVED_AT,
        **parts,
    )


def encoded(**parts: Any) -> bytes:
    return encode_data(WebhookId("msg_1"), reading(**parts))


def extra_of(value: JsonValue) -> object:
    """What a receiver sees of a value in `extra`, absent when it is not there."""
    return json.loads(encoded(extra={"value": value})).get("extra", {}).get("value", "absent")


def test_a_full_reading_is_written_as_documented() -> None:
    """The data object is compact JSON whose members stand in the documented order."""
    data = encoded(
        extra={"anything": "the payload held"},
        report={"id": 5, "interval_s": 30},
        volumes=({"bus": 1, "meter_id": "20000741"},),
        network={"wifi.sta.rssi": -30},
        system={"name": "Zähler", "firmware": "1.2.15"},
        meter={"vendor": "Landis+Gyr"},
        conversion_factor=1,
        tariff=2,
        measurements={"active_power_import_kw": 7.8497, "voltage_l1_v": 231},
    )
    assert data.decode() == (
        '{"id":"msg_1","device":"ECC9FF5C7F14","measured_at":"2025-11-18T10:17:40Z","time_source":"utc",'
        '"received_at":"2025-11-18T10:17:41.203Z",'
        '"measurements":{"active_power_import_kw":7.8497,"voltage_l1_v":231},"tariff":2,"conversion_factor":1,'
        '"meter":{"vendor":"Landis+Gyr"},"system":{"name":"Zähler","firmware":"1.2.15"},'
        '"network":{"wifi.sta.rssi":-30},"volumes":[{"bus":1,"meter_id":"20000741"}],'
        '"report":{"id":5,"interval_s":30},"extra":{"anything":"the payload held"}}'
    )


def test_absent_parts_are_left_out() -> None:
    """A reading with nothing but its times has nothing but its times."""
    assert list(json.loads(encoded())) == [
        "id",
        "device",
        "measured_at",
        "time_source",
        "received_at",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(7.8497, "7.8497", id="a float as people write it"),
        pytest.param(8306146, "8306146", id="an integer stays one"),
        pytest.param(Decimal("7.8500"), "7.8500", id="a decimal keeps its zeros"),
        pytest.param(
            Decimal("0.1234567890123456789"), "0.1234567890123456789", id="and its digits"
        ),
        pytest.param(Decimal("1E+3"), "1E+3", id="and its exponent, which is JSON too"),
        pytest.param(-0.0, "-0.0", id="negative zero"),
        pytest.param(0, "0", id="zero is a value, not an absence"),
    ],
)
def test_numbers_keep_their_digits(value: float | Decimal, text: str) -> None:
    """A number is written with the digits that the device sent."""
    assert f'"measurements":{{"voltage_l1_v":{text}}}'.encode() in encoded(
        measurements={"voltage_l1_v": value}
    )


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(Decimal("NaN"), id="a decimal NaN"),
        pytest.param(Decimal("-Infinity"), id="a decimal infinity"),
        pytest.param(None, id="null"),
        pytest.param(10**5000, id="an integer longer than Python writes"),
    ],
)
def test_what_is_no_json_number_is_left_out(value: Any) -> None:
    """The rest of the reading is sent as if the value were absent; a section that held only it is absent."""
    data = json.loads(
        encoded(measurements={"voltage_l1_v": value, "voltage_l2_v": 230}, meter={"id": value})
    )
    assert data["measurements"] == {"voltage_l2_v": 230}
    assert "meter" not in data


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        pytest.param({"a": None, "b": 1}, {"b": 1}, id="null in an object"),
        pytest.param([1, None, Decimal("2.50")], [1, 2.5], id="null in a list"),
        pytest.param("null", "null", id="the word is no null"),
        pytest.param((True, False), [True, False], id="a tuple is a list; booleans"),
        pytest.param({}, {}, id="an empty object that the payload held"),
        pytest.param("\ud800x", "\ufffdx", id="a lone surrogate is replaced"),
        pytest.param("\ud83d\ude00", "😀", id="two that belong together are joined"),
        pytest.param('"\\\x00\x1f\u2028', '"\\\x00\x1f\u2028', id="escapes"),
    ],
)
def test_a_receiver_sees_what_the_payload_held(value: JsonValue, seen: object) -> None:
    """Unknown values travel unchanged, save for what UTF-8 JSON cannot hold, and null."""
    assert extra_of(value) == seen


def test_text_is_utf8_not_escapes() -> None:
    """Names with umlauts are readable in a receiver's log."""
    assert "Zähler Küche".encode() in encoded(system={"name": "Zähler Küche"})


@pytest.mark.parametrize("innermost", [1, Decimal(1), None])
def test_deep_nesting_is_cut(innermost: JsonValue) -> None:
    """No payload can make a reading that the next reader runs out of stack over."""
    value: JsonValue = innermost
    for _ in range(900):
        value = [value]
    assert encoded(extra={"value": value}).count(b"[") < MAX_DEPTH
