"""What is known of each device: usual intervals, last readings, and who leaves when there is no room."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.outbox import DeviceRecord, NewQuarantined, NewReading, Recipient, Unrouted
from forwarder.outbox.devices import (
    ESTABLISHED_SIGHTINGS,
    FOLDED_AT_ONCE,
    MOST_DEVICES,
    WRITTEN_AT_ONCE,
    WRITTEN_EVERY_SECONDS,
    Devices,
    Rows,
    interval_of,
    most_devices,
)
from forwarder.outbox.intervals import KEPT_INTERVALS, usual_interval, with_interval
from forwarder.reading import Device, WebhookId, rfc3339

START = datetime(2025, 11, 18, 10, 0, tzinfo=UTC)
ACME = (Recipient("acme"),)


def reading(device: str, seconds: float, *, measured: float | None = None) -> NewReading:
    """One that came so many seconds after START."""
    measured_at = START + timedelta(seconds=seconds if measured is None else measured)
    return NewReading(
        webhook_id=WebhookId("msg_"),
        device=Device(device),
        measured_at=rfc3339(measured_at),
        received_at=START.timestamp() + seconds,
        data=b"",
        recipients=ACME,
    )


def unrouted(device: str, seconds: float) -> Unrouted:
    at = START + timedelta(seconds=seconds)
    return Unrouted(Device(device), rfc3339(at), at.timestamp())


def quarantined(device: str, seconds: float) -> NewQuarantined:
    return NewQuarantined(
        Device(device), "t", START.timestamp() + seconds, "not_json", "no JSON", 1, b"x"
    )


def hear(devices: Devices, *readings: NewReading) -> None:
    """Each in a turn of its own."""
    for one in readings:
        devices.see([one])
        while devices.fold(now=0.0):
            pass


def every_row(devices: Devices) -> Rows:
    rows: Rows = {}
    devices.keep_all(rows, now=0.0)
    return rows


def record(devices: Devices, device: str) -> DeviceRecord:
    known = devices.find(Device(device))
    assert known is not None
    return known.record()


def test_last_reading_and_usual_interval() -> None:
    """A device is known by when it last reported, and by the interval that it keeps."""
    devices = Devices(10)
    hear(devices, *(reading("A", 10.0 * number) for number in range(6)))
    found = record(devices, "A")
    assert found.last_at == START.timestamp() + 50
    assert found.measured_at == "2025-11-18T10:00:50Z"
    assert (found.usual_interval, found.sightings) == (10.0, 6)
    assert found.first_at == START.timestamp()


def test_gaps_do_not_move_the_usual_interval() -> None:
    """Four of nine may be gaps of hours."""
    ring = b""
    for seconds in (60, 60, 9e4, 60, 7200, 60, 9e4, 3600, 60):
        ring = with_interval(ring, seconds)
    assert usual_interval(ring) == 60


def test_a_changed_interval_is_learnt_from_five() -> None:
    """A device that was set from 10 s to a quarter of an hour."""
    ring = b""
    for seconds in [10.0] * 20 + [900.0] * 5:
        ring = with_interval(ring, seconds)
    assert usual_interval(ring) == 900


@given(st.lists(st.floats(0.01, 1e6), max_size=40))
def test_usual_interval_is_the_median_of_the_last(intervals: list[float]) -> None:
    """Of the last nine, and the ring never grows beyond them."""
    ring = b""
    for seconds in intervals:
        ring = with_interval(ring, seconds)
    last = sorted(intervals[-KEPT_INTERVALS:])
    assert len(ring) <= 4 * KEPT_INTERVALS
    if not last:
        assert usual_interval(ring) is None
    else:
        assert usual_interval(ring) == pytest.approx(last[len(last) // 2], rel=1e-6, abs=1e-3)


@given(st.binary(max_size=50))
def test_any_bytes_are_read(ring: bytes) -> None:
    """What an engine brings back, however it was spoilt, raises nothing."""
    usual_interval(ring)


@pytest.mark.parametrize(
    ("measured", "elapsed", "interval"),
    [
        (10.0, 10.2, 10.0),
        (10.0, 9.6, 10.0),
        (600.0, 0.5, None),  # a backlog comes in faster than it was measured
        (10.0, 3600.0, 10.0),  # its first reading, after an hour in which we were away
        (0.0, 10.0, 10.0),  # its clock stands still
        (-5.0, 10.0, 10.0),  # its clock was set back
        (0.0, 0.0, None),  # the same message again
    ],
)
def test_what_an_interval_is(measured: float, elapsed: float, interval: float | None) -> None:
    """By the device's clock, unless that says nothing; a backlog says nothing."""
    assert interval_of(measured, elapsed) == interval


def test_a_backlog_does_not_teach_a_short_interval() -> None:
    """A day of quarter-hours that comes in within a minute leaves the quarter of an hour."""
    devices = Devices(10)
    hear(devices, *(reading("A", 900.0 * number) for number in range(9)))
    away = 86_400.0
    hear(
        devices,
        *(reading("A", away + 0.5 * n, measured=9000.0 + 900.0 * n) for n in range(80)),
    )
    assert record(devices, "A").usual_interval == 900


def test_readings_that_come_at_once_are_one_sighting() -> None:
    """Nothing is done for each reading."""
    devices = Devices(10)
    devices.see([reading("A", 0.1 * number) for number in range(50)])
    devices.fold(now=0.0)
    assert record(devices, "A").sightings == 1


