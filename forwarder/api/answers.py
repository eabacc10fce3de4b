"""The forms of answers. The document is made from them, and tests hold every answer against them."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel

from forwarder.operator import PausedBy, State
from forwarder.operator.choosing import DeliveryState

T = TypeVar("T")


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Page(_Form, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = Field(
        None, description="the cursor of the part that follows; absent at the end"
    )


class All(_Form, Generic[T]):
    """A whole list."""

    items: list[T]


class Count(_Form):
    """How many were changed, or would be."""

    count: int


class Replayed(Count):
    """What a replay came to."""

    already_there: int = Field(
        0, description="not sent, because the other endpoint has them; they stay dead letters"
    )


class ReplayedMessages(Count):
    """What the replay of messages came to; each is counted once."""

    duplicate: int = Field(0, description="had come in before as well, and left the quarantine")
    unrouted: int = Field(0, description="understood, but no endpoint wants the device: kept")
    unreadable: int = Field(0, description="still not understood: kept with today's reason")
    cut_off: int = Field(
        0, description="too large, only the first bytes were kept: cannot be replayed"
    )


class Change(_Form):
    """What somebody changed."""

    at: AwareDatetime
    via: Literal["command", "api", "page"]
    who: str = Field(
        description="the user of the system, or by what a request was admitted: token, session, loopback"
    )
    what: str
    endpoint: str | None = Field(description="the one that was named")
    count: int = Field(description="how many it came to")


class Share(_Form):
    """A link that shows one endpoint's deliveries to its people."""

    id: str
    endpoint: str
    created_at: AwareDatetime
    expires_at: AwareDatetime


class NewShare(Share):
    """The same with the link itself, which is told once."""

    url: str


class TestAnswer(_Form):
    """What a receiver made of a test event."""

    endpoint: str
    ok: bool
    status: int | None
    error: str | None = Field(description="such as timeout or http_503; null where it was taken")
    detail: str | None
    address: str | None = Field(description="the IP address that was dialled")
    answer: str = Field(description="the start of what was answered")
    duration_ms: float


class DeadLetter(_Form):
    """A delivery that failed for good and waits for an operator."""

    id: str
    endpoint: str
    device: str
    webhook_id: str
    reason: str | None
    attempts: int
    last_status: int | None
    last_error: str | None
    enqueued_at: AwareDatetime
    died_at: AwareDatetime | None


class Delivery(_Form):
    """One reading owed to one endpoint."""

    id: str
    endpoint: str
    device: str
    webhook_id: str
    state: DeliveryState
    reason: str | None
    attempts: int
    last_status: int | None
    last_error: str | None
    measured_at: AwareDatetime
    received_at: AwareDatetime
    enqueued_at: AwareDatetime
    settled_at: AwareDatetime | None
    next_attempt_at: AwareDatetime | None


class Device(_Form):
    """When a device last reported, how often it does, and who gets it."""

    device: str
    last_reading_at: AwareDatetime | None
    age_seconds: float | None
    measured_at: AwareDatetime | None
    usual_interval_seconds: float | None
    endpoints: list[str] | None
    silent_since: AwareDatetime | None
    first_heard_at: AwareDatetime | None
    last_unreadable_at: AwareDatetime | None
    quarantined: int = Field(description="messages of it that wait in quarantine")


class DeviceFile(Device):
    """The same with the rules that match it, its last reading's deliveries, and its newest in quarantine."""

    because: dict[str, list[str]] = Field(description="by endpoint, which of its rules match")
    last_reading: list[Delivery]
    quarantine: list["QuarantinedMessage"]


class Attempt(_Form):
    """One POST, and what came of it."""

    number: int
    attempted_at: AwareDatetime
    duration_ms: float
    address: str | None = Field(description="the IP address that was dialled")
    status: int | None
    error: str | None
    detail: str | None
    answer: str | None = Field(description="the start of what was answered, where it failed")


class DeliveryFile(Delivery):
    """A delivery with its attempts, and the reading as long as it is kept."""

    history: list[Attempt]
    data: dict[str, Any] | None = Field(
        description="the event's data object; null once it is delivered"
    )


class QuarantinedMessage(_Form):
    """A message that could not be understood."""

    id: int
    device: str
    topic: str
    received_at: AwareDatetime
    reason: str
    detail: str
    size: int
    kept_bytes: int


class QuarantinedFile(QuarantinedMessage):
    """The same with its bytes."""

    payload_base64: str


class Decoded(_Form):
    """What a payload becomes: the event's data object, or why it becomes none."""

    reading: dict[str, Any] | None = None
    quarantine: str | None = None
    detail: str | None = None


class EndpointState(_Form):
    """One endpoint: its accounts, enqueued = delivered + dead + expired + superseded + pending, and how it stands."""

    state: State
    enqueued: int
    delivered: int
    dead: int
    expired: int
    superseded: int
    pending: int
    oldest_pending_seconds: float | None
    dead_letters: int
    last_error: str | None
    last_error_at: AwareDatetime | None
    last_success_at: AwareDatetime | None
    failures: int
    failing_since: AwareDatetime | None
    next_probe_at: AwareDatetime | None
    paused_by: PausedBy | None


class Endpoint(EndpointState):
    """The same with its name."""

    name: str


class ReplicaState(_Form):
    """One forwarder among those on a database."""

    name: str
    version: str
    leads: bool = Field(description="whether it subscribes")
    beat: int = Field(description="how often it was heard of, about once a second")
    routes: str = Field(description="a digest of the routes that are in force there")
    endpoints: list[str] = Field(description="that it delivers to")


class Status(_Form):
    """How everything stands, as `forwarder status --json` tells it."""

    ready: bool
    reasons: list[str]
    mqtt: dict[str, Any]
    outbox: dict[str, Any]
    routes: dict[str, Any]
    replicas: list[ReplicaState]
    messages: dict[str, int]
    quarantine: int
    quarantine_evicted: dict[str, int]
    endpoints: dict[str, EndpointState]


class Routed(_Form):
    """What an endpoint asks for."""

    devices: list[str] | str = Field(description='`"*"`: every device')
    groups: list[str]
    paused: bool


class RoutesInForce(_Form):
    """Who gets which devices."""

    endpoints: dict[str, Routed]
    groups: dict[str, int] = Field(description="how many devices are in each")


class Because(_Form):
    """An endpoint, and the lines of the routing file by which it gets a device."""

    endpoint: str
    because: list[str]


class RoutesOfDevice(_Form):
    """Who gets one device, and why."""

    device: str
    endpoints: list[Because]


class Problem(_Form):
    """What went wrong (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Routing(RootModel[RoutesInForce | RoutesOfDevice]):
    """All that the routes say, or what they say of the device that was asked for."""
