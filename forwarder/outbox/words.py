"""
What goes into the outbox and what comes out of it, as values.

Nobody changes one. Those that are made for each reading are not frozen all the same: that takes four times as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from forwarder.delivery import Decision, Delivery
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
class Attempt:
    """One POST: what it came to, and when."""

    number: int
    attempted_at: float
    duration_ms: float
    status: int | None
    error: str
    """Empty for a 2xx."""
    detail: str = ""
    answer: bytes = b""


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
    """Deliveries of one lane that are in flight until they are settled."""

    lane: Lane
    deliveries: tuple[Delivery, ...]


FAILURES_TO_OPEN = 5
"""Failures in a row that open an endpoint's circuit."""


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What survives a restart about an endpoint as a whole."""

    failures: int = 0
    """Failures in a row that count for the circuit."""
    open_until: float | None = None
    """UNIX seconds; until then nothing is sent. With 5 failures and more, one probe after it."""
    paused_by: Literal["operator", "gone"] | None = None
    gone_url: str | None = None
    """A digest of the URL that answered 410."""
    failing_since: float | None = None
    last_success_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: only probes are sent."""
        return self.failures >= FAILURES_TO_OPEN
