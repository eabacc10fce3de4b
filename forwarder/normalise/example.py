"""The example is the reading that pages and schemas show. It has every part of an event."""

from collections.abc import Mapping

from forwarder.reading import JsonValue

EXAMPLE_DATA: Mapping[str, JsonValue] = {
    "id": "msg_5f0c8f4cfd2ee12c1b0f4e4aa3b8b9d1",
    "device": "ECC9FF5C7F14",
    "measured_at": "2025-11-18T10:17:40Z",
    "time_source": "utc",
    "received_at": "2025-11-18T10:17:41.203Z",
    "measurements": {
        "active_power_import_kw": 7.8497,
        "voltage_l1_v": 231,
        "active_energy_import_kwh": 8306146,
    },
    "tariff": 1,
    "conversion_factor": 1,
    "meter": {"vendor": "Landis+Gyr", "status": "OK", "interface": "MBUS", "protocol": "DLMS"},
    "system": {"firmware": "1.2.15"},
    "network": {"wifi.sta.rssi": -30},
    "volumes": [{"bus": 1, "meter_id": "20000741"}],
    "extra": {"anything": "the payload held and no rule knows"},
}
"""The `data` of the example's event."""

EXAMPLE: Mapping[str, JsonValue] = {
    "type": "meter.reading",
    "timestamp": "2025-11-18T10:17:40Z",
    "data": EXAMPLE_DATA,
}
"""The whole event."""
