"""The payload template, rendered as a whatwatt Go renders it."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias

Value: TypeAlias = int | float | Decimal | str

_PLACE = re.compile(r"\$\{([^{}]*)\}")
_VOLUME = re.compile(r"vol\[\d+\]\.(\w+)")

NUMERIC_NAMES = frozenset(  # a table of names reads better as words than as quoted strings
    """
    1_8_0 1_8_1 1_8_2 2_8_0 2_8_1 2_8_2 3_8_0 3_8_1 3_8_2 4_8_0 4_8_1 4_8_2
    5_8_0 5_8_1 5_8_2 6_8_0 6_8_1 6_8_2 7_8_0 7_8_1 7_8_2 8_8_0 8_8_1 8_8_2
    1_6_0 1_6_1 1_6_2 2_6_0 2_6_1 2_6_2
    1_7_0 21_7_0 41_7_0 61_7_0 2_7_0 22_7_0 42_7_0 62_7_0
    3_7_0 23_7_0 43_7_0 63_7_0 4_7_0 24_7_0 44_7_0 64_7_0 9_7_0
    32_7_0 52_7_0 72_7_0 31_7_0 51_7_0 71_7_0 s31_7_0 s51_7_0 s71_7_0 13_7_0
    energy.in energy.out power.in power.out tariff conv_factor timestamp
    wifi.sta.rssi wifi.sta.channel plug.voltage.usb plug.voltage.p1 plug.voltage.mbus
    """.split()  # noqa: SIM905
)
"""Variables that are numbers, from whatwatt's documentation. `vol[n].bus` and `vol[n].cumulative` are numbers, too."""

TEXT_NAMES = frozenset(  # a table of names reads better as words than as quoted strings
    """
    meter.date_time meter.date_time_local meter.date_time_utc meter.id meter.type meter.vendor meter.model
    meter.interface meter.protocol meter.protocol_ver meter.status
    sys.name sys.id sys.firmware sys.date_time sys.date_time_local sys.date_time_utc
    wifi.mode wifi.sta.status wifi.sta.ssid wifi.sta.bssid wifi.sta.mac wifi.sta.ip wifi.sta.mask wifi.sta.gw
    wifi.sta.dns eth.state eth.mac eth.ip eth.mask eth.gw eth.dns plug.interface
    """.split()  # noqa: SIM905
)
"""Variables that are text. `vol[n].meter_id` and `vol[n].date_time` are text, too."""

KNOWN_NAMES = NUMERIC_NAMES | TEXT_NAMES

_NUMERIC_VOLUME_FIELDS = frozenset({"bus", "cumulative"})
_TEXT_VOLUME_FIELDS = frozenset({"meter_id", "date_time"})


def render_template(
    template: str, values: Mapping[str, Value], *, known: frozenset[str] = KNOWN_NAMES
) -> str:
    """
    The text that a device sends for `template`. `values` are those of its meter.

    `${name}` becomes the value, numbers as plain decimals. A known name without a value becomes `null` if it is
    numeric, and nothing if it is text. A name that is not in `known` stays as it stands, braces and all.
    """
    return _PLACE.sub(lambda place: _rendered(place[0], place[1], values, known), template)


def _rendered(place: str, name: str, values: Mapping[str, Value], known: frozenset[str]) -> str:
    if name in values:
        return plain(values[name])
    volume = _VOLUME.fullmatch(name)
    if name in known & NUMERIC_NAMES or (volume and volume[1] in _NUMERIC_VOLUME_FIELDS):
        return "null"
    if name in known & TEXT_NAMES or (volume and volume[1] in _TEXT_VOLUME_FIELDS):
        return ""
    return place


def plain(value: Value) -> str:
    """A value as the device writes it: text as it is, numbers without an exponent."""
    if isinstance(value, str):
        return value
    return format(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), "f")
