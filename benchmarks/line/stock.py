"""An outbox as an outage leaves it: deliveries pending at one endpoint, put there by the product's own Store."""

import time
from pathlib import Path

from ledger import FIRST_SERIAL

from forwarder.outbox import NewReading, Recipient
from forwarder.outbox.sql.putting import put
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.statements import Store
from forwarder.reading import Device, webhook_id

OF_ONE_TRANSACTION = 20_000
FIRST_STOCKED = 10_000_000
"""Stocked readings have serials from here on, which the publisher does not reach."""


def stocked_device(index: int) -> Device:
    return Device(f"ECC9FE{index:06X}")


def fill(path: Path, *, endpoint: str, count: int, devices: int) -> None:
    """Make the outbox at `path`, with `count` readings of `devices` devices pending at `endpoint`."""
    outbox_file.create(path)
    connection = outbox_file.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    store, recipients, now = Store(connection), (Recipient(endpoint),), time.time()
    for start in range(0, count, OF_ONE_TRANSACTION):
        connection.execute("BEGIN IMMEDIATE")
        for number in range(start, min(start + OF_ONE_TRANSACTION, count)):
            device = stocked_device(number % devices)
            put(store, _reading(number, device, recipients, now), now=now, content_since=now)
        store.add_totals()
        connection.execute("COMMIT")
    connection.close()


def _reading(
    number: int, device: Device, recipients: tuple[Recipient, ...], now: float
) -> NewReading:
    identity = webhook_id(device, b"%d" % number)
    measured = "2025-11-18T13:34:00Z"
    serial = FIRST_SERIAL + FIRST_STOCKED + number
    values = ",".join(f'"active_power_l{place}_kw":{place / 7:.4f}' for place in range(1, 9))
    data = (
        f'{{"id":"{identity}","device":"{device}","measured_at":"{measured}","time_source":"local",'
        f'"received_at":"{measured}","measurements":{{{values}}},"extra":{{"serial":{serial}}}}}'
    )
    return NewReading(
        webhook_id=identity,
        device=device,
        measured_at=measured,
        received_at=now,
        data=data.encode(),
        recipients=recipients,
    )
