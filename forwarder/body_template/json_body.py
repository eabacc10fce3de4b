"""
A template that is JSON becomes the writers of its values.

    "${x}"      text       the member is left out if x has no value
    ${x}        as it is   likewise; a number keeps its digits
    "a ${x}"    text       x is empty if it has no value

The result is JSON whatever the values are, because they stand only in the place of a whole value or in a text.
"""

import json
import re
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import NoReturn, TypeAlias

from forwarder.body_template.names import Finder, View
from forwarder.event_data import MAX_DEPTH, NumberText, json_text
from forwarder.reading import JsonValue
from forwarder.template_language import BARE, HOLE, OPEN, Written, place_of, with_placeholders

Writer: TypeAlias = Callable[[View], str | None]
"""Writes one value as JSON; None: there is no value."""


_WRAPPED = re.compile(f'"{BARE}([^"]*)"')
"""A bare value, of which `with_placeholders` makes a string."""


class NotJson(ValueError):  # noqa: N818 - a mistake of the template's author
    """The template is no JSON. The text says where and why."""


class _Members(list[tuple[str, JsonValue]]):
    """An object of the template, with its keys in order."""


def json_writer(
    literals: Sequence[str], variables: Sequence[Written], finders: Sequence[Finder]
) -> Writer:
    """The writer of a template that is JSON. Raises NotJson."""
    marked, _ = with_placeholders(literals)
    try:
        document = json.loads(
            marked,
            object_pairs_hook=_Members,
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=_refuse_constant,
        )
        return _Tree(variables, finders).writer(document, depth=1)
    except json.JSONDecodeError as wrong:
        raise NotJson(f"{_place(marked, wrong.pos, variables)}: {wrong.msg.lower()}") from None
    except RecursionError:
        raise NotJson("it is nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is no JSON")


def _place(marked: str, position: int, variables: Sequence[Written]) -> str:
    """The place in the template that belongs to a place in its JSON with placeholders."""
    before = HOLE.sub(lambda hole: f"${{{variables[int(hole[1])].name}}}", marked[:position])
    before = _WRAPPED.sub(r"\1", before)
    return place_of(before, len(before))


class _Tree:
    """Turns the decoded template into its writer."""

    def __init__(self, variables: Sequence[Written], finders: Sequence[Finder]) -> None:
        self._variables = variables
        self._finders = finders

    def writer(self, node: JsonValue, *, depth: int) -> Writer:
        if depth > MAX_DEPTH:
            raise NotJson("it is nested too deep")
        if isinstance(node, _Members):
            return _object([self._member(key, item, depth=depth + 1) for key, item in node])
        if isinstance(node, list):
            return _array([self.writer(item, depth=depth + 1) for item in node])
        if isinstance(node, str) and OPEN in node:
            return self._value(node)
        text = "null" if node is None else json_text(node)
        return lambda _: text

    def _member(self, key: str, item: JsonValue, *, depth: int) -> Writer:
        value = self.writer(item, depth=depth)
        if OPEN in key:
            return _named(self._value(key), value)
        return _prefixed(encode_basestring(key) + ":", value)

    def _value(self, node: str) -> Writer:
        pieces = HOLE.split(node.removeprefix(BARE))
        finders = [self._finders[int(number)] for number in pieces[1::2]]
        is_alone = pieces[::2] == ["", ""]
        if node.startswith(BARE):
            if not is_alone:
                raise self._glued(pieces)
            return _as_it_is(finders[0])
        return _alone(finders[0]) if is_alone else _composite(pieces[::2], finders)

    def _glued(self, pieces: Sequence[str]) -> NotJson:
        first = self._variables[int(pieces[1])]
        return NotJson(
            f"line {first.line}, column {first.column}: outside of quotes a variable stands alone; put quotes around"
            " the whole text"
        )


def as_text(value: JsonValue) -> str:
    """A value inside a text. No value is empty text."""
    if isinstance(value, str):  # also a number's digits
        return value
    return json_text(value) or ""


def _as_it_is(finder: Finder) -> Writer:
    if finder.is_number:
        return finder.find  # type: ignore[return-value] # digits, which is what `is_number` promises
    return lambda view: json_text(finder.find(view))


def _alone(finder: Finder) -> Writer:
    find = finder.find

    def write(view: View) -> str | None:
        value = find(view)
        return None if value is None else encode_basestring(as_text(value))

    return write


def _composite(literals: Sequence[str], finders: Sequence[Finder]) -> Writer:
    finds = [finder.find for finder in finders]
    first, rest = literals[0], list(zip(finds, literals[1:], strict=True))

    def write(view: View) -> str:
        return encode_basestring(
            first + "".join([as_text(find(view)) + literal for find, literal in rest])
        )

    return write


def _prefixed(prefix: str, value: Writer) -> Writer:
    def write(view: View) -> str | None:
        text = value(view)
        return None if text is None else prefix + text

    return write


def _named(key: Writer, value: Writer) -> Writer:
    """A member whose key holds variables. It is left out if its key has no value, too."""

    def write(view: View) -> str | None:
        name, text = key(view), value(view)
        return None if name is None or text is None else f"{name}:{text}"

    return write


def _object(members: Sequence[Writer]) -> Writer:
    def write(view: View) -> str:
        return "{" + ",".join([text for one in members if (text := one(view)) is not None]) + "}"

    return write


def _array(items: Sequence[Writer]) -> Writer:
    def write(view: View) -> str:
        return "[" + ",".join([text for one in items if (text := one(view)) is not None]) + "]"

    return write
