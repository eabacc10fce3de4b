"""
routes.yaml as pydantic models: the name, form and range of every setting, and the source of its JSON Schema.

Every setting may be absent, because `defaults:` can give it. A later check asks for the settings that must be there.
"""

import re
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from forwarder.body_template import Escape
from forwarder.notice import NOTICE_TYPES
from forwarder.routes.fields import require_name
from forwarder.routes.model import (
    AfterIntervals,
    AfterSeconds,
    AuthMethod,
    FirstOf,
    Format,
    LastOf,
    Mode,
    NoticeFormat,
    SilentAfter,
)
from forwarder.statuses import PATTERN as STATUS_PATTERN
from forwarder.statuses import parse_status
from forwarder.units import format_duration, parse_duration, parse_rate

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
_FIELD_PATTERN = r"^[A-Za-z0-9_.*?\[\]!-]{1,100}$"
_EVENT_PATTERN = r"^[a-z_.*?\[\]!-]{1,100}$"
_DURATION = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
_INTERVALS_PATTERN = r"([0-9]{1,4}(?:\.[0-9]{1,3})?)x"
_DAY = 86400.0
_LEAST_SILENT = 90.0
_MOST_INTERVALS = 1000


def _seconds(value: object) -> float:
    return parse_duration(value if isinstance(value, str) else "")


def _min_interval(value: object) -> FirstOf | LastOf:
    if not isinstance(value, dict):
        return FirstOf(_interval_seconds(value))
    keep = value.get("keep", "first")
    if value.keys() - {"every", "keep"} or keep not in ("first", "last"):
        raise ValueError("expected a duration such as 5m, or {every: 5m, keep: last}")
    seconds = _interval_seconds(value.get("every"))
    return LastOf(seconds) if keep == "last" else FirstOf(seconds)


def _interval_seconds(value: object) -> float:
    return _in_bounds(_seconds(value), 0.001, 366 * _DAY)


def _within(shortest: float, longest: float) -> AfterValidator:
    return AfterValidator(partial(_in_bounds, shortest=shortest, longest=longest))


def _in_bounds(seconds: float, shortest: float, longest: float) -> float:
    if not shortest <= seconds <= longest:
        bounds = f"{format_duration(shortest)} to {format_duration(longest)}"
        raise ValueError(f"expected a duration from {bounds}")
    return seconds


def _rate(value: object) -> object:
    return parse_rate(value) if isinstance(value, str) and value != "off" else _unless_off(value)


def _silent_after(value: object) -> object:
    if value == "off":
        return value
    if isinstance(value, str) and (match := re.fullmatch(_INTERVALS_PATTERN, value)):
        return _at_least_two(AfterIntervals(float(match[1])))
    try:
        seconds = _seconds(value)
    except ValueError:
        raise ValueError(
            "expected a multiple of the device's own interval such as 3x, a duration such as 10m, or off"
        ) from None
    if not _LEAST_SILENT <= seconds <= 366 * _DAY:
        raise ValueError(f"expected a duration from {format_duration(_LEAST_SILENT)} to 366d")
    return AfterSeconds(seconds)


def _at_least_two(after: AfterIntervals) -> AfterIntervals:
    if not 2 <= after.count <= _MOST_INTERVALS:
        raise ValueError(f"expected 2x to {_MOST_INTERVALS}x: devices are late now and then")
    return after


def _unless_off(value: object) -> object:
    return None if value == "off" else value


def _every_or_list(value: object) -> object:
    if isinstance(value, str) and value != "*":
        raise ValueError('expected "*" in quotes, or a list such as [ECC9FF5C7AD4]')
    return ["*"] if value == "*" else value


