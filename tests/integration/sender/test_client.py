"""httpx's client over the deliveries' own transport: what holds for a delivery holds for each of its requests."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from support.certificates import Authority
from support.posting import BODY, HEADERS, endpoint_at, post
from support.receiver import OK, Peer, answering, receiving

from forwarder.routes.model import BasicAuth, Endpoint, TlsFiles
from forwarder.sender import Descriptors, Guard, Sender, client_for, pooled_transports
from forwarder.sender.failure import NoDescriptor, TransportFailure


@asynccontextmanager
async def asking(
    endpoint: Endpoint, *, guard: Guard | None = None, descriptors: int = 8
) -> AsyncIterator[httpx.AsyncClient]:
    """A client over the real transport."""
    transport_for = pooled_transports(guard=guard, descriptors=Descriptors(descriptors))
    async with client_for(endpoint, transport_for=transport_for) as client:
        yield client


async def test_same_request_is_on_the_wire_as_from_the_sender(sender: Sender) -> None:
    """A receiver cannot tell a test event from a delivery: same line, same header fields, same body."""
    async with receiving() as receiver:
        url = f"{receiver.url}/../in/./%7e?x={{1}}"
        endpoint = endpoint_at(url, auth=BasicAuth("u", "p"), headers=(("x-tenant", "7"),))
        await post(sender, endpoint)
        async with asking(endpoint) as client:
            response = await client.post(url, headers=list(HEADERS), content=BODY)
    delivered, asked = receiver.requests
    assert (asked.line, asked.body) == (delivered.line, delivered.body)
    assert asked.line == "POST /hook/../in/./%7e?x={1} HTTP/1.1"
    assert sorted(asked.headers) == sorted(delivered.headers)
    assert (response.content, response.extensions["address"]) == (b"ok", "127.0.0.1")


async def test_connection_is_kept_and_closed_with_the_client() -> None:
    """Requests share connections, and none stays open when the client is closed."""
    async with receiving() as receiver:
        async with asking(endpoint_at(receiver.url)) as client:
            for _ in range(3):
                assert (await client.get(receiver.url)).content == b"ok"
        await receiver.until(lambda it: it.open == 0)
    assert receiver.connections == 1


async def test_guard_judges_every_request() -> None:
    """A private address is not dialled without permission."""
    async with (
        receiving() as receiver,
        asking(endpoint_at(receiver.url, allow_private=False)) as client,
    ):
        with pytest.raises(TransportFailure) as refused:
            await client.get(receiver.url)
    assert (refused.value.word, receiver.connections) == ("blocked_address", 0)


async def test_client_keeps_to_its_endpoint_s_host() -> None:
    """Credentials of one endpoint never reach another host."""
    async with (
        receiving() as receiver,
        receiving() as other,
        asking(endpoint_at(receiver.url)) as client,
    ):
        with pytest.raises(TransportFailure) as refused:
            await client.get(other.url)
    assert (refused.value.word, other.connections) == ("protocol", 0)


async def test_timeout_covers_the_whole_request() -> None:
    """Each byte that trickles in buys no time: there is one deadline, where httpx has one for each read."""

    async def trickle(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK[:20])
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    async with (
        receiving(trickle) as receiver,
        asking(endpoint_at(receiver.url, timeout_seconds=0.2)) as client,
    ):
        with pytest.raises(TransportFailure) as late:
            await client.get(receiver.url)
    assert late.value.word == "timeout"


@pytest.mark.parametrize("body", [gzip.compress(b"{}"), b"no gzip"], ids=["gzip", "no gzip"])
async def test_encoded_answer_stays_as_it_is(body: bytes) -> None:
    """A content-encoding was not asked for, and is not undone."""
    head = b"HTTP/1.1 500 No\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with (
        receiving(answering(head + body)) as receiver,
        asking(endpoint_at(receiver.url)) as client,
    ):
        assert (await client.get(receiver.url)).content == body


async def test_endpoint_s_own_certificate_authority_holds(tmp_path: Path) -> None:
    """TLS is set up as for deliveries: its CA is trusted, and without it the receiver is not."""
    authority = Authority(tmp_path / "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    async with receiving(tls=context) as receiver:
        trusting = endpoint_at(receiver.url, tls=TlsFiles(ca_file=authority.ca_file))
        async with asking(trusting) as client:
            assert (await client.get(receiver.url)).content == b"ok"
        async with asking(endpoint_at(receiver.url)) as client:
            with pytest.raises(TransportFailure) as refused:
                await client.get(receiver.url)
    assert refused.value.word == "tls"


async def test_want_of_descriptors_is_ours() -> None:
    """It has a type of its own here too, and nothing is sent."""
    async with receiving() as receiver, asking(endpoint_at(receiver.url), descriptors=0) as client:
        with pytest.raises(NoDescriptor):
            await client.get(receiver.url)
    assert receiver.connections == 0


async def test_body_in_pieces_is_framed() -> None:
    """A receiver finds its end."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{"
        yield b"}"

    async with receiving() as receiver, asking(endpoint_at(receiver.url)) as client:
        await client.post(receiver.url, content=pieces())
    assert receiver.requests[0].body == b"{}"


async def test_parameters_are_sent() -> None:
    """What httpx puts into the query is in the request line."""
    async with receiving() as receiver, asking(endpoint_at(receiver.url)) as client:
        await client.get(receiver.url, params={"a": "b c"})
    assert receiver.requests[0].line == "GET /hook?a=b+c HTTP/1.1"
