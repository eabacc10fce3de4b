"""An endpoint's template is checked and compiled once, and then written for each request."""

from collections.abc import Callable, Sequence

from forwarder.body_template.json_body import NotJson, Writer, json_writer
from forwarder.body_template.line_body import (
    Escape,
    LineWriter,
    Misfit,
    NoLine,
    line_writer,
    lines_of,
)
from forwarder.body_template.names import EVENTS, OF_REQUESTS, Finder, UnknownName, View, finder_of
from forwarder.errors import TemplateError
from forwarder.event_data import utf8
from forwarder.template_language import Pieces, Written, cut, even, looks_like_json

_LONGEST_NAME = 60
_CONTENT_TYPES = {"influx": "text/plain", "csv": "text/csv", "none": "text/plain"}


class TemplateMistakes(ValueError):  # noqa: N818 - several of them
    """A template cannot be used. Each mistake is a clause with its place in the template."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = tuple(mistakes)


class NothingToSay(ValueError):  # noqa: N818 - an outcome
    """A template makes no body of an event, today or later. The text says why."""


class BodyTemplate:
    """A compiled template. Two are equal when they were written alike."""

    __slots__ = ("_escape", "_text", "_writer", "content_type", "is_json", "takes_all")

    def __init__(
        self, text: str, *, escape: Escape, writer: Writer, is_json: bool, takes_all: bool
    ) -> None:
        self._text = text
        self._escape = escape
        self._writer = writer
        self.is_json = is_json
        self.takes_all = takes_all
        """Whether `${events}` makes one body of a batch. Otherwise each of its readings is written by itself."""
        usual = f"{_CONTENT_TYPES[escape]}; charset=utf-8"
        self.content_type = "application/json" if is_json else usual

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BodyTemplate):
            return NotImplemented
        return (self._text, self._escape) == (other._text, other._escape)

    def __hash__(self) -> int:
        return hash((self._text, self._escape))

    def __repr__(self) -> str:
        return f"BodyTemplate({len(self._text)} characters)"

    @property
    def size(self) -> int:
        """Characters of the template's text."""
        return len(self._text)

    def write(self, view: View) -> str:
        """The text for one event. Raises NothingToSay."""
        try:
            text = self._writer(view)
        except Misfit as misfit:
            raise NothingToSay(str(misfit)) from None
        if not text:
            raise NothingToSay("the event has a value for none of the template's variables")
        return text

    def join(self, texts: Sequence[str]) -> bytes:
        """The body of a batch whose readings were written one by one."""
        return utf8("[" + ",".join(texts) + "]" if self.is_json else "\n".join(texts))


def compile_template(
    text: str,
    *,
    escape: Escape | None = None,
    is_json: bool | None = None,
    is_batched: bool = False,
    name_to_finder: Callable[[str], Finder] = finder_of,
) -> BodyTemplate:
    """
    The template in an endpoint's text. A text that begins with `{` or `[` is JSON unless `is_json` says otherwise.

    Raises TemplateMistakes.
    """
    text = even(text).rstrip("\n")
    try:
        pieces = cut(text)
    except TemplateError as unclosed:
        raise TemplateMistakes([str(unclosed)]) from None
    if is_json is None:
        is_json = looks_like_json(pieces.literals)
    if is_json and escape is not None:
        raise TemplateMistakes(["it is JSON, which is escaped by itself; leave out escape"])
    finders = _finders(pieces.variables, name_to_finder, is_batched=is_batched)
    writer = _json(pieces, finders) if is_json else _lines(pieces, finders, escape or "none")
    takes_all = any(one.name == EVENTS for one in pieces.variables)
    return BodyTemplate(
        text, escape=escape or "none", writer=writer, is_json=is_json, takes_all=takes_all
    )


def _finders(
    variables: Sequence[Written], name_to_finder: Callable[[str], Finder], *, is_batched: bool
) -> list[Finder]:
    """The finder of each value. Raises TemplateMistakes with every name that cannot be used."""
    if not variables:
        raise TemplateMistakes(
            ["it holds no variable such as ${device}; a file is named file:NAME"]
        )
    takes_all = any(one.name == EVENTS for one in variables)
    finders: list[Finder] = []
    mistakes: list[str] = []
    for one in variables:
        try:
            finders.append(name_to_finder(one.name))
            if mistake := _misplaced(one.name, is_batched=is_batched, takes_all=takes_all):
                mistakes.append(_sentence(one, mistake))
        except UnknownName as unknown:
            mistakes.append(_sentence(one, str(unknown)))
    if mistakes:
        raise TemplateMistakes(mistakes)
    return finders


def _misplaced(name: str, *, is_batched: bool, takes_all: bool) -> str:
    if name == EVENTS and not is_batched:
        return "it stands for the readings of a batch, and the endpoint has no batch"
    if takes_all and name not in OF_REQUESTS:
        return "beside ${events} there is no single reading that it could be of"
    return ""


def _sentence(one: Written, mistake: str) -> str:
    return f"line {one.line}, column {one.column}: ${{{one.name[:_LONGEST_NAME]}}}: {mistake}"


def _json(pieces: Pieces, finders: Sequence[Finder]) -> Writer:
    try:
        return json_writer(pieces.literals, pieces.variables, finders)
    except NotJson as wrong:
        raise TemplateMistakes([f"it is no JSON: {wrong}"]) from None


def _lines(pieces: Pieces, finders: Sequence[Finder], escape: Escape) -> Writer:
    writers: list[LineWriter] = []
    mistakes: list[str] = []
    for number, parts in enumerate(lines_of(pieces.literals, finders), start=1):
        try:
            writers.append(line_writer(parts, escape))
        except NoLine as wrong:
            mistakes.append(f"line {number}: {wrong}")
    if mistakes:
        raise TemplateMistakes(mistakes)

    if len(writers) == 1:
        return writers[0]

    def write(view: View) -> str:
        return "\n".join([text for one in writers if (text := one(view)) is not None])

    return write
