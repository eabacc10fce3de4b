"""Answers that no server should give: read as curl reads them, and nothing more is asked on their connections."""

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.odd_answers import CHUNKED, CHUNKS, ODD_ANSWERS, OK, TWO, Odd
from support.properties import examples

from forwarder.sender.answer import MAX_HEAD_BYTES, MAX_INFORMATIONAL, AnswerReader


def read(wire: bytes, *, piece_bytes: int | None = None) -> AnswerReader:
    reader, size = AnswerReader(), piece_bytes or len(wire)
    for start in range(0, len(wire), size):
        if not reader.is_over:
            reader.feed(wire[start : start + size])
    return reader


def is_refused_by_the_parser(wire: bytes) -> bool:
    try:
        httptools.HttpResponseParser(object()).feed_data(wire)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return True
    return False


@pytest.mark.parametrize("odd", ODD_ANSWERS, ids=lambda odd: odd.name)
def test_status_is_the_one_that_curl_prints(odd: Odd) -> None:
    """An odd answer has the status that curl prints, however it is cut; where not, the table says why."""
    assert (odd.ours == odd.curl_status) != bool(odd.because)
    for piece_bytes in (None, 1, 7):
        reader = read(odd.wire, piece_bytes=piece_bytes)
        assert reader.answer.status == odd.ours, piece_bytes
        assert reader.answer.status or not reader.is_over or reader.violation, piece_bytes


@pytest.mark.parametrize(
    "odd",
    [odd for odd in ODD_ANSWERS if odd.ours and is_refused_by_the_parser(odd.wire)],
    ids=lambda odd: odd.name,
)
def test_connection_of_an_odd_answer_is_not_used_again(odd: Odd) -> None:
    """Where the parser objects, another request could be answered by what was left of this one's answer."""
    assert not read(odd.wire).is_reusable


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from(ODD_ANSWERS), st.lists(st.integers(0, 120), max_size=6).map(sorted))
def test_where_an_odd_answer_is_cut_changes_nothing(odd: Odd, cuts: list[int]) -> None:
    """Status and kept fields are the same, whatever pieces the network makes."""
    pieces = [
        odd.wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(odd.wire)], strict=True)
    ]
    cut = AnswerReader()
    for piece in pieces:
        if piece and not cut.is_over:
            cut.feed(piece)
    whole = read(odd.wire)
    assert (cut.answer.status, cut.answer.headers) == (whole.answer.status, whole.answer.headers)


def test_fields_of_an_odd_answer_are_kept_where_they_are_some() -> None:
    """A Retry-After beside a folded and a broken field is read; what is no field is left out."""
    fields = b"x: a\r\n b\r\njunk\r\nbad name: 1\r\nRetry-After : 7\r\n"
    reader = read(b"HTTP/1.1 503 No\r\n" + fields + TWO + b"\r\nok")
    assert reader.answer.headers == [
        (b"x", b"a b"),
        (b"Retry-After", b"7"),
        (b"content-length", b"2"),
    ]


@pytest.mark.parametrize(
    ("head", "body", "kept"),
    [
        pytest.param(TWO + CHUNKED, CHUNKS, b"ok", id="chunked wins"),
        pytest.param(b"x: a\r\n b\r\n" + CHUNKED, CHUNKS, b"ok", id="chunked beside a fold"),
        pytest.param(b"content-length: 2, 2\r\n", b"\r\nok", b"ok", id="one length said twice"),
        pytest.param(TWO + b"content-length: 3\r\n", b"\r\nok", b"", id="lengths that differ"),
        pytest.param(b"content-length: -1\r\n", b"\r\nok", b"", id="a length that is none"),
    ],
)
def test_body_of_an_odd_answer_ends_where_it_says(head: bytes, body: bytes, kept: bytes) -> None:
    """Nothing is waited for that may never come: contradictory lengths end the answer with its head."""
    reader = read(OK + head + body)
    assert (reader.is_over, reader.is_reusable, reader.answer.body) == (True, False, kept)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(OK + b"x: a\n" + b"y: z\r\n" * 20_000, id="fields for ever"),
        pytest.param(OK + b"x y: " + b"z" * 100_000, id="one field for ever"),
        pytest.param(b"HTTP/1.1  200 " + b"O" * 100_000, id="a reason for ever"),
        pytest.param(b"HTTP/1.1" + b" " * 100_000, id="spaces for ever"),
        pytest.param(b"HTTP/1.1 100 C\n\n" * 5_000, id="1xx for ever"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [None, 100])
def test_limits_hold_for_odd_heads(wire: bytes, piece_bytes: int | None) -> None:
    """An odd head that never ends is given up at 64 KiB, as any other."""
    reader = read(wire, piece_bytes=piece_bytes)
    assert reader.violation
    assert reader.answer.status == 0
    assert piece_bytes is None or reader.wire_bytes <= MAX_HEAD_BYTES + piece_bytes


def test_interim_answers_count_before_an_odd_one() -> None:
    """1xx heads that were read before the oddity, and odd ones themselves, are counted once."""
    interim, final = b"HTTP/1.1 100 C\r\n\r\n", OK + b"x y: z\r\n" + TWO + b"\r\nok"
    assert read(interim * MAX_INFORMATIONAL + final).answer.status == 200
    assert "interim" in read(interim * (MAX_INFORMATIONAL + 1) + final).violation
    odd = interim.replace(b"\r", b"")
    assert read(odd * MAX_INFORMATIONAL + final).answer.status == 200
    assert "interim" in read(odd * (MAX_INFORMATIONAL + 1) + final).violation


def test_violation_says_what_the_parser_missed() -> None:
    """People read why it is no answer, in the words that name the place."""
    assert read(b"HTTP/1.1 2000 No\r\n\r\n").violation == (
        "not an HTTP/1.1 answer (Invalid response status)"
    )
