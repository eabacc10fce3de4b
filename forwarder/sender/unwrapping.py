"""Unwrapping takes the encodings off a text, and keeps where each byte stood."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.entities import html5

MOST_LAYERS = 3
"""How many nested encodings are taken off: a URL in JSON that is shown in HTML has three."""

_UNIT = re.compile(
    rb"%(?P<percent>[0-9A-Fa-f]{2})"  # URLs (RFC 3986 §2.1)
    rb"|\\u(?P<high>[Dd][89ABab][0-9A-Fa-f]{2})\\u(?P<low>[Dd][C-Fc-f][0-9A-Fa-f]{2})"
    rb"|\\u(?P<code>[0-9A-Fa-f]{4})|\\x(?P<byte>[0-9A-Fa-f]{2})|\\(?P<escaped>.)"  # JSON (RFC 8259 §7), and others'
    rb"|&#(?P<decimal>[0-9]{1,7});|&#[Xx](?P<hex>[0-9A-Fa-f]{1,6});|&(?P<name>[A-Za-z][A-Za-z0-9]{1,30};)",  # HTML
    re.DOTALL,
)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A text, and the place in the outermost text where each of its bytes and its end began."""

    text: bytes
    origins: Sequence[int]


def layers(text: bytes) -> Iterator[Layer]:
    """The text itself, then the text with one encoding after the other taken off, as long as that changes it."""
    layer = Layer(text, range(len(text) + 1))
    yield layer
    for _ in range(MOST_LAYERS):
        beneath = _unwrapped(layer)
        if beneath is layer:
            return
        yield beneath
        layer = beneath


def _unwrapped(layer: Layer) -> Layer:
    """The layer with every encoded unit replaced by what it stands for; the same layer when there is none."""
    pieces: list[bytes] = []
    origins: list[int] = []
    end = 0
    for unit in _UNIT.finditer(layer.text):
        start, plain = unit.start(), _meaning(unit)
        pieces += layer.text[end:start], plain
        origins += layer.origins[end:start]
        origins += [layer.origins[start]] * len(plain)
        end = unit.end()
    if not pieces:
        return layer
    pieces.append(layer.text[end:])
    origins += layer.origins[end:]
    return Layer(b"".join(pieces), origins)


def _meaning(unit: re.Match[bytes]) -> bytes:
    match unit.lastgroup:
        case "percent" | "byte":
            return bytes.fromhex(unit[unit.lastgroup].decode())
        case "low":
            return bytes.fromhex((unit["high"] + unit["low"]).decode()).decode("utf-16-be").encode()
        case "code" | "hex":
            return _character(int(unit[unit.lastgroup], 16))
        case "decimal":
            return _character(int(unit["decimal"]))
        case "escaped":
            return _CONTROLS.get(unit["escaped"], unit["escaped"])
        case _:
            return html5.get(unit["name"].decode(), unit[0].decode()).encode()


def _character(number: int) -> bytes:
    return chr(min(number, sys.maxunicode)).encode(errors="replace")
