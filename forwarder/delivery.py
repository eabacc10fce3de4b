"""
The words of the right half: what is owed to an endpoint, what one attempt came to, and what follows from it.

    Delivery ─▶ attempt ─▶ AttemptResult = Accepted | Refused | Gone | Failed        (or Unsent: it was none)
                                │  retry.decide
                                ▼
                           Decision = Done | RetryAt | Bury | Expire | Supersede
"""

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Literal, NewType, TypeAlias

from forwarder.reading import Device, WebhookId
from forwarder.statuses import REFUSALS, SUCCESSES

ReadingNumber = NewType("ReadingNumber", int)
"""The place of a reading in the order of arrival; grows, and is never used twice in one outbox."""

DeadReason = Literal["refused", "expired", "exhausted", "endpoint_removed", "unrenderable"]

ErrorWord: TypeAlias = str
"""
Why an attempt failed, from a small fixed vocabulary: `dns`, `connect_refused`, `reset`, `unreachable`, `tls`,
`timeout`, `protocol`, `blocked_address`, `proxy`, `client_certificate`, `token` or `http_<status>`. Programs read it
as it is.
"""


def in_words(error: ErrorWord) -> str:
    """The same for people, who know an answer by its number: `400` for `http_400`."""
    return error.removeprefix("http_")


@dataclass(slots=True)
class Delivery:
    """
    One reading owed to one endpoint.

    Never changed; not frozen, because a frozen one takes four times as long to make, and each reading takes several.
    """

    reading: ReadingNumber
    endpoint: str
    device: Device
    webhook_id: WebhookId
    measured_at: str
    """As the event writes it, RFC 3339."""
    received_at: float
    """UNIX seconds."""
    age_from: float
    """UNIX seconds from which `max_age` counts: when it was received, or last replayed."""
    attempts: int
    """Attempts so far."""
    data: bytes
    """The event's whole data object, UTF-8 JSON."""
    due_at: float = 0.0
    """UNIX seconds of the next attempt; 0 before the first."""


@dataclass(slots=True)
class Accepted:
    """A 2xx, or the endpoint's own `success`: delivered. Never changed; like a Delivery it is made for each reading."""

    status: int
    answer: bytes = b""
    address: str | None = field(default=None, compare=False)
    """The IP address that was dialled, None where that is not known: as in the other results."""


@dataclass(frozen=True, slots=True)
class Refused:
    """400, 405, 413, 414, 415, 422 or 501, or the endpoint's own `refused`: this reading will never be taken."""

    status: int
    answer: bytes = b""
    address: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Gone:
    """410: the endpoint wants nothing more until its URL changes or an operator resumes it."""

    status: int = 410
    answer: bytes = b""
    address: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """Anything else: worth trying again."""

    error: ErrorWord
    status: int | None = None
    retry_after: str | None = None
    """The raw Retry-After field of a 429 or 503 (RFC 9110 §10.2.3), None when there was none."""
    answer: bytes = b""
    detail: str = ""
    """One clause for people; never a URL, which may hold a token."""
    address: str | None = field(default=None, compare=False)


@dataclass(slots=True)
class Attempt:
    """One POST: what it came to, and when. Never changed; like a Delivery it is made for each reading."""

    number: int
    """From 1 on."""
    attempted_at: float
    """UNIX seconds."""
    duration_ms: float
    status: int | None
    error: ErrorWord
    """Empty when it succeeded."""
    detail: str = ""
    answer: bytes = b""
    """The start of what was answered, where it failed."""
    address: str | None = None
    """The IP address that was dialled; None where none was, or where that is not known."""


AttemptResult: TypeAlias = Accepted | Refused | Gone | Failed


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing was sent, because this process had no file descriptor to spare: no attempt, and no word about anybody."""


def classify(
    status: int,
    *,
    success: Set[int] = SUCCESSES,
    refused: Set[int] = REFUSALS,
    retry_after: str | None = None,
    answer: bytes = b"",
    address: str | None = None,
) -> AttemptResult:
    """What a complete answer's status means for the delivery; a redirect is never followed."""
    if status in success:
        return Accepted(status, answer, address)
    if status in refused:
        return Refused(status, answer, address)
    if status == 410:
        return Gone(status, answer, address)
    hint = retry_after if status in (429, 503) else None
    error = f"http_{status}"
    return Failed(error, status=status, retry_after=hint, answer=answer, address=address)


@dataclass(frozen=True, slots=True)
class Done:
    """Settle as delivered."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Keep it at the head of its lane and try again at `due_at` (UNIX seconds)."""

    due_at: float


@dataclass(frozen=True, slots=True)
class Bury:
    """Make it a dead letter."""

    reason: DeadReason


@dataclass(frozen=True, slots=True)
class Expire:
    """`mode: latest` only: too old to be worth sending; dropped and counted."""


@dataclass(frozen=True, slots=True)
class Supersede:
    """`mode: latest` only: it failed after a newer reading came; dropped and counted."""


Decision: TypeAlias = Done | RetryAt | Bury | Expire | Supersede
