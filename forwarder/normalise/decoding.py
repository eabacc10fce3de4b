"""Decoding turns payload bytes into text, and text into JSON, also if a device's template made it almost JSON."""

import json
import re
from collections.abc import Iterator

from forwarder.normalise.unusable import Unusable
from forwarder.normalise.values import (
    Members,
    NumberText,
    is_not_a_number,
    json_integer,
    json_number,
    parse_number,
)
from forwarder.reading import JsonValue

MAX_DEPTH = 32
"""Most levels of nesting. A report has six; deeper ones only exhaust a reader's stack."""

_BYTE_ORDER_MARK = "\ufeff"
_ENDS = "\0\r\n\t "
_TOO_DEEP = Unusable("not_json", f"the JSON is nested deeper than {MAX_DEPTH} levels")


def _nothing(constant: str) -> None:  # noqa: ARG001 - NaN and Infinity: the device has no value
    return None


# strict=False, because a network name may hold control characters and devices do not escape them. Members, because a
# dict would lose the earlier values of a key.
_decoder = json.JSONDecoder(
    strict=False, parse_float=json_number, parse_constant=_nothing, object_pairs_hook=Members
)
_careful_decoder = json.JSONDecoder(
    strict=False, parse_float=json_number, parse_int=json_integer, parse_constant=_nothing,
    object_pairs_hook=Members,
)  # fmt: skip
_text_decoder = json.JSONDecoder(
    strict=False, parse_float=NumberText, parse_int=NumberText, parse_constant=_nothing,
    object_pairs_hook=Members,
)  # fmt: skip

_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")
_TOKEN = re.compile(r"[^\s,:\[\]{}]+")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MISSING_VALUE = re.compile(r":(\s*)(?=[,}])")
_UNRESOLVED = "\x01"
_WORDS = ("true", "false", "null")


def decode_text(payload: bytes) -> str:
    """The payload's text without a byte order mark. Raises Unusable when it is not UTF-8."""
    try:
        return payload.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as wrong:
        detail = f"the payload is not UTF-8: byte {wrong.start} is 0x{payload[wrong.start]:02x}"
        raise Unusable("not_utf8", detail) from None


def decode_json(text: str, *, keep_number_texts: bool = False) -> JsonValue:
    """
    The JSON value of a payload. Raises Unusable when it is none.

    Two faults of devices' templates are forgiven. A value is absent when its place holds `${name}`, NaN, Infinity or
    nothing. Numbers such as `+1.5` or `007` are read. Lone surrogates become U+FFFD. An object becomes its Members.
    """
    value = _decode(text, _text_decoder if keep_number_texts else _decoder)
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_deep(value):
        raise _TOO_DEEP
    return without_lone_surrogates(value) if "\\u" in text else value


def _decode(text: str, decoder: json.JSONDecoder) -> JsonValue:
    try:
        return decoder.decode(text)  # type: ignore[no-any-return]  # the standard library types JSON as Any
    except (
        ValueError
    ):  # not JSON; or an integer longer than Python converts (sys.set_int_max_str_digits)
        return _decode_repaired(
            text, _text_decoder if decoder is _text_decoder else _careful_decoder
        )
    except RecursionError:
        raise _TOO_DEEP from None


def _decode_repaired(text: str, decoder: json.JSONDecoder) -> JsonValue:
    try:
        return decoder.decode(repaired(text))  # type: ignore[no-any-return]  # as above
    except json.JSONDecodeError as wrong:
        where = f"line {wrong.lineno}, column {wrong.colno}"
        detail = (
            f"the payload is not JSON: {wrong.msg.lower()} at {where}, also without placeholders"
        )
        raise Unusable("not_json", detail) from None
    except RecursionError:
        raise _TOO_DEEP from None


def repaired(text: str) -> str:
    """An almost JSON text with null in the places without a value. Strings stay as they are."""
    return "".join(_repaired_pieces(text.strip(_ENDS)))


def _repaired_pieces(text: str) -> Iterator[str]:
    position = 0
    while (quote := text.find('"', position)) >= 0:
        yield _repaired_outside(text[position:quote])
        position = _end_of_string(text, quote)
        yield text[quote:position]
    yield _repaired_outside(text[position:])


def _end_of_string(text: str, quote: int) -> int:
    """The position behind the string that begins at `quote`, or the text's end when it never closes."""
    end = text.find('"', quote + 1)
    while end >= 0:
        first = end
        while text[first - 1] == "\\":
            first -= 1
        if (end - first) % 2 == 0:
            return end + 1
        end = text.find('"', end + 1)
    return len(text)


def _repaired_outside(text: str) -> str:
    if len(text) < 2:
        return text
    marked = _PLACEHOLDER.sub(_UNRESOLVED, text) if "${" in text else text
    return _MISSING_VALUE.sub(r":null\1", _TOKEN.sub(_repaired_token, marked))


def _repaired_token(match: re.Match[str]) -> str:
    token = match[0]
    if token in _WORDS or _JSON_NUMBER.fullmatch(token):
        return token
    if _UNRESOLVED in token or is_not_a_number(token):
        return "null"
    # A number in a form that JSON lacks gets quotes, and is then read like any other quoted number.
    return token if parse_number(token) is None else f'"{token}"'


def without_lone_surrogates(value: JsonValue) -> JsonValue:
    """The value with U+FFFD in place of lone surrogates, which UTF-8 cannot carry."""
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, Members):
        return Members([(_encodable(key), without_lone_surrogates(item)) for key, item in value])
    if isinstance(value, list):
        return [without_lone_surrogates(item) for item in value]
    return value


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def unescaped(text: str) -> str:
    """The meaning of a JSON string with `text` between its quotes; `text` itself if JSON forbids it."""
    try:
        return _encodable(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _is_deep(value: JsonValue) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for container in level for item in _items(container)]
        if not level:
            return False
    return True


def _items(container: JsonValue) -> list[JsonValue]:
    if isinstance(container, Members):
        return [item for _, item in container]
    return container if isinstance(container, list) else []
