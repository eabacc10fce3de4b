"""The event that every format starts from, and the interface that every format offers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from forwarder.reading import Device, WebhookId


class Event(Protocol):
    """
    One thing to tell a receiver; `data` is its finished JSON object.

    A delivery is an event as it stands, so that an attempt makes nothing anew for each reading.
    """

    @property
    def webhook_id(self) -> WebhookId: ...

    @property
    def device(self) -> Device: ...

    @property
    def measured_at(self) -> str:
        """RFC 3339 in UTC, ending in Z."""

    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TestEvent:
    """The event of `send-test`."""

    webhook_id: WebhookId
    device: Device
    measured_at: str
    data: bytes


def newest(events: Sequence[Event]) -> str:
    """The latest `measured_at` of at least one event."""
    # The Z is cut off, because it would sort `…:40Z` after `…:40.203Z`.
    return max([event.measured_at.removesuffix("Z") for event in events]) + "Z"


class Unrenderable(ValueError):  # noqa: N818 - an outcome
    """No request can be made of these events, today or later; the events that are left can be sent without them."""

    def __init__(self, why: str, webhook_ids: Collection[WebhookId]) -> None:
        super().__init__(why)
        self.webhook_ids = frozenset(webhook_ids)


class Renderer(Protocol):
    """
    Writes one format, as a module of this package or an object.

    Its functions are pure: equal events make equal bytes, which are UTF-8. A template may raise Unrenderable.
    """

    @property
    def CONTENT_TYPE(self) -> str:  # noqa: N802 - a module's constant
        """The content type of one event on its own."""

    @property
    def BATCH_CONTENT_TYPE(self) -> str:  # noqa: N802
        """The content type of several events in one body."""

    @property
    def ENVELOPE_BYTES(self) -> int:  # noqa: N802
        """The most bytes that one more event adds to a batch beside its data."""

    def single(self, event: Event) -> bytes:
        """The body for one reading on its own."""

    def batch(self, events: Sequence[Event]) -> bytes:
        """The batch form of the body, for one reading or more."""

    def test(self, event: Event, *, is_batched: bool) -> tuple[bytes, str]:
        """The body and content type of a `webhook.test` event, in a form that this endpoint's receiver can parse."""
