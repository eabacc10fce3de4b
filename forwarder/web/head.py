"""The check of a request's head, before a parser sees it: the request has to be small, and to tell its length."""

import re
from dataclasses import dataclass

HEAD_BYTES = 64 * 1024
"""Most bytes of a head: request line, header fields, the empty line."""
TARGET_BYTES = 8 * 1024
"""Most bytes of a request line. RFC 9110 §4.1 wants 8,000 at least."""
HEAD_LINES = 128
"""Most lines of a head, because each costs the parser some microseconds and the loop waits meanwhile."""
BODY_BYTES = 64 * 1024

_FIELD = re.compile(
    rb"\n(?:(?P<fold>[ \t])|transfer-encoding(?P<coded>:)|content-length:[ \t]*(?P<length>\d+))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a request that is not read to its end."""

    status: int
    phrase: str
    why: str

    @property
    def answer(self) -> bytes:
        body = f"{self.why}\n"
        return (
            f"HTTP/1.1 {self.status} {self.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
        ).encode()


FOLDED = Refusal(400, "Bad Request", "A header field must be one line.")
LATE = Refusal(408, "Request Timeout", "The request took too long to arrive.")
UNMEASURED = Refusal(411, "Length Required", "A body needs a content-length.")
LONG_BODY = Refusal(413, "Content Too Large", "The body is too large.")
LONG_TARGET = Refusal(414, "URI Too Long", "The request line is too long.")
LONG_HEAD = Refusal(431, "Request Header Fields Too Large", "The head is too large.")
CROWDED = Refusal(503, "Service Unavailable", "Too many connections; try again.")


def request_bytes(received: bytearray, *, seen_bytes: int = 0) -> int | Refusal | None:
    """
    The length of the request at the beginning of `received`, head and body; None while its head is not complete.

    `seen_bytes` is the part of `received` that the last look has seen. An LF alone ends a line, as it does for the
    parser (RFC 9112 §2.2). A folded field is refused (§5.2), because the parser could find another length in it.
    """
    head_bytes = _head_bytes(received, start=max(0, seen_bytes - 2))
    if received.find(b"\n", 0, TARGET_BYTES) < 0 and len(received) >= TARGET_BYTES:
        return LONG_TARGET
    if (head_bytes or len(received)) > HEAD_BYTES or received.count(
        b"\n", 0, head_bytes
    ) > HEAD_LINES:
        return LONG_HEAD
    return None if head_bytes is None else _with_body(received, head_bytes)


def _head_bytes(received: bytearray, *, start: int) -> int | None:
    ends = [at + len(end) for end in (b"\n\r\n", b"\n\n") if (at := received.find(end, start)) >= 0]
    return min(ends, default=None)


def _with_body(received: bytearray, head_bytes: int) -> int | Refusal:
    body_bytes = 0
    for field in _FIELD.finditer(received, 0, head_bytes):
        if field["fold"]:
            return FOLDED
        if field["coded"]:
            return UNMEASURED
        if len(field["length"]) > len(str(BODY_BYTES)) or int(field["length"]) > BODY_BYTES:
            return LONG_BODY
        body_bytes = int(field["length"])
    return head_bytes + body_bytes
