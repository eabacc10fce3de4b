"""
Learning makes a layout from the normaliser's own reading of a payload.

    payload ─▶ skeleton ─▶ constants ─▶ variables ─▶ layout
               │           │            │            └ where each value comes out in the event
               │           │            └ which variable each value is
               │           └ which values a template does not let change
               └ the text between the values; refused unless decoding finds exactly these values

A placeholder stands for any value. The normaliser reads the payload with placeholders. The place where a placeholder
comes out is the place of that value in the event of every payload of this layout. A layout is learned only if each
placeholder comes out exactly once, so nothing that the rules do with a value can be missed.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import TypeAlias

from forwarder.event_data import serialise
from forwarder.normalise.builder import ReadingBuilder
from forwarder.normalise.decoding import decode_json
from forwarder.normalise.times import TextKind
from forwarder.normalise.unusable import Unusable
from forwarder.normalise.values import Members, is_absent
from forwarder.reading import Device, JsonValue, Reading
from forwarder.variables import Kind, Use

MOST_VALUES = 200
"""Most values of a layout, because learning may read the payload once for each. A full report has about 90."""

# Placeholders of numbers: they are timestamps of a set clock, and few enough hours. There are two series, because a
# template's constant may happen to be a number of one, but not of the other.
_FIRST_NUMBERS, _SECOND_NUMBERS = 990_000_000, 995_000_000
# Noncharacters (Unicode §23.7) stand in no text that a device sends.
_TEXT_PLACEHOLDER = re.compile("\ufdd2([0-9]+)\ufdd3")
_ANY_MAC = "ECC9FF000000"
_ANY_TARIFF = "1"
_ANY_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)

# Numbers that Python writes as they came: 15 digits at most, no zeros at the end, not -0 and not below 0.0001.
_USUAL = r"0(?!\.)|-?[1-9][0-9]{0,8}+(?:\.[0-9]{1,6}+(?<!0)|)|-?0\.(?!0000)[0-9]{1,6}+(?<!0)"
_INTEGER = r"0|-?[1-9][0-9]{0,17}+"
# Numbers that may have to be written anew, and the usual ones.
_ORDINARY = rf"-?(?:0|[1-9][0-9]*+)\.[0-9]++|{_INTEGER}"
_TARIFF = "[0-4]"
_TEXT = r'(?!null"|\$\{|\s*+")[^"\\\x00-\x1f]++'

_PLAIN_NUMBERS: frozenset[Kind] = frozenset(("measurement", "factor", "number", "hours"))
_NUMBERS: frozenset[Kind] = _PLAIN_NUMBERS | {"timestamp", "tariff"}
_IN_HEAD: frozenset[Kind] = frozenset(("device", "timestamp", "date", "clock"))
"""Kinds of values that tell the device and the instant. They need not stand in the body."""

Read: TypeAlias = Callable[[bytes, ReadingBuilder], dict[str, JsonValue]]
Pick: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
Times: TypeAlias = tuple[tuple[tuple[int, ...], TextKind], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The way from the values of a payload to its event. A place is the number of a value, from 0."""

    usual: re.Pattern[str]
    """Matches a payload of the layout whose numbers stand as Python writes them, with a group for each value."""
    ordinary: str
    """Matches numbers that may have to be written anew, too. It is not compiled, because few layouts ever need it."""
    numbers: tuple[int, ...]
    hours: tuple[int, ...]
    tariff: int | None
    device: int | None
    timestamp: int | None
    times: tuple[tuple[Pick, TextKind], ...]
    """The texts that tell the instant, the surest first. A pick of two values has a date and a time of day."""
    body: list[str]
    """The event behind its head: literal, place of a value, literal, … The tariff's member is left out."""
    in_order: Pick
    """The values in the order of the body's places."""


def learn(literals: Sequence[str], values: Sequence[str], *, read: Read) -> Layout | None:
    """The layout of the payload that these literals make with the values between them; None when it has none."""
    try:
        skeleton = _skeleton(literals, values)
        read_with = partial(_read, skeleton, read)
        constants = _constants(skeleton, read_with)
        variables = _variables(skeleton, constants, read_with)
        slots = _slots(skeleton, constants, variables)
        return _layout(skeleton, slots, read_with)
    except (Unusable, _NoLayoutError):
        return None


class _NoLayoutError(Exception):
    """Payloads of this layout are not all read alike."""


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """A payload as literals with values between them. Texts keep their quotes."""

    literals: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def places(self) -> range:
        return range(len(self.values))

    def is_quoted(self, place: int) -> bool:
        return self.values[place][0] == '"'

    def filled(self, values: Sequence[str], *, colon: str = ":") -> str:
        """The payload with other values in its places."""
        pairs = zip(values, self.literals[1:], strict=True)
        return self.literals[0] + "".join([f"{colon}{value}{text}" for value, text in pairs])


