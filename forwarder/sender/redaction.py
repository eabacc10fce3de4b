"""
Redaction removes an endpoint's secrets from its answers, because answers are stored and shown.

Secrets are the values of the endpoint's own headers and of its `auth`, the query of its URL with each value in it, and
each segment of its path that does not read like a word. The host is no secret, because DNS and TLS show names in clear.
The device that `{device}` stands for is none either.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from forwarder.routes.model import BasicAuth, Endpoint, OAuth2
from forwarder.sender.unwrapping import layers

HIDDEN = b"***"
SHORTEST_SECRET = 6
"""Shorter values are words like `yes` and `v1`, and hiding them would only garble answers."""
LONGEST_WORD = 20
"""A longer segment may be a passphrase."""

_WORD = re.compile(r"[A-Z]?[a-z]+(?:[-_.][A-Z]?[a-z]+)*")
_LONGEST_UNIT = 12
"""The longest way to write one character is a surrogate pair, `\\ud83d\\ude00`."""
_AS_ONE = bytes.maketrans(b"+", b" ")
"""Makes `+` and space the same, because `+` is a space in the encoding of forms only."""


class Redaction:
    """
    The secrets of one endpoint, which a receiver may echo plainly, or %-, JSON-, HTML- or base64-encoded.

    `fixed` are the header fields that each attempt carries.
    """

    def __init__(self, endpoint: Endpoint, fixed: Sequence[tuple[bytes, bytes]]) -> None:
        own = {name.lower().encode() for name, _ in endpoint.headers} | {b"authorization"}
        values = [*_of_url(endpoint.url)]
        for name, value in fixed:
            if name.lower() in own:
                values += value, value.partition(b" ")[2]  # without the scheme (RFC 9110 §11.4)
        if isinstance(endpoint.auth, BasicAuth):
            values.append(endpoint.auth.password.encode())
        elif isinstance(endpoint.auth, OAuth2):
            values.append(endpoint.auth.client_secret.encode())
        self._values = values
        self._forms: tuple[bytes, ...] | None = None
        self._last, self._last_shown = (b"", False), b""

    def of(self, answer: bytes, *, is_cut: bool = False) -> bytes:
        """The answer without the secrets; the end of one that `is_cut` is hidden where a secret may begin."""
        # Most receivers answer with the same bytes again and again.
        if self._last != (answer, is_cut):
            self._last_shown = self._redacted(answer, is_cut=is_cut)
            self._last = answer, is_cut
        return self._last_shown

    def _redacted(self, answer: bytes, *, is_cut: bool) -> bytes:
        if len(answer) < SHORTEST_SECRET:
            return answer
        if self._forms is None:  # made late, because most endpoints answer nothing or `ok`
            self._forms = tuple({form for value in self._values for form in _forms(value)})
        if not self._forms:
            return answer
        spans: list[tuple[int, int]] = []
        for layer in layers(answer):
            text, origins = layer.text.translate(_AS_ONE), layer.origins
            found = _occurrences(text, self._forms)
            if is_cut:
                found = [*found, (_start_of_end(text, self._forms), len(text))]
            spans += ((origins[start], origins[end]) for start, end in found)
        return _without(answer, spans)


def _of_url(url: str) -> Iterator[bytes]:
    """The secret parts of a URL, as they are written there."""
    parts = urlsplit(url)
    for segment in parts.path.replace("{device}", "/").split("/"):
        for part in (segment, *re.split("[:;,=]", segment)):
            if not _reads_like_a_word(part):
                yield part.encode()
    yield parts.query.encode()
    for item in re.split("[&;]", parts.query):
        yield item.partition("=")[2].encode() or item.encode()


def _reads_like_a_word(segment: str) -> bool:
    """Whether the segment is words in small letters, a capital only first, `-`, `_` or `.` between: `Meter-data`."""
    return len(segment) <= LONGEST_WORD and _WORD.fullmatch(segment) is not None


def _forms(value: bytes) -> Iterator[bytes]:
    """The forms of a secret that decoding single characters does not reveal."""
    # Many servers take the bytes of a header field for Latin-1; others replace bytes that are not UTF-8.
    outer = {layer.text for layer in layers(value)}
    outer |= {_taken_for_latin_1(text) for text in outer}
    plain = {layer.text for text in outer for layer in layers(text)}
    plain |= {_taken_for_latin_1(text) for text in plain}
    plain |= {text.decode(errors="replace").encode() for text in plain}
    for text in plain:
        if len(text) >= SHORTEST_SECRET:
            yield text.translate(_AS_ONE)
            for encoded in _in_base64(text):
                yield encoded.translate(_AS_ONE)
                yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def _taken_for_latin_1(text: bytes) -> bytes:
    return text.decode("latin-1").encode()


def _in_base64(text: bytes) -> Iterator[bytes]:
    """The base64 of the text, and its visible parts within a longer base64, where it starts at one of three offsets."""
    yield base64.b64encode(text).rstrip(b"=")
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + text)
        yield encoded[-(-offset * 8 // 6) : (offset + len(text)) * 8 // 6]


def _occurrences(text: bytes, forms: Iterable[bytes]) -> list[tuple[int, int]]:
    found = []
    for form in forms:
        start = text.find(form)
        while start >= 0:
            found.append((start, start + len(form)))
            start = text.find(form, start + 1)
    return found


def _start_of_end(text: bytes, forms: Iterable[bytes]) -> int:
    """
    The index from which the end of a cut text may be the beginning of a secret.

    The last bytes always count, because in each layer they may be a part of an encoded character.
    """
    whole = max(len(text) - 2 * _LONGEST_UNIT, 0)
    first = whole
    for form in forms:
        start = text.find(form[0], max(whole - len(form), 0), whole)
        while start >= 0 and not form.startswith(text[start:whole]):
            start = text.find(form[0], start + 1, whole)
        if start >= 0:
            first = min(first, start)
    return first


def _without(answer: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """The answer with HIDDEN in place of each stretch that spans cover."""
    shown, end = [], -1
    for start, stop in sorted(spans):
        if start > end:
            shown.append(answer[max(end, 0) : start])
        end = max(end, stop)
    return HIDDEN.join([*shown, answer[max(end, 0) :]])
