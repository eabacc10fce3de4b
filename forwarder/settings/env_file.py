r"""
The text of a `.env` file, read strictly: a line that is no setting is an error with its place, never skipped.

    NAME=value      literal, without the blanks around it
    NAME='value'    literal, every character up to the next '
    NAME="value"    literal, but for \" and \\, which stand for " and \
    # comment       a line of its own, or after a quoted value

Nothing is interpolated: `$` is a dollar. ` #` in a value without quotes is an error, because it may begin a comment or
be a part of a password. No problem repeats any text of the file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MOST_PROBLEMS = 20
"""Most problems that are told, because a file of another kind is wrong in every line."""

_SETTING = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BLANK_AND_HASH = re.compile(r"\s#")
_COMMENT = re.compile(r"\s*(#.*)?", re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\])')
_WELL_ESCAPED = re.compile(r'(?:[^\\]|\\["\\])*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The values of a file's good lines, and a sentence for each other line."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()


def parse(text: str, *, name: str) -> EnvFile:
    """The settings in the text of a file. Problems call the file `name`."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems = []
    for number, line in _settings(text):
        try:
            variable, value = _parse_line(line)
        except ValueError as problem:
            problems.append(f"{name}:{number}: {problem}")
            continue
        if variable in lines:
            first = lines[variable]
            problems.append(f"{name}:{number}: the same name as in line {first}; keep one of them")
        else:
            values[variable], lines[variable] = value, number
    return EnvFile(values, _first(problems, name))


def quote(value: str) -> str:
    """
    The value as it is written after NAME=, in quotes.

    Raises ValueError when it holds a line break, which no line can hold.
    """
    if "\n" in value:
        raise ValueError("a value of .env cannot hold a line break")
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _settings(text: str) -> Iterator[tuple[int, str]]:
    """Each line that is neither empty nor a comment, with its number from 1."""
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


def _parse_line(line: str) -> tuple[str, str]:
    match = _SETTING.fullmatch(line)
    if match is None:
        raise ValueError("expected NAME=value, with a name of letters, digits and _")
    name, value = match[1], match[2]
    if "\0" in value:
        raise ValueError("the value holds a NUL character; write it anew")
    return name, _parse_value(value)


def _parse_value(value: str) -> str:
    stripped = value.strip()
    if stripped.startswith("'"):
        return _quoted(_SINGLE.match(stripped), stripped, "'")
    if stripped.startswith('"'):
        return _unescaped(_quoted(_DOUBLE.match(stripped), stripped, '"'))
    if _BLANK_AND_HASH.search(value):
        raise ValueError(
            "a # after a blank: put the value in single quotes if it belongs to it,"
            " or the comment on a line of its own"
        )
    return stripped


def _quoted(match: re.Match[str] | None, value: str, quote_mark: str) -> str:
    if match is None:
        raise ValueError(
            f"the value begins with {quote_mark} and has no {quote_mark} at its end; put it in the other quotes"
            " if the mark belongs to it"
        )
    if _COMMENT.fullmatch(value, match.end()) is None:
        raise ValueError(
            f"there is more after the closing {quote_mark}; a value that holds {quote_mark}"
            + (r" stands in double quotes" if quote_mark == "'" else r" has \" for it")
        )
    return match[1]


def _unescaped(text: str) -> str:
    if _WELL_ESCAPED.fullmatch(text) is None:
        raise ValueError(
            r'in double quotes a \ stands only before " or \; write \\ for one, or use single quotes'
        )
    return _ESCAPE.sub(r"\1", text)


def _first(problems: list[str], name: str) -> tuple[str, ...]:
    more = len(problems) - MOST_PROBLEMS
    if more <= 0:
        return tuple(problems)
    return (
        *problems[:MOST_PROBLEMS],
        f"{name}: {more:,} more lines like these; is it a .env file?",
    )
