"""Samples are deliveries of a simulated device, to try receivers with."""

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.demo.device import SimulatedDevice
from forwarder.demo.shapes import report
from forwarder.event_data import encode_data
from forwarder.normalise import Normaliser
from forwarder.reading import Device, Message, Reading, rfc3339, webhook_id

SAMPLE_DEVICE = Device("EEC9FF5C001A")
"""A locally administered MAC (IEEE 802). No whatwatt Go has it, so no meter of a customer gets these values."""

INTERVAL_SECONDS = 10.0
_ZONE = "Europe/Zurich"
_MAX_MESSAGE_BYTES = 65536


def samples(count: int, *, endpoint: str, now: datetime) -> Iterator[Delivery]:
    """
    Readings of one simulated device as deliveries carry them, INTERVAL_SECONDS apart, the last one measured at `now`.

    `now` is an aware UTC instant. The readings' ids are new at each call, so that a receiver takes none for a repeat.
    """
    simulated = SimulatedDevice(0, report, zone=_ZONE)
    simulated.device, simulated.boot_id = SAMPLE_DEVICE, secrets.token_hex(4).upper()
    normaliser = Normaliser(timezone=ZoneInfo(_ZONE), max_message_bytes=_MAX_MESSAGE_BYTES)
    for number in range(1, count + 1):
        instant = now - timedelta(seconds=(count - number) * INTERVAL_SECONDS)
        payload = simulated.report_at(instant)
        reading = normaliser.normalise(Message(f"simulated/{SAMPLE_DEVICE}", payload, instant))
        assert isinstance(reading, Reading)  # noqa: S101 - the shape is one of the known ones
        yield _delivery(reading, payload, number, endpoint=endpoint)


def _delivery(reading: Reading, payload: bytes, number: int, *, endpoint: str) -> Delivery:
    reading_id, received_at = webhook_id(SAMPLE_DEVICE, payload), reading.received_at.timestamp()
    return Delivery(
        reading=ReadingNumber(number),
        endpoint=endpoint,
        device=SAMPLE_DEVICE,
        webhook_id=reading_id,
        measured_at=rfc3339(reading.measured_at),
        received_at=received_at,
        age_from=received_at,
        attempts=0,
        data=encode_data(reading_id, reading),
    )
