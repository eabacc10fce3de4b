"""
The values that come into the outbox, and the outcomes of messages.

Nobody changes a value. NewReading is not frozen, because each message makes one and a frozen one takes four times as
long.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from forwarder.reading import Device, QuarantineReason, WebhookId

MessageOutcome = Literal["accepted", "quarantined", "unrouted", "duplicate"]
Outcomes: TypeAlias = list[MessageOutcome]
"""Outcomes of messages that came together, in their order."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """An endpoint that a reading is owed to."""

    endpoint: str
    only_latest: bool = False
    """Whether the reading supersedes what is pending in its lane and not in flight."""


@dataclass(slots=True)
class NewReading:
    """A reading on its way in."""

    webhook_id: WebhookId
    device: Device
    measured_at: str
    received_at: float
    data: bytes
    recipients: tuple[Recipient, ...]
    content: bytes | None = None
    """A digest of a payload without a time, whose webhook id is random and tells no redelivery."""
    is_redelivery: bool = False


@dataclass(frozen=True, slots=True)
class NewQuarantined:
    """A message that could not be understood, on its way in."""

    device: Device
    topic: str
    received_at: float
    reason: QuarantineReason
    detail: str
    size: int
    """Bytes of the whole message; `payload` may be shorter."""
    payload: bytes


class Unrouted(NamedTuple):
    """A reading that no endpoint wants; the outbox stores only that its device has reported."""

    device: Device
    measured_at: str
    received_at: float


Put: TypeAlias = NewReading | NewQuarantined
