"""
Whether endpoints can be reached at all: the way of a delivery up to its TLS handshake, and not a byte further.

    httpx.AsyncClient ─▶ Discreet ─▶ HandshakeTransport ─▶ resolve ▸ guard ▸ connect ▸ (proxy) ▸ TLS
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import httpx

from forwarder.routes.model import Endpoint, EndpointName
from forwarder.sender.client import client_for
from forwarder.sender.dial import Dialler, Diallers
from forwarder.sender.failure import TransportFailure
from forwarder.sender.guard import Guard
from forwarder.sender.proxy import parse_proxy
from forwarder.sender.resolve import Resolver
from forwarder.sender.transport import timeout_seconds_of

_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Visit:
    """How one endpoint's host was found: it takes a connection, or something was in the way."""

    name: EndpointName
    failure: TransportFailure | None
    seconds: float


async def reach(
    endpoints: Iterable[Endpoint],
    *,
    proxy_url: str | None,
    timeout_seconds: float,
    guard: Guard | None = None,
    resolver: Resolver | None = None,
) -> AsyncIterator[Visit]:
    """
    A visit to each endpoint's host, as they end.

    The same rules hold as for deliveries: addresses, proxy and certificates. Raises SettingsError when `proxy_url`
    is not that of an HTTP proxy.
    """
    diallers = Diallers(
        proxy=parse_proxy(proxy_url) if proxy_url else None, resolver=resolver, guard=guard
    )
    visitor = _Visitor(diallers, timeout_seconds)
    for ended in asyncio.as_completed([visitor.visit(endpoint) for endpoint in endpoints]):
        yield await ended


class _Visitor:
    """Opens one connection to an endpoint and closes it; a few at a time."""

    def __init__(self, diallers: Diallers, timeout_seconds: float) -> None:
        self._diallers = diallers
        self._timeout_seconds = timeout_seconds
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def visit(self, endpoint: Endpoint) -> Visit:
        async with self._turns:
            began = asyncio.get_running_loop().time()
            failure = await self._connect(endpoint)
            return Visit(endpoint.name, failure, asyncio.get_running_loop().time() - began)

    async def _connect(self, endpoint: Endpoint) -> TransportFailure | None:
        try:
            async with client_for(endpoint, transport_for=self._transport_for) as client:
                await client.head(endpoint.url, timeout=self._timeout_seconds)
        except TransportFailure as failure:
            return failure
        return None

    def _transport_for(self, endpoint: Endpoint) -> "HandshakeTransport":
        return HandshakeTransport(self._diallers.to(endpoint))


class HandshakeTransport(httpx.AsyncBaseTransport):
    """Opens a connection for a request and closes it before anything is sent."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """An answer of our own, which is empty; raises TransportFailure when no connection came in time."""
        connection = await self._dialler.dial(
            deadline=asyncio.get_running_loop().time() + timeout_seconds_of(request),
            on_lost=lambda _: None,
        )
        connection.abort()
        await connection.wait_lost()
        return httpx.Response(204, extensions={"address": connection.address})
