"""Records that the outbox shows to operators, and how they say which rows they mean. Instants are UNIX seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from forwarder.delivery import Attempt
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.intervals import usual_interval
from forwarder.reading import Device, WebhookId
from forwarder.settings import OutboxPlace

BEYOND_ALL = 1 << 62
"""Higher than every number in a table, and more than its rows."""


class DeliveryId(NamedTuple):
    """A delivery's row: the number of its reading, and the row of its endpoint. People know it by its webhook id."""

    reading: int
    endpoint: int


class Found(NamedTuple):
    """A delivery as far as it takes to name it."""

    webhook_id: WebhookId
    key: DeliveryId
    state: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What narrows the rows down; what is None or empty does not."""

    ids: tuple[tuple[int, int], ...] = ()
    endpoint: str | None = None
    device: Device | None = None
    reason: str | None = None
    state: str | None = None
    since: float | None = None
    until: float | None = None
    readings: tuple[int, int] | None = None
    """Of deliveries alone: the lowest and the highest number of a reading, as `Outlook` bounds them."""
    limit: int | None = None
    after: tuple[float | int, ...] = ()
    """The list goes on behind the row of these values: what it is sorted by, of the last one that was given."""

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return self != Selection()


@dataclass(frozen=True, slots=True)
class Outlook:
    """The readings that a list of deliveries looks through at once, and whether more may follow below them."""

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
    """Of its last attempt."""
    address: str | None
    """The IP address that the attempt dialled that settled it."""
    enqueued_at: float
    due_at: float
    """Of its next attempt, while it is pending; 0 before the first."""
    settled_at: float | None
    webhook_id: WebhookId
    measured_at: str
    received_at: float


@dataclass(frozen=True, slots=True)
class DeliveryFile:
    """All there is about one delivery."""

    record: DeliveryRecord
    data: bytes | None
    """The event's data object; None once it is no longer needed."""
    attempts: tuple[Attempt, ...]
    """Those that failed, as far as they are kept; and the one that succeeded."""


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
    """Of the whole message, in bytes."""
    payload: bytes
    """Its bytes; of one that was too large only the first."""

    @property
    def is_cut_off(self) -> bool:
        return self.size > len(self.payload)


class DeviceRecord(NamedTuple):
    """All that is known of one device, up to some seconds ago. One that was heard of may have sent no reading yet."""

    device: Device
    first_at: float
    """When it was first heard of."""
    last_at: float | None
    """When its last reading came in."""
    measured_at: str | None
    """When its last reading was measured."""
    sightings: int
    """How often it was seen to report; readings that come at once are seen together."""
    intervals: bytes
    """The last ones between its readings; see `intervals.py`."""
    unreadable_at: float | None
    """When its last message came in that could not be understood."""
    silent_since: float | None
    """From when it counts as silent; None while it does not."""

    @property
    def usual_interval(self) -> float | None:
        """Seconds between two readings, as a rule; None while there were too few."""
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
    """Readings that may be enqueued at the end of their intervals; not pending yet."""

    @property
    def pending(self) -> int:
        return self.enqueued - self.delivered - self.dead - self.expired - self.superseded


@dataclass(frozen=True, slots=True)
class Replica:
    """One forwarder among those on an outbox that is alive."""

    name: str
    version: str
    leads: bool
    """Whether it subscribes."""
    beat: int
    """How often it was heard of; about once a second."""
    routes: str
    """A digest of the routes that are in force there."""
    endpoints: tuple[str, ...]
    """That it delivers to, by name."""


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
    """What somebody changed; it names no device, so that a purge has nothing to erase here."""

    id: str
    """Random, made before the change."""
    at: float
    """UNIX seconds."""
    via: str
    """`command`, `api` or `page`."""
    who: str
    """The user of the system, or by what a request was admitted: `token`, `session`, `loopback`."""
    what: str
    endpoint: str | None
    """The one that was named."""
    count: int
    """How many were changed; how many were meant, where the change did not come to its end."""
    number: int = 0
    """In the order of records; the outbox gives it."""


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of an endpoint, or of the line, whose name is empty, in numbers."""

    endpoint: str
    at: int
    """UNIX seconds of its beginning."""
    counts: Mapping[str, int]
    """How often what happened; what did not is left out."""
    latency_seconds: float = 0.0
    """Of all that was delivered in it, together."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The outbox at one instant."""

    identity: str
    """Which outbox this is: a random id, made with it, which its copies share."""
    endpoints: list[EndpointTotals]
    """Of every endpoint that the outbox has ever known, by name."""
    messages: dict[str, int]
    """By outcome, over the whole life of the outbox."""
    dead_letters: dict[tuple[str, str], int]
    """That wait for an operator, by endpoint and reason."""
    quarantined: dict[str, int]
    """By reason."""
    quarantine_evicted: dict[str, int]
    """That have left for newer ones, by reason, over the whole life of the outbox."""
    replicas: tuple[Replica, ...] = ()
    """Those on a database, by name; a file has none."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that a look at the outbox's file found."""

    path: OutboxPlace
    file_bytes: int
    wal_bytes: int
    """Of the write-ahead log."""
    is_service_running: bool
    schema_version: int | None = None
    faults: tuple[str, ...] = ()
    """Each a clause; none in a sound outbox."""
    deliveries: dict[str, int] = field(default_factory=dict)
    """How many are in which state."""
    readings: int = 0
    quarantined: int = 0

    @property
    def is_sound(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class Purged:
    """What was erased of a device."""

    deliveries: int
    pending: int
    """Of these, those that were not delivered yet: they count as dead."""
    quarantined: int
    is_rewritten: bool
    """Whether the file holds no stale bytes either; when not, the purge is to be run again."""
