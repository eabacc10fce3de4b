"""The JSON Schema (2020-12) of all that receivers get, made from the table of variables."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from forwarder.variables import Variable, variables

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema. Its vocabulary is open, so it has no narrower type."""

_NUMERIC_KINDS = ("measurement", "number", "hours", "factor")
_INSTANT: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$"}
_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_]+$"}


def event_schema() -> Schema:
    """
    The schema of every body that goes to an endpoint: single and batched readings and the test event, in each format.

    Units stand beside their numbers as `x-unit`, which validators ignore.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Events of the whatwatt forwarder",
        "description": "What a webhook endpoint is sent. Absent values are left out, never null.",
        "anyOf": [
            {"$ref": f"#/$defs/{name}"}
            for name in ("reading", "readings", "test", "cloudevent", "cloudevents")
        ],
        "$defs": {
            "reading": _envelope("meter.reading", {"$ref": "#/$defs/data"}),
            "readings": _envelope(
                "meter.readings",
                {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/data"}},
            ),
            "test": _envelope("webhook.test", {"$ref": "#/$defs/test_data"}),
            "cloudevent": _cloudevent(),
            "cloudevents": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/$defs/cloudevent"},
            },
            "data": data_schema(),
            "test_data": _closed({"id": _ID, "endpoint": _text(""), "message": _text("")}),
        },
    }


def data_schema() -> Schema:
    """The schema of one reading, which is the `data` of an event."""
    by_section = {
        section: _closed({v.key: value_schema(v) for v in _of_section(section)})
        for section in ("measurements", "meter", "system", "network", "report")
    }
    by_name = {v.name: value_schema(v) for v in variables() if v.kind in ("tariff", "factor")}
    volume = _closed({v.key: value_schema(v) for v in _of_section("volumes")})
    properties = {
        **_identity(),
        **by_name,
        **by_section,
        "volumes": {"type": "array", "items": volume, "description": "one entry for each bus"},
        "extra": {"type": "object", "description": "what the payload held and no rule knows"},
    }
    return {**_closed(properties), "required": list(_identity())}


def value_schema(variable: Variable) -> Schema:
    """The schema of one variable's value, with its meaning and its unit."""
    schema: Schema = {"description": variable.meaning}
    if variable.kind == "tariff":
        schema |= {"type": "integer", "minimum": 1}
    else:
        schema["type"] = "number" if variable.kind in _NUMERIC_KINDS else "string"
    if variable.unit:
        schema["x-unit"] = variable.unit
    return schema


def _of_section(section: str) -> tuple[Variable, ...]:
    return tuple(variable for variable in variables() if variable.section == section)


def _identity() -> Schema:
    return {
        "id": _ID | {"description": "the reading's id: the same however often it is sent"},
        "device": _text("the whatwatt Go: its MAC as 12 upper-case hex digits"),
        "measured_at": _INSTANT | {"description": "when the meter reported, UTC"},
        "time_source": {
            "enum": ["timestamp", "utc", "offset", "local", "received"],
            "description": "where measured_at came from",
        },
        "received_at": _INSTANT | {"description": "when the forwarder got the message, UTC"},
    }


def _envelope(event_type: str, data: Schema) -> Schema:
    properties = {"type": {"const": event_type}, "timestamp": _INSTANT, "data": data}
    return {**_closed(properties), "required": list(properties)}


def _cloudevent() -> Schema:
    """CloudEvents 1.0, JSON event format §3."""
    kinds: Schema = {"enum": ["ch.whatwatt.meter.reading", "ch.whatwatt.webhook.test"]}
    properties: Schema = {
        "specversion": {"const": "1.0"},
        "id": _ID,
        "source": {"type": "string", "pattern": "^urn:whatwatt:device:"},
        "type": kinds,
        "subject": _text("the device"),
        "time": _INSTANT,
        "datacontenttype": {"const": "application/json"},
        "data": {"anyOf": [{"$ref": "#/$defs/data"}, {"$ref": "#/$defs/test_data"}]},
    }
    return {**_closed(properties), "required": list(properties)}


def _closed(properties: Mapping[str, Any]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description} if description else {"type": "string"}
