"""
The `data` object of an event, written from a reading.

The left half writes the object once, when the reading is stored. The right half sends these bytes ever after.
"""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import NamedTuple

from forwarder.reading import Device, JsonValue, Reading, TimeSource, WebhookId, rfc3339

MAX_DEPTH = 64
"""Values nested deeper than this are left out, so that no reader of the object runs out of stack."""


class SerialisedReading(NamedTuple):
    """A reading as the JSON of its event, complete but for the webhook id; instants are written as in events."""

    device: Device
    measured_at: str
    time_source: TimeSource
    received_at: str
    body: str
    """The JSON behind the head, from the comma on: `,"measurements":{…},"tariff":1}`."""


class NumberText(str):
    """A number as it stands in a JSON text, to be written again digit by digit."""

    __slots__ = ()


class JsonText(NumberText):
    """Any value, already written as JSON."""

    __slots__ = ()


def encode_data(webhook_id: WebhookId, reading: Reading) -> bytes:
    """
    The data object of one reading: compact UTF-8 JSON, its keys always in the same order.

    It never raises, and writes nothing that a receiver cannot parse. None, NaN and infinities are left out, and so is a
    section that is empty without them. Lone surrogates become U+FFFD. Numbers keep their digits.
    """
    return data_object(webhook_id, serialise(reading))


def serialise(reading: Reading) -> SerialisedReading:
    """The reading's data object without its head, under the promises of `encode_data`."""
    return SerialisedReading(
        reading.device,
        rfc3339(reading.measured_at),
        reading.time_source,
        rfc3339(reading.received_at),
        _body(_sections(reading)),
    )


def data_object(webhook_id: WebhookId, reading: SerialisedReading) -> bytes:
    """The whole data object."""
    device, measured_at, time_source, received_at, body = reading
    return utf8(
        f'{{"id":"{webhook_id}","device":{encode_basestring(device)},"measured_at":"{measured_at}",'
        f'"time_source":"{time_source}","received_at":"{received_at}"{body}'
    )


def write_json(members: Mapping[str, JsonValue]) -> bytes:
    """Any object as compact UTF-8 JSON under the promises of `encode_data`; an empty top-level part is left out."""
    return utf8(_write_members(members))


def json_text(value: JsonValue) -> str | None:
    """One value as compact JSON under the promises of `encode_data`; None when it is left out."""
    return _write(value, depth=1)


def _body(sections: Mapping[str, JsonValue]) -> str:
    text = _write_sections(sections)
    return "," + text[1:] if len(text) > 2 else "}"


def _write_sections(sections: Mapping[str, JsonValue]) -> str:
    try:
        text = _fast(sections)
    except (TypeError, ValueError, RecursionError):  # a Decimal; NaN; nested too deep
        return _write_members(sections)
    return text if _is_plain(text) else _write_members(sections)


def _write_members(members: Mapping[str, JsonValue]) -> str:
    texts = [(name, _write(value, depth=1)) for name, value in members.items()]
    return _join_members((name, text) for name, text in texts if text not in ("{}", "[]"))


def _sections(reading: Reading) -> dict[str, JsonValue]:
    members: dict[str, JsonValue] = {}
    if reading.measurements:
        members["measurements"] = reading.measurements
    if reading.tariff is not None:
        members["tariff"] = reading.tariff
    if reading.conversion_factor is not None:
        members["conversion_factor"] = reading.conversion_factor
    for name in ("meter", "system", "network", "volumes", "report", "extra"):
        if section := getattr(reading, name):
            members[name] = section
    return members


_fast = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def _is_plain(text: str) -> bool:
    """Whether the fast encoder's text surely holds neither null nor deep nesting; a doubtful text is written anew."""
    return "null" not in text and text.count("{") + text.count("[") <= MAX_DEPTH


def _write(value: JsonValue, *, depth: int) -> str | None:
    """The JSON text of a value; None when it is left out."""
    match value:
        case Decimal():
            return str(value) if value.is_finite() else None
        case float():
            return repr(value) if math.isfinite(value) else None
        case NumberText():
            return str(value)
        case str():
            return encode_basestring(value)
        case bool():
            return "true" if value else "false"
        case int():
            return _write_integer(value)
        case Mapping() if depth < MAX_DEPTH:
            members = ((name, _write(item, depth=depth + 1)) for name, item in value.items())
            return _join_members(members)
        case list() | tuple() if depth < MAX_DEPTH:
            items = (_write(item, depth=depth + 1) for item in value)
            return "[" + ",".join([text for text in items if text is not None]) + "]"
        case _:
            return None


def _write_integer(value: int) -> str | None:
    try:
        return int.__repr__(value)
    except ValueError:  # longer than Python writes (sys.set_int_max_str_digits)
        return None


def _join_members(members: Iterable[tuple[str, str | None]]) -> str:
    return (
        "{" + ",".join([f"{encode_basestring(k)}:{v}" for k, v in members if v is not None]) + "}"
    )


def utf8(text: str) -> bytes:
    """The text in UTF-8; lone surrogates become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
