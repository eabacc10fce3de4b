"""
What payloads of one layout have in common, learned from the normaliser itself.

Marks are put in the places of the values, and the normaliser reads that: where the marks come out is where the values
of every payload of this layout go. A layout is learned only if each mark is accounted for exactly once, so nothing that
the rules do with a value can be missed.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import TypeAlias

from forwarder.event_data import SerialisedReading
from forwarder.normalise.builder import Part, ReadingBuilder
from forwarder.normalise.decoding import decode_json
from forwarder.normalise.times import TextKind
from forwarder.normalise.unusable import Unusable
from forwarder.normalise.values import Members, is_absent
from forwarder.normalise.variables import Kind, Use
from forwarder.reading import Device, JsonValue, Reading

MOST_VALUES = 200
"""A full report has about 90; a lesson may read the payload once for each."""

# Both are timestamps of a clock that is set, and few enough hours. Two series, because a template's constant may
# happen to be the one, but not the other.
_FIRST_SERIES, _SECOND_SERIES = 950_000_000, 960_000_000
# Noncharacters (Unicode §23.7): they stand in no text that a device sends.
_TEXT_MARK = re.compile("\ufdd2([0-9]+)\ufdd3")
_ANY_MAC = "ECC9FF000000"
_AN_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)

# Numbers that Python writes as they came: 15 digits at most, no zeros at the end, not -0 and not below 0.0001.
_USUAL = r"0(?!\.)|-?[1-9][0-9]{0,8}+(?:\.[0-9]{1,6}+(?<!0)|)|-?0\.(?!0000)[0-9]{1,6}+(?<!0)"
_INTEGER = r"0|-?[1-9][0-9]{0,17}+"
# The same, of which some may have to be written anew.
_ORDINARY = rf"-?(?:0|[1-9][0-9]*+)\.[0-9]++|{_INTEGER}"
_TARIFF = "[0-4]"
_TEXT = r'(?!null"|\$\{|\s*+")[^"\\\x00-\x1f]++'

_NUMBERS: frozenset[Kind] = frozenset(
    ("measurement", "factor", "number", "hours", "timestamp", "tariff")
)

Read: TypeAlias = Callable[[bytes, ReadingBuilder], dict[str, JsonValue]]
Pick: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
Times: TypeAlias = tuple[tuple[tuple[int, ...], TextKind], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the values of a payload become its event; a place counts the values from 0."""

    usual: re.Pattern[str]
    """What a payload of the layout is, a group for each value, when its numbers stand as Python writes them."""
    ordinary: str
    """The same, when some of its numbers may have to be written anew; not compiled, for few layouts ever need it."""
    numbers: tuple[int, ...]
    hours: tuple[int, ...]
    tariff: int | None
    device: int | None
    timestamp: int | None
    times: tuple[tuple[Pick, TextKind], ...]
    """The texts that tell the instant, the surest first; of two values one is the date, the other the time of day."""
    body: list[str]
    """The event behind its head: literal, place of a value, literal, …; the tariff's member is left out."""
    in_order: Pick
    """The values in the order of those places."""


def learn(
    literals: Sequence[str],
    values: Sequence[str],
    *,
    read: Read,
    serialise: Callable[[Reading], SerialisedReading],
) -> Layout | None:
    """The layout of a payload, which is these literals with the values between; None when it has none."""
    if not 0 < len(values) <= MOST_VALUES or not _is_skeleton(literals, values):
        return None
    lesson = _Lesson(literals, values, read)
    try:
        return lesson.layout(serialise)
    except (Unusable, _NoLayoutError):
        return None


class _NoLayoutError(Exception):
    """Payloads of this layout are not all read alike."""


