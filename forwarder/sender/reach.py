"""Whether endpoints can be reached at all: the way of a delivery up to its TLS handshake, and not a byte further."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from forwarder.routes.model import Endpoint, EndpointName
from forwarder.sender.dial import Diallers
from forwarder.sender.failure import TransportFailure
from forwarder.sender.guard import Guard
from forwarder.sender.proxy import parse_proxy
from forwarder.sender.resolve import Resolver

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
            failure = await self._connect(endpoint, deadline=began + self._timeout_seconds)
            return Visit(endpoint.name, failure, asyncio.get_running_loop().time() - began)

    async def _connect(self, endpoint: Endpoint, *, deadline: float) -> TransportFailure | None:
        try:
            connection = await self._diallers.to(endpoint).dial(
                deadline=deadline, on_lost=lambda _: None
            )
        except TransportFailure as failure:
            return failure
        connection.abort()
        await connection.wait_lost()
        return None
