"""What happens to a connection before, between and after its attempts."""

import asyncio
from dataclasses import replace

import pytest
from support.posting import BODY, endpoint_at, post, sending
from support.receiver import OK, Behaviour, Peer, answering, polite, receiving

from forwarder.delivery import Accepted, Failed
from forwarder.routes.model import EndpointName
from forwarder.sender import Sender

ACCEPTED = Accepted(200, b"ok")


def dying_at(*fatal_requests: int, after: bytes = b"") -> Behaviour:
    """Closes, instead of answering, at these requests of all, counted from 1."""

    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            if len(peer.receiver.requests) in fatal_requests:
                await peer.send(after)
                return
            await peer.send(OK)

    return behave


async def test_one_connection_serves_one_post_after_the_other(sender: Sender) -> None:
    """A kept connection is used again."""
    async with receiving() as receiver:
        for _ in range(5):
            assert await post(sender, endpoint_at(receiver.url)) == ACCEPTED
        assert (receiver.connections, len(receiver.requests)) == (1, 5)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", id="close"
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", id="HTTP/1.0"),
        pytest.param(OK + OK, id="a second answer to one request"),
        pytest.param(OK + b"garbage", id="something behind the answer"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=1, max=9\r\ncontent-length: 2\r\n\r\nok",
            id="a promise too short to rely on",
        ),
    ],
)
async def test_connection_is_not_used_after(sender: Sender, answer: bytes) -> None:
    """A connection that cannot be trusted to carry a second request is closed, and a new one opened."""
    async with receiving(answering(answer)) as receiver:
        for _ in range(2):
            assert await post(sender, endpoint_at(receiver.url)) == ACCEPTED
        await receiver.until(lambda it: it.connections == 2)


async def test_connection_closed_while_idle_is_not_used(sender: Sender) -> None:
    """The end of an idle connection is seen when it comes, and the next post opens another."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    async with receiving(once) as receiver:
        for count in (1, 2, 3):
            assert await post(sender, endpoint_at(receiver.url)) == ACCEPTED
            await receiver.until(lambda it: it.open == 0)
            assert receiver.connections == count


async def test_stale_connection_is_opened_again_once_and_not_counted(sender: Sender) -> None:
    """A used connection that ends before any byte of an answer costs no attempt: the same request goes again."""
    async with receiving(dying_at(2)) as receiver:
        first = await post(sender, endpoint_at(receiver.url))
        second = await post(sender, endpoint_at(receiver.url))
        assert (first, second) == (ACCEPTED, ACCEPTED)
        assert receiver.connections == 2
        assert receiver.requests[1] == receiver.requests[2]


async def test_a_new_connection_that_ends_too_is_a_failed_attempt(sender: Sender) -> None:
    """The second chance is the last."""
    async with receiving(dying_at(2, 3)) as receiver:
        await post(sender, endpoint_at(receiver.url))
        result = await post(sender, endpoint_at(receiver.url))
        assert isinstance(result, Failed)
        assert (result.error, len(receiver.requests)) == ("reset", 3)


async def test_first_use_of_a_connection_has_no_second_chance(sender: Sender) -> None:
    """A connection that was not idle was not stale: its end is the receiver's answer to this request."""
    async with receiving(dying_at(1)) as receiver:
        result = await post(sender, endpoint_at(receiver.url))
        assert isinstance(result, Failed)
        assert (result.error, len(receiver.requests)) == ("reset", 1)


async def test_one_byte_of_an_answer_ends_the_second_chance(sender: Sender) -> None:
    """A receiver that began to answer has read the request: it is not sent again behind its back."""
    async with receiving(dying_at(2, after=b"H")) as receiver:
        await post(sender, endpoint_at(receiver.url))
        result = await post(sender, endpoint_at(receiver.url))
        assert isinstance(result, Failed)
        assert (result.error, len(receiver.requests)) == ("reset", 2)


