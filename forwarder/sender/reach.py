"""Whether endpoints can be reached at all: the way of a delivery up to its TLS handshake, and not a byte further."""

import asyncio
from collections.abc import Iterable, Mapping

from forwarder.routes.model import Endpoint, EndpointName
from forwarder.sender.dial import Dialler
from forwarder.sender.failure import TransportFailure
from forwarder.sender.guard import Guard
from forwarder.sender.proxy import Proxy, parse_proxy
from forwarder.sender.resolve import Resolver, SystemResolver
from forwarder.sender.tls import TlsIdentity
from forwarder.sender.wire import origin_of, parse_url

_AT_ONCE = 20


async def reach(
    endpoints: Iterable[Endpoint],
    *,
    proxy_url: str | None,
    timeout_seconds: float,
    guard: Guard | None = None,
    resolver: Resolver | None = None,
) -> Mapping[EndpointName, TransportFailure | None]:
    """
    For each endpoint None when its host takes a connection, else what was in the way.

    The same rules hold as for deliveries: addresses, proxy and certificates. Raises SettingsError when `proxy_url`
    is not that of an HTTP proxy.
    """
    proxy = parse_proxy(proxy_url) if proxy_url else None
    visitor = _Visitor(resolver or SystemResolver(), guard or Guard(), proxy, timeout_seconds)
    listed = tuple(endpoints)
    outcomes = await asyncio.gather(*(visitor.visit(endpoint) for endpoint in listed))
    return {endpoint.name: outcome for endpoint, outcome in zip(listed, outcomes, strict=True)}


class _Visitor:
    """Opens one connection to an endpoint and closes it; a few at a time."""

    def __init__(
        self, resolver: Resolver, guard: Guard, proxy: Proxy | None, timeout_seconds: float
    ) -> None:
        self._resolver = resolver
        self._guard = guard
        self._proxy = proxy
        self._timeout_seconds = timeout_seconds
        self._anonymous = TlsIdentity()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def visit(self, endpoint: Endpoint) -> TransportFailure | None:
        async with self._turns:
            deadline = asyncio.get_running_loop().time() + self._timeout_seconds
            try:
                connection = await self._dialler(endpoint).dial(
                    deadline=deadline, on_lost=lambda _: None
                )
            except TransportFailure as failure:
                return failure
            connection.abort()
            await connection.wait_lost()
            return None

    def _dialler(self, endpoint: Endpoint) -> Dialler:
        return Dialler(
            origin_of(parse_url(endpoint.url)),
            resolver=self._resolver,
            identity=TlsIdentity(endpoint.tls) if endpoint.tls else self._anonymous,
            guard=self._guard,
            allow_private=endpoint.allow_private,
            proxy=self._proxy,
        )
