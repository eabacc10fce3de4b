"""Records that the outbox shows to operators, and selections of rows by operators. Instants are UNIX seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from forwarder.delivery import Attempt
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.intervals import usual_interval
from forwarder.reading import Device, WebhookId
from forwarder.settings import OutboxPlace

BEYOND_ALL = 1 << 62
"""Higher than every number in a table, and more than its count of rows."""


class DeliveryId(NamedTuple):
    """A delivery's row: its reading's number and its endpoint's row. People know the delivery by its webhook id."""

    reading: int
    endpoint: int


class Found(NamedTuple):
    """A delivery that was looked up, with its names."""

    webhook_id: WebhookId
    key: DeliveryId
    state: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions that narrow rows down; a condition that is None or empty does not."""

    ids: tuple[tuple[int, int], ...] = ()
    endpoint: str | None = None
    device: Device | None = None
    reason: str | None = None
    state: str | None = None
    since: float | None = None
    until: float | None = None
    readings: tuple[int, int] | None = None
    """The lowest and the highest number of a reading, as `Outlook` bounds them; for deliveries alone."""
    limit: int | None = None
    after: tuple[float | int, ...] = ()
    """The sort values of the last row that was given; the list goes on behind that row."""

    @property
    def narrows(self) -> bool:
        """Whether the selection leaves anything out."""
        return self != Selection()


@dataclass(frozen=True, slots=True)
class Outlook:
    """The readings that a list of deliveries looks through at once; `is_whole` where none follows below them."""

    lowest: int
    highest: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One delivery's row."""

    id: DeliveryId
    endpoint: str
    device: Device
    state: str
    reason: str | None
    attempts: int
    last_status: int | None
    last_error: str | None
    duration_ms: float | None
    """Milliseconds of the last attempt."""
    address: str | None
    """The IP address that the settling attempt dialled."""
    enqueued_at: float
    due_at: float
    """The instant of a pending delivery's next attempt; 0 before the first."""
    settled_at: float | None
    webhook_id: WebhookId
    measured_at: str
    received_at: float


@dataclass(frozen=True, slots=True)
class DeliveryFile:
    """All there is about one delivery."""

    record: DeliveryRecord
    data: bytes | None
    """The event's data object; None once nobody needs it."""
    attempts: tuple[Attempt, ...]
    """Failed attempts, as far as they are kept, and the successful one."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One message in quarantine."""

    id: int
    device: Device
    topic: str
    received_at: float
    reason: str
    detail: str
    size: int
    """Bytes of the whole message."""
    payload: bytes
    """The message's bytes; only the first where the message was too large."""

    @property
    def is_cut_off(self) -> bool:
        return self.size > len(self.payload)


class DeviceRecord(NamedTuple):
    """One device's record, up to some seconds old. A device may have sent no reading yet."""

    device: Device
    first_at: float
    """The arrival of the first message."""
    last_at: float | None
    """The arrival of the last reading."""
    measured_at: str | None
    """The measured time of the last reading."""
    sightings: int
    """The count of reports; readings that come at once count once."""
    intervals: bytes
    """The last intervals between readings; see `intervals.py`."""
    unreadable_at: float | None
    """The arrival of the last message that could not be understood."""
    silent_since: float | None
    """The instant since which the device counts as silent; None while it does not."""

    @property
    def usual_interval(self) -> float | None:
        """Seconds between two readings as a rule; None while there is no interval yet."""
        return usual_interval(self.intervals)


@dataclass(frozen=True, slots=True)
class EndpointTotals:
    """One endpoint's accounts: enqueued = delivered + dead + expired + superseded + pending."""

    name: str
    enqueued: int = 0
    delivered: int = 0
    dead: int = 0
    expired: int = 0
    superseded: int = 0
    oldest_pending_at: float | None = None
    removed_at: float | None = None
    health: EndpointHealth = field(default_factory=EndpointHealth)
    candidates: int = 0
    """Readings that may become deliveries at the end of their intervals; they count as enqueued then."""

    @property
    def pending(self) -> int:
        return self.enqueued - self.delivered - self.dead - self.expired - self.superseded


@dataclass(frozen=True, slots=True)
class Replica:
    """A living forwarder among those on one outbox."""

    name: str
    version: str
    leads: bool
    """Whether the replica subscribes."""
    beat: int
    """The count of the replica's beats, about one a second."""
    routes: str
    """A digest of the routes in force at the replica."""
    endpoints: tuple[str, ...]
    """Names of the endpoints that the replica delivers to."""


@dataclass(frozen=True, slots=True)
class Share:
    """A link to one endpoint's deliveries; instants are UNIX seconds."""

    id: str
    endpoint: str
    digest: bytes = field(repr=False)
    """SHA-256 of the link's secret, which is kept nowhere."""
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A change that somebody made. The record names no device, so a purge has nothing to erase here."""

    id: str
    """Random, made before the change."""
    at: float
    """UNIX seconds."""
    via: str
    """`command`, `api` or `page`."""
    who: str
    """The system's user, or what admitted the request: `token`, `session`, `loopback`."""
    what: str
    endpoint: str | None
    """The endpoint that was named."""
    count: int
    """How many rows were changed, or were meant where the change did not come to its end."""
    number: int = 0
    """The number in the order of records; the outbox gives it."""


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of an endpoint, or of the line, whose name is empty."""

    endpoint: str
    at: int
    """UNIX seconds of the minute's beginning."""
    counts: Mapping[str, int]
    """How often each thing happened; only what happened has a key."""
    latency_seconds: float = 0.0
    """The sum over all deliveries of the minute."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The outbox as of one instant."""

    identity: str
    """The outbox's random id, made with it and shared by its copies."""
    endpoints: list[EndpointTotals]
    """The accounts of every endpoint that the outbox has ever known, by name."""
    messages: dict[str, int]
    """Messages by outcome, over the whole life of the outbox."""
    dead_letters: dict[tuple[str, str], int]
    """Dead letters that wait for an operator, by endpoint and reason."""
    quarantined: dict[str, int]
    """Messages in quarantine, by reason."""
    quarantine_evicted: dict[str, int]
    """Messages that have left quarantine for newer ones, by reason, over the whole life of the outbox."""
    replicas: tuple[Replica, ...] = ()
    """The replicas on a database, by name; a file has none."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The findings of a look at the outbox."""

    path: OutboxPlace
    file_bytes: int
    wal_bytes: int
    """Bytes of the write-ahead log."""
    is_service_running: bool
    schema_version: int | None = None
    faults: tuple[str, ...] = ()
    """Faults, a clause each; a sound outbox has none."""
    deliveries: dict[str, int] = field(default_factory=dict)
    """Deliveries by state."""
    readings: int = 0
    quarantined: int = 0

    @property
    def is_sound(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge has erased of a device."""

    deliveries: int
    pending: int
    """The deliveries among them that were pending, and count as dead."""
    quarantined: int
    is_rewritten: bool
    """Whether no stale bytes are left in the file either; where some are, the operator runs the purge again."""
