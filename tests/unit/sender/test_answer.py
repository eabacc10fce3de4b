from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import examples

from forwarder.sender.answer import MAX_BODY_BYTES, AnswerReader

HEADER = st.tuples(
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,12}", fullmatch=True).filter(
        lambda name: (
            name.lower() not in ("content-length", "transfer-encoding", "connection", "upgrade")
        )
    ),
    st.from_regex(r"[!-~]([ -~]{0,30}[!-~])?", fullmatch=True),
)
BODIES = st.binary(max_size=6000)


def head(status: int, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} Text", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n"


def chunked(body: bytes, sizes: list[int]) -> bytes:
    wire, rest = b"transfer-encoding: chunked\r\n\r\n", body
    for size in sizes:
        chunk, rest = rest[:size], rest[size:]
        wire += b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""
    return wire + (b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b"") + b"0\r\nsum: 1\r\n\r\n"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[str, str]], bytes]:
    """An answer on the wire, and what it says."""
    status = draw(st.integers(200, 599).filter(lambda status: status not in (204, 304)))
    headers, body = draw(st.lists(HEADER, max_size=5)), draw(BODIES)
    interim = draw(st.integers(0, 3)) * b"HTTP/1.1 100 Continue\r\n\r\n"
    if draw(st.booleans()):
        framed = chunked(body, draw(st.lists(st.integers(1, 2000), max_size=4)))
    else:
        framed = b"content-length: %d\r\n\r\n%b" % (len(body), body)
    return interim + head(status, headers) + framed, status, headers, body


@st.composite
def cuts(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    places = draw(st.lists(st.integers(0, len(wire)), max_size=12).map(sorted))
    return [wire[start:end] for start, end in pairwise([0, *places, len(wire)]) if end > start]


def read(pieces: list[bytes]) -> AnswerReader:
    reader = AnswerReader()
    for piece in pieces:
        if not reader.is_over:
            reader.feed(piece)
    return reader


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_answer_is_the_same_however_it_is_cut(data: st.DataObject) -> None:
    """Where the network cuts the bytes changes nothing about status, headers, body or reuse."""
    wire, status, headers, body = data.draw(answers())
    reader = read(data.draw(cuts(wire)))
    sent = [(name.encode(), value.encode()) for name, value in headers]
    assert (reader.is_over, reader.violation) == (True, "")
    assert (reader.answer.status, reader.answer.body) == (status, body[:MAX_BODY_BYTES])
    assert reader.answer.headers[: len(sent)] == sent
    assert reader.is_reusable == (len(body) <= MAX_BODY_BYTES)


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.binary(min_size=1, max_size=200))
def test_any_bytes_end_in_a_bounded_answer(data: st.DataObject, noise: bytes) -> None:
    """Whatever comes, and wherever it breaks off, the reader holds little and never raises."""
    wire, *_ = data.draw(answers())
    at = data.draw(st.integers(0, len(wire)))
    reader = read(data.draw(cuts(wire[:at] + noise + wire[at:])))
    assert len(reader.answer.body) <= MAX_BODY_BYTES
    assert not (reader.violation and reader.is_reusable)


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_one_answer_after_the_other_on_one_reader(data: st.DataObject) -> None:
    """A connection's reader understands the next answer as if it were its first."""
    reader = AnswerReader()
    for _ in range(3):
        wire, status, _, body = data.draw(answers())
        reader.begin()
        reader.feed(wire)
        assert (reader.answer.status, reader.answer.body) == (status, body[:MAX_BODY_BYTES])
        if not reader.is_reusable:
            return


@pytest.mark.parametrize(("count", "is_fine"), [(16, True), (17, False)])
def test_interim_answers_are_skipped_up_to_a_number(count: int, is_fine: bool) -> None:
    """16 answers of 1xx may come before the final one; with the next it is not an answer any more."""
    final = head(200, [("content-length", "0")]) + b"\r\n"
    reader = read([b"HTTP/1.1 102 Processing\r\n\r\n"] * count + [final])
    assert (reader.violation == "") == is_fine
    assert reader.answer.status == (200 if is_fine else 0)


@pytest.mark.parametrize("status", [204, 304])
def test_answer_that_has_no_body_is_over_with_its_head(status: int) -> None:
    """204 and 304 end with their headers, whatever length they name (RFC 9112 §6.3)."""
    reader = read([head(status, [("content-length", "10")]) + b"\r\n"])
    assert (reader.is_over, reader.is_reusable, reader.answer.body) == (True, True, b"")


@pytest.mark.parametrize(
    ("size", "is_reusable"),
    [
        pytest.param(MAX_BODY_BYTES, True, id="exactly what is kept"),
        pytest.param(MAX_BODY_BYTES + 1, False, id="one byte more"),
    ],
)
def test_body_is_read_to_its_limit(size: int, is_reusable: bool) -> None:
    """4 KiB are kept; a body with one byte more costs the connection."""
    reader = read([head(200, [("content-length", str(size))]) + b"\r\n" + b"x" * size])
    assert len(reader.answer.body) == MAX_BODY_BYTES
    assert reader.is_reusable == is_reusable


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("timeout=5", 5),
        ("timeout=5, max=1000", 5),
        ("max=1000, Timeout=15", 15),
        ("timeout=", None),
        ("timeout=-1", None),
        ("timeout=99999999999999999999", None),
        ("5", None),
    ],
)
def test_keep_alive_promise_is_read(value: str, seconds: int | None) -> None:
    """`Keep-Alive: timeout=N` is taken where it is a sane number, else ignored."""
    reader = read([head(200, [("Keep-Alive", value), ("content-length", "0")]) + b"\r\n"])
    assert reader.answer.keep_alive_seconds == seconds


def said(reader: AnswerReader) -> tuple[object, ...]:
    answer = reader.answer
    message = (answer.status, answer.headers, answer.body, answer.keep_alive_seconds)
    return *message, reader.is_over, reader.is_reusable, reader.violation, reader.wire_bytes


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_an_answer_that_comes_again_is_read_as_the_first_time(data: st.DataObject) -> None:
    """One reader, answer after answer, some of them again and some in pieces, says what a new reader says of each."""
    wires = data.draw(st.lists(answers().map(lambda drawn: drawn[0]), min_size=1, max_size=3))
    again = AnswerReader()
    for wire in data.draw(st.lists(st.sampled_from(wires), max_size=8)):
        pieces = data.draw(st.just([wire]) | cuts(wire))
        again.begin()
        for piece in pieces:
            again.feed(piece)
        fresh = AnswerReader()
        for piece in pieces:
            fresh.feed(piece)
        assert said(again) == said(fresh)
        if not again.is_reusable:
            break  # no second request is written to its connection


def test_bytes_are_only_known_again_where_an_answer_begins() -> None:
    """In the middle of an answer its bytes may be those of a whole one that came before: they are its body."""
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    reader = read([whole])
    reader.begin()
    for piece in (b"HTTP/1.1 500 No\r\ncontent-length: %d\r\n\r\n" % len(whole), whole):
        reader.feed(piece)
    assert (reader.answer.status, reader.answer.body) == (500, whole)
