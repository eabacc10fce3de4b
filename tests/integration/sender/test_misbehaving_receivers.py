"""Every receiver that exists in the wild: each attempt ends in time, in bounded memory, with a clear reason."""

import asyncio

import pytest
from support.misbehaviour import ANSWERING, FAILING, Answering, Failing
from support.posting import endpoint_at, post
from support.receiver import OK, Peer, answering, receiving

from forwarder.delivery import Accepted, AttemptResult, Failed, Refused
from forwarder.sender import Sender
from forwarder.sender.sender import ACCEPTED_BYTES


@pytest.mark.parametrize("receiver_that", FAILING, ids=lambda one: one.name)
async def test_bad_head_fails_the_attempt(sender: Sender, receiver_that: Failing) -> None:
    """An answer whose head never comes to its end, or is none, fails with the word for it."""
    async with receiving(receiver_that.behaviour) as receiver:
        timeout = 0.3 if receiver_that.error == "timeout" else 10.0
        result = await post(sender, endpoint_at(receiver.url, timeout_seconds=timeout))
        assert isinstance(result, Failed)
        assert result.error == receiver_that.error
        assert result.detail or result.status
        assert receiver.bytes_sent < 16 << 20


@pytest.mark.parametrize("receiver_that", ANSWERING, ids=lambda one: one.name)
async def test_status_decides_once_the_head_is_complete(
    sender: Sender, receiver_that: Answering
) -> None:
    """After the head nothing can make a failure of a 200; at most 4 KiB of the body are kept."""
    async with receiving(receiver_that.behaviour) as receiver:
        is_slow = receiver_that.body == b"start"
        endpoint = endpoint_at(receiver.url, timeout_seconds=1.0 if is_slow else 10.0)
        result = await post(sender, endpoint)
        assert result == Accepted(200, receiver_that.body[:ACCEPTED_BYTES])
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
