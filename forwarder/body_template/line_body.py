"""
A template that is text writes a line for each of its lines. A batch has the lines of one reading after the other's.

A line with variables is left out if none of them has a value. A value never breaks its line, because its control
characters become blanks.

    none    values as they are
    csv     a value in quotes if it needs them (RFC 4180)
    influx  InfluxDB's line protocol: a tag or field without a value is left out, and so is a line without fields
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from forwarder.body_template.json_body import as_text
from forwarder.body_template.names import Finder, View
from forwarder.event_data import NumberText

Escape = Literal["influx", "csv", "none"]

LineWriter: TypeAlias = Callable[[View], str | None]
"""Writes one line, or a part of one; None: there is nothing to write."""
Part: TypeAlias = str | Finder
"""A part of a line: a literal, or a variable."""

_BLANKS: Mapping[int, str] = dict.fromkeys([*range(0x20), 0x7F, 0x85, 0x2028, 0x2029], " ")
_IN_QUOTES = {**_BLANKS, ord('"'): '""'}
# A backslash becomes another character, because nothing escapes it in names and tags, and it would undo an escape.
_IN_MEASUREMENT = {
    **dict.fromkeys(_BLANKS, "\\ "),
    ord(","): "\\,",
    ord(" "): "\\ ",
    ord("\\"): "/",
}
_IN_NAME = {**_IN_MEASUREMENT, ord("="): "\\="}
_IN_STRING = {**_BLANKS, ord('"'): '\\"', ord("\\"): "\\\\"}
_INTEGER = re.compile(r"-?[0-9]+")


class NoLine(ValueError):  # noqa: N818 - a mistake of the template's author
    """A line of the template is no line of its format. The text says why."""


class Misfit(ValueError):  # noqa: N818 - an outcome
    """A value does not fit its place in the template. The text says which kind is wanted."""


def lines_of(literals: Sequence[str], finders: Sequence[Finder]) -> Iterator[list[Part]]:
    """The lines of a template, each in its parts."""
    line: list[Part] = []
    for number, literal in enumerate(literals):
        first, *others = literal.split("\n")
        line.append(first)
        for other in others:
            yield line
            line = [other]
        if number < len(finders):
            line.append(finders[number])
    yield line


def line_writer(parts: Sequence[Part], escape: Escape) -> LineWriter:
    """The writer of a line with these parts. Raises NoLine."""
    if escape == "influx":
        return _influx_line(parts)
    return _left_out_if_empty(parts, _csv(parts) if escape == "csv" else _plain(parts))


def _plain(parts: Sequence[Part]) -> Iterator[LineWriter]:
    for part in parts:
        yield _part(part, _clean)


def _csv(parts: Sequence[Part]) -> Iterator[LineWriter]:
    is_inside = False
    for part in parts:
        if isinstance(part, str):
            is_inside ^= part.count('"') % 2 == 1
        yield _part(part, _csv_within if is_inside else _csv_cell)


def _search(characters: Iterable[int], *, ends: str = "") -> Callable[[str], object]:
    """A quick test whether a text has one of these characters, or fits the pattern `ends`. Most texts do not."""
    return re.compile(f"[{re.escape(''.join(map(chr, characters)))}]{ends}").search


def _escaping(escapes: Mapping[int, str]) -> Callable[[str], str]:
    """The function that escapes a text. `escapes` also makes blanks of all that could end a line."""
    needs_any = _search(escapes)

    def escaped(text: str) -> str:
        return text if needs_any(text) is None else text.translate(escapes)

    return escaped


_clean = _escaping(_BLANKS)
_csv_within = _escaping(_IN_QUOTES)
_escaped_measurement = _escaping(_IN_MEASUREMENT)
_escaped_name = _escaping(_IN_NAME)
_escaped_string = _escaping(_IN_STRING)
_is_unplain_cell = _search([*_IN_QUOTES, ord(","), ord(";")], ends=r"|^\s|\s\Z")


def _csv_cell(text: str) -> str:
    if _is_unplain_cell(text) is None:
        return text
    clean = _clean(text)
    needs_quotes = '"' in clean or "," in clean or ";" in clean or clean != clean.strip()
    return f'"{_csv_within(clean)}"' if needs_quotes else clean


def _part(part: Part, escaped: Callable[[str], str]) -> LineWriter:
    if isinstance(part, str):
        return lambda _: part
    if part.is_number:
        return _digits(part)
    find = part.find

    def write(view: View) -> str | None:
        value = find(view)
        if value is None:
            return None
        return escaped(value if isinstance(value, str) else as_text(value))

    return write


def _digits(finder: Finder) -> LineWriter:
    return finder.find  # type: ignore[return-value] # digits, which is what `is_number` promises


def _left_out_if_empty(parts: Sequence[Part], writers: Iterator[LineWriter]) -> LineWriter:
    """The writer of parts in a row; it gives None when no variable among them has a value."""
    literals = [part if isinstance(part, str) else "" for part in parts]
    variables = [
        (place, one) for place, one in enumerate(writers) if not isinstance(parts[place], str)
    ]
    if not variables:
        line = "".join(literals)
        return lambda _: line

    def write(view: View) -> str | None:
        texts, is_empty = literals.copy(), True
        for place, one in variables:
            text = one(view)
            if text is not None:
                texts[place], is_empty = text, False
        return None if is_empty else "".join(texts)

    return write


# InfluxDB's line protocol: measurement[,tag=value]* field=value[,field=value]* [timestamp]


def _influx_line(parts: Sequence[Part]) -> LineWriter:
    if parts == [""]:
        return lambda _: None
    head, *others = _divided(parts, " ")
    if not 1 <= len(others) <= 2:
        raise NoLine("expected measurement,tag=… field=…,field=… timestamp, with one blank between")
    if any(isinstance(part, str) and ('"' in part or part.startswith("#")) for part in head):
        raise NoLine("a measurement and its tags take no quotes, and no # in front")
    measurement, *tags = _divided(head, ",")
    named, tagged = _measurement(measurement), [*map(_tag, tags)]
    fields = [_field(field) for field in _divided(others[0], ",")]
    timestamp = _timestamp(others[1]) if len(others) == 2 else None

    def write(view: View) -> str | None:
        name = named(view)
        texts = [text for one in fields if (text := one(view)) is not None]
        if not texts:
            return None
        tags = [text for one in tagged if (text := one(view)) is not None]
        line = f"{','.join([name, *tags])} {','.join(texts)}"
        return line if timestamp is None else f"{line} {timestamp(view)}"

    return write


def _measurement(parts: Sequence[Part]) -> Callable[[View], str]:
    match parts:
        case [str(name)] if name:
            return lambda _: name
    write = _joined(parts, _escaped_measurement)

    def checked(view: View) -> str:
        name = write(view)
        if not name or name.startswith("#"):
            raise Misfit("the measurement has no name, or one that begins with #")
        return name

    return checked


def _divided(parts: Sequence[Part], separator: str) -> list[list[Part]]:
    """The parts between separators that are neither escaped nor in quotes."""
    divided: list[list[Part]] = [[]]
    is_inside = False
    for part in parts:
        if not isinstance(part, str):
            divided[-1].append(part)
            continue
        start = 0
        for place, character in enumerate(part):
            is_escaped = place > 0 and part[place - 1] == "\\"
            if character == '"' and not is_escaped:
                is_inside = not is_inside
            elif character == separator and not (is_inside or is_escaped):
                divided[-1].append(part[start:place])
                divided.append([])
                start = place + 1
        divided[-1].append(part[start:])
    return [[part for part in some if part != ""] for some in divided]


def _joined(parts: Sequence[Part], escaped: Callable[[str], str]) -> LineWriter:
    """The writer of parts in a row; it gives None when none of them has a value."""
    writers = [_part(part, escaped) for part in parts]
    if len(writers) == 1:
        return writers[0]

    def write(view: View) -> str | None:
        texts = [text for one in writers if (text := one(view)) is not None]
        return "".join(texts) if texts else None

    return write


def _key_and_value(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    key, *values = _divided(parts, "=")
    if len(values) != 1 or not key or not values[0]:
        raise NoLine("expected each tag and each field as name=value")
    return key, values[0]


def _tag(parts: Sequence[Part]) -> LineWriter:
    key, value = _key_and_value(parts)
    return _pair(key, _joined(value, _escaped_name))


def _field(parts: Sequence[Part]) -> LineWriter:
    key, value = _key_and_value(parts)
    return _pair(key, _field_value(value))


def _pair(key: Sequence[Part], value: LineWriter) -> LineWriter:
    match key:
        case [str(literal)]:
            return _named(f"{literal}=", value)
    name = _joined(key, _escaped_name)

    def write(view: View) -> str | None:
        before, after = name(view), value(view)
        return f"{before}={after}" if before and after else None

    return write


def _named(prefix: str, value: LineWriter) -> LineWriter:
    def write(view: View) -> str | None:
        text = value(view)
        return prefix + text if text else None

    return write


def _field_value(parts: Sequence[Part]) -> LineWriter:
    first, last = parts[0], parts[-1]
    if isinstance(first, str) and first.startswith('"'):
        if not isinstance(last, str) or not last.endswith('"') or parts == ['"']:
            raise NoLine("the text of a field ends with its quote")
        return _string(parts)
    match parts:
        case [str(text)]:
            return lambda _: text
        case [Finder() as finder]:
            return _bare_field(finder)
        case [Finder() as finder, ("i" | "u") as suffix]:
            return _whole(finder, suffix)
    raise NoLine("the value of a field is one variable, or a text in quotes")


def _string(parts: Sequence[Part]) -> LineWriter:
    inner = [*parts]
    inner[0] = str(inner[0])[1:]
    inner[-1] = str(inner[-1])[:-1]
    text = _joined([part for part in inner if part != ""], _escaped_string)

    def write(view: View) -> str | None:
        value = text(view)
        return None if value is None else f'"{value}"'

    return write


def _bare_field(finder: Finder) -> LineWriter:
    """The writer of a field without quotes: a number or a truth value as it is, anything else as a string."""
    if finder.is_number:
        return _digits(finder)

    def write(view: View) -> str | None:
        value = finder.find(view)
        if value is None:
            return None
        text = as_text(value)
        is_bare = isinstance(value, bool) or type(value) is NumberText
        return text if is_bare else f'"{_escaped_string(text)}"'

    return write


def _whole(finder: Finder, suffix: str) -> LineWriter:
    def write(view: View) -> str | None:
        value = finder.find(view)
        if value is not None and _INTEGER.fullmatch(as_text(value)) is None:
            raise Misfit("a field that ends in i or u takes whole numbers alone")
        return None if value is None else as_text(value) + suffix

    return write


def _timestamp(parts: Sequence[Part]) -> Callable[[View], str]:
    write = _joined(parts, _escaped_name)

    def checked(view: View) -> str:
        text = write(view) or ""
        if _INTEGER.fullmatch(text) is None:
            raise Misfit("the timestamp of a line is a whole number, such as ${measured_at_ns}")
        return text

    return checked