def test_unreadable_and_unrouted_devices_are_known_too() -> None:
    """A message that could not be understood is no reading; one that nobody wants is."""
    devices = Devices(10)
    devices.see([quarantined("A", 1), reading("B", 2), quarantined("B", 3)])
    devices.see_unrouted([unrouted("C", 4)])
    devices.fold(now=0.0)
    assert record(devices, "A").last_at is None
    assert record(devices, "A").unreadable_at is not None
    assert record(devices, "B").last_at is not None
    assert record(devices, "B").unreadable_at is not None
    assert record(devices, "C").last_at == START.timestamp() + 4


def test_a_new_device_is_written_at_once_and_a_known_one_now_and_then() -> None:
    """Ten seconds lie between two rows of a device."""
    devices = Devices(10)
    hear(devices, reading("A", 0))
    assert [*devices.rows(now=100.0)] == [0]
    hear(devices, reading("A", 5))
    assert devices.rows(now=100.0 + WRITTEN_EVERY_SECONDS - 1) == {}
    rows = devices.rows(now=100.0 + WRITTEN_EVERY_SECONDS)
    assert rows == {0: record(devices, "A")}
    assert devices.rows(now=200.0) == {}


def test_a_fleet_takes_turns() -> None:
    """No commit takes along more than its share, no turn of the loop folds more, and all are written in the end."""
    devices = Devices(10_000)
    names = [f"{number:012X}" for number in range(1500)]
    devices.see([reading(name, 0) for name in names])
    assert devices.fold(now=0.0)
    assert len(list(devices)) == FOLDED_AT_ONCE
    while devices.fold(now=0.0):
        pass
    written: set[int] = set()
    for _ in range(len(names) // WRITTEN_AT_ONCE + 1):
        rows = devices.rows(now=0.0)
        assert len(rows) <= WRITTEN_AT_ONCE
        written |= rows.keys()
    assert len(written) == len(names)


def test_at_the_end_everything_is_written() -> None:
    """What was seen and not folded yet is in the last rows as well."""
    devices = Devices(10_000)
    devices.see([reading(f"{number:012X}", 0) for number in range(1200)])
    devices.fold(now=0.0)
    devices.see([reading("LATE", 1)])
    assert len(every_row(devices)) == 1201
    assert every_row(devices) == {}


def test_records_come_back_as_they_were() -> None:
    """The next process goes on where the last one stopped."""
    devices = Devices(10)
    hear(devices, *(reading("A", 10.0 * number) for number in range(6)), reading("B", 7))
    rows = every_row(devices)
    again = Devices(10)
    again.restore((place, one) for place, one in rows.items() if one)
    hear(again, reading("A", 60))
    assert record(again, "A").sightings == 7
    assert record(again, "A").usual_interval == 10
    assert again.find(Device("B")) is not None


def test_a_flood_of_names_evicts_no_established_device() -> None:
    """Hostile names push out each other; the fleet stays, and so does the number of rows."""
    devices = Devices(100)
    fleet = [f"{number:012X}" for number in range(60)]
    for seconds in range(ESTABLISHED_SIGHTINGS):
        hear(devices, *(reading(name, seconds) for name in fleet))
    for number in range(2000):
        devices.see([quarantined(f"hostile-{number}", 100.0 + number)])
        devices.see_unrouted([unrouted(f"nobody-{number}", 100.0 + number)])
        devices.fold(now=0.0)
    assert all(devices.find(Device(name)) for name in fleet)
    assert len(list(devices)) == 100
    assert max(every_row(devices)) < 100


def test_among_established_devices_the_longest_silent_leaves() -> None:
    """Where there is no newcomer, a device that reports stays."""
    devices = Devices(4)
    for seconds in range(ESTABLISHED_SIGHTINGS):
        hear(devices, *(reading(name, seconds) for name in "ABCD"))
    hear(devices, *(reading(name, 60) for name in "ABD"))
    hear(devices, reading("E", 61))
    assert devices.find(Device("C")) is None
    assert all(devices.find(Device(name)) for name in "ABDE")


def test_a_lower_limit_erases_what_is_beyond_it() -> None:
    """Rows at places that there are no more are emptied, some at a time."""
    devices = Devices(10)
    hear(devices, *(reading(name, 0) for name in "ABC"))
    rows = every_row(devices)
    smaller = Devices(2)
    smaller.restore((place, one) for place, one in rows.items() if one)
    assert smaller.rows(now=0.0) == {2: None}
    assert smaller.rows(now=0.0) == {}


def test_a_forgotten_device_leaves_nothing() -> None:
    """Neither what was seen of it and not folded yet, nor a row to come; its place is for the next."""
    devices = Devices(10)
    hear(devices, reading("A", 0), reading("B", 0))
    devices.see([reading("A", 1), quarantined("A", 2)])
    devices.forget(Device("A"), now=0.0)
    devices.forget(Device("never"), now=0.0)
    devices.fold(now=0.0)
    assert devices.find(Device("A")) is None
    assert [one.device for one in every_row(devices).values() if one] == ["B"]
    hear(devices, reading("C", 3))
    assert sorted(known.place for known in devices) == [0, 1]


def test_the_limit_follows_from_the_outboxes() -> None:
    """A fiftieth of it, within bounds."""
    assert 0 < most_devices(1) < most_devices(1 << 20) < most_devices(256 << 20) < MOST_DEVICES
    assert most_devices(10 << 30) == MOST_DEVICES
