"""Readings and requests in a few words for people. Nothing in them can act on a terminal."""

from collections.abc import Mapping
from typing import Any

from forwarder.demo.listener import Received
from forwarder.terminal import plain
from forwarder.units import count_of


def power(reading: Mapping[str, Any]) -> str:
    """The flow at the meter: `draws 0.631 kW`, `feeds in 4.305 kW`, or a dash when the reading does not say."""
    measured = _measurements(reading)
    exported = _number(measured.get("active_power_export_kw"))
    imported = _number(measured.get("active_power_import_kw"))
    if exported:
        return f"feeds in {exported:.3f} kW"
    return "–" if imported is None else f"draws {imported:.3f} kW"


def register(reading: Mapping[str, Any]) -> str:
    """The import register in kWh, `6235.133`, or a dash."""
    energy = _number(_measurements(reading).get("active_energy_import_kwh"))
    return "–" if energy is None else f"{energy:.3f}"


def clock_of(instant: object) -> str:
    """The time of day in an RFC 3339 instant, `12:26:10`."""
    return plain(str(instant or "")[11:19]) or "–"


def what_came(received: Received) -> str:
    """The readings of a request in one clause."""
    match received.readings:
        case []:
            return f"{count_of(len(received.body), 'byte')}, no webhook of ours"
        case [reading] if "device" in reading:
            return f"{plain(str(reading['device']))}  {power(reading)}"
        case [_]:
            return "a test event"
        case readings:
            devices = len(set(received.devices))
            return f"{count_of(len(readings), 'reading')} of {count_of(devices, 'device')}"


def signature(received: Received) -> str:
    """The verdict on the signature."""
    if received.verdict is None:
        return "not verified"
    return "verified" if received.verified else f"REFUSED: {received.problem}"


def _measurements(reading: Mapping[str, Any]) -> Mapping[str, Any]:
    measured = reading.get("measurements")
    return measured if isinstance(measured, Mapping) else {}


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:  # JSON has integers that no float can hold
        return None
