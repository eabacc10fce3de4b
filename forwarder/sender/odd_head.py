"""
A second reading of heads that the parser refuses, as curl and browsers read them: the status line decides alone.

It takes bare LF (RFC 9112 §2.2), folded fields (§5.2), Transfer-Encoding beside Content-Length (§6.3), contradicting
lengths, and lines that are no fields. Such an answer is the last of its connection.
"""

import re
from collections.abc import Iterable, Iterator

_STATUS_LINE = re.compile(
    rb"HTTP/(?:1\.[0-9]|2(?:\.0)?) {1,8}([1-9][0-9][0-9])(?![0-9])", re.IGNORECASE
)
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)
_CONTROLS = bytes([*range(0x20), 0x7F])
_TO_SPACES = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))
_OF_THE_CONNECTION = (b"connection", b"content-length", b"transfer-encoding", b"upgrade")


class NotAnAnswer(Exception):  # noqa: N818 - the name states the fact
    """The bytes do not begin as an answer of HTTP/1.1 does."""


class OddHeads:
    """Collects an answer up to the end of its final head; work and memory grow with its bytes, however they are cut."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._seen = 0
        self._straight: list[bytes] = []

    def feed(self, data: bytes) -> bytes | None:
        """
        The whole answer so far with heads that the parser takes; None while its final head is not complete.

        Raises NotAnAnswer.
        """
        self._rest += data
        while (head := self._next_head()) is not None:
            status, fields = head
            self._straight.append(b"HTTP/1.1 %b -\r\n%b\r\n" % (status, b"".join(fields)))
            if status == b"101" or not status.startswith(b"1"):
                return b"".join((*self._straight, self._rest))
        return None

    def _next_head(self) -> tuple[bytes, Iterable[bytes]] | None:
        if not self._seen:
            self._rest = self._rest.lstrip(b"\r\n")
        status = self._status()
        end = _END_OF_HEAD.search(self._rest, self._seen)
        if end is None:
            self._seen = max(len(self._rest) - len(b"\n\r"), 0)
            return None
        head = bytes(self._rest[: end.start()])
        del self._rest[: end.end()]
        self._seen = 0
        return status, _straight_lines(_fields(head))

    def _status(self) -> bytes:
        """The status, empty while the line is incomplete; raises NotAnAnswer as soon as the line cannot be one."""
        line = _STATUS_LINE.match(self._rest)
        if line is not None:
            return line[1]
        start = bytes(self._rest[:5]).upper()
        if b"\n" in self._rest or not b"HTTP/".startswith(start):
            raise NotAnAnswer
        return b""


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The fields below the status line, each unfolded into one line; other lines are left out."""
    lines: list[bytes] = []
    for raw in head.split(b"\n")[1:]:
        line = raw.rstrip(b"\r")
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] += line
        else:
            lines.append(line)
    for line in lines:
        if (field := _FIELD.match(line)) is not None:
            yield field[1], field[2].translate(_TO_SPACES).strip()


def _straight_lines(fields: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """The fields as the parser takes them, with at most one that says where the body ends."""
    lengths: set[bytes] = set()
    codings: list[bytes] = []
    for name, value in fields:
        match name.lower():
            case b"content-length":
                lengths |= {each.strip() for each in value.split(b",")}
            case b"transfer-encoding":
                codings += [each.strip().lower() for each in value.split(b",")]
            case other if other not in _OF_THE_CONNECTION:
                yield b"%b: %b\r\n" % (name, value)
    yield _framing(lengths, [each for each in codings if each != b"identity"])


def _framing(lengths: set[bytes], codings: list[bytes]) -> bytes:
    """The field that says where the body ends: chunked wins (RFC 9112 §6.3), and unsure lengths count as zero."""
    if codings:
        return b"transfer-encoding: chunked\r\n" if codings[-1] == b"chunked" else b""
    if not lengths:
        return b""
    (length, *others) = lengths
    is_sure = not others and length.isdigit() and len(length) < 16
    return b"content-length: %b\r\n" % (length if is_sure else b"0")
