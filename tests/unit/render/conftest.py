from collections.abc import Callable

import pytest

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.reading import Device, WebhookId

DATA = b'{"id":"msg_1","device":"ECC9FF5C7F14","measurements":{"active_power_import_kw":7.8500}}'


@pytest.fixture(scope="session")
def delivery() -> Callable[..., Delivery]:
    """Makes the delivery of reading `number`; what a test does not care about has a usual value."""

    def make(
        number: int = 1,
        *,
        device: str = "ECC9FF5C7F14",
        measured_at: str = "2025-11-18T10:17:40Z",
        data: bytes = DATA,
    ) -> Delivery:
        return Delivery(
            reading=ReadingNumber(number),
            endpoint="acme",
            device=Device(device),
            webhook_id=WebhookId(f"msg_{number}"),
            measured_at=measured_at,
            received_at=0.0,
            age_from=0.0,
            attempts=0,
            data=data,
        )

    return make