def _one_or_more_keys(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError("expected env:NAME, file:/path, whsec_… or a list of these")  # noqa: TRY004 - pydantic's way
    return [value] if isinstance(value, str) else value


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _status(value: str) -> str:
    parse_status(value)
    return value


def _token(value: object) -> object:
    return value["token"] if isinstance(value, dict) and value.keys() == {"token"} else value


def _field(value: str) -> str:
    if re.match(_FIELD_PATTERN, value) is None:
        raise ValueError("expected a name or glob such as active_power_*, meter.id or network.*")
    require_name(value)
    return value


def _event(value: str) -> str:
    if not any(fnmatchcase(known, value) for known in NOTICE_TYPES):
        raise ValueError(f"no event is called so; there are: {', '.join(NOTICE_TYPES)}")
    return value


def _schema(**schema: object) -> WithJsonSchema:
    return WithJsonSchema(dict(schema))


def _default(value: str | int) -> JsonDict:
    """Shows editors the default as people write it."""
    return {"default": value}


_MAC = {
    "type": ["string", "number"],
    "description": "a MAC in any usual spelling: ECC9FF5C7AD4, EC:C9:FF:5C:7A:D4 or ec-c9-ff-5c-7a-d4",
}
_SECRET = {
    "type": "string",
    "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|whsec_[A-Za-z0-9+/]+=*)$",
}
_SECRETS = {"type": "array", "items": _SECRET, "minItems": 1, "maxItems": 10}
_BEARER = {
    "type": "object",
    "properties": {"token": {"type": "string"}},
    "required": ["token"],
    "additionalProperties": False,
}

_STATUS = {
    "anyOf": [
        {"type": "integer", "minimum": 200, "maximum": 599},
        {"type": "string", "pattern": STATUS_PATTERN},
    ]
}

Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(_seconds),
    _schema(type="string", pattern=_DURATION),
]
MinInterval: TypeAlias = Annotated[
    FirstOf | LastOf,
    BeforeValidator(_min_interval),
    _schema(
        anyOf=[
            {"type": "string", "pattern": _DURATION},
            {"const": "off"},
            {
                "type": "object",
                "properties": {
                    "every": {"type": "string", "pattern": _DURATION},
                    "keep": {"enum": ["first", "last"]},
                },
                "required": ["every"],
                "additionalProperties": False,
            },
        ]
    ),
]
Devices: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_every_or_list),
    _schema(anyOf=[{"const": "*"}, {"type": "array", "items": _MAC}]),
]
Secrets: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_or_more_keys),
    Field(min_length=1, max_length=10),
    _schema(anyOf=[_SECRET, _SECRETS]),
]
Rate: TypeAlias = Annotated[
    tuple[int, float] | None,
    BeforeValidator(_rate),
    _schema(anyOf=[{"type": "string", "pattern": "^[1-9][0-9]*/(s|m|h)$"}, {"const": "off"}]),
]
Silent: TypeAlias = Annotated[
    SilentAfter | Literal["off"],
    BeforeValidator(_silent_after),
    _schema(
        anyOf=[
            {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(x|ms|s|m|h|d)$"},
            {"const": "off"},
        ]
    ),
]
Statuses: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_status)], ...],
    BeforeValidator(_one_or_more),
    _schema(anyOf=[_STATUS, {"type": "array", "items": _STATUS}]),
]
FieldPattern: TypeAlias = Annotated[
    str, AfterValidator(_field), _schema(type="string", pattern=_FIELD_PATTERN)
]
EventPattern: TypeAlias = Annotated[
    str, AfterValidator(_event), _schema(type="string", pattern=_EVENT_PATTERN)
]
Token: TypeAlias = Annotated[
    str, BeforeValidator(_token), _schema(anyOf=[{"type": "string"}, _BEARER])
]


