"""
The reader parses one answer after another from the bytes of a connection, and says when it has enough. No I/O.

    (1xx head)*            at most MAX_INFORMATIONAL of them
    status line, headers   at most MAX_HEAD_BYTES, the 1xx heads before them included
    body                   the first MAX_BODY_BYTES are kept; the next byte is enough
    framing of the body    chunk sizes, their extensions, trailers: at most MAX_FRAMING_BYTES

The status stands once the final head is complete, whatever follows. A head that the parser refuses is read once more,
see `odd_head`. Such an answer costs the connection, not the attempt.
"""

import httptools

from forwarder.sender.odd_head import NotAnAnswer, OddHeads

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024
MAX_FRAMING_BYTES = 64 * 1024
MAX_INFORMATIONAL = 16
MAX_REPEATED_BYTES = 1024
"""The longest answer that is recognised without being parsed again."""

_VERSIONS = ("1.1", "1.0", "2.0")
_ODD_VERSION = "2.0"
_COLON_AND_ENDS = 4


class Answer:
    """A complete head, and at most MAX_BODY_BYTES of the body as they were on the wire."""

    __slots__ = ("address", "body", "headers", "keep_alive_seconds", "status")

    def __init__(self) -> None:
        self.status = 0
        """0 until the final head is complete."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.keep_alive_seconds: int | None = None
        """How long the receiver says it keeps the idle connection (`Keep-Alive: timeout=5`)."""
        self.address: str | None = None
        """The IP address that answered, if it is known."""


_NOTHING = Answer()
"""The answer before the first byte; never filled."""


class AnswerReader:
    """
    Turns the bytes that follow a request into its Answer, however they are cut into pieces.

    Feed it until `is_over`; then `violation` says what was wrong, if anything was.

    Most receivers answer with the same bytes again and again. A whole answer in one piece leaves the parser as it was,
    so the same bytes mean the same and are not parsed a second time.
    """

    __slots__ = (
        "_body_bytes",
        "_head_bytes",
        "_informational",
        "_is_final",
        "_is_odd",
        "_objection",
        "_odd_heads",
        "_parser",
        "_pieces",
        "_repeated",
        "_repeated_bytes",
        "address",
        "answer",
        "is_over",
        "is_reusable",
        "violation",
        "wire_bytes",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._repeated = _NOTHING
        self._repeated_bytes = b""
        self.address: str | None = None
        """The IP address of the connection, which each of its answers gets."""
        self.is_reusable = False
        """Whether the connection can carry another request: the answer was whole, alone, and without a close."""
        self.begin()

    def begin(self) -> None:
        """Start over with the answer to the next request."""
        if not self.is_reusable:
            self._repeated_bytes = b""  # the parser may be in the middle of something
        self.answer = _NOTHING
        self.violation = ""
        self.wire_bytes = 0
        self.is_over = False
        self.is_reusable = False

    def feed(self, data: bytes) -> None:
        is_first = not self.wire_bytes
        self.wire_bytes += len(data)
        if not is_first:
            self._continue_parsing(data)
        elif data == self._repeated_bytes:
            self.answer = self._repeated
            self.is_over = self.is_reusable = True
        else:
            self._start_parsing(data)

    def _start_parsing(self, data: bytes) -> None:
        self._forget()
        self._is_odd = False
        self._odd_heads: OddHeads | None = None
        self._pieces = [data]
        self._parse(data)
        if not self.is_over:
            self._limit()
        if self.is_reusable and len(data) <= MAX_REPEATED_BYTES:
            self._repeated, self._repeated_bytes = self.answer, data

    def _forget(self) -> None:
        self.answer = Answer()
        self.answer.address = self.address
        self._is_final = False
        self._head_bytes = self._body_bytes = self._informational = 0

    def _continue_parsing(self, data: bytes) -> None:
        if self._odd_heads is not None:
            self._read_oddly(self._odd_heads, data)
        else:
            if not self.answer.status:
                self._pieces.append(data)
            self._parse(data)
        if not self.is_over:
            self._limit()

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._violate("the receiver switched protocols unasked")
        except httptools.HttpParserError as malformed:
            self._objection = f"not an HTTP/1.1 answer ({malformed})"
            if self.answer.status or self.is_over or self._is_odd:
                self._violate(self._objection)
            else:
                self._is_odd = True
                self._odd_heads = OddHeads()
                self._read_oddly(self._odd_heads, b"".join(self._pieces))

    def _read_oddly(self, heads: OddHeads, data: bytes) -> None:
        try:
            straight = heads.feed(data)
        except NotAnAnswer:
            self._violate(self._objection)
            return
        if straight is not None:
            self._odd_heads = None
            self._parser = httptools.HttpResponseParser(self)
            self._forget()
            self._parse(straight)

    def _limit(self) -> None:
        if not self.answer.status:
            if self.wire_bytes > MAX_HEAD_BYTES:
                self._violate("the answer's headers are larger than 64 KiB")
        elif self.wire_bytes > MAX_HEAD_BYTES + MAX_BODY_BYTES + MAX_FRAMING_BYTES:
            self._enough()

    def _violate(self, what: str) -> None:
        self.violation = self.violation or what
        self._enough()

    def _enough(self) -> None:
        self.is_over = True
        self.is_reusable = False

    # httptools calls these:

    def on_message_begin(self) -> None:
        if self.is_over:
            self.is_reusable = False  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.answer.status or self.is_over:
            return  # a trailer
        self._head_bytes += len(name) + len(value) + _COLON_AND_ENDS
        if self._head_bytes > MAX_HEAD_BYTES:
            self._violate("the answer's headers are larger than 64 KiB")
            return
        self.answer.headers.append((name, value))
        if len(name) == len(b"keep-alive") and name.lower() == b"keep-alive":
            self.answer.keep_alive_seconds = _timeout_parameter(value)

    def on_headers_complete(self) -> None:
        if self.is_over:
            return
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        if version == _ODD_VERSION:
            self._is_odd = True
        if version not in _VERSIONS:
            self._violate("not an HTTP/1.1 answer (another version)")
        elif status >= 200:
            self.answer.status = status
            self._is_final = True
        elif status >= 100 and status != 101:
            self._skip_informational()
        else:
            self._violate(f"the receiver answered {status}, which answers nothing")

    def _skip_informational(self) -> None:
        self._informational += 1
        self.answer.headers.clear()
        if self._informational > MAX_INFORMATIONAL:
            self._violate(f"more than {MAX_INFORMATIONAL} interim answers (1xx)")

    def on_body(self, data: bytes) -> None:
        if self.is_over:
            return
        self._body_bytes += len(data)
        room = MAX_BODY_BYTES - len(self.answer.body)
        if room:
            self.answer.body += data[:room]
        if self._body_bytes > MAX_BODY_BYTES:
            self._enough()

    def on_message_complete(self) -> None:
        if self._is_final and not self.is_over:
            self.is_over = True
            self.is_reusable = not self._is_odd and self._parser.should_keep_alive()


def _timeout_parameter(value: bytes) -> int | None:
    """The N of `timeout=N` in a Keep-Alive field (RFC 2068 §19.7.1.1); None if it is missing or not sane."""
    for parameter in value.split(b","):
        name, _, number = parameter.strip().partition(b"=")
        if name.lower() == b"timeout" and number.isdigit() and len(number) < 6:
            return int(number)
    return None
