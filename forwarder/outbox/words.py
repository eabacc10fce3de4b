"""
What goes into the outbox and what comes out of it, as values.

Nobody changes one. Those that are made for each reading are not frozen all the same: that takes four times as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from forwarder.delivery import Attempt, Decision, Delivery
from forwarder.outbox.lanes import Lane
from forwarder.reading import Device, QuarantineReason, WebhookId

MessageOutcome = Literal["accepted", "quarantined", "unrouted", "duplicate"]
Outcomes: TypeAlias = list[MessageOutcome]
"""Of messages that came together, in their order."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """An endpoint that a reading is owed to."""

    endpoint: str
    only_latest: bool = False
    """The reading supersedes what is pending in its lane and not in flight."""


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
    """A digest of the payload, when it holds no time: then the webhook id says nothing about redelivery."""
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
    """Of the whole message, in bytes; `payload` may be shorter."""
    payload: bytes


Put: TypeAlias = NewReading | NewQuarantined


@dataclass(slots=True)
class Settlement:
    """What was decided about one delivery; without an attempt when it was not even sent (too old)."""

    delivery: Delivery
    decision: Decision
    attempt: Attempt | None


@dataclass(slots=True)
class Delivered:
    """Deliveries that one POST has brought to their endpoint, each at its attempt of the same number."""

    endpoint: str
    deliveries: Sequence[Delivery]
    attempt: Attempt


@dataclass(slots=True)
class Claim:
    """Deliveries of one lane, in order, that are in flight until they are settled."""

    deliveries: tuple[Delivery, ...]
    token: Lane
    """How the outbox knows the claim again; nobody else's."""

    @property
    def device(self) -> Device:
        return self.token.device

    @property
    def is_stale(self) -> bool:
        """Something else than this claim has changed what is pending in its lane: it is to be given back."""
        return self.token.is_changed

    @property
    def is_over(self) -> bool:
        """Whether it was ended before; only until its lane is claimed anew."""
        return not self.token.claimed

    @property
    def has_more(self) -> bool:
        """Whether something is pending in its lane behind it."""
        return self.token.unclaimed > 0

    def first(self, count: int) -> "Claim":
        """The same claim without the later ones, which are as if never claimed."""
        return Claim(self.deliveries[:count], self.token)
