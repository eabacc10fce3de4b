"""An outbox as an outage leaves it: deliveries pending at one endpoint, put there by the product's Store or by SQL."""

import time
from pathlib import Path
from typing import Any

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


_FILL = """
    WITH line AS (UPDATE line SET last = %(count)s),
    given AS (
        SELECT n, 'msg_' || md5(n::text) AS id, 'ECC9FE' || lpad(upper(to_hex(n %% %(devices)s)), 6, '0') AS device
        FROM generate_series(0, %(count)s::bigint - 1) AS n),
    readings AS (
        INSERT INTO reading (number, id, device, measured_at, received_at)
        SELECT n + 1, decode(md5(n::text), 'hex'), device, %(measured)s, %(now)s FROM given),
    bodies AS (
        INSERT INTO body SELECT n + 1, convert_to(
            '{"id":"' || id || '","device":"' || device || '",' || %(values)s || n + %(first)s || '}}', 'UTF8')
        FROM given)
    INSERT INTO delivery (reading, endpoint, device, enqueued_at, age_from)
    SELECT n + 1, %(endpoint)s, device, %(now)s, %(now)s FROM given"""


def fill_database(connection: Any, *, endpoint: str, count: int, devices: int) -> None:
    """
    The same in an outbox in PostgreSQL that holds nothing yet; as vacuum leaves it, which keeps up with an outage.

    `connection` is psycopg's, in autocommit mode.
    """
    (row,) = connection.execute(
        "INSERT INTO endpoint_row (name, enqueued) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE"
        " SET enqueued = excluded.enqueued RETURNING id", (endpoint, count)
    ).fetchone()  # fmt: skip
    connection.execute("INSERT INTO home (endpoint) VALUES (%s) ON CONFLICT DO NOTHING", (row,))
    measured = "2025-11-18T13:34:00Z"
    values = ",".join(f'"active_power_l{place}_kw":{place / 7:.4f}' for place in range(1, 9))
    rest = (
        f'"measured_at":"{measured}","time_source":"local","received_at":"{measured}",'
        f'"measurements":{{{values}}},"extra":{{"serial":'
    )
    connection.execute(
        _FILL,
        {
            "count": count, "devices": devices, "measured": measured, "now": time.time(), "values": rest,
            "first": FIRST_SERIAL + FIRST_STOCKED, "endpoint": row,
        },
    )  # fmt: skip
    connection.execute("VACUUM (ANALYZE)")