async def test_answer_to_nothing_is_never_taken_for_an_answer(sender: Sender) -> None:
    """Bytes on an idle connection end it; the next request gets an answer of its own."""
    is_idle, is_closed = asyncio.Event(), asyncio.Event()

    async def talkative(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await is_idle.wait()
        await peer.send(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
        await peer.gone()
        is_closed.set()

    async with receiving(talkative) as receiver:
        assert await post(sender, endpoint_at(receiver.url)) == ACCEPTED
        is_idle.set()
        await is_closed.wait()
        receiver.behaviour = polite
        assert await post(sender, endpoint_at(receiver.url)) == ACCEPTED


@pytest.mark.parametrize("answer", [OK, OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)])
async def test_connections_never_exceed_the_cap(sender: Sender, answer: bytes) -> None:
    """However many posts are asked for at once, max_concurrency bounds the connections."""
    async with receiving(answering(answer)) as receiver:
        endpoint = endpoint_at(receiver.url, max_concurrency=3)
        results = await asyncio.gather(*(post(sender, endpoint) for _ in range(60)))
        assert results == [ACCEPTED] * 60
        assert receiver.most_open <= 3


async def test_wait_for_a_connection_counts_towards_the_deadline(sender: Sender) -> None:
    """A post that never got its turn times out like any other."""
    async with receiving(Peer.gone) as receiver:
        endpoint = endpoint_at(receiver.url, max_concurrency=1, timeout_seconds=0.2)
        results = await asyncio.gather(*(post(sender, endpoint) for _ in range(3)))
        assert [result.error for result in results if isinstance(result, Failed)] == ["timeout"] * 3


async def test_shorter_timeout_holds_on_an_old_connection(sender: Sender) -> None:
    """The deadline is each attempt's own, whatever the connection was used for before."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.gone()

    async with receiving(once) as receiver:
        patient = endpoint_at(receiver.url, timeout_seconds=3600.0)
        assert await post(sender, patient) == ACCEPTED
        result = await post(sender, replace(patient, timeout_seconds=0.1))
        assert isinstance(result, Failed)
        assert (result.error, receiver.connections) == ("timeout", 1)


async def test_newest_idle_connection_is_used_first(sender: Sender) -> None:
    """Last in, first out: what is not needed grows old and is closed, instead of all being kept warm."""
    ports: list[int] = []

    async def noting(peer: Peer) -> None:
        while True:
            await peer.request()
            ports.append(peer.writer.get_extra_info("peername")[1])
            await peer.send(OK)

    async with receiving(noting) as receiver:
        endpoint = endpoint_at(receiver.url)
        await asyncio.gather(*(post(sender, endpoint) for _ in range(4)))
        await asyncio.gather(*(post(sender, endpoint) for _ in range(1)))
        newest = ports[-1]
        for _ in range(3):
            await post(sender, endpoint)
        assert ports[-3:] == [newest] * 3


async def test_idle_connections_are_closed_after_a_while() -> None:
    """What nobody used for the idle time is closed by us."""
    async with receiving() as receiver, sending(idle_seconds=0.05) as sender:
        await asyncio.gather(*(post(sender, endpoint_at(receiver.url)) for _ in range(4)))
        await receiver.until(lambda it: it.open == 0)


async def test_cancelled_post_closes_its_connection_and_frees_its_place(sender: Sender) -> None:
    """After a cancellation nothing is left behind: the receiver sees the end, the next post has room."""
    asked = asyncio.Event()

    async def waiting_at_first(peer: Peer) -> None:
        await peer.request()
        if len(peer.receiver.requests) == 1:
            asked.set()
            await peer.gone()
        else:
            await peer.send(OK)

    async with receiving(waiting_at_first) as receiver:
        endpoint = endpoint_at(receiver.url, max_concurrency=1)
        first = asyncio.ensure_future(post(sender, endpoint))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await receiver.until(lambda it: it.open == 0)
        assert await post(sender, endpoint) == ACCEPTED


async def test_cancelled_wait_for_a_connection_loses_no_place(sender: Sender) -> None:
    """Posts that give up in the queue do not take its places with them."""
    release = asyncio.Event()

    async def held(peer: Peer) -> None:
        await peer.request()
        await release.wait()
        await peer.send(OK)
        await polite(peer)

    async with receiving(held) as receiver:
        endpoint = endpoint_at(receiver.url, max_concurrency=1)
        posts = [asyncio.ensure_future(post(sender, endpoint)) for _ in range(4)]
        await receiver.until(lambda it: it.open == 1)
        posts[1].cancel()
        posts[2].cancel()
        release.set()
        assert await posts[0] == await posts[3] == ACCEPTED
        assert await post(sender, endpoint) == ACCEPTED


async def test_edit_that_changes_no_connection_keeps_them(sender: Sender) -> None:
    """New headers go out over the old connection."""
    async with receiving() as receiver:
        await post(sender, endpoint_at(receiver.url))
        edited = endpoint_at(receiver.url, headers=(("x-new", "1"),))
        sender.retain([edited])
        await post(sender, edited)
        assert receiver.connections == 1
        assert receiver.requests[1].header("x-new") == "1"


async def test_endpoint_that_is_gone_keeps_no_connection(sender: Sender) -> None:
    """After a reload the idle connections of removed endpoints are closed."""
    async with receiving() as receiver:
        await post(sender, endpoint_at(receiver.url))
        sender.retain([endpoint_at(receiver.url, name=EndpointName("other"))])
        await receiver.until(lambda it: it.open == 0)


async def test_reload_does_not_cut_attempts_in_flight(sender: Sender) -> None:
    """An attempt under way when its endpoint goes is finished, and its connection closed after it."""
    release = asyncio.Event()

    async def held(peer: Peer) -> None:
        await peer.request()
        await release.wait()
        await peer.send(OK)
        await peer.gone()

    async with receiving(held) as receiver:
        attempt = asyncio.ensure_future(post(sender, endpoint_at(receiver.url)))
        await receiver.until(lambda it: it.open == 1)
        sender.retain([])
        release.set()
        assert await attempt == ACCEPTED
        await receiver.until(lambda it: it.open == 0)


async def test_endpoint_with_a_new_host_gets_new_connections(sender: Sender) -> None:
    """After an edit of the URL nothing goes to the old host any more."""
    async with receiving() as old, receiving() as new:
        await post(sender, endpoint_at(old.url))
        await post(sender, endpoint_at(new.url))
        sender.retain([endpoint_at(new.url)])
        await old.until(lambda it: it.open == 0)
        assert (len(old.requests), len(new.requests)) == (1, 1)


async def test_url_of_another_host_is_refused(sender: Sender) -> None:
    """A body never goes to a host that is not the endpoint's own."""
    async with receiving() as receiver, receiving() as other:
        endpoint = endpoint_at(receiver.url)
        result = await sender.post(endpoint, url=other.url, headers=[], body=BODY)
        assert isinstance(result, Failed)
        assert (result.error, other.connections, receiver.connections) == ("protocol", 0, 0)
