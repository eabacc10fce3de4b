"""
A pattern reads a text that has the values of variables between its literals.

It searches for the next literal, and uses no regular expression, so that the time is bounded for every text.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from forwarder.normalise.builder import ReadingBuilder
from forwarder.normalise.decoding import unescaped
from forwarder.normalise.rules import Leaf
from forwarder.normalise.times import is_instant
from forwarder.normalise.unusable import Unusable
from forwarder.normalise.values import (
    MAX_NUMBER_CHARACTERS,
    UNFIT,
    is_absent,
    number_of,
)
from forwarder.reading import JsonValue, parse_mac
from forwarder.variables import Kind

_MOST_STEPS = 1000
"""Most steps of the second search, which reads texts that hold the separator. A step costs one pass at most."""

_NUMBERS: frozenset[Kind] = frozenset(
    ("measurement", "tariff", "factor", "number", "hours", "timestamp")
)
_TIMES: frozenset[Kind] = frozenset(("utc", "offset", "local"))


class Hole:
    """The place of a variable in the text, with the variable, or the name of one that devices do not know."""

    __slots__ = ("is_quoted", "leaf", "name", "unresolved")

    def __init__(self, name: str, leaf: Leaf | None) -> None:
        self.is_quoted = False
        """Whether the hole stands in a JSON string, in which a backslash escapes."""
        self.name = name
        self.leaf = leaf
        self.unresolved = "${" + name + "}"


class Pattern:
    """Literals with a hole between any two."""

    __slots__ = ("holes", "literals")

    def __init__(self, literals: Sequence[str], holes: Sequence[Hole]) -> None:
        self.literals = tuple(literals)
        self.holes = tuple(holes)

    def read(self, text: str, builder: ReadingBuilder) -> Mapping[str, JsonValue]:
        """Put every value into the builder. Returns the values that no rule took, by name. Raises Unusable."""
        left: dict[str, JsonValue] = {}
        for hole, written in zip(self.holes, self.split(text), strict=True):
            value = unescaped(written) if hole.is_quoted and "\\" in written else written
            rest = hole.leaf.read(value, builder) if hole.leaf else unnamed(value)
            if rest is not None:
                left[hole.name] = rest
        return left

    def is_of(self, text: str) -> bool:
        """Whether the text has these literals, and each hole a value of its kind."""
        try:
            values = self.split(text)
        except Unusable:
            return False
        return all(map(_fits, self.holes, values))

    def split(self, text: str) -> list[str]:
        """
        The text of each hole. Raises Unusable when the literals are not there.

        A literal counts where it first comes. A text that holds the next literal may thus put a non-number into the
        place of a number. The first split then counts in which each value fits its kind.
        """
        ends = self._shortest(text)
        values = list(self._between(text, ends))
        if all(map(_fits, self.holes, values)):
            return values
        better = self._search(text)
        return values if better is None else list(self._between(text, better))

    def _shortest(self, text: str) -> list[int]:
        if not text.startswith(self.literals[0]):
            raise self._mismatch(0, 0)
        ends: list[int] = []
        for place in range(len(self.holes)):
            start = self._start(place, ends)
            end = self._end(text, place, self._behind_unresolved(text, place, start))
            if end < 0:
                raise self._mismatch(place + 1, start)
            ends.append(end)
        return ends

    def _search(self, text: str) -> list[int] | None:
        """Backtracking over the places of the literals, within a fixed number of steps."""
        ends: list[int] = []
        search_from = len(self.literals[0])
        for _ in range(_MOST_STEPS):
            place = len(ends)
            end = self._end(text, place, search_from)
            if end < 0:
                if not ends:
                    return None
                search_from = ends.pop() + 1
                continue
            if not _fits_between(self.holes[place], text, self._start(place, ends), end):
                search_from = end + 1
                continue
            ends.append(end)
            if len(ends) == len(self.holes):
                return ends
            search_from = self._start(place + 1, ends)
        return None

    def _start(self, place: int, ends: Sequence[int]) -> int:
        return (ends[place - 1] if place else 0) + len(self.literals[place])

    def _end(self, text: str, place: int, search_from: int) -> int:
        literal = self.literals[place + 1]
        if place + 1 < len(self.holes):
            return text.find(literal, search_from)
        end = len(text) - len(literal)
        return end if end >= search_from and text.endswith(literal) else -1

    def _behind_unresolved(self, text: str, place: int, start: int) -> int:
        unresolved = self.holes[place].unresolved
        return start + len(unresolved) if text.startswith(unresolved, start) else start

    def _between(self, text: str, ends: Sequence[int]) -> Iterator[str]:
        for place, end in enumerate(ends):
            yield text[self._start(place, ends) : end]

    def _mismatch(self, literal: int, start: int) -> Unusable:
        expected = self.literals[literal]
        after = f" after {self.holes[literal - 1].unresolved}" if literal else ""
        detail = f"the template has {_shown(expected)}{after}, the payload has not (from character {start + 1})"
        return Unusable("template_mismatch", detail)


def unnamed(value: str) -> str | None:
    """The value of a variable that this program does not know, as `extra` keeps it."""
    return None if is_absent(value) else value


def _fits_between(hole: Hole, text: str, start: int, end: int) -> bool:
    if _is_open(hole):
        return True
    is_short = end - start <= max(MAX_NUMBER_CHARACTERS, len(hole.unresolved))
    return is_short and _fits(hole, text[start:end])


def _fits(hole: Hole, value: str) -> bool:
    if hole.leaf is None or is_absent(value):
        return True
    kind = hole.leaf.use.variable.kind
    if kind in _NUMBERS:
        return number_of(value) is not UNFIT
    if kind in _TIMES:
        return is_instant(value)
    return kind != "device" or parse_mac(value) is not None


def _is_open(hole: Hole) -> bool:
    return hole.leaf is None or hole.leaf.use.variable.kind == "text"


def _shown(text: str) -> str:
    shown = repr("".join(islice(text, 40)))
    return shown if len(text) <= 40 else f"{shown[:-1]}…'"