class Spec(BaseModel):
    """A mapping of the file: unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BatchSpec(Spec):
    """Several readings in one POST."""

    max_events: int = Field(ge=1, le=1000, description="readings in one POST, at most")
    max_wait: Annotated[Duration, _within(0.0, 3600.0)] = Field(
        1.0,
        description="how long a reading waits for more",
        json_schema_extra=_default("1s"),
    )


class RetrySpec(Spec):
    """The wait doubles, with jitter."""

    initial: Annotated[Duration, _within(0.001, _DAY)] = Field(
        5.0, description="the first wait", json_schema_extra=_default("5s")
    )
    max: Annotated[Duration, _within(0.001, 7 * _DAY)] = Field(
        900.0, description="the longest wait", json_schema_extra=_default("15m")
    )
    max_attempts: int | None = Field(
        None, ge=1, description="a dead letter after so many; absent: only max_age ends it"
    )


class BasicSpec(Spec):
    """RFC 7617."""

    username: str = Field(description="the text itself, or env:NAME or file:/path")
    password: str = Field(description="env:NAME or file:/path, or the text itself")


class OAuth2Spec(Spec):
    """Client credentials (RFC 6749 §4.4)."""

    token_url: str = Field(description="where tokens are asked for; as url, without {device}")
    client_id: str = Field(description="the text itself, or env:NAME or file:/path")
    client_secret: str = Field(description="env:NAME or file:/path, or the text itself")
    scope: str | None = Field(None, description="what to ask for, separated by blanks")
    audience: str | None = Field(None, description="whom the token is for, where the server asks")
    method: AuthMethod | None = Field(
        None,
        description="where client_id and client_secret go: Authorization, or the form",
        json_schema_extra=_default("basic"),
    )


class AuthSpec(Spec):
    """One of the three."""

    basic: BasicSpec | None = Field(None, description="HTTP Basic (RFC 7617)")
    bearer: Token | None = Field(
        None, description="a bearer token (RFC 6750): env:NAME, file:/path"
    )
    oauth2: OAuth2Spec | None = Field(
        None, description="OAuth 2.0 client credentials: tokens are asked for and renewed"
    )


class TlsSpec(Spec):
    """PEM files, relative to the routing file."""

    ca_file: str | None = Field(None, description="trusted in place of the system's CAs")
    cert_file: str | None = Field(None, description="client certificate, its chain after it")
    key_file: str | None = Field(None, description="its key; absent when it is in cert_file")


class EndpointSpec(Spec):
    """A webhook URL with its keys and limits."""

    url: str | None = Field(
        None,
        description="where to POST; https unless it is loopback or allow_http is set; {device} in its path is the MAC",
    )
    secret: Secrets | None = Field(
        None,
        description="Standard Webhooks key: env:NAME, file:/path or whsec_… itself; a list while a key is rotated",
    )
    devices: Devices | None = Field(
        None, description='MACs in any spelling, or "*" for every device'
    )
    groups: tuple[str, ...] | None = Field(None, description="names of groups given above")
    mode: Mode | None = Field(
        None,
        description="every reading in order, or only the latest of each device",
        json_schema_extra=_default("every"),
    )
    batch: Annotated[BatchSpec | None, BeforeValidator(_unless_off)] = Field(
        None, description="several readings in one POST", json_schema_extra=_default("off")
    )
    max_age: Annotated[Duration, _within(0.001, 366 * _DAY)] | None = Field(
        None,
        description="older readings are not sent any more; default 24h, and 90s for mode: latest",
    )
    min_interval: Annotated[MinInterval | None, BeforeValidator(_unless_off)] = Field(
        None,
        description="at most one reading of each device in that time, the first or the last",
        json_schema_extra=_default("off"),
    )
    fields: tuple[FieldPattern, ...] | None = Field(
        None, min_length=1, description="which parts are sent, by name or glob; absent: all"
    )
    format: Format | None = Field(
        None, description="the form of the body", json_schema_extra=_default("standard")
    )
    template: str | None = Field(
        None,
        min_length=1,
        description="with format: template, the body: its text, or file:NAME, relative to the routing file",
    )
    escape: Escape | None = Field(
        None,
        description="how values are escaped in a template that is text; JSON is escaped by itself",
        json_schema_extra=_default("none"),
    )
    content_type: str | None = Field(
        None, description="with format: template; absent: application/json, text/csv or text/plain"
    )
    timeout: Annotated[Duration, _within(0.01, 600.0)] | None = Field(
        None,
        description="of a whole attempt: DNS, connect, TLS, headers, body",
        json_schema_extra=_default("10s"),
    )
    max_concurrency: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="attempts in flight at once",
        json_schema_extra=_default(8),
    )
    rate_limit: Rate | None = Field(
        None, description="attempts, such as 20/s or 600/m", json_schema_extra=_default("off")
    )
    retry: RetrySpec | None = Field(None, description="when a failed attempt is tried again")
    success: Statuses | None = Field(
        None,
        min_length=1,
        description="the answers that count as taken, such as [2xx, 302]; in place of 2xx",
        json_schema_extra=_default("2xx"),
    )
    refused: Statuses | None = Field(
        None,
        description="the answers that refuse a reading for good; in place of 400, 405, 413, 414, 415, 422 and 501",
    )
    headers: dict[str, str] | None = Field(
        None, description="static headers; a value may be env:NAME or file:/path"
    )
    auth: AuthSpec | None = Field(
        None, description="how the endpoint knows us besides the signature"
    )
    tls: TlsSpec | None = Field(None, description="certificates; absent: the system's CAs")
    allow_http: bool | None = Field(
        None,
        description="true: http is meant, although anyone on the way can read it",
        json_schema_extra={"default": False},
    )
    allow_private: bool | None = Field(
        None,
        description="true: the host may resolve to private or loopback addresses",
        json_schema_extra={"default": False},
    )
    silent_after: Silent | None = Field(
        None,
        description="after how long without a reading a device is silent: 3x, three of its own intervals (at least"
        " 90s), a duration from 90s on, or off",
        json_schema_extra=_default("3x"),
    )
    paused: bool | None = Field(
        None,
        description="true: readings are kept until max_age, nothing is sent",
        json_schema_extra={"default": False},
    )


class OperatorSpec(EndpointSpec):
    """Where notices about the service itself go: a URL with its keys and limits, like an endpoint's."""

    format: NoticeFormat | None = Field(  # type: ignore[assignment] # other words than an endpoint's
        None,
        description='the form of the body; text is {"text": "one sentence"}, which chats take',
        json_schema_extra=_default("standard"),
    )
    events: tuple[EventPattern, ...] | None = Field(
        None, min_length=1, description="which notices are sent, by type or glob; absent: all"
    )


NOT_FOR_NOTICES = (
    "devices", "groups", "mode", "batch", "fields", "min_interval", "silent_after",
)  # fmt: skip
"""Settings of endpoints that speak of readings."""


class GroupFile(Spec):
    """A file of devices."""

    file: str = Field(
        min_length=1,
        description="one device a line, # begins a comment; relative to the routing file",
    )


class RoutesSpec(Spec):
    """The routing file: which endpoint gets which devices, and how."""

    groups: dict[str, Annotated[list[str], _schema(type="array", items=_MAC)] | GroupFile] = Field(
        default_factory=dict, description="names for sets of devices"
    )
    defaults: EndpointSpec = Field(
        default_factory=EndpointSpec, description="any endpoint setting, given once"
    )
    endpoints: dict[str, EndpointSpec] = Field(min_length=1, description="who gets readings")
    operator: OperatorSpec | None = Field(None, description="who is told about the service itself")


def is_name(text: str) -> bool:
    """Whether endpoints and groups can be called so: the name must fit labels, logs and command lines."""
    return re.match(NAME_PATTERN, text) is not None and not text.endswith("\n")