class _Lesson:
    """One payload, read with marks."""

    def __init__(self, literals: Sequence[str], values: Sequence[str], read: Read) -> None:
        self._literals = literals
        self._values = values
        self._read_payload = read
        self._constants: set[int] = set()
        self._twins: dict[int, int] = {}
        self._parts: dict[int, Part] = {}

    def layout(self, serialise: Callable[[Reading], SerialisedReading]) -> Layout:
        self._find_constants()
        self._find_variables()
        builder, left = self._read(self._second_marks())
        times = self._times(builder)
        is_clear = not builder.misfits and all(part.is_understood for part in builder.trace or ())
        if not (builder.measurements and is_clear):
            raise _NoLayoutError
        reading = _reading(builder, left)
        tariff = self._place_of("tariff")
        if tariff is not None:
            reading = replace(reading, tariff=_SECOND_SERIES + tariff)
        body, order = self._split(serialise(reading).body)
        if tariff is not None:
            before = order.index(tariff) * 2
            body[before] = body[before].removesuffix(',"tariff":')
        return self._layout(times=times, body=body, order=order)

    def _times(self, builder: ReadingBuilder) -> Times:
        """What tells the instant. Date and time of day belong together, and nothing may be surer than they are."""
        times = tuple((_places_in(text), kind) for text, kind in builder.time_texts())
        if builder.date is None and builder.clock is None:
            return times
        if not (builder.date and builder.clock) or builder.timestamp or len(times[0][0]) != 2:
            raise _NoLayoutError
        return times

    def _layout(
        self,
        *,
        times: Times,
        body: list[str],
        order: Sequence[int],
    ) -> Layout:
        numbers = tuple(p for p in self._own() if self._value(p, _USUAL) == _USUAL)
        return Layout(
            usual=re.compile(self._pattern(_USUAL)),
            ordinary=self._pattern(_ORDINARY),
            numbers=numbers,
            hours=tuple(place for place in numbers if self._kind(place) == "hours"),
            tariff=self._place_of("tariff"),
            device=self._place_of("device"),
            timestamp=self._place_of("timestamp"),
            times=tuple((_pick(places), kind) for places, kind in times if places),
            body=body,
            in_order=_pick(order),
        )

    def _pattern(self, number: str) -> str:
        """What matches every payload of the layout whose numbers are such as this."""
        first: dict[int, int] = {}
        groups = [self._group(place, number, first) for place in range(len(self._values))]
        return _joined([re.escape(literal) for literal in self._literals], groups, colon=": ?+")

    def _group(self, place: int, number: str, first: dict[int, int]) -> str:
        """
        What may stand in this place, in a group of its own and without its quotes.

        It is atomic: what has matched is never tried again in another way, so that no payload takes long.
        """
        if place in self._constants:
            return f"({re.escape(self._values[place])})"
        named = self._twins.get(place, place)
        stood = first.setdefault(named, place)
        value = self._value(named, number) if stood == place else f"(?P=v{stood})"
        group = f"(?>(?P<v{place}>{value}))"
        return f'"{group}"' if self._is_quoted(named) or not self._is_number(named) else group

    def _value(self, place: int, number: str) -> str:
        match self._kind(place):
            case "timestamp":
                return _INTEGER
            case "tariff":
                return _TARIFF
            case _:
                return number if self._is_number(place) else _TEXT

    def _own(self) -> Iterator[int]:
        """The places whose values count."""
        places = range(len(self._values))
        return (p for p in places if p not in self._constants and p not in self._twins)

    def _kind(self, place: int) -> Kind | None:
        """Of the variable in this place; None where `extra` keeps the value."""
        part = self._parts.get(place)
        return part.use.variable.kind if part else None

    def _place_of(self, kind: Kind) -> int | None:
        places = [place for place in self._own() if self._kind(place) == kind]
        return places[0] if places else None

    def _is_number(self, place: int) -> bool:
        kind = self._kind(place)
        if kind is None:
            return not self._is_quoted(place)
        return kind in _NUMBERS

    def _is_quoted(self, place: int) -> bool:
        return self._values[place][0] == '"'

    def _first_mark(self, place: int) -> str:
        if self._is_quoted(place):
            return _text_mark(place)
        return str(_FIRST_SERIES + place)

    def _find_constants(self) -> None:
        marks = [self._first_mark(place) for place in range(len(self._values))]
        if self._is_read(marks):
            return
        for place, mark in enumerate(marks):
            alone = [*self._values[:place], mark, *self._values[place + 1 :]]
            if not self._is_read(alone):
                self._constants.add(place)

    def _is_read(self, values: Sequence[str]) -> bool:
        try:
            self._read(values)
        except Unusable:
            return False
        return True

    def _find_variables(self) -> None:
        marks = {
            p: self._first_mark(p) for p in range(len(self._values)) if p not in self._constants
        }
        builder, _ = self._read(
            [marks.get(place, value) for place, value in enumerate(self._values)]
        )
        place_of_mark = {json.loads(mark): place for place, mark in marks.items()}
        first: dict[Use, int] = {}
        for part in builder.trace or []:
            place = place_of_mark.get(part.sent) if isinstance(part.sent, int | str) else None
            if place is None:
                continue
            held = first.setdefault(part.use, place)
            if held != place:
                self._twins[place] = held
            self._parts[place] = part

    def _second_marks(self) -> list[str]:
        marks: list[str] = []
        for place, value in enumerate(self._values):
            if place in self._constants:
                marks.append(value)
            elif place in self._twins:
                marks.append(marks[self._twins[place]])
            else:
                marks.append(self._second_mark(place))
        return marks

    def _second_mark(self, place: int) -> str:
        kind = self._kind(place)
        if kind == "device":
            mark = _ANY_MAC
        elif kind == "tariff":
            mark = "1"
        elif self._is_number(place):
            mark = str(_SECOND_SERIES + place)
        else:
            return _text_mark(place)
        return f'"{mark}"' if self._is_quoted(place) else mark

    def _read(self, values: Sequence[str]) -> tuple[ReadingBuilder, dict[str, JsonValue]]:
        builder = ReadingBuilder([])
        left = self._read_payload(_joined(self._literals, values).encode(), builder)
        return builder, left

    def _split(self, body: str) -> tuple[list[str], list[int]]:
        """The body between the marks, and their places; each but those that tell whose and when must be there once."""
        marks: dict[str, int] = {}
        for place in self._own():
            kind = self._kind(place)
            if kind in ("device", "timestamp", "date", "clock"):
                continue
            number = (_SECOND_SERIES + place) * (3600 if kind == "hours" else 1)
            marks[str(number) if self._is_number(place) else _text_mark(place)[1:-1]] = place
        if not marks:
            raise _NoLayoutError
        # A text is only ever all of a text of the event: its quotes are beside it.
        patterns = [
            mark if self._is_number(place) else f'(?<="){mark}(?=")'
            for mark, place in marks.items()
        ]
        pieces = re.split("(" + "|".join(patterns) + ")", body)
        order = [marks[mark] for mark in pieces[1::2]]
        if Counter(order) != Counter(marks.values()):
            raise _NoLayoutError
        return pieces, order


