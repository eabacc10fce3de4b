import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from support.payloads import PAYLOADS, TOPIC, message, normaliser, read

from forwarder.reading import rfc3339
from forwarder.variables import Variable, variables

MEASUREMENTS = [variable for variable in variables() if variable.kind == "measurement"]


def nested(path: str, value: object) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {head: nested(rest, value) if rest else value}


def merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    shared = {key: merged(left[key], right[key]) for key in left.keys() & right.keys()}
    return left | right | shared


@pytest.mark.parametrize(
    ("file", "measured_at", "source", "expected"),
    [
        pytest.param(
            "report-landis-gyr.json",
            "2025-10-07T12:26:10Z",
            "utc",
            {"active_energy_import_kwh": 75.133, "reactive_energy_export_kvarh": 19.481},
            id="the report, whose utc time is the surest",
        ),
        pytest.param(
            "report-ensor-p1.json",
            "2025-10-07T12:29:41Z",
            "utc",
            {"active_energy_import_t1_kwh": 120.133, "voltage_l1_v": 234.01},
            id="the report of a P1 meter, with a volume",
        ),
        pytest.param(
            "live.json",
            "2024-08-24T12:34:00Z",
            "local",
            {"active_power_import_kw": 0.036, "voltage_l3_v": 230.4},
            id="the live shape, whose Date and Time are local",
        ),
        pytest.param(
            "live-streaming.json",
            "2024-08-24T12:34:00Z",
            "local",
            {"active_energy_export_t2_kwh": 1.097, "power_factor": 0},
            id="the live shape with every field",
        ),
        pytest.param(
            "home-assistant.message.json",
            "2025-03-27T22:00:00Z",
            "timestamp",
            {"active_power_import_kw": 1.23, "active_energy_export_kwh": 123.4},
            id="Home Assistant's names, with quoted numbers",
        ),
        pytest.param(
            "variables.json",
            "2024-12-30T07:02:02Z",
            "timestamp",
            {"active_energy_import_kwh": 24.087, "current_l1_a": 0.06},
            id="the variables' own names; the device's clock is two months ahead of the report",
        ),
        pytest.param(
            "template-small.message.json",
            "2025-11-17T14:52:50Z",
            "local",
            {"active_energy_import_kwh": 200.934, "active_power_export_kw": 0},
            id="names of a template of its own, and a local time that ends in Z",
        ),
    ],
)
def test_each_known_shape_is_recognised_by_itself(
    file: str, measured_at: str, source: str, expected: dict[str, float]
) -> None:
    """Without a template each documented shape gives its values, and its time from the surest source."""
    reading = read((PAYLOADS / file).read_bytes(), topic="lab/energy/whatwatt-001")

    assert {name: reading.measurements[name] for name in expected} == expected
    assert (rfc3339(reading.measured_at), reading.time_source) == (measured_at, source)
    assert reading.extra == {}


@pytest.mark.parametrize(
    "path_of",
    [
        pytest.param(lambda variable: variable.report_path, id="the report"),
        pytest.param(lambda variable: variable.live_field, id="the live shape"),
        pytest.param(lambda variable: variable.ha_field, id="Home Assistant"),
    ],
)
def test_every_measurement_of_a_shape_gets_its_own_name(path_of: Callable[[Variable], str]) -> None:
    """Each place of the table leads to the name beside it, and no two places to one name."""
    payload: dict[str, Any] = {}
    expected = {}
    for number, variable in enumerate(MEASUREMENTS, start=1):
        if path_of(variable):
            payload = merged(payload, nested(path_of(variable), number))
            expected[variable.name] = number

    assert read(json.dumps(payload)).measurements == expected


