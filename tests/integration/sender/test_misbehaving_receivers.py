"""Every receiver that exists in the wild: each attempt ends in time, in bounded memory, with a clear reason."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest
from support.posting import endpoint_at, post
from support.receiver import OK, Behaviour, Peer, answering, receiving

from forwarder.delivery import Accepted, AttemptResult, Failed, Refused
from forwarder.sender import Sender
from forwarder.sender.sender import ACCEPTED_BYTES

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"\r\n2\r\nok\r\n0\r\n\r\n"


def after_request(act: Callable[[Peer], Awaitable[None]]) -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await act(peer)

    return behave


def endless(start: bytes, piece: bytes) -> Behaviour:
    """Send `piece` for ever, as fast as it is taken."""

    async def act(peer: Peer) -> None:
        await peer.send(start)
        while True:
            await peer.send(piece)

    return after_request(act)


def trickling(start: bytes, piece: bytes) -> Behaviour:
    """Send `piece` for ever, but too seldom to reach any limit of size."""

    async def act(peer: Peer) -> None:
        await peer.send(start)
        while True:
            await peer.send(piece)
            await asyncio.sleep(0.01)

    return after_request(act)


def sending_then_closing(answer: bytes) -> Behaviour:
    return after_request(lambda peer: peer.send(answer))


def sending_then_resetting(answer: bytes) -> Behaviour:
    async def act(peer: Peer) -> None:
        await peer.send(answer)
        await peer.reader.read(1) if not answer else None
        peer.reset()

    return after_request(act)


async def silent(peer: Peer) -> None:
    await peer.gone()


async def closing_at_once(peer: Peer) -> None:
    await peer.head()


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        pytest.param(endless(HEAD, b"x-more: again\r\n" * 50), "protocol", id="headers for ever"),
        pytest.param(endless(HEAD + b"x: ", b"y" * 1000), "protocol", id="one header for ever"),
        pytest.param(endless(b"HTTP/1.1 200 ", b"O" * 1000), "protocol", id="a reason for ever"),
        pytest.param(
            endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40), "protocol", id="1xx for ever"
        ),
        pytest.param(trickling(HEAD, b"x: y\r\n"), "timeout", id="headers, a line now and then"),
        pytest.param(
            trickling(b"HTTP/1.1 2", b""), "timeout", id="half a status line, then nothing"
        ),
        pytest.param(silent, "timeout", id="no answer at all"),
        pytest.param(closing_at_once, "reset", id="closes without an answer"),
        pytest.param(sending_then_closing(HEAD), "reset", id="closes within the headers"),
        pytest.param(sending_then_closing(b"H"), "reset", id="closes after one byte"),
        pytest.param(sending_then_closing(b"SSH-2.0-OpenSSH_9\r\n"), "protocol", id="speaks SSH"),
        pytest.param(sending_then_closing(b"\0" * 50), "protocol", id="binary"),
        pytest.param(sending_then_closing(b"<html></html>"), "protocol", id="HTTP/0.9"),
        pytest.param(
            sending_then_closing(b"HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
            "protocol",
            id="another version of HTTP",
        ),
        pytest.param(
            answering(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
            "protocol",
            id="switches protocols",
        ),
        pytest.param(answering(b"HTTP/1.1 042 Hm\r\n\r\n"), "protocol", id="a status below 100"),
        pytest.param(
            answering(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"),
            "http_302",
            id="a redirect",
        ),
        pytest.param(
            answering(b"HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n"), "http_999", id="above 599"
        ),
    ],
)
async def test_bad_head_fails_the_attempt(sender: Sender, behaviour: Behaviour, error: str) -> None:
    """An answer whose head never comes to its end, or is none, fails with the word for it."""
    async with receiving(behaviour) as receiver:
        timeout = 0.3 if error == "timeout" else 10.0
        result = await post(sender, endpoint_at(receiver.url, timeout_seconds=timeout))
        assert isinstance(result, Failed)
        assert result.error == error
        assert result.detail or result.status
        assert receiver.bytes_sent < 16 << 20


@pytest.mark.parametrize(
    ("behaviour", "answer"),
    [
        pytest.param(
            trickling(HEAD + b"content-length: 900000\r\n\r\nstart", b""),
            b"start",
            id="a body that stops in the middle, until the deadline",
        ),
        pytest.param(
            endless(HEAD + b"content-length: 1000000000\r\n\r\n", b"x" * 65536),
            b"x" * 4096,
            id="a gigabyte",
        ),
        pytest.param(
            endless(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 500),
            b"x" * 4096,
            id="chunks for ever",
        ),
        pytest.param(
            endless(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n1;", b"x" * 1000),
            b"ok",
            id="a chunk extension for ever",
        ),
        pytest.param(
            endless(
                HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", b"a: b\r\n" * 500
            ),
            b"ok",
            id="trailers for ever",
        ),
        pytest.param(
            sending_then_closing(HEAD + b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"),
            b"",
            id="a chunk larger than any number",
        ),
        pytest.param(
            sending_then_closing(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nokay\r\n"),
            b"ok",
            id="a chunk longer than it says",
        ),
        pytest.param(
            endless(
                HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
                b"%x\r\n%b\r\n" % (len(bomb := gzip.compress(bytes(1 << 24))), bomb),
            ),
            bomb[:4096],
            id="a gzip bomb, kept as it is",
        ),
        pytest.param(
            sending_then_closing(b"HTTP/1.0 200 OK\r\n\r\nall of it"),
            b"all of it",
            id="HTTP/1.0 without a length",
        ),
        pytest.param(
            sending_then_closing(HEAD + b"\r\nall of it"), b"all of it", id="HTTP/1.1 without one"
        ),
        pytest.param(
            sending_then_resetting(HEAD + b"content-length: 9\r\n\r\n"),
            b"",
            id="a reset after the head",
        ),
        pytest.param(
            answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), b"ok", id="an early 100 Continue"
        ),
        pytest.param(
            answering(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3 + OK),
            b"ok",
            id="early hints",
        ),
        pytest.param(answering(b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"), b"", id="no reason"),
        pytest.param(answering(OK + b"surplus"), b"ok", id="more than an answer"),
        pytest.param(
            answering(HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n" + CHUNKS),
            b"ok",
            id="two framings, of which chunked holds",
        ),
        pytest.param(
            answering(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok"),
            b"",
            id="two lengths",
        ),
        pytest.param(answering(HEAD + b"content-length: -2\r\n\r\n"), b"", id="less than 0"),
        pytest.param(
            answering(HEAD + b"x\0y: z\r\ncontent-length: 0\r\n\r\n"), b"", id="NUL in a header"
        ),
        pytest.param(answering(OK.replace(b"\r", b"")), b"ok", id="bare LF"),
        pytest.param(answering(OK.replace(b" OK", b" OK\r\nx: a\r\n b")), b"ok", id="a fold"),
    ],
)
async def test_status_decides_once_the_head_is_complete(
    sender: Sender, behaviour: Behaviour, answer: bytes
) -> None:
    """After the head nothing can make a failure of a 200; the start of the body is kept."""
    async with receiving(behaviour) as receiver:
        is_slow = answer == b"start"
        endpoint = endpoint_at(receiver.url, timeout_seconds=1.0 if is_slow else 10.0)
        result = await post(sender, endpoint)
        assert result == Accepted(200, answer[:ACCEPTED_BYTES])
        assert receiver.bytes_sent < 16 << 20
        assert await post(sender, endpoint) == result


async def test_connection_is_closed_after_an_odd_answer(sender: Sender) -> None:
    """The next request goes over a connection of its own: what an odd answer left behind answers nothing."""
    async with receiving(answering(OK.replace(b"\r", b""))) as receiver:
        for count in (1, 2, 3):
            assert await post(sender, endpoint_at(receiver.url)) == Accepted(200, b"ok")
            assert receiver.connections == count
        await receiver.until(lambda it: it.open == 0)


@pytest.mark.parametrize("is_reset", [False, True])
async def test_answer_may_come_before_the_request_was_read(sender: Sender, is_reset: bool) -> None:
    """A receiver that refuses a large body without reading it is understood, even if it resets."""

    async def refusing(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        if is_reset:
            peer.reset()
        else:
            await asyncio.Event().wait()

    async with receiving(refusing) as receiver:
        for count in (1, 2):
            result = await post(sender, endpoint_at(receiver.url), body=bytes(8 << 20))
            assert (result, receiver.connections) == (Refused(413, b"big"), count)


async def test_receiver_that_reads_nothing_times_out(sender: Sender) -> None:
    """The deadline covers writing: a body that nobody takes is given up with its connection."""

    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with receiving(deaf) as receiver:
        endpoint = endpoint_at(receiver.url, timeout_seconds=0.3)
        result = await post(sender, endpoint, body=bytes(32 << 20))
        assert isinstance(result, Failed)
        assert result.error == "timeout"


async def test_redirect_is_not_followed(sender: Sender) -> None:
    """A redirect, even to another path of the same host, is a failure; nothing is sent there."""
    answer = b"HTTP/1.1 307 Temporary\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"
    async with receiving(answering(answer)) as receiver:
        result: AttemptResult = await post(sender, endpoint_at(receiver.url))
        assert result == Failed("http_307", status=307)
        assert [request.line for request in receiver.requests] == ["POST /hook HTTP/1.1"]
