import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from forwarder.demo.device import SimulatedDevice
from forwarder.demo.shapes import SHAPES, Shape, payload_of
from forwarder.normalise import Normaliser
from forwarder.reading import Message, Reading

NOW = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("index", [0, 1])
def test_every_shape_is_understood_without_a_template_file(shape: Shape, index: int) -> None:
    """Whatever the shape, the forwarder reads the device, the time and the power that the house has."""
    device = SimulatedDevice(index, payload_of(shape))
    message = Message(f"ext/demoville/{device.device}", device.report_at(NOW), NOW)
    normaliser = Normaliser(timezone=ZoneInfo("Europe/Zurich"), max_message_bytes=65536)
    reading = normaliser.normalise(message)
    assert isinstance(reading, Reading)
    assert (reading.device, reading.measured_at) == (device.device, NOW)
    assert reading.measurements["active_power_import_kw"] == device.variables()["1_7_0"]
    assert reading.measurements["active_energy_import_kwh"] == device.variables()["1_8_0"]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_json(shape: Shape) -> None:
    """The simulated firmware knows every numeric name that the built-in templates leave unquoted."""
    assert isinstance(json.loads(SimulatedDevice(0, payload_of(shape)).report_at(NOW)), dict)


def test_power_factor_stays_unresolved() -> None:
    """Like real devices, the simulated one leaves a name that it does not know in the text."""
    payload = SimulatedDevice(0, payload_of("home-assistant")).report_at(NOW)
    assert json.loads(payload)["power_factor"] == "${13_7_0}"
