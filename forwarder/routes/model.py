"""The routing table as values: endpoints, and which of them want a device."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path
from typing import Literal, NewType, TypeAlias
from urllib.parse import quote

from forwarder.body_template import BodyTemplate
from forwarder.notice import OPERATOR
from forwarder.reading import DOT_SEGMENTS, Device
from forwarder.statuses import REFUSALS, SUCCESSES

EndpointName = NewType("EndpointName", str)

Mode = Literal["every", "latest"]
AuthMethod = Literal["basic", "post"]
Format = Literal["standard", "cloudevents", "template"]
NoticeFormat = Literal["standard", "text", "cloudevents", "template"]
"""The formats of notices to the operator's endpoint."""


class NoUrlError(ValueError):
    """This device's readings have no URL at any attempt."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One symmetric Standard Webhooks key: the 24 to 64 bytes that `whsec_…` encodes; never shown."""

    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Several readings in one POST: at most `max_events` (1 to 1000), which wait at most this long for more."""

    max_events: int
    max_wait_seconds: float


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `attempts` POSTs in any `per_seconds`."""

    attempts: int
    per_seconds: float


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The wait doubles from `initial_seconds` to `max_seconds`; without `max_attempts` it goes on until max_age."""

    initial_seconds: float = 5.0
    max_seconds: float = 900.0
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """RFC 7617."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BearerAuth:
    """RFC 6750."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuth2:
    """Client credentials (RFC 6749 §4.4)."""

    token_url: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    audience: str = ""
    method: AuthMethod = "basic"
    """The place in which the server wants client_id and client_secret: `Authorization`, or the form."""


Auth: TypeAlias = BasicAuth | BearerAuth | OAuth2


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. Without them the system's CAs are trusted, and no client certificate is shown."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    fingerprint: str = ""
    """A digest of the files' contents, so that a renewed certificate makes a changed endpoint."""


@dataclass(frozen=True, slots=True)
class AfterSeconds:
    """A device is silent so long after its last reading."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AfterIntervals:
    """A device is silent so many of its usual intervals after its last reading."""

    count: float


SilentAfter: TypeAlias = AfterSeconds | AfterIntervals


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first reading of a device within so many seconds is sent."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LastOf:
    """The last reading of a device within so many seconds is sent, when they are over."""

    seconds: float


MinInterval: TypeAlias = FirstOf | LastOf


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook URL with its keys and limits."""

    name: EndpointName
    url: str = field(repr=False)
    """The URL, perhaps with `{device}` in its path. Its query can hold a token, so it is never logged."""
    keys: tuple[SigningKey, ...] = field(repr=False)
    mode: Mode = "every"
    batch: BatchLimits | None = None
    max_age_seconds: float = 86400.0
    fields: tuple[str, ...] | None = None
    """Names or globs of the parts that are sent; None means all."""
    format: Format | NoticeFormat = "standard"
    template: BodyTemplate | None = None
    """The body's template; None unless `format: template`."""
    content_type: str | None = None
    """A content type in place of the template's own."""
    min_interval: MinInterval | None = None
    """The time in which at most one reading of each device is sent; None: every reading."""
    timeout_seconds: float = 10.0
    max_concurrency: int = 8
    rate_limit: RateLimit | None = None
    retry: RetrySchedule = RetrySchedule()
    success: frozenset[int] = field(default=SUCCESSES, repr=False)
    refused: frozenset[int] = field(default=REFUSALS, repr=False)
    """Statuses by which the endpoint refuses a reading. A status in neither set follows the other rules for answers."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    auth: Auth | None = None
    tls: TlsFiles | None = None
    allow_private: bool = False
    paused: bool = False
    silent_after: SilentAfter | None = AfterIntervals(3.0)
    """The time after which its devices are silent; None: this endpoint wants no notice of silence."""
    events: tuple[str, ...] | None = None
    """Globs over the types of notices that the operator's endpoint gets. None: the endpoint gets readings."""

    def url_for(self, device: Device) -> str:
        """
        The URL for a device's readings. The device is quoted, because it may be any topic level.

        Raises NoUrlError for a device whose name would lead out of the path. No reading is taken in under such a name,
        but an outbox of an earlier version may hold one.
        """
        if "{device}" not in self.url:
            return self.url
        if device in DOT_SEGMENTS:
            raise NoUrlError("the device's name would lead out of the path")
        return self.url.replace("{device}", quote(device, safe=""))


@dataclass(frozen=True, slots=True)
class Selection:
    """The devices that an endpoint asks for, as its file says it."""

    wants_every_device: bool = False
    devices: frozenset[Device] = frozenset()
    groups: tuple[str, ...] = ()


class Routes:
    """
    The routing table of one good routes.yaml: immutable, so that each reading is matched by one table or the next.
    """

    __slots__ = ("_by_device", "_every_device", "endpoints", "groups", "selections")

    def __init__(
        self,
        endpoints: Mapping[EndpointName, Endpoint],
        *,
        every_device: tuple[EndpointName, ...],
        by_device: Mapping[Device, tuple[EndpointName, ...]],
        groups: Mapping[str, frozenset[Device]],
        selections: Mapping[EndpointName, Selection] | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.groups = groups
        self.selections = selections or {}
        self._every_device = every_device
        self._by_device = by_device

    @property
    def operator(self) -> Endpoint | None:
        """The endpoint of notices about the service."""
        return self.endpoints.get(EndpointName(OPERATOR))

    @property
    def first_of(self) -> Mapping[str, float]:
        """The seconds of each endpoint that gets the first reading of an interval."""
        return {
            name: one.min_interval.seconds
            for name, one in self.endpoints.items()
            if isinstance(one.min_interval, FirstOf)
        }

    def match(self, device: Device) -> tuple[EndpointName, ...]:
        """The endpoints that want this device, each once, in the file's order. It costs one dictionary look-up."""
        return self._by_device.get(device, self._every_device)

    def named_behind(self, name: str, *, limit: int | None = None) -> list[Device]:
        """The first devices behind this name, in order, among those that an endpoint names, itself or by a group."""
        behind = (one for one in self._by_device if one > name)
        return sorted(behind) if limit is None else nsmallest(limit, behind)

    def reasons(self, device: Device, name: EndpointName) -> tuple[str, ...]:
        """Why the endpoint gets this device: `every device`, `its own list`, `group zurich`; empty if it does not."""
        selection = self.selections.get(name, Selection())
        every = ("every device",) if selection.wants_every_device else ()
        own = ("its own list",) if device in selection.devices else ()
        groups = (group for group in selection.groups if device in self.groups.get(group, ()))
        return (*every, *own, *(f"group {group}" for group in groups))

    def devices_of(self, name: EndpointName) -> frozenset[Device]:
        """The devices that this endpoint names, itself or by its groups; `"*"` names none."""
        selection = self.selections.get(name, Selection())
        return selection.devices.union(*(self.groups[group] for group in selection.groups))
