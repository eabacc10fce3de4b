"""
What a variable of a body template may be called, and where its value is found.

    device, measured_at, active_power_import_kw, tariff    what an event has at its top, and its measurements
    meter.vendor, network.wifi.sta.rssi, volumes[0].bus    what a section of it has; `extra.` and anything
    measurements, meter, data                              a section as JSON, and the whole data object
    measured_at_s, received_at_ms, measured_at_ns          its instants as UNIX time
    type, timestamp, endpoint                              what the envelope says, and to whom
    events                                                 in a batch: all data objects, as a JSON array
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
"""What does not depend on one reading."""

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
    One event, of which no more is read than is asked for; of a request with several, what they have in common.

    The data object of a reading is our own compact JSON: measurements stand right behind its head and are numbers
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
        """The whole data object; of a request with several an array of them."""
        return JsonText(self._text)

    def head(self, quoted: str, name: str) -> JsonValue:
        """What every event says of its reading; `quoted` is the name as it stands in JSON, up to its value's quote."""
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
        """Its digits; `quoted` is the name as it stands in JSON, with its colon."""
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
        """What stands behind the measurements, decoded as far as it has to be."""
        if self._end < 0:
            return self.document.get(name)
        while name not in self._members and self._text[self._place] == ",":
            colon = self._text.index('":', self._place)
            key = self._text[self._place + 2 : colon]  # our own names, in which nothing is escaped
            self._members[key], self._place = _scan(self._text, colon + 2)
        return self._members.get(name)

    def in_first_section(self, opening: str, quoted: str) -> JsonValue:
        """
        A value in the first object behind the measurements, most often of `meter`, without decoding all of that.

        `opening` is that object's name as it stands in JSON, with its brace, `quoted` the value's with its colon. No
        text holds either, because quotes in it are escaped. None: it is not there, and may be elsewhere.
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
    """Finds one value; None where the event has none."""

    find: Callable[[View], JsonValue]
    is_number: bool = False
    """Whether what it finds are a number's digits, to be written as they are."""


class UnknownName(ValueError):  # noqa: N818 - a mistake of the template's author
    """No event has such a name; the text says which may be meant."""


def finder_of(name: str) -> Finder:
    """How the value of a variable is found. Raises UnknownName."""
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
    """The same of what an operator is told about the service itself."""
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
    """A notice says its own; a test event does not."""
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
    """What is called so, or by a beginning of it with the rest inside: keys may hold dots themselves."""
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
    """Devices call it so, or something is spelt much like it."""
    use = variable_named(name)
    return f"; did you mean ${{{use.event_name}}}?" if use else _nearest(name, _choices())


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean ${{{close[0]}}}?" if close else ""


@cache
def _of_notices() -> tuple[str, ...]:
    """What is in some kind of notice."""
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