@dataclass(frozen=True, slots=True)
class _Constant:
    """A value that every payload of the layout has, because the template has it."""

    placeholder: str
    """The constant itself."""

    def group(self, _: str) -> str:
        return f"({re.escape(self.placeholder)})"


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that goes into the event."""

    place: int
    kind: Kind | None
    """The kind of its variable; None if `extra` keeps the value."""
    is_quoted: bool

    @property
    def is_number(self) -> bool:
        return self.kind in _NUMBERS if self.kind else not self.is_quoted

    @property
    def is_plain_number(self) -> bool:
        """Whether any number may stand here."""
        return self.kind in _PLAIN_NUMBERS if self.kind else not self.is_quoted

    @property
    def placeholder(self) -> str:
        """The placeholder as the payload has it, quotes included."""
        if self.kind == "device":
            text = _ANY_MAC
        elif self.kind == "tariff":
            text = _ANY_TARIFF
        elif self.is_number:
            text = str(_SECOND_NUMBERS + self.place)
        else:
            return _text_placeholder(self.place)
        return f'"{text}"' if self.is_quoted else text

    @property
    def outcome(self) -> str:
        """The placeholder as the event has it, without quotes."""
        if self.is_number:
            return str((_SECOND_NUMBERS + self.place) * (3600 if self.kind == "hours" else 1))
        return _text_placeholder(self.place)[1:-1]

    @property
    def outcome_pattern(self) -> str:
        # A text is always the whole of a text in the event, so quotes stand beside it.
        return self.outcome if self.is_number else f'(?<="){self.outcome}(?=")'

    def group(self, number: str) -> str:
        """
        The pattern of any value that may stand here, as a group without its quotes. `number` matches a plain number.

        The group is atomic: a match is never tried again in another way, so that no payload takes long.
        """
        return self.quoted(f"(?>(?P<v{self.place}>{self._pattern(number)}))")

    def quoted(self, group: str) -> str:
        return f'"{group}"' if self.is_quoted or not self.is_number else group

    def _pattern(self, number: str) -> str:
        match self.kind:
            case "timestamp":
                return _INTEGER
            case "tariff":
                return _TARIFF
            case _:
                return number if self.is_number else _TEXT


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A further place of a variable. All payloads of the layout repeat the first value there."""

    first: _Value

    @property
    def placeholder(self) -> str:
        return self.first.placeholder

    def group(self, _: str) -> str:
        return self.first.quoted(f"((?P=v{self.first.place}))")


_Slot: TypeAlias = _Constant | _Value | _Repeat
_ReadWith: TypeAlias = Callable[[Sequence[str]], tuple[ReadingBuilder, dict[str, JsonValue]]]
"""Has the normaliser read the skeleton with these values. Returns builder and `extra`. Raises Unusable."""


def _read(
    skeleton: _Skeleton, read: Read, values: Sequence[str]
) -> tuple[ReadingBuilder, dict[str, JsonValue]]:
    builder = ReadingBuilder([])
    extra = read(skeleton.filled(values).encode(), builder)
    return builder, extra


def _skeleton(literals: Sequence[str], values: Sequence[str]) -> _Skeleton:
    """
    The payload, if each value stands by itself in the decoded text. Nothing else there may be a value save absent ones.

    A payload that repeats a key has no layout, because its two values make one in the event if they are equal.
    """
    if not 0 < len(values) <= MOST_VALUES or any("\\" in literal for literal in literals):
        raise _NoLayoutError
    skeleton = _Skeleton(tuple(literals), tuple(values))
    placeholders = [_text_placeholder(place) for place in skeleton.places]
    document = decode_json(skeleton.filled(placeholders))
    leaves = [leaf for leaf in _leaves(document) if not _is_nothing(leaf)]
    if sorted(map(str, leaves)) != sorted(text[1:-1] for text in placeholders):
        raise _NoLayoutError
    return skeleton


def _constants(skeleton: _Skeleton, read_with: _ReadWith) -> frozenset[int]:
    """The places whose values a template does not let change."""
    placeholders = _first_placeholders(skeleton)
    if _is_read(placeholders, read_with):
        return frozenset()
    values = skeleton.values
    return frozenset(
        place
        for place, text in enumerate(placeholders)
        if not _is_read([*values[:place], text, *values[place + 1 :]], read_with)
    )


def _variables(
    skeleton: _Skeleton, constants: frozenset[int], read_with: _ReadWith
) -> dict[int, Use]:
    """The variable of each place that has one. The normaliser's trace tells which one it read."""
    placeholders = _first_placeholders(skeleton)
    builder, _ = read_with(
        [skeleton.values[p] if p in constants else placeholders[p] for p in skeleton.places]
    )
    place_of = {json.loads(placeholders[p]): p for p in skeleton.places if p not in constants}
    return {
        place_of[part.sent]: part.use
        for part in builder.trace or ()
        if isinstance(part.sent, int | str) and part.sent in place_of
    }


def _slots(
    skeleton: _Skeleton, constants: frozenset[int], variables: Mapping[int, Use]
) -> list[_Slot]:
    """The constant, value or repeat in each place."""
    first: dict[Use, _Value] = {}
    slots: list[_Slot] = []
    for place, text in enumerate(skeleton.values):
        use = variables.get(place)
        value = _Value(place, use.variable.kind if use else None, skeleton.is_quoted(place))
        known = first.setdefault(use, value) if use else value
        if place in constants:
            slots.append(_Constant(text))
        else:
            slots.append(value if known is value else _Repeat(known))
    return slots


