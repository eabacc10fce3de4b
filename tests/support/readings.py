"""A builder of readings and endpoints that fills in everything a test does not name."""

from typing import Any

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.outbox import NewReading, Recipient
from forwarder.reading import Device, webhook_id
from forwarder.routes import Endpoint, EndpointName, Routes, SigningKey

STARTED_AT = 1763461060.0
"""2025-11-18T10:17:40Z, when a HandClock starts."""


def new_reading(
    device: str = "ECC9FF5C7F14",
    payload: str = "1",
    *,
    to: str = "acme",
    received_at: float = STARTED_AT,
    **fields: Any,
) -> NewReading:
    """A reading for the endpoints named in `to`, separated by spaces."""
    fields.setdefault("recipients", tuple(Recipient(name) for name in to.split()))
    return NewReading(
        webhook_id=fields.pop("webhook_id", webhook_id(Device(device), payload.encode())),
        device=Device(device),
        measured_at="2025-11-18T10:17:40Z",
        received_at=received_at,
        data=b'{"id":"%s"}' % payload.encode(),
        **fields,
    )


def delivery(
    number: int = 1, device: str = "ECC9FF5C7F14", *, data: bytes = b"{}", **fields: Any
) -> Delivery:
    fields.setdefault("attempts", 0)
    fields.setdefault("age_from", STARTED_AT)
    return Delivery(
        reading=ReadingNumber(number),
        endpoint=fields.pop("endpoint", "acme"),
        device=Device(device),
        webhook_id=webhook_id(Device(device), str(number).encode()),
        measured_at="2025-11-18T10:17:40Z",
        received_at=STARTED_AT,
        data=data,
        **fields,
    )


def endpoint(name: str = "acme", **settings: Any) -> Endpoint:
    settings.setdefault("url", f"https://{name}.example/hook")
    return Endpoint(
        name=EndpointName(name), keys=(SigningKey(name.encode().ljust(32, b".")),), **settings
    )


def routes_to(*endpoints: Endpoint) -> Routes:
    """A table in which each of these endpoints gets every device."""
    return Routes(
        {one.name: one for one in endpoints},
        every_device=tuple(one.name for one in endpoints),
        by_device={},
        groups={},
    )
