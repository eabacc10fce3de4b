"""Short functions from payloads to readings, for tests of the normaliser."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from forwarder.normalise import Normaliser, Template
from forwarder.reading import Message, Reading, Unreadable

PAYLOADS = Path(__file__).parents[1] / "fixtures" / "payloads"
RECEIVED_AT = datetime(2025, 11, 18, 10, 17, 41, 203000, UTC)
DEVICE = "ECC9FF5C7AD4"
TOPIC = f"ext/partner/{DEVICE}"
MAX_MESSAGE_BYTES = 65536


def normaliser(template: str | None = None, *, trusts_payload_device: bool = True) -> Normaliser:
    return Normaliser(
        timezone=ZoneInfo("Europe/Zurich"),
        max_message_bytes=MAX_MESSAGE_BYTES,
        trusts_payload_device=trusts_payload_device,
        template=None if template is None else Template.parse(template),
    )


def message(
    payload: str | bytes, *, topic: str = TOPIC, received_at: datetime = RECEIVED_AT
) -> Message:
    raw = payload.encode() if isinstance(payload, str) else payload
    return Message(topic=topic, payload=raw, received_at=received_at)


def normalise(
    payload: str | bytes,
    *,
    template: str | None = None,
    topic: str = TOPIC,
    received_at: datetime = RECEIVED_AT,
) -> Reading | Unreadable:
    return normaliser(template).normalise(message(payload, topic=topic, received_at=received_at))


def read(
    payload: str | bytes,
    *,
    template: str | None = None,
    topic: str = TOPIC,
    received_at: datetime = RECEIVED_AT,
) -> Reading:
    """The reading of a payload that can be read."""
    outcome = normalise(payload, template=template, topic=topic, received_at=received_at)
    assert isinstance(outcome, Reading), outcome
    return outcome


def refuse(payload: str | bytes, *, template: str | None = None, topic: str = TOPIC) -> Unreadable:
    """The verdict on a payload that cannot be read."""
    outcome = normalise(payload, template=template, topic=topic)
    assert isinstance(outcome, Unreadable), outcome
    return outcome
