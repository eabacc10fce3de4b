"""What every format starts from, and what it has to offer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from forwarder.reading import Device, WebhookId


class Event(Protocol):
    """
    One thing to tell a receiver; `data` is its finished JSON object.

    A delivery is one as it stands, so that for a reading at each attempt nothing is made anew.
    """

    @property
    def webhook_id(self) -> WebhookId: ...

    @property
    def device(self) -> Device: ...

    @property
    def measured_at(self) -> str:
        """RFC 3339 in UTC, ends in Z."""

    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TestEvent:
    """What `send-test` tells."""

    webhook_id: WebhookId
    device: Device
    measured_at: str
    data: bytes


def newest(events: Sequence[Event]) -> str:
    """The latest `measured_at` of at least one event."""
    # Without its Z, which would sort `…:40Z` after `…:40.203Z`.
    return max([event.measured_at.removesuffix("Z") for event in events]) + "Z"


class Unrenderable(ValueError):  # noqa: N818 - an outcome
    """No request can be made of these events, today or later; without them one can be, of what is left."""

    def __init__(self, why: str, webhook_ids: Collection[WebhookId]) -> None:
        super().__init__(why)
        self.webhook_ids = frozenset(webhook_ids)


class Renderer(Protocol):
    """
    Writes one format, as a module of this package or an object.

    Its functions are pure: equal events make equal bytes, which are UTF-8. A template's may raise Unrenderable.
    """

    @property
    def CONTENT_TYPE(self) -> str:  # noqa: N802 - a module's constant
        """Of one event on its own."""

    @property
    def BATCH_CONTENT_TYPE(self) -> str:  # noqa: N802
        """Of several events in one body."""

    @property
    def ENVELOPE_BYTES(self) -> int:  # noqa: N802
        """What one more event adds to a batch beside its data, at most."""

    def single(self, event: Event) -> bytes:
        """The body for one reading on its own."""

    def batch(self, events: Sequence[Event]) -> bytes:
        """The body for at least one reading, in the form for several."""

    def test(self, event: Event, *, is_batched: bool) -> tuple[bytes, str]:
        """The body and content type of a `webhook.test` event, in a form that this endpoint's receiver can parse."""
