import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from forwarder.demo.listener import Listener, Received
from forwarder.demo.scene import Recipient
from forwarder.demo.simulator import Publication
from forwarder.reading import Device, webhook_id

NOW = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)

Publish = Callable[[str, str], Publication]
Receive = Callable[..., Received]


@pytest.fixture
def publish() -> Publish:
    """Makes one publication of a device, with this payload."""

    def made(device: str, payload: str) -> Publication:
        return Publication(Device(device), f"ext/x/{device}", payload.encode(), NOW, "draws 1 kW")

    return made


@pytest.fixture
def recipient() -> Recipient:
    """An endpoint that wants the devices A and B, and has received nothing yet."""
    devices = frozenset({Device("A"), Device("B")})
    return Recipient("acme", "2 in zurich", "groups: [zurich]", devices, "whsec_x", Listener())


@pytest.fixture
def receive(recipient: Recipient) -> Receive:
    """Lets the recipient receive one publication, with this answer."""

    def arrive(
        publication: Publication, *, status: int = 204, verified: bool = True, attempt: int = 1
    ) -> Received:
        reading_id = webhook_id(publication.device, publication.payload)
        listener = recipient.listener
        data = {
            "id": reading_id,
            "device": publication.device,
            "measured_at": "2025-11-18T10:17:40Z",
        }
        received = Received(
            order=len(listener.received) + 1,
            received_at=NOW,
            webhook_id=reading_id,
            attempt=attempt,
            verdict="verified" if verified else "no_match",
            readings=(data,),
            body=json.dumps({"data": data}).encode(),
            path="/",
            headers={},
            is_duplicate=reading_id in listener.accepted,
            status=status,
        )
        listener.received.append(received)
        if received.was_accepted:
            listener.accepted.setdefault(reading_id, received)
        return received

    return arrive
