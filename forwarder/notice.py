"""
Notices tell the operator about the service: their kinds, and the sentence of each. Values, no I/O.

Each kind names its `subject` (an endpoint, a device, a part of the service), since when, and what to do. Instants are
UNIX seconds. The event leaves out fields that are None or empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Literal, TypeAlias, get_args

from forwarder.units import count_of, format_duration, format_size

OPERATOR = "operator"
"""The endpoint that notices go to; no other endpoint may have this name."""

SEVERAL_DEVICES = "devices"
"""The subject of a notice that names several devices."""

NoticeType = Literal[
    "endpoint.failing",
    "endpoint.recovered",
    "endpoint.paused",
    "deliveries.dead",
    "device.silent",
    "device.resumed",
    "devices.silent",
    "stream.interrupted",
    "stream.resumed",
    "routes.rejected",
    "outbox.nearly_full",
    "outbox.fell_back",
    "quarantine.growing",
]
NOTICE_TYPES: tuple[NoticeType, ...] = get_args(NoticeType)


@dataclass(frozen=True, slots=True)
class AboutEndpoint:
    """A notice about one endpoint."""

    endpoint: str

    @property
    def subject(self) -> str:
        return self.endpoint


@dataclass(frozen=True, slots=True)
class AboutDevice:
    """A notice about one device."""

    device: str

    @property
    def subject(self) -> str:
        return self.device


@dataclass(frozen=True, slots=True)
class EndpointFailing(AboutEndpoint):
    """Its circuit has opened: 5 failures in a row."""

    TYPE: ClassVar[NoticeType] = "endpoint.failing"
    since: float
    """When the first of these failures came."""
    reason: str
    """The error word of the last failure."""
    failures: int

    @property
    def message(self) -> str:
        return (
            f"{self.endpoint} has been failing since {_instant(self.since)}: {self.reason};"
            " its readings wait, and it is tried about once a minute"
        )


@dataclass(frozen=True, slots=True)
class EndpointRecovered(AboutEndpoint):
    """It has taken readings again for 10 s."""

    TYPE: ClassVar[NoticeType] = "endpoint.recovered"
    since: float
    """The beginning of the outage, as in `endpoint.failing`."""
    until: float

    @property
    def message(self) -> str:
        return f"{self.endpoint} is well again, after {_span(self.until - self.since)}"


@dataclass(frozen=True, slots=True)
class EndpointPaused(AboutEndpoint):
    """Nothing is sent to it until somebody resumes it."""

    TYPE: ClassVar[NoticeType] = "endpoint.paused"
    since: float
    reason: Literal["operator", "gone"]

    @property
    def message(self) -> str:
        resume = f"forwarder endpoints resume {self.endpoint}"
        if self.reason == "gone":
            return (
                f"{self.endpoint} answered 410 Gone and is paused; change its URL, or run: {resume}"
            )
        return f"{self.endpoint} was paused by an operator; its readings wait until: {resume}"


@dataclass(frozen=True, slots=True)
class DeliveriesDead(AboutEndpoint):
    """Deliveries of one endpoint became dead letters; at most one notice a minute and endpoint."""

    TYPE: ClassVar[NoticeType] = "deliveries.dead"
    since: float
    """When the first of the deliveries died."""
    count: int
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def message(self) -> str:
        became = count_of(
            self.count, "delivery became a dead letter", "deliveries became dead letters"
        )
        return (
            f"{self.endpoint}: {became} ({_counts(self.reasons)});"
            f" see: forwarder dead-letters list --endpoint {self.endpoint}"
        )


@dataclass(frozen=True, slots=True)
class DeviceSilent(AboutDevice):
    """No reading of it has come for `silent_after`."""

    TYPE: ClassVar[NoticeType] = "device.silent"
    since: float
    """When the last reading came."""
    silent_after_seconds: float

    @property
    def message(self) -> str:
        return (
            f"{self.device} is silent: its last reading came {_instant(self.since)},"
            f" more than {_span(self.silent_after_seconds)} ago"
        )


@dataclass(frozen=True, slots=True)
class DeviceResumed(AboutDevice):
    """A device that was silent sends again."""

    TYPE: ClassVar[NoticeType] = "device.resumed"
    since: float
    """When the last reading before the silence came."""
    until: float

    @property
    def message(self) -> str:
        return f"{self.device} sends again, after {_span(self.until - self.since)}"


@dataclass(frozen=True, slots=True)
class DevicesSilent:
    """Many devices fell silent within a minute: those that were not told singly."""

    TYPE: ClassVar[NoticeType] = "devices.silent"
    subject: ClassVar[str] = SEVERAL_DEVICES
    since: float
    """When that minute began."""
    count: int
    devices: tuple[str, ...] = ()
    """The first of the devices."""

    @property
    def message(self) -> str:
        fell = count_of(self.count, "more device")
        some = f", such as {', '.join(self.devices[:3])}" if self.devices else ""
        return f"{fell} fell silent within a minute{some}; see: forwarder devices --silent"


@dataclass(frozen=True, slots=True)
class StreamInterrupted:
    """There has been no session with the broker for 60 s."""

    TYPE: ClassVar[NoticeType] = "stream.interrupted"
    subject: ClassVar[str] = "stream"
    since: float
    reason: str

    @property
    def message(self) -> str:
        return f"no session with the broker since {_instant(self.since)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class StreamResumed:
    """
    The session is back, with what may be missing; alone where the broker lost it in a shorter absence.

    `session_lost` says that the broker had forgotten us, and with us what was published meanwhile.
    """

    TYPE: ClassVar[NoticeType] = "stream.resumed"
    subject: ClassVar[str] = "stream"
    since: float
    until: float
    session_lost: bool

    @property
    def message(self) -> str:
        back = f"the session with the broker is back, after {_span(self.until - self.since)}"
        if self.session_lost:
            return f"{back}; the broker had forgotten it, so what was published meanwhile may be missing"
        return f"{back}; what was published meanwhile comes now, as far as the broker has kept it"


@dataclass(frozen=True, slots=True)
class RoutesRejected:
    """An edit of routes.yaml changes nothing, because it has mistakes."""

    TYPE: ClassVar[NoticeType] = "routes.rejected"
    subject: ClassVar[str] = "routes"
    since: float
    count: int
    place: str
    """The first place, `routes.yaml:14:13`; the mistake itself stays in the log, because a chat has more readers."""

    @property
    def message(self) -> str:
        problems = count_of(self.count, "problem")
        return (
            f"an edit of the routes has {problems}, the first at {self.place}, and the last good routes stay;"
            " see: forwarder check"
        )


@dataclass(frozen=True, slots=True)
class OutboxNearlyFull:
    """Nine tenths of what the outbox may take are taken."""

    TYPE: ClassVar[NoticeType] = "outbox.nearly_full"
    subject: ClassVar[str] = "outbox"
    since: float
    used_bytes: int
    limit_bytes: int
    """FORWARDER_OUTBOX_MAX_BYTES, or the room on the disk if that is less."""

    @property
    def message(self) -> str:
        return (
            f"the outbox takes {format_size(self.used_bytes)} of {format_size(self.limit_bytes)};"
            " when it is full, new messages stay with the broker"
        )


@dataclass(frozen=True, slots=True)
class OutboxFellBack:
    """Its database came back, after a failover, without the last of what was acknowledged."""

    TYPE: ClassVar[NoticeType] = "outbox.fell_back"
    subject: ClassVar[str] = "outbox"
    since: float
    lost_readings: int
    """The most readings that can be lost."""

    @property
    def message(self) -> str:
        return (
            f"a failover of the outbox's database has lost up to {count_of(self.lost_readings, 'reading')}"
            " that had been acknowledged: the standby did not have them; see synchronous_standby_names"
        )


@dataclass(frozen=True, slots=True)
class QuarantineGrowing:
    """Messages came that could not be understood; at most one notice an hour."""

    TYPE: ClassVar[NoticeType] = "quarantine.growing"
    subject: ClassVar[str] = "quarantine"
    since: float
    count: int
    """How many messages came since the last notice."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """The reasons of all messages that are in quarantine now."""

    @property
    def message(self) -> str:
        messages = count_of(self.count, "message")
        return (
            f"{messages} could not be understood since {_instant(self.since)};"
            f" in quarantine now: {_counts(self.reasons)}; see: forwarder quarantine list"
        )


Notice: TypeAlias = (
    EndpointFailing
    | EndpointRecovered
    | EndpointPaused
    | DeliveriesDead
    | DeviceSilent
    | DeviceResumed
    | DevicesSilent
    | StreamInterrupted
    | StreamResumed
    | RoutesRejected
    | OutboxNearlyFull
    | OutboxFellBack
    | QuarantineGrowing
)
KINDS: Mapping[NoticeType, type[Notice]] = {kind.TYPE: kind for kind in get_args(Notice)}


def _instant(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(seconds: float) -> str:
    """The span as a person says it: `45s`, `12m`, `3h`, `2d`."""
    whole = max(round(seconds), 0)
    for unit, least in ((86400, 172800), (3600, 7200), (60, 120)):
        if whole >= least:
            return format_duration(float(whole // unit * unit))
    return f"{whole}s"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())) or "none"
