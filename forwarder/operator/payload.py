"""A payload for people: as text if it is text, else as bytes."""

import json
from collections.abc import Iterable, Iterator


def printable(payload: bytes) -> str | None:
    """The payload as text, exactly; None when it is no text, or holds something that a terminal might act on."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    # A lone carriage return would write the rest of its line over the start.
    is_safe = all(letter.isprintable() or letter in "\n\t" for letter in text.replace("\r\n", "\n"))
    return text if is_safe else None


def hex_lines(payload: bytes) -> Iterator[str]:
    """Lines of sixteen bytes: their place, their digits, and their ASCII."""
    for offset in range(0, len(payload), 16):
        row = payload[offset : offset + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{offset:06x}  {row.hex(' '):<47}  {shown}"


def flattened(raw: bytes) -> Iterator[tuple[str, str]]:
    """Each value of a JSON object with its dotted path. Numbers keep their digits as written."""
    yield from _leaves("", json.loads(raw, parse_float=str, parse_int=str))


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    members: Iterable[tuple[object, object]]
    match value:
        case dict():
            members = value.items()
        case list():
            members = enumerate(value)
        case _:
            yield path, value if isinstance(value, str) else json.dumps(value)
            return
    for name, member in members:
        yield from _leaves(f"{path}.{name}" if path else str(name), member)
