"""The meaning of single values: numbers with the digits that came, texts, and the many ways to be absent."""

import math
from decimal import Decimal
from enum import Enum
from typing import Literal

from forwarder.reading import JsonValue, Number

MAX_NUMBER_CHARACTERS = 64
"""The longest number. No device writes a longer one, and the bound keeps the time of reading one short."""

_HUGE = 10**MAX_NUMBER_CHARACTERS
# A double gives back every decimal of 15 significant digits (IEEE 754 binary64). The point is one more character.
_EXACT_CHARACTERS = 16


class Verdict(Enum):
    """The reason why there is no value."""

    ABSENT = "absent"
    UNFIT = "unfit"


ABSENT: Literal[Verdict.ABSENT] = Verdict.ABSENT
"""The device had no value: null, nothing, NaN, or the placeholder of a variable it does not know."""
UNFIT: Literal[Verdict.UNFIT] = Verdict.UNFIT
"""The value does not belong in this place."""


class Members(tuple["tuple[str, JsonValue]", ...]):
    """A JSON object as its keys with their values, in the order of the text. A key may come more than once."""

    __slots__ = ()


class Several(list[JsonValue]):
    """The different values of a key that came more than once, in the order in which they came."""

    __slots__ = ("_seen",)

    def __init__(self, first: JsonValue) -> None:
        super().__init__([first])
        self._seen = {repr(first)}

    def add(self, value: JsonValue) -> None:
        """Add a value that is not there yet. It costs one look, however many there are."""
        written = repr(value)
        if written not in self._seen:
            self._seen.add(written)
            self.append(value)


class NumberText(str):
    """A JSON number as it was written, because templates may build a value around a number."""

    __slots__ = ()


def is_absent(text: str) -> bool:
    """Whether a text stands for no value: empty, `null`, or an unresolved `${name}`."""
    return (
        not text
        or text == "null"
        or (text[0] == "$" and text[-1] == "}" and text.startswith("${"))
        or text.isspace()
    )


def parse_number(text: str) -> Number | None:
    """
    The number in a text, in plain, signed or exponent form; None if it is none that a double can hold.

    It is an int or a float if these write the same digits, else a Decimal.
    """
    if len(text) > MAX_NUMBER_CHARACTERS or not text.isascii() or "_" in text:
        return None
    if text.isdigit():
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return None
    if "." in text:
        return _exact(text.strip(), number)
    try:
        return int(text)
    except ValueError:
        return _exact(text.strip(), number)


def json_number(text: str) -> Number | str:
    """A JSON number with a point or an exponent. It stays text when no double can hold it, as with `1e999`."""
    if len(text) <= _EXACT_CHARACTERS and "e" not in text and "E" not in text:
        return float(text)
    number = parse_number(text)
    return text if number is None else number


def json_integer(text: str) -> int | str:
    """A JSON integer. It stays text when it is longer than any number of a device."""
    return int(text) if len(text) <= MAX_NUMBER_CHARACTERS else text


def number_of(value: JsonValue) -> Number | Verdict:
    """The number in a numeric place, whether it came bare or in quotes."""
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return (
            value if value is not True and value is not False and -_HUGE < value < _HUGE else UNFIT
        )
    if isinstance(value, str):
        return _number_of_text(value)
    if value is None:
        return ABSENT
    return value if isinstance(value, Decimal) else UNFIT


def text_of(value: JsonValue) -> str | Verdict:
    """The text in a text place. A bare number there becomes the text of its digits."""
    if isinstance(value, str):
        return ABSENT if is_absent(value) else str(value)
    if value is None:
        return ABSENT
    number = number_of(value)
    return number if isinstance(number, Verdict) else str(number)


def carried(value: JsonValue) -> JsonValue:
    """
    A value that no rule knows, without its absent parts, as `extra` keeps it; None when nothing is left.

    An array with absent places becomes an object keyed by position, so that nothing moves to another place.
    """
    if isinstance(value, str):
        return None if is_absent(value) else _carried_text(value)
    if isinstance(value, Members):
        kept: dict[str, JsonValue] = {}
        for key, item in value:
            rest = carried(item)
            if rest is not None:
                kept[key] = beside(kept[key], rest) if key in kept else rest
        return kept or None
    if isinstance(value, list):
        items = [carried(item) for item in value]
        return items if items and None not in items else by_position(items)
    if isinstance(value, int) and not -_HUGE < value < _HUGE:
        return str(value)
    return value


def beside(kept: JsonValue, another: JsonValue) -> JsonValue:
    """Two values of one key as `extra` keeps them. Two objects become one, so do equal values, and others stay two."""
    if isinstance(kept, dict) and isinstance(another, dict):
        return merged(kept, another)
    several = kept if isinstance(kept, Several) else Several(kept)
    several.add(another)
    return several if len(several) > 1 else kept


def merged(kept: dict[str, JsonValue], another: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The first object with all of the second in it. The first object itself is changed."""
    for key, value in another.items():
        kept[key] = beside(kept[key], value) if key in kept else value
    return kept


def by_position(items: list[JsonValue]) -> JsonValue:
    """The remaining items of an array, keyed by position; None when there are none."""
    return {str(place): item for place, item in enumerate(items) if item is not None} or None


def _carried_text(text: str) -> JsonValue:
    if not isinstance(text, NumberText):
        return text
    number = parse_number(text)
    return str(text) if number is None else number


def _number_of_text(text: str) -> Number | Verdict:
    number = parse_number(text)
    if number is not None:
        return number
    return ABSENT if is_absent(text) or is_not_a_number(text) else UNFIT


def is_not_a_number(text: str) -> bool:
    """Whether a text spells NaN or infinity as C libraries or Python do."""
    return text.strip().lstrip("+-").lower() in ("nan", "inf", "infinity")


def _exact(text: str, number: float) -> Number | None:
    if not math.isfinite(number):
        return None
    if len(text) <= _EXACT_CHARACTERS and "e" not in text and "E" not in text:
        return number
    if number == 0 and text.lower().partition("e")[0].strip("+-0."):
        return None  # a number smaller than any double would arrive as another number
    if number == 0:
        return number
    exact = Decimal(text)
    return number if Decimal(repr(number)) == exact else exact