@pytest.mark.parametrize(
    "key_of",
    [
        pytest.param(lambda variable: variable.variable, id="1_7_0"),
        pytest.param(lambda variable: variable.obis or variable.variable, id="1.7.0"),
        pytest.param(lambda variable: variable.alias or variable.variable, id="power.in"),
        pytest.param(lambda variable: variable.name, id="our own names"),
    ],
)
def test_keys_can_be_the_names_of_variables(key_of: Callable[[Variable], str]) -> None:
    """A flat object keyed by variable, OBIS code, alias or event name is read without a template."""
    payload = {key_of(variable): number for number, variable in enumerate(MEASUREMENTS)}
    expected = {variable.name: number for number, variable in enumerate(MEASUREMENTS)}

    assert read(json.dumps(payload)).measurements == expected


def test_shapes_may_come_mixed_and_in_any_order() -> None:
    """Parts of several shapes in one object, in whatever order, make the same reading."""
    members: list[tuple[str, Any]] = [
        ("P_In", 1.5),
        ("power_out", "0.25"),
        ("report", {"voltage": {"l1": 230}}),
        ("1.8.0", 75),
        ("sys", {"name": "cellar"}),
        ("wifi.sta.rssi", "-30"),
        ("timestamp", 1763456260),
    ]
    ordered = read(json.dumps(dict(members)))
    random.Random(3).shuffle(members)

    assert read(json.dumps(dict(members))) == ordered
    assert ordered.measurements == {
        "active_power_import_kw": 1.5,
        "active_power_export_kw": 0.25,
        "voltage_l1_v": 230,
        "active_energy_import_kwh": 75,
    }
    assert (ordered.system, ordered.network) == ({"name": "cellar"}, {"wifi.sta.rssi": -30})


def test_report_keeps_what_describes_it() -> None:
    """Meter, system and report values land in the section and under the name of the table."""
    reading = read((PAYLOADS / "report-landis-gyr.json").read_bytes(), topic="a")

    assert reading.device == "ECC9FF5C7F14"
    assert (reading.tariff, reading.conversion_factor) == (1, 1)
    assert reading.report == {"id": 7892, "interval_s": 6.749}
    assert reading.meter["type"] == "LGZ1030784855204"
    assert reading.meter["date_time"] == "2025-10-07T14:26:10Z"
    assert reading.system["uptime_s"] == 338155


@pytest.mark.parametrize(
    ("hours", "seconds"),
    [
        pytest.param("71.05", 255780, id="whole seconds stay whole"),
        pytest.param("0.0001", 0.36, id="a fraction of a second"),
        pytest.param('"2"', 7200, id="quoted"),
    ],
)
def test_uptime_of_the_live_shape_becomes_seconds(hours: str, seconds: float) -> None:
    """The live shape counts hours, the event seconds."""
    assert read(f'{{"P_In":1,"Uptime":{hours}}}').system == {"uptime_s": seconds}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param('{"report":{"volume":[{"bus":1,"cumulative":2.5},{"bus":2}]}}', id="report"),
        pytest.param('{"Vol":[{"Bus":1,"Cum":2.5},{"Bus":"2"}]}', id="live"),
        pytest.param('{"vol":[{"bus":1,"cumulative":2.5},{"bus":2}]}', id="nested variables"),
        pytest.param(
            '{"vol[1].bus":2,"vol[0].cumulative":2.5,"vol[0].bus":1}', id="flat variables"
        ),
    ],
)
def test_volumes_are_read_from_every_shape(payload: str) -> None:
    """Volumes come in the order of their numbers, whatever the shape."""
    assert read(payload).volumes == ({"bus": 1, "cumulative": 2.5}, {"bus": 2})


def test_trace_names_the_place_of_each_value() -> None:
    """What `decode` shows is the way that the reading itself took."""
    trace = normaliser().trace(
        message('{"P_In":1,"report":{"voltage":{"l1":"null"}},"PF":"x"}', topic=TOPIC)
    )

    assert [(part.place, part.use.event_name) for part in trace.parts] == [
        ("P_In", "active_power_import_kw"),
        ("report.voltage.l1", "voltage_l1_v"),
        ("PF", "power_factor"),
    ]
    assert [(part.is_absent, part.is_understood) for part in trace.parts] == [
        (False, True),
        (True, True),
        (False, False),
    ]
