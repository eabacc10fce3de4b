"""What is asked of a request before a parser sees it."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.web.head import (
    BODY_BYTES,
    FOLDED,
    HEAD_BYTES,
    HEAD_LINES,
    LONG_BODY,
    LONG_HEAD,
    LONG_TARGET,
    TARGET_BYTES,
    UNMEASURED,
    Refusal,
    request_bytes,
)

START = b"GET /healthz HTTP/1.1\r\nhost: a\r\n"


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        pytest.param(b"", None, id="nothing yet"),
        pytest.param(START, None, id="the empty line is still to come"),
        pytest.param(START + b"\r\n", len(START) + 2, id="complete"),
        pytest.param(START.replace(b"\r", b"") + b"\n", len(START) - 1, id="LF alone ends a line"),
        pytest.param(START + b"\r\n" + START, len(START) + 2, id="the next one follows"),
        pytest.param(START + b"Content-Length:\t7\r\n\r\n", len(START) + 28, id="with a body"),
        pytest.param(START + b"x: content-length: 7\r\n\r\n", len(START) + 24, id="in a value"),
        pytest.param(START + b"x: y\r\n content-length: 7\r\n\r\n", FOLDED, id="folded field"),
        pytest.param(START + b"transfer-encoding: chunked\r\n\r\n", UNMEASURED, id="chunked"),
        pytest.param(
            START + b"content-length: %d\r\n\r\n" % (BODY_BYTES + 1), LONG_BODY, id="large body"
        ),
        pytest.param(
            START + b"content-length: " + b"9" * 5000 + b"\r\n\r\n", LONG_BODY, id="no such number"
        ),
        pytest.param(b"GET /" + b"a" * TARGET_BYTES, LONG_TARGET, id="endless request line"),
        pytest.param(START + b"x: " + b"a" * HEAD_BYTES, LONG_HEAD, id="endless field"),
        pytest.param(START + b"a:\r\n" * HEAD_LINES, LONG_HEAD, id="endless fields"),
    ],
)
def test_length_of_a_request_is_known_once_its_head_is_complete(
    received: bytes, expected: int | Refusal | None
) -> None:
    """A head says how long its request is, or is refused, as soon as that can be told."""
    assert request_bytes(bytearray(received)) == expected


def test_a_head_may_have_its_whole_size() -> None:
    """What is exactly as large as allowed is taken."""
    head = START + b"x: " + b"a" * (HEAD_BYTES - len(START) - 7) + b"\r\n\r\n"
    assert request_bytes(bytearray(head)) == HEAD_BYTES


@given(st.lists(st.integers(1, 40), max_size=5))
def test_the_end_is_found_wherever_the_pieces_end(sizes: list[int]) -> None:
    """A look that begins where the last one ended finds what a look at the whole finds."""
    whole = START + b"\r\n"
    received, seen_bytes, found = bytearray(), 0, None
    for size in [*sizes, len(whole)]:
        if found is None:
            received += whole[len(received) : len(received) + size]
            found = request_bytes(received, seen_bytes=seen_bytes)
            assert found == request_bytes(received)
            seen_bytes = len(received)
    assert found == len(whole)


FIELDS = st.sampled_from(
    [
        b"content-length: 3",
        b"Content-Length:3",
        b"content-length: 3, 3",
        b"content-length: 03",
        b"content-length : 3",
        b"content-length: +3",
        b"content-length:",
        b" 3",
        b"\t3",
        b"\rcontent-length: 3",
        b"transfer-encoding: chunked",
        b"connection: upgrade",
        b"upgrade: h2c",
        b"expect: 100-continue",
        b"x: y",
        b":",
        b"",
    ]
)
LINES = st.lists(st.tuples(FIELDS, st.sampled_from([b"\r\n", b"\n"])), max_size=5)


@given(LINES, st.sampled_from([b"GET", b"POST", b"HEAD", b"CONNECT"]))
def test_the_parser_finds_the_same_end(lines: list[tuple[bytes, bytes]], method: bytes) -> None:
    """A request that is taken is exactly one request to the parser too, or one that it refuses; never a part of one."""
    head = method + b" / HTTP/1.1\r\nhost: a\r\n" + b"".join(map(b"".join, lines)) + b"\r\n"
    size = request_bytes(bytearray(head))
    if not isinstance(size, int):
        return
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(head.ljust(size, b"b")[:size])
    try:
        events = [parser.next_event()]
        while not isinstance(events[-1], h11.EndOfMessage):
            assert events[-1] is not h11.NEED_DATA
            events.append(parser.next_event())
    except h11.RemoteProtocolError:
        return
    assert parser.trailing_data[0] == b""