def _is_skeleton(literals: Sequence[str], values: Sequence[str]) -> bool:
    """
    Whether each value stands by itself in the decoded text, and nothing else there is a value, save absent ones.

    Of a key that comes twice the values are one or two in the event, depending on whether they are equal: no layout.
    """
    if any("\\" in literal for literal in literals):
        return False
    marks = [_text_mark(place) for place in range(len(values))]
    try:
        document = decode_json(_joined(literals, marks))
        leaves = [leaf for leaf in _leaves(document) if not _is_nothing(leaf)]
    except (Unusable, _NoLayoutError):
        return False
    return sorted(map(str, leaves)) == sorted(mark[1:-1] for mark in marks)


def _is_nothing(leaf: JsonValue) -> bool:
    return isinstance(leaf, bool) or (isinstance(leaf, str) and is_absent(leaf))


def _leaves(document: JsonValue) -> Iterator[JsonValue]:
    """Every value that is no container and not null; raises _NoLayoutError where an object has a key twice."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Members):
            if len(dict(value)) < len(value):
                raise _NoLayoutError
            waiting.extend(item for _, item in value)
        elif isinstance(value, list):
            waiting.extend(value)
        elif value is not None:
            yield value


def _joined(literals: Sequence[str], values: Sequence[str], *, colon: str = ":") -> str:
    pairs = zip(values, literals[1:], strict=True)
    return literals[0] + "".join([f"{colon}{value}{literal}" for value, literal in pairs])


def _text_mark(place: int) -> str:
    return f'"\ufdd2{place}\ufdd3"'


def _places_in(text: str) -> tuple[int, ...]:
    return tuple(int(place) for place in _TEXT_MARK.findall(text))


def _pick(places: Sequence[int]) -> Pick:
    """The values in these places, at least one; a slice where they stand in a row, which is faster."""
    run = range(places[0], places[-1] + 1)
    return itemgetter(slice(run.start, run.stop)) if [*run] == [*places] else itemgetter(*places)


def _reading(builder: ReadingBuilder, left: dict[str, JsonValue]) -> Reading:
    return builder.reading(
        device=Device(_ANY_MAC),
        measured_at=_AN_INSTANT,
        time_source="received",
        received_at=_AN_INSTANT,
        extra=left,
    )
