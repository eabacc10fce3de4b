"""
The names of a body template's variables, and the places of their values.

    device, measured_at, active_power_import_kw, tariff    members at the top of an event, and its measurements
    meter.vendor, network.wifi.sta.rssi, volumes[0].bus    members of its sections; `extra.` and anything
    measurements, meter, data                              a section as JSON, and the whole data object
    measured_at_s, received_at_ms, measured_at_ns          its instants as UNIX time
    type, timestamp, endpoint                              the envelope's, and the endpoint's name
    events                                                 all data objects of a batch, as a JSON array
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache, partial
from json.decoder import scanstring  # type: ignore[attr-defined] # the decoder's own, in C; typeshed leaves it out
from json.encoder import encode_basestring
from operator import attrgetter

from forwarder.event_data import JsonText, NumberText
from forwarder.notice import KINDS
from forwarder.reading import JsonValue
from forwarder.variables import ALWAYS, SECTIONS, variable_named, variables

EVENTS = "events"
OF_REQUESTS = frozenset({EVENTS, "type", "timestamp", "endpoint"})
"""Names whose values do not depend on one reading."""

_INSTANTS = ("measured_at", "received_at")
_UNITS: Mapping[str, timedelta] = {
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READING = "meter.reading"
_LAST_OF_HEAD = '"received_at":"'
_MEASUREMENTS = ',"measurements":{'
_VOLUME = re.compile(r"volumes\[([0-9]{1,4})\]\.(.+)")

_decoder = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText)
_decode = _decoder.decode
_scan = _decoder.scan_once  # type: ignore[attr-defined] # typeshed leaves it out


class View:
    """
    One event, which is read no further than it is asked for; or the common part of a request with several.

    The data object of a reading is our own compact JSON. Its measurements stand right behind its head and are numbers
    alone, so that one of them is found without decoding the whole.
    """

    __slots__ = (
        "_document",
        "_end",
        "_members",
        "_place",
        "_start",
        "_text",
        "endpoint",
        "timestamp",
        "type",
    )

    def __init__(self, data: bytes, *, event_type: str, timestamp: str, endpoint: str) -> None:
        self._text = data.decode()
        self._document: Mapping[str, JsonValue] | None = None
        self._members: dict[str, JsonValue] = {}
        self._start = self._end = self._place = -1
        self.type = event_type
        self.timestamp = timestamp
        self.endpoint = endpoint
        if event_type == _READING:
            self._find_measurements()

    def _find_measurements(self) -> None:
        text = self._text
        last = text.find(_LAST_OF_HEAD)
        head = text.find('"', last + len(_LAST_OF_HEAD)) + 1
        if last > 0 and text.startswith(_MEASUREMENTS, head):
            self._start = head + len(_MEASUREMENTS)
            self._end = text.index("}", self._start)
            self._place = self._end + 1

    @property
    def data(self) -> JsonText:
        """The whole data object, or the array of them in a request with several."""
        return JsonText(self._text)

    def head(self, quoted: str, name: str) -> JsonValue:
        """A member that every event has. `quoted` is the name as it stands in JSON, up to its value's quote."""
        if self._end < 0:
            return self.document.get(name)
        found = self._text.find(quoted)
        return scanstring(self._text, found + len(quoted))[0] if 0 <= found < self._start else None

    @property
    def measurements(self) -> JsonValue:
        if self._end < 0:
            return self.document.get("measurements")
        return JsonText(self._text[self._start - 1 : self._end + 1])

    def measurement(self, quoted: str, name: str) -> str | None:
        """The digits of a measurement. `quoted` is its name as it stands in JSON, with the colon."""
        if self._end < 0:
            value = _within(self.document.get("measurements"), name)
            return value if isinstance(value, NumberText) else None
        text = self._text
        found = text.find(quoted, self._start, self._end)
        if found < 0:
            return None
        found += len(quoted)
        comma = text.find(",", found, self._end)
        return text[found : comma if comma >= 0 else self._end]

    def member(self, name: str) -> JsonValue:
        """A member behind the measurements. JSON is decoded up to this member only."""
        if self._end < 0:
            return self.document.get(name)
        while name not in self._members and self._text[self._place] == ",":
            colon = self._text.index('":', self._place)
            key = self._text[self._place + 2 : colon]  # our own names, in which nothing is escaped
            self._members[key], self._place = _scan(self._text, colon + 2)
        return self._members.get(name)

    def in_first_section(self, opening: str, quoted: str) -> JsonValue:
        """
        A value in the first object behind the measurements, most often of `meter`, without decoding the whole object.

        `opening` is the object's name as it stands in JSON, with its brace. `quoted` is the value's name with its
        colon. No text holds either, because quotes in texts are escaped. None: the value is not there, but may be
        elsewhere.
        """
        text, end = self._text, self._end
        place = text.find(opening, end)
        if end < 0 or place < 0:
            return None
        start = place + len(opening)
        found = text.find(quoted, start, text.find("}", start))
        if found < 0 or text.count("{", end, found) != 1:
            return None
        value: JsonValue = _scan(text, found + len(quoted))[0]
        return value

    @property
    def document(self) -> Mapping[str, JsonValue]:
        """The whole data object, decoded."""
        if self._document is None:
            self._document = _decode(self._text)
        return self._document


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds one value; None if the event has none."""

    find: Callable[[View], JsonValue]
    is_number: bool = False
    """Whether it finds the digits of a number, which are written as they are."""


class UnknownName(ValueError):  # noqa: N818 - a mistake of the template's author
    """No event has such a name. The text says which may be meant."""


def finder_of(name: str) -> Finder:
    """The finder of a variable's value. Raises UnknownName."""
    if name in ("type", "timestamp", "endpoint"):
        return Finder(attrgetter(name))
    if name in ("data", EVENTS):
        return Finder(attrgetter("data"))
    if name in _measurements():
        return Finder(partial(_measurement, f'"{name}":', name), is_number=True)
    if name == "measurements":
        return Finder(attrgetter("measurements"))
    if name in ALWAYS:
        return Finder(partial(_of_head, f'"{name}":"', name))
    if name in SECTIONS or name in _top_level():
        return Finder(partial(_member, name))
    return _instant(name) or _of_section(name) or _refuse(name)


