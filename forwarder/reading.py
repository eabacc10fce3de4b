"""
The words of the left half: a message as received, and a reading as understood.

The names and units of a reading come from the table of variables (active_power_import_kw, voltage_l1_v, …). Its
instants are aware UTC datetimes.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Literal, NamedTuple, NewType, TypeAlias

Device = NewType("Device", str)
"""A whatwatt Go: its MAC as 12 upper-case hex digits, or the topic's last level as it stands."""

WebhookId = NewType("WebhookId", str)
"""`msg_` and 32 hex digits; the id follows from the device and the payload, if the payload holds a time."""

Number: TypeAlias = int | float | Decimal
"""A number that is written to JSON with the digits the device sent; never NaN or infinite."""

JsonValue: TypeAlias = (
    "bool | Number | str | list[JsonValue] | tuple[JsonValue, ...] | Mapping[str, JsonValue] | None"
)

TimeSource = Literal["timestamp", "utc", "offset", "local", "received"]
"""Where `measured_at` came from, in order of preference."""

QuarantineReason = Literal[
    "too_large",
    "not_utf8",
    "not_json",
    "template_mismatch",
    "no_device",
    "device_mismatch",
    "no_values",
    "internal_error",
]

DOT_SEGMENTS = frozenset({".", ".."})
"""No device has such a name, because it leads to another place when it stands alone in a path (RFC 3986 §5.2.4)."""

_MAC = re.compile(
    r"[0-9A-Fa-f]{2}([:-]?)[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}"
)
_TO_SECONDS, _TO_MILLISECONDS = len("2025-11-18T10:17:40"), len("2025-11-18T10:17:40.203")
_MAC_SEPARATORS = str.maketrans("", "", ":-.")
_OF_NOTHING = blake2b(digest_size=16)


class Message(NamedTuple):
    """One MQTT PUBLISH as received; a payload that is too large is cut to its beginning."""

    topic: str
    payload: bytes
    received_at: datetime
    qos: int = 1
    is_redelivery: bool = False
    """The DUP flag: the broker sent this PUBLISH before (MQTT 3.1.1 §3.3.1.1)."""
    is_retained: bool = False
    """The RETAIN flag: a stored copy, sent because we subscribed (MQTT 3.1.1 §3.3.1.3)."""
    bytes_left_out: int = 0
    """How many bytes were cut off the end of the payload."""

    @property
    def size(self) -> int:
        """Bytes of the payload as it was published."""
        return len(self.payload) + self.bytes_left_out


@dataclass(frozen=True, slots=True)
class Reading:
    """
    One normalised report of one device at one instant.

    Absent values are absent keys, never None. `meter`, `system` and `network` are keyed as in the event:
    `meter["vendor"]`, `system["firmware"]`, `network["wifi.sta.rssi"]`.
    """

    device: Device
    measured_at: datetime
    time_source: TimeSource
    received_at: datetime
    measurements: Mapping[str, Number] = field(default_factory=dict)
    tariff: int | None = None
    conversion_factor: Number | None = None
    meter: Mapping[str, JsonValue] = field(default_factory=dict)
    system: Mapping[str, JsonValue] = field(default_factory=dict)
    network: Mapping[str, JsonValue] = field(default_factory=dict)
    volumes: tuple[Mapping[str, JsonValue], ...] = ()
    report: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that could not be understood and goes to quarantine with this reason."""

    reason: QuarantineReason
    detail: str
    """One sentence for the operator: what was expected, and where it was missed."""
    device: Device
    """The device among whose newest 1,000 the message counts; the topic's last level if no device is known."""


def parse_mac(text: str) -> Device | None:
    """
    The device named by a MAC in any usual spelling, else None.

    A MAC has any case, and `:`, `-` or nothing between its bytes, or `.` between groups of four digits.
    """
    if _MAC.fullmatch(text) is None:
        return None
    return Device(text.translate(_MAC_SEPARATORS).upper())


def rfc3339(instant: datetime) -> str:
    """An aware UTC instant as events write it: `2025-11-18T10:17:40Z`, with milliseconds if there are any."""
    text = datetime.combine(instant, instant.time()).isoformat()
    return text[: _TO_MILLISECONDS if instant.microsecond >= 1000 else _TO_SECONDS] + "Z"


def digest(device: Device, payload: bytes) -> bytes:
    """BLAKE2b-128 over the payload, a zero byte and the device."""
    # The state is copied, because that takes a third of the time of a new one.
    state = _OF_NOTHING.copy()
    state.update(payload)
    state.update(b"\0" + device.encode())
    return state.digest()


def webhook_id(device: Device, payload: bytes) -> WebhookId:
    """The id by which a receiver de-duplicates: the same bytes of the same device give the same id for ever."""
    return WebhookId("msg_" + digest(device, payload).hex())


def unique_webhook_id() -> WebhookId:
    """The id of one arrival of a payload without a time, because equal bytes may be two readings."""
    return WebhookId("msg_" + secrets.token_hex(16))
