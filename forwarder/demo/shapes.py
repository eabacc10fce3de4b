"""The payload shapes in which whatwatt devices are known to publish."""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from forwarder.demo.device import Payload, SimulatedDevice
from forwarder.demo.template import KNOWN_NAMES, Value, render_template

Shape = Literal["report", "live", "home-assistant", "variables", "small"]

SHAPES: tuple[Shape, ...] = get_args(Shape)

FIRMWARE_NAMES = KNOWN_NAMES - {"13_7_0"}
"""Names that the simulated firmware knows. Like real firmware it leaves `${13_7_0}`, the power factor, as it is."""

HOME_ASSISTANT_TEMPLATE = (
    '{"sys_id":"${sys.id}","meter_id":"${meter.id}","time":"${timestamp}","power_in":"${1_7_0}",'
    '"power_out":"${2_7_0}","power_in_l1":"${21_7_0}","power_in_l2":"${41_7_0}","power_in_l3":"${61_7_0}",'
    '"power_factor":"${13_7_0}","energy_in":"${1_8_0}","energy_out":"${2_8_0}","energy_in_t1":"${1_8_1}",'
    '"energy_in_t2":"${1_8_2}","voltage_l1":"${32_7_0}","voltage_l2":"${52_7_0}","voltage_l3":"${72_7_0}",'
    '"current_l1":"${31_7_0}","current_l2":"${51_7_0}","current_l3":"${71_7_0}","tariff":"${tariff}"}'
)

VARIABLES_TEMPLATE = (
    '{"sys.id":"${sys.id}","sys.name":"${sys.name}","timestamp":${timestamp},"tariff":${tariff},'
    '"1_7_0":${1_7_0},"2_7_0":${2_7_0},"1_8_0":${1_8_0},"2_8_0":${2_8_0},'
    '"32_7_0":${32_7_0},"52_7_0":${52_7_0},"72_7_0":${72_7_0},'
    '"31_7_0":${31_7_0},"51_7_0":${51_7_0},"71_7_0":${71_7_0},"meter.id":"${meter.id}","meter.status":"${meter.status}"}'
)

SMALL_TEMPLATE = (
    '{"P_In":${1_7_0},"P_Out":${2_7_0},"E_In":${1_8_0},"E_Out":${2_8_0},'
    '"Meter":{"DateTime":"${meter.date_time}"},"Sys":{"Id":"${sys.id}"}}'
)


def from_template(template: str) -> Payload:
    """The payload of a device that was given this template."""
    return lambda device: render_template(template, device.variables(), known=FIRMWARE_NAMES)


def payload_of(shape: Shape) -> Payload:
    """The payload in a known shape."""
    return _PAYLOADS[shape]


def report(device: SimulatedDevice) -> str:
    """The object of the device's own REST API: report, meter and system, nested."""
    values = device.variables()
    return json.dumps(
        {
            "report": _measured(device, values),
            "meter": {
                "status": values["meter.status"],
                "interface": values["meter.interface"],
                "protocol": values["meter.protocol"],
                "logical_name": values["meter.id"],
                "vendor": values["meter.vendor"],
                "prefix": "LGZ",
            },
            "system": {
                "id": device.device,
                **_times(values, "sys"),
                "boot_id": device.boot_id,
                "time_since_boot": round(device.seconds_since_boot),
            },
        }
    )


def live(device: SimulatedDevice) -> str:
    """The flat object of the device's live stream. It holds no MAC, and its date and time are local."""
    values = device.variables()
    fields: dict[str, Any] = {name: values[variable] for name, variable in _LIVE.items()}
    fields |= {"Date": f"{device.local:%Y-%m-%d}", "Time": f"{device.local:%H:%M:%S}"}
    return json.dumps(fields | {"Uptime": round(device.seconds_since_boot / 3600, 2)})


def _measured(device: SimulatedDevice, values: Mapping[str, Value]) -> dict[str, Any]:
    return {
        "id": device.reports,
        "interval": device.interval_seconds,
        "tariff": values["tariff"],
        **_times(values, "meter"),
        "instantaneous_power": {
            "active": {
                "positive": {"total": values["1_7_0"], **_phases(values, 21)},
                "negative": {"total": values["2_7_0"], **_phases(values, 22)},
            },
            "reactive": {
                "positive": _phases(values, 23),
                "negative": _phases(values, 24),
            },
        },
        "voltage": _phases(values, 32),
        "current": _phases(values, 31),
        "energy": {
            "active": {
                "positive": {"total": values["1_8_0"]},
                "negative": {"total": values["2_8_0"]},
            },
            "reactive": {
                "positive": {"total": values["3_8_0"]},
                "negative": {"total": values["4_8_0"]},
            },
        },
        "conv_factor": values["conv_factor"],
    }


def _phases(values: Mapping[str, Value], first: int) -> dict[str, Value]:
    return {f"l{number + 1}": values[f"{first + 20 * number}_7_0"] for number in range(3)}


def _times(values: Mapping[str, Value], clock: str) -> dict[str, Value]:
    return {
        name: values[f"{clock}.{name}"]
        for name in ("date_time", "date_time_local", "date_time_utc")
    }


_LIVE = {
    "P_In": "1_7_0",
    "P_Out": "2_7_0",
    "P_P1_In": "21_7_0",
    "P_P2_In": "41_7_0",
    "P_P3_In": "61_7_0",
    "E_In": "1_8_0",
    "E_Out": "2_8_0",
    "V_P1": "32_7_0",
    "V_P2": "52_7_0",
    "V_P3": "72_7_0",
    "I_P1": "31_7_0",
    "I_P2": "51_7_0",
    "I_P3": "71_7_0",
    "T": "tariff",
}

_PAYLOADS: dict[Shape, Payload] = {
    "report": report,
    "live": live,
    "home-assistant": from_template(HOME_ASSISTANT_TEMPLATE),
    "variables": from_template(VARIABLES_TEMPLATE),
    "small": from_template(SMALL_TEMPLATE),
}