def notice_finder_of(name: str) -> Finder:
    """The finder of a variable's value in a notice. Raises UnknownName."""
    if name == "timestamp":
        return Finder(attrgetter(name))
    if name == "data":
        return Finder(attrgetter("data"))
    if name == "type":
        return Finder(_type_of_notice)
    if name in _of_notices():
        return Finder(partial(_member, name))
    raise UnknownName(f"no operator event has a value of that name{_nearest(name, _of_notices())}")


def _type_of_notice(view: View) -> JsonValue:
    """The type of a notice, which says its own, or of a test event, which does not."""
    return view.member("type") or view.type


def _measurement(quoted: str, name: str, view: View) -> JsonValue:
    return view.measurement(quoted, name)


def _of_head(quoted: str, name: str, view: View) -> JsonValue:
    return view.head(quoted, name)


def _member(name: str, view: View) -> JsonValue:
    return view.member(name)


def _instant(name: str) -> Finder | None:
    base, _, unit = name.rpartition("_")
    if base not in _INSTANTS or (unit not in _UNITS and unit != "ns"):
        return None
    find = partial(_of_head, f'"{base}":"', base)
    return Finder(partial(_unix, find, unit), is_number=True)


def _unix(find: Callable[[View], JsonValue], unit: str, view: View) -> JsonValue:
    text = find(view)
    if not isinstance(text, str):
        return None
    since = datetime.fromisoformat(text) - _EPOCH
    count = since // _UNITS["us"] * 1000 if unit == "ns" else since // _UNITS[unit]
    return str(count)


def _of_section(name: str) -> Finder | None:
    if (volume := _VOLUME.fullmatch(name)) and f"volumes.{volume[2]}" in _paths():
        return Finder(partial(_of_volume, int(volume[1]), volume[2]))
    section, dot, path = name.partition(".")
    if section == "measurements" and path in _measurements():
        return Finder(partial(_measurement, f'"{path}":', path), is_number=True)
    if dot and path and section != "volumes" and (section == "extra" or name in _paths()):
        first = f'"{section}":{{', encode_basestring(path) + ":"
        return Finder(partial(_path, *first, section, path))
    return None


def _path(opening: str, quoted: str, section: str, path: str, view: View) -> JsonValue:
    found = view.in_first_section(opening, quoted)
    return _within(view.member(section), path) if found is None else found


def _of_volume(index: int, key: str, view: View) -> JsonValue:
    volumes = view.member("volumes")
    if not isinstance(volumes, list) or index >= len(volumes):
        return None
    return _within(volumes[index], key)


def _within(value: JsonValue, path: str) -> JsonValue:
    """The value of this path. Keys may hold dots themselves, so each beginning of the path may be a key."""
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    for dot in re.finditer(r"\.", path) if "." in path else ():
        inner = value.get(path[: dot.start()])
        if inner is not None and (found := _within(inner, path[dot.end() :])) is not None:
            return found
    return None


def _refuse(name: str) -> Finder:
    raise UnknownName(f"no event has a value of that name{_hint(name)}")


def _hint(name: str) -> str:
    """A clause with the event's name for what devices call so, or with the nearest name."""
    use = variable_named(name)
    return f"; did you mean ${{{use.event_name}}}?" if use else _nearest(name, _choices())


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean ${{{close[0]}}}?" if close else ""


@cache
def _of_notices() -> tuple[str, ...]:
    """All names in notices, whatever their kind."""
    own = {one.name for kind in KINDS.values() for one in fields(kind)}
    return (*sorted(own | {"id", "type", "message"}),)


@cache
def _measurements() -> frozenset[str]:
    return frozenset(one.key for one in variables() if one.section == "measurements")


@cache
def _top_level() -> frozenset[str]:
    return frozenset(one.field for one in variables() if not one.section)


@cache
def _paths() -> frozenset[str]:
    return frozenset(one.field for one in variables() if one.section not in ("", "measurements"))


@cache
def _choices() -> tuple[str, ...]:
    instants = [f"{base}_{unit}" for base in _INSTANTS for unit in (*_UNITS, "ns")]
    known = ALWAYS | SECTIONS | OF_REQUESTS | {"data"} | _measurements() | _top_level()
    volumes = {f"volumes[0].{path.removeprefix('volumes.')}" for path in _paths()}
    return (*sorted(known | _paths()), *instants, *sorted(volumes))
