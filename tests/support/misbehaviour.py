"""Receivers that misbehave as in the wild, each with the result that an attempt at it must have."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from support.receiver import OK, Behaviour, Peer, answering


@dataclass(frozen=True)
class Failing:
    """A receiver whose answer fails the attempt with this error."""

    behaviour: Behaviour
    error: str
    name: str


@dataclass(frozen=True)
class Answering:
    """A receiver that has said 200, whatever else it does; `body` is the kept part of its body."""

    behaviour: Behaviour
    body: bytes
    name: str


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
    """Send `piece` for ever, too seldom to reach any limit of size."""

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


FAILING = (
    Failing(endless(HEAD, b"x-more: again\r\n" * 50), "protocol", name="headers for ever"),
    Failing(endless(HEAD + b"x: ", b"y" * 1000), "protocol", name="one header for ever"),
    Failing(endless(b"HTTP/1.1 200 ", b"O" * 1000), "protocol", name="a reason for ever"),
    Failing(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40), "protocol", name="1xx for ever"),
    Failing(trickling(HEAD, b"x: y\r\n"), "timeout", name="headers, a line now and then"),
    Failing(trickling(b"HTTP/1.1 2", b""), "timeout", name="half a status line, then nothing"),
    Failing(silent, "timeout", name="no answer at all"),
    Failing(closing_at_once, "reset", name="closes without an answer"),
    Failing(sending_then_closing(HEAD), "reset", name="closes within the headers"),
    Failing(sending_then_closing(b"H"), "reset", name="closes after one byte"),
    Failing(sending_then_closing(b"SSH-2.0-OpenSSH_9\r\n"), "protocol", name="speaks SSH"),
    Failing(sending_then_closing(b"\0" * 50), "protocol", name="binary"),
    Failing(sending_then_closing(b"<html></html>"), "protocol", name="HTTP/0.9"),
    Failing(
        sending_then_closing(b"HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
        "protocol",
        name="another version of HTTP",
    ),
    Failing(
        answering(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        "protocol",
        name="switches protocols",
    ),
    Failing(answering(b"HTTP/1.1 042 Hm\r\n\r\n"), "protocol", name="a status below 100"),
    Failing(
        answering(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"),
        "http_302",
        name="a redirect",
    ),
    Failing(
        answering(b"HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n"), "http_999", name="above 599"
    ),
)

ANSWERING = (
    Answering(
        trickling(HEAD + b"content-length: 900000\r\n\r\nstart", b""),
        b"start",
        name="a body that stops in the middle, until the deadline",
    ),
    Answering(
        endless(HEAD + b"content-length: 1000000000\r\n\r\n", b"x" * 65536),
        b"x" * 4096,
        name="a gigabyte",
    ),
    Answering(
        endless(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 500),
        b"x" * 4096,
        name="chunks for ever",
    ),
    Answering(
        endless(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n1;", b"x" * 1000),
        b"ok",
        name="a chunk extension for ever",
    ),
    Answering(
        endless(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", b"a: b\r\n" * 500),
        b"ok",
        name="trailers for ever",
    ),
    Answering(
        sending_then_closing(HEAD + b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"),
        b"",
        name="a chunk larger than any number",
    ),
    Answering(
        sending_then_closing(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nokay\r\n"),
        b"ok",
        name="a chunk longer than it says",
    ),
    Answering(
        endless(
            HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
            b"%x\r\n%b\r\n" % (len(bomb := gzip.compress(bytes(1 << 24))), bomb),
        ),
        bomb[:4096],
        name="a gzip bomb, kept as it is",
    ),
    Answering(
        sending_then_closing(b"HTTP/1.0 200 OK\r\n\r\nall of it"),
        b"all of it",
        name="HTTP/1.0 without a length",
    ),
    Answering(
        sending_then_closing(HEAD + b"\r\nall of it"), b"all of it", name="HTTP/1.1 without one"
    ),
    Answering(
        sending_then_resetting(HEAD + b"content-length: 9\r\n\r\n"),
        b"",
        name="a reset after the head",
    ),
    Answering(
        answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), b"ok", name="an early 100 Continue"
    ),
    Answering(
        answering(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3 + OK),
        b"ok",
        name="early hints",
    ),
    Answering(answering(b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"), b"", name="no reason"),
    Answering(answering(OK + b"surplus"), b"ok", name="more than an answer"),
    Answering(
        answering(HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n" + CHUNKS),
        b"ok",
        name="two framings, of which chunked holds",
    ),
    Answering(
        answering(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok"),
        b"",
        name="two lengths",
    ),
    Answering(answering(HEAD + b"content-length: -2\r\n\r\n"), b"", name="less than 0"),
    Answering(
        answering(HEAD + b"x\0y: z\r\ncontent-length: 0\r\n\r\n"), b"", name="NUL in a header"
    ),
    Answering(answering(OK.replace(b"\r", b"")), b"ok", name="bare LF"),
    Answering(answering(OK.replace(b" OK", b" OK\r\nx: a\r\n b")), b"ok", name="a fold"),
)
