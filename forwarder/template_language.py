"""
The language of templates is text with `${name}` in it, as whatwatt has it.

    {"p": ${1_7_0}, "at": "${timestamp}"}     outside of quotes a value as it is; inside, text

A device's template reads payloads, in `normalise.template`. An endpoint's template writes bodies, in `body_template`.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from forwarder.errors import TemplateError

LIMIT_BYTES = 1 << 20
"""The most bytes of a template."""

# Noncharacters (Unicode §23.7): no template holds them, and JSON carries them unchanged.
OPEN, CLOSE, BARE = "\ufdd0", "\ufdd1", "\ufdd2"
HOLE = re.compile(f"{OPEN}([0-9]+){CLOSE}")
"""A variable's number, in the variable's place in JSON."""
_DELIMITERS = frozenset(" \t\r\n,:[]{}")


class Written(NamedTuple):
    """One variable and its place; line and column count from 1."""

    name: str
    start: int
    end: int
    line: int
    column: int


class Pieces(NamedTuple):
    """A template cut into literals, with one variable between each two."""

    literals: list[str]
    variables: list[Written]


def even(text: str) -> str:
    """The text without a byte order mark and with plain line ends, because editors add them on their own."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def cut(text: str) -> Pieces:
    """The pieces of a template; raises TemplateError, with line and column, at a `${` without its `}`."""
    lines = [0, *(place + 1 for place, character in enumerate(text) if character == "\n")]
    variables = [_written(text, part, lines) for part in _parts(text)]
    edges = [0, *(edge for one in variables for edge in (one.start, one.end)), len(text)]
    literals = [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return Pieces(literals, variables)


def _written(text: str, part: tuple[int, int], lines: Sequence[int]) -> Written:
    start, end = part
    line = bisect_right(lines, start)
    return Written(text[start + 2 : end - 1], start, end, line, start - lines[line - 1] + 1)


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """The start and end of each `${name}`."""
    start = text.find("${")
    while start >= 0:
        end = text.find("}", start)
        name = text[start + 2 : end]
        if end < 0 or not name or any(character in '{"\n' for character in name):
            raise TemplateError(
                f"{place_of(text, start)}: this ${{ is not closed by a }}; a variable is ${{name}}"
            )
        yield start, end + 1
        start = text.find("${", end)


def place_of(text: str, position: int) -> str:
    """`line 2, column 11`."""
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


def looks_like_json(literals: Sequence[str]) -> bool:
    return literals[0].lstrip().startswith(("{", "["))


def with_placeholders(literals: Sequence[str]) -> tuple[str, list[bool]]:
    """JSON with a placeholder for each variable, and whether it is in quotes; a bare value becomes a string."""
    marked: list[str] = []
    quoted: list[bool] = []
    bare: list[str] = []
    is_inside = False
    for number, literal in enumerate(literals):
        for piece, is_open in _pieces(literal, is_inside=is_inside):
            is_inside = is_open
            if is_inside or piece in _DELIMITERS or piece == '"':
                marked += _wrapped(bare)
                bare = []
                marked.append(piece)
            else:
                bare.append(piece)
        if number + 1 < len(literals):
            quoted.append(is_inside)
            (marked if is_inside else bare).append(f"{OPEN}{number}{CLOSE}")
    return "".join([*marked, *_wrapped(bare)]), quoted


def _pieces(literal: str, *, is_inside: bool) -> Iterator[tuple[str, bool]]:
    """Each character, with an escape as one, and whether a string is open after it."""
    escaped = ""
    for character in literal:
        if escaped or (is_inside and character == "\\"):
            escaped += character
            if len(escaped) == 2:
                yield escaped, is_inside
                escaped = ""
            continue
        if character == '"':
            is_inside = not is_inside
        yield character, is_inside


def _wrapped(bare: Sequence[str]) -> list[str]:
    text = "".join(bare)
    return [f'"{BARE}{text}"'] if OPEN in text else [text]
