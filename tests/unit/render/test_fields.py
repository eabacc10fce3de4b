import json

import pytest

from forwarder.render.fields import keep_fields
from forwarder.variables import ALWAYS

DATA = (
    '{"id":"msg_1","device":"ECC9FF5C7F14","measured_at":"2025-11-18T10:17:40Z","time_source":"utc",'
    '"received_at":"2025-11-18T10:17:41.203Z",'
    '"measurements":{"active_power_import_kw":7.8500,"active_power_export_kw":1E+3,"voltage_l1_v":231},'
    '"tariff":1,"conversion_factor":1.0,'
    '"meter":{"id":"123","vendor":"Zähler"},'
    '"network":{"wifi.sta.rssi":-30,"wifi.sta.ssid":"home"},'
    '"volumes":[{"bus":1,"meter_id":"20000741"},{"bus":2}],'
    '"report":{"id":5,"interval_s":30},'
    '"extra":{"tariff_name":"HT","nested":{"a":1,"b":[{"a":2,"c":3}]},"active_power_x":1}}'
).encode()


def kept(*fields: str) -> dict[str, object]:
    """The parts that these fields keep, without those that are always there."""
    members: dict[str, object] = json.loads(keep_fields(DATA, fields=fields))
    return {name: value for name, value in members.items() if name not in ALWAYS}


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        pytest.param([], {}, id="nothing but who and when"),
        pytest.param(
            ["active_power_*"],
            {"measurements": {"active_power_import_kw": 7.85, "active_power_export_kw": 1000}},
            id="measurements by glob, and nothing of that name elsewhere",
        ),
        pytest.param(
            ["measurements.voltage_l?_v"],
            {"measurements": {"voltage_l1_v": 231}},
            id="measurements by their full path",
        ),
        pytest.param(["tariff"], {"tariff": 1}, id="a scalar by name"),
        pytest.param(["conversion_*"], {"conversion_factor": 1.0}, id="a scalar by glob"),
        pytest.param(["meter.id"], {"meter": {"id": "123"}}, id="one value of a section"),
        pytest.param(
            ["meter"], {"meter": {"id": "123", "vendor": "Zähler"}}, id="a section by its name"
        ),
        pytest.param(
            ["network.wifi.*.rssi"],
            {"network": {"wifi.sta.rssi": -30}},
            id="a key that holds dots",
        ),
        pytest.param(["volumes.meter_id"], {"volumes": [{"meter_id": "20000741"}]}, id="volumes"),
        pytest.param(["*.id"], {"meter": {"id": "123"}, "report": {"id": 5}}, id="any section"),
        pytest.param(
            ["extra.nested.a"], {"extra": {"nested": {"a": 1}}}, id="deep in unknown values"
        ),
        pytest.param(
            ["extra.nested.b.c"], {"extra": {"nested": {"b": [{"c": 3}]}}}, id="through a list"
        ),
        pytest.param(["v*"], {"measurements": {"voltage_l1_v": 231}}, id="no section by a glob"),
        pytest.param(["n[!.]twork"], {}, id="nor by one with a dot that matches none"),
        pytest.param(["meter.serial", "TARIFF"], {}, id="what is not there; names have a case"),
    ],
)
def test_only_the_wanted_parts_are_kept(fields: list[str], parts: dict[str, object]) -> None:
    """A part is sent when a name or glob asks for it, and only then."""
    assert kept(*fields) == parts


@pytest.mark.parametrize("fields", [(), ("tariff",), ("id",)])
def test_who_and_when_are_always_sent(fields: tuple[str, ...]) -> None:
    """Without them a receiver could neither de-duplicate nor place a reading."""
    assert set(json.loads(keep_fields(DATA, fields=fields))) >= ALWAYS


def test_what_is_kept_keeps_its_digits_and_order() -> None:
    """Filtering re-writes nothing: zeros, exponents and umlauts stand as they were stored."""
    fields = ("*_kw", "*_v", "tariff", "conversion_factor", "meter", "network.*", "volumes.*")
    without_rest = DATA[: DATA.index(b',"report"')] + b"}"
    assert keep_fields(DATA, fields=fields) == without_rest


def test_a_star_keeps_everything() -> None:
    assert keep_fields(DATA, fields=("*",)) == DATA


def test_numbers_longer_than_python_reads_pass_through() -> None:
    """A device's longest number is digits to us, not arithmetic."""
    digits = b"1" * 5000
    data = b'{"extra":{"counter":' + digits + b"}}"
    assert keep_fields(data, fields=("extra.*",)) == data