def _layout(skeleton: _Skeleton, slots: Sequence[_Slot], read_with: _ReadWith) -> Layout:
    """The layout, with the place in the event where the placeholder of each value comes out."""
    builder, extra = read_with([slot.placeholder for slot in slots])
    _require_clear(builder)
    values = [slot for slot in slots if isinstance(slot, _Value)]
    tariff = _place_of("tariff", values)
    body, order = _body(serialise(_reading(builder, extra, tariff)).body, values)
    if tariff is not None:
        # The value brings its member along, because devices send 0 for no tariff and the event then has no member.
        before = order.index(tariff) * 2
        body[before] = body[before].removesuffix(',"tariff":')
    return Layout(
        usual=re.compile(_pattern(skeleton, slots, number=_USUAL)),
        ordinary=_pattern(skeleton, slots, number=_ORDINARY),
        numbers=tuple(value.place for value in values if value.is_plain_number),
        hours=tuple(value.place for value in values if value.kind == "hours"),
        tariff=tariff,
        device=_place_of("device", values),
        timestamp=_place_of("timestamp", values),
        times=tuple((_pick(places), kind) for places, kind in _times(builder) if places),
        body=body,
        in_order=_pick(order),
    )


def _require_clear(builder: ReadingBuilder) -> None:
    is_clear = not builder.misfits and all(part.is_understood for part in builder.trace or ())
    if not (builder.measurements and is_clear):
        raise _NoLayoutError


def _times(builder: ReadingBuilder) -> Times:
    """The texts that tell the instant. Date and time of day belong together, and a surer text may not stand beside."""
    times = tuple((_places_in(text), kind) for text, kind in builder.time_texts())
    if builder.date is None and builder.clock is None:
        return times
    if not (builder.date and builder.clock) or builder.timestamp or len(times[0][0]) != 2:
        raise _NoLayoutError
    return times


def _body(text: str, values: Sequence[_Value]) -> tuple[list[str], list[int]]:
    """The body between the placeholders, and their places. Each must be there once, save those of the head."""
    wanted = [value for value in values if value.kind not in _IN_HEAD]
    if not wanted:
        raise _NoLayoutError
    place_of = {value.outcome: value.place for value in wanted}
    pieces = re.split(f"({'|'.join([value.outcome_pattern for value in wanted])})", text)
    order = [place_of[outcome] for outcome in pieces[1::2]]
    if Counter(order) != Counter(place_of.values()):
        raise _NoLayoutError
    return pieces, order


def _pattern(skeleton: _Skeleton, slots: Sequence[_Slot], *, number: str) -> str:
    """The regular expression of every payload of the layout whose numbers match `number`."""
    escaped = replace(skeleton, literals=tuple(map(re.escape, skeleton.literals)))
    return escaped.filled([slot.group(number) for slot in slots], colon=": ?+")


def _place_of(kind: Kind, values: Sequence[_Value]) -> int | None:
    return next((value.place for value in values if value.kind == kind), None)


def _first_placeholders(skeleton: _Skeleton) -> list[str]:
    """A placeholder for every place, before the variable there is known."""
    return [
        _text_placeholder(place) if skeleton.is_quoted(place) else str(_FIRST_NUMBERS + place)
        for place in skeleton.places
    ]


def _is_read(values: Sequence[str], read_with: _ReadWith) -> bool:
    try:
        read_with(values)
    except Unusable:
        return False
    return True


def _is_nothing(leaf: JsonValue) -> bool:
    return isinstance(leaf, bool) or (isinstance(leaf, str) and is_absent(leaf))


def _leaves(document: JsonValue) -> Iterator[JsonValue]:
    """Every value that is no container and not null. Raises _NoLayoutError when an object has a key twice."""
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


def _text_placeholder(place: int) -> str:
    return f'"\ufdd2{place}\ufdd3"'


def _places_in(text: str) -> tuple[int, ...]:
    return tuple(int(place) for place in _TEXT_PLACEHOLDER.findall(text))


def _pick(places: Sequence[int]) -> Pick:
    """Picks the values in these places, at least one. Places in a row are a slice, because that is faster."""
    run = range(places[0], places[-1] + 1)
    return itemgetter(slice(run.start, run.stop)) if [*run] == [*places] else itemgetter(*places)


def _reading(builder: ReadingBuilder, extra: dict[str, JsonValue], tariff: int | None) -> Reading:
    """The builder's reading. The tariff's placeholder goes in here, because no tariff in a payload is so large."""
    reading = builder.reading(
        device=Device(_ANY_MAC),
        measured_at=_ANY_INSTANT,
        time_source="received",
        received_at=_ANY_INSTANT,
        extra=extra,
    )
    return reading if tariff is None else replace(reading, tariff=_SECOND_NUMBERS + tariff)
