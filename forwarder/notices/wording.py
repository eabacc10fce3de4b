"""A notice as a row of the outbox, and as a JSON Schema."""

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any

from forwarder.event_data import write_json
from forwarder.notice import (
    KINDS,
    DeviceResumed,
    DeviceSilent,
    EndpointRecovered,
    Notice,
    NoticeType,
    StreamResumed,
)
from forwarder.outbox import NewReading, Recipient
from forwarder.reading import Device, JsonValue, WebhookId, rfc3339

_INSTANTS = frozenset({"since", "until"})
_INSTANT = {"type": "string", "format": "date-time"}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "endpoint": {"type": "string", "description": "its name in routes.yaml"},
    "device": {
        "type": "string",
        "description": "the whatwatt Go: its MAC as 12 upper-case hex digits",
    },
    "devices": {"type": "array", "items": {"type": "string"}, "description": "the first of them"},
    "since": _INSTANT | {"description": "when it began, UTC"},
    "until": _INSTANT | {"description": "when it ended, UTC"},
    "reason": {"type": "string", "description": "an error word, or a sentence"},
    "place": {"type": "string", "description": "file, line and column of the first problem"},
    "reasons": {
        "type": "object",
        "additionalProperties": {"type": "integer", "minimum": 1},
        "description": "how many of each reason",
    },
    "failures": {"type": "integer", "minimum": 1, "description": "in a row"},
    "count": {"type": "integer", "minimum": 1, "description": "how many"},
    "silent_after_seconds": {"type": "number", "description": "the silence that is told"},
    "session_lost": {
        "type": "boolean",
        "description": "the broker had forgotten the session: messages may be missing",
    },
    "lost_readings": {"type": "integer", "minimum": 1, "description": "how many, at most"},
    "used_bytes": {"type": "integer", "minimum": 0},
    "limit_bytes": {"type": "integer", "minimum": 0},
}


def new_notice(notice: Notice, *, at: float, endpoint: str) -> NewReading:
    """
    The notice on its way into the outbox. Its `max_age` counts from `at`, in UNIX seconds.

    Its id follows from its type, its subject and its beginning, so that the same notice made anew has the same id. Its
    lane is its subject's: one subject's notices come in order, and a purge of a device erases its notices.
    """
    identity = WebhookId("msg_" + _digest(notice))
    return NewReading(
        webhook_id=identity,
        device=Device(notice.subject),
        measured_at=_instant(_happened_at(notice)),
        received_at=at,
        data=write_json({"type": notice.TYPE, "id": identity, **_members(notice)}),
        recipients=(Recipient(endpoint),),
    )


def _happened_at(notice: Notice) -> float:
    """The event's timestamp. It follows from the notice alone, so that a repetition has the same."""
    match notice:
        case DeviceSilent(_, since, silent_after_seconds):
            return since + silent_after_seconds
        case EndpointRecovered() | DeviceResumed() | StreamResumed():
            return notice.until
        case _:
            return notice.since


def _digest(notice: Notice) -> str:
    parts = (notice.TYPE, notice.subject, repr(notice.since))
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _members(notice: Notice) -> dict[str, JsonValue]:
    members: dict[str, JsonValue] = {
        field.name: _written(field.name, getattr(notice, field.name)) for field in fields(notice)
    }
    return {**members, "message": notice.message}


def _written(name: str, value: Any) -> JsonValue:
    written: JsonValue = _instant(value) if name in _INSTANTS else value
    return written


def _instant(unix: float) -> str:
    return rfc3339(datetime.fromtimestamp(unix, UTC))


def notice_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of the body in `format: standard`, by type."""
    return {kind: _envelope(kind, KINDS[kind]) for kind in KINDS}


def cloudevent_schema() -> dict[str, Any]:
    """The schema of the body in `format: cloudevents`. It refers to the schemas of all types, and of the test."""
    data = {f"ch.whatwatt.{kind}": f"#/$defs/{kind}/properties/data" for kind in KINDS}
    data["ch.whatwatt.webhook.test"] = "#/$defs/test_data"
    properties = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"},
        "source": {"const": "urn:whatwatt:forwarder"},
        "type": {"enum": [*data]},
        "subject": {"type": "string", "description": "the endpoint, device or part it is about"},
        "time": _INSTANT,
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object"},
    }
    return {
        "type": "object",
        "description": "A notice in format: cloudevents.",
        "properties": properties,
        "anyOf": [
            {"properties": {"type": {"const": kind}, "data": {"$ref": reference}}}
            for kind, reference in data.items()
        ],
        "required": [*properties],
        "additionalProperties": False,
    }


def text_schema() -> dict[str, Any]:
    """The schema of the body in `format: text`, of any type."""
    return {
        "type": "object",
        "description": "A notice in format: text.",
        "properties": {"text": {"type": "string", "description": "one sentence"}},
        "required": ["text"],
        "additionalProperties": False,
    }


def _envelope(kind: NoticeType, form: type[Notice]) -> dict[str, Any]:
    known = {field.name: _SCHEMAS[field.name] for field in fields(form)}
    required = [
        field.name
        for field in fields(form)
        if field.default_factory is MISSING and field.default is MISSING
    ]
    data = {
        "type": "object",
        "properties": {
            "id": {
                "type": "string",
                "pattern": "^[A-Za-z0-9_]+$",
                "description": "the same however often it is sent",
            },
            **known,
            "message": {"type": "string", "description": "the same as one sentence, for people"},
        },
        "required": ["id", *required, "message"],
        "additionalProperties": False,
    }
    properties = {"type": {"const": kind}, "timestamp": _INSTANT, "data": data}
    return {
        "type": "object",
        "description": (form.__doc__ or "").strip().splitlines()[0],
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
