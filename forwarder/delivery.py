"""
The words of the right half: a delivery owed to an endpoint, the result of an attempt, and the decision that follows.

    Delivery ─▶ attempt ─▶ AttemptResult = Accepted | Refused | Gone | Failed        (or Unsent: there was none)
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
"""The place of a reading in the order of arrival; numbers grow, and an outbox never uses one twice."""

DeadReason = Literal["refused", "expired", "exhausted", "endpoint_removed", "unrenderable"]

ErrorWord: TypeAlias = str
"""
The reason of a failed attempt, from a small fixed vocabulary: `dns`, `connect_refused`, `reset`, `unreachable`, `tls`,
`timeout`, `protocol`, `blocked_address`, `proxy`, `client_certificate`, `token` or `http_<status>`. Programs read it
as it is.
"""


def in_words(error: ErrorWord) -> str:
    """The error word for people, who know an answer by its number: `400` for `http_400`."""
    return error.removeprefix("http_")


@dataclass(slots=True)
class Delivery:
    """
    One reading owed to one endpoint.

    Nobody changes a delivery. The class is not frozen, because each reading makes several and a frozen one takes four
    times as long.
    """

    reading: ReadingNumber
    endpoint: str
    device: Device
    webhook_id: WebhookId
    measured_at: str
    """RFC 3339, as events write it."""
    received_at: float
    """UNIX seconds."""
    age_from: float
    """UNIX seconds from which `max_age` counts: when the reading was received, or last replayed."""
    attempts: int
    """Attempts so far."""
    data: bytes
    """The event's whole data object as UTF-8 JSON."""
    due_at: float = 0.0
    """UNIX seconds of the next attempt; 0 before the first."""


@dataclass(slots=True)
class Accepted:
    """A 2xx, or the endpoint's own `success`: delivered. It is not frozen, because each reading makes one."""

    status: int
    answer: bytes = b""
    address: str | None = field(default=None, compare=False)
    """The IP address that was dialled, None if it is not known; the other results have it too."""


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
    """Anything else, which is worth another attempt."""

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
    """One POST, its time and its result. It is not frozen, because each reading makes one."""

    number: int
    """Counts from 1."""
    attempted_at: float
    """UNIX seconds."""
    duration_ms: float
    status: int | None
    error: ErrorWord
    """The reason of the failure; empty after a success."""
    detail: str = ""
    answer: bytes = b""
    """The start of the answer to a failed attempt."""
    address: str | None = None
    """The IP address that was dialled; None if none was, or if it is not known."""


AttemptResult: TypeAlias = Accepted | Refused | Gone | Failed


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing was sent, because no file descriptor was free; this is no attempt and says nothing of the endpoint."""


def classify(
    status: int,
    *,
    success: Set[int] = SUCCESSES,
    refused: Set[int] = REFUSALS,
    retry_after: str | None = None,
    answer: bytes = b"",
    address: str | None = None,
) -> AttemptResult:
    """The result of a complete answer, by its status; a redirect is never followed."""
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
    """Keep the delivery at the head of its lane, and try again at `due_at` (UNIX seconds)."""

    due_at: float


@dataclass(frozen=True, slots=True)
class Bury:
    """Make the delivery a dead letter."""

    reason: DeadReason


@dataclass(frozen=True, slots=True)
class Expire:
    """Drop and count a delivery that is too old to be worth sending, in `mode: latest` only."""


@dataclass(frozen=True, slots=True)
class Supersede:
    """Drop and count a delivery that failed after a newer reading came, in `mode: latest` only."""


Decision: TypeAlias = Done | RetryAt | Bury | Expire | Supersede
