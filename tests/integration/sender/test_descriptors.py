"""Pools that share a few descriptors, and a process that has none left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.certificates import Authority
from support.descriptors import no_descriptor_left
from support.posting import BODY, HEADERS, endpoint_at, post
from support.receiver import OK, Behaviour, Peer, Receiver, receiving

from forwarder.delivery import Accepted, AttemptResult, Unsent
from forwarder.routes.model import Endpoint, EndpointName, TlsFiles
from forwarder.sender import Descriptors, Sender, pooled_transports
from forwarder.sender.failure import NoDescriptor
from forwarder.sender.resolve import SystemResolver
from forwarder.sender.tls import TlsIdentity

ACCEPTED = Accepted(200, b"ok")


@asynccontextmanager
async def sharing(count: int) -> AsyncIterator[Sender]:
    """A sender with so many descriptors for all its endpoints."""
    sender = Sender(pooled_transports(descriptors=Descriptors(count)))
    try:
        yield sender
    finally:
        await sender.aclose()


def at(receiver: Receiver, name: str = "acme") -> Endpoint:
    return endpoint_at(receiver.url, name=EndpointName(name))


async def try_once(sender: Sender, endpoint: Endpoint) -> AttemptResult | Unsent:
    return await sender.post(endpoint, url=endpoint.url, headers=HEADERS, body=BODY)


async def post_in_turn(sender: Sender, endpoint: Endpoint) -> AttemptResult | Unsent:
    """As the dispatcher does it: once more when the turn has come."""
    result = await try_once(sender, endpoint)
    if not isinstance(result, Unsent):
        return result
    async with sender.turn(endpoint, seconds=5.0) as has_come:
        assert has_come
        return await try_once(sender, endpoint)


def answering_when(allowed: asyncio.Event) -> Behaviour:
    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            await allowed.wait()
            await peer.send(OK)

    return behave


async def test_kept_connection_of_another_endpoint_makes_room() -> None:
    """One descriptor serves two endpoints in turn: the idle connection of the one is closed for the other's."""
    async with receiving() as one, receiving() as two, sharing(1) as sender:
        for _ in range(3):
            assert await post_in_turn(sender, at(one, "one")) == ACCEPTED
            assert await post_in_turn(sender, at(two, "two")) == ACCEPTED
        assert (one.connections, two.connections) == (3, 3)
        assert one.open + two.open <= 2  # the receiver may see the close a moment later


async def test_nothing_is_sent_while_all_are_in_use() -> None:
    """Without a place it is no attempt; the turn comes when an exchange is over and its connection falls idle."""
    allowed = asyncio.Event()
    async with (
        receiving(answering_when(allowed)) as slow,
        receiving() as quick,
        sharing(1) as sender,
    ):
        first = asyncio.ensure_future(post(sender, at(slow, "slow")))
        await slow.until(lambda it: it.open == 1)
        assert await try_once(sender, at(quick, "quick")) == Unsent()
        async with sender.turn(at(quick, "quick"), seconds=0.01) as has_come:
            assert not has_come
        waiting = asyncio.ensure_future(post_in_turn(sender, at(quick, "quick")))
        allowed.set()
        assert await first == ACCEPTED
        assert await waiting == ACCEPTED


async def test_hanging_endpoint_takes_only_what_others_do_not_need() -> None:
    """However many connections one endpoint wants and holds, another's first is there at once."""
    async with (
        receiving(answering_when(asyncio.Event())) as deaf,
        receiving() as quick,
        sharing(4) as sender,
    ):
        assert await post(sender, at(quick, "quick")) == ACCEPTED
        hanging = [asyncio.ensure_future(try_once(sender, at(deaf, "deaf"))) for _ in range(8)]
        await deaf.until(lambda it: it.open == 3)
        assert await post(sender, at(quick, "quick")) == ACCEPTED
        assert quick.connections == 1
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_no_place_is_lost_when_the_receiver_refuses() -> None:
    """Connects that fail give their place back."""
    async with receiving() as gone:
        refused = at(gone, "refused")
    async with receiving() as one, sharing(1) as sender:
        for _ in range(3):
            result = await try_once(sender, refused)
            assert getattr(result, "error", None) == "connect_refused"
        assert await post(sender, at(one, "one")) == ACCEPTED


async def test_process_without_descriptors_says_nothing_about_the_endpoint() -> None:
    """EMFILE is no failure of an attempt; once there are descriptors again the next one succeeds."""
    async with receiving() as receiver, sharing(8) as sender:
        with no_descriptor_left():
            assert await try_once(sender, at(receiver)) == Unsent()
        assert await post_in_turn(sender, at(receiver)) == ACCEPTED


async def test_name_is_not_called_unknown_for_want_of_descriptors() -> None:
    """glibc says that a name does not exist when it cannot open its files; that is not believed."""
    await SystemResolver().resolve("localhost", 80)
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        await SystemResolver().resolve("localhost", 80)


@pytest.mark.parametrize("has_own", [False, True])
async def test_trust_is_not_built_without_descriptors(tmp_path: Path, has_own: bool) -> None:
    """OpenSSL takes no CAs for all of the system's when it cannot open their file; such a context is not kept."""
    files = TlsFiles(ca_file=Authority(tmp_path).ca_file) if has_own else TlsFiles()
    identity = TlsIdentity(files)
    await asyncio.to_thread(lambda: None)
    with no_descriptor_left(), pytest.raises(NoDescriptor):
        await identity.context()
    assert await identity.context()
