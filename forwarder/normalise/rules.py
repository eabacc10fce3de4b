"""
Rules read a decoded payload: they know which part of it is which variable.

Known shapes and JSON templates are both trees of rules, so the same few lines read both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from forwarder.normalise.builder import PUT, Part, ReadingBuilder
from forwarder.normalise.values import ABSENT, Members, beside, by_position, carried, text_of
from forwarder.reading import JsonValue
from forwarder.variables import Use


class Rule(Protocol):
    """Reads one value of the payload."""

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:
        """Put the known values into the builder. Returns the unknown ones, None when there are none."""


class Leaf:
    """The place of one variable."""

    __slots__ = ("_put", "place", "use")

    def __init__(self, use: Use, place: str) -> None:
        self.use = use
        self.place = place
        self._put = PUT[use.variable.kind]

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:
        builder.seen += 1
        rest = self._put(builder, self.use, value)
        if builder.trace is not None:
            builder.trace.append(self._part(value, rest))
        return rest

    def _part(self, value: JsonValue, rest: JsonValue) -> Part:
        return Part(
            place=self.place,
            use=self.use,
            sent=carried(value) if isinstance(value, Members) else value,
            is_absent=rest is None and carried(value) is None,
            is_understood=rest is None,
        )


class Unknown:
    """A place that no rule knows. `extra` keeps its value."""

    __slots__ = ()

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:  # noqa: ARG002 - the protocol's signature
        return carried(value)


UNKNOWN = Unknown()


def _unknown(key: str) -> Rule:  # noqa: ARG001
    return UNKNOWN


class Fields:
    """An object whose keys are known, in any order. `other` finds the rule of a key that is not in `rules`."""

    __slots__ = ("other", "rules")

    def __init__(
        self, rules: Mapping[str, Rule], *, other: Callable[[str], Rule] = _unknown
    ) -> None:
        self.rules = rules
        self.other = other

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:
        if not isinstance(value, Members):
            return carried(value)
        left: dict[str, JsonValue] = {}
        rules = self.rules
        for key, item in value:
            rule = rules.get(key) or self.other(key)
            rest = rule.read(item, builder)
            if rest is not None:
                left[key] = beside(left[key], rest) if key in left else rest
        return left or None


class Volumes:
    """An array of any length, one object for each bus."""

    __slots__ = ("place", "uses")

    def __init__(self, uses: Mapping[str, Use], place: str) -> None:
        self.uses = uses
        self.place = place

    def read(self, value: JsonValue, builder: ReadingBuilder) -> JsonValue:
        if not isinstance(value, list):
            return carried(value)
        return by_position(
            [self._entry(index).read(item, builder) for index, item in enumerate(value)]
        )

    def _entry(self, index: int) -> Fields:
        return Fields({}, other=lambda key: self._leaf(index, key))

    def _leaf(self, index: int, field: str) -> Rule:
        use = self.uses.get(field)
        if use is None:
            return UNKNOWN
        return Leaf(Use(use.variable, index), f"{self.place}[{index}].{field}")


def described(value: JsonValue) -> str:
    """The kind of a value in words. The value itself is never told, because it may be personal."""
    text = text_of(value)
    if text is ABSENT:
        return "nothing"
    kinds: Sequence[tuple[type | tuple[type, ...], str]] = (
        (Members, "an object"),
        (list, "an array"),
        (bool, "true or false"),
        (str, "a text"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), "a number")
