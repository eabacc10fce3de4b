from datetime import UTC, datetime, timedelta

from forwarder.demo.device import SimulatedDevice, device_at
from forwarder.demo.shapes import from_template
from forwarder.reading import parse_mac

NOON_UTC = datetime(2025, 7, 1, 12, 0, 0, 250_000, tzinfo=UTC)
TIMES = "${timestamp} ${meter.date_time} ${sys.date_time_local} ${meter.date_time_utc}"


def test_macs_are_whatwatts_and_distinct() -> None:
    """Every simulated device has a valid MAC of its own, the same at each run."""
    devices = [device_at(index) for index in range(3000)]
    assert len(set(devices)) == len(devices)
    assert all(parse_mac(device) == device and device.startswith("ECC9FF") for device in devices)
    assert devices[0] == "ECC9FF5C001A"


def test_times_are_those_of_a_device() -> None:
    """The timestamp is UTC; date_time is local although it ends in Z, as whatwatt documents."""
    device = SimulatedDevice(0, from_template(TIMES))
    assert device.report_at(NOON_UTC).decode().split() == [
        "1751371200",
        "2025-07-01T14:00:00Z",
        "2025-07-01T14:00:00+02:00",
        "2025-07-01T12:00:00Z",
    ]


def test_reports_are_counted_from_boot() -> None:
    """The second report comes an interval after the first, and the time since boot grows by it."""
    device = SimulatedDevice(0, from_template(""))
    device.report_at(NOON_UTC)
    booted = device.seconds_since_boot
    device.report_at(NOON_UTC + timedelta(seconds=30))
    assert (device.reports, device.interval_seconds) == (2, 30.0)
    assert device.seconds_since_boot == booted + 30
