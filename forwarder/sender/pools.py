"""Puts the engine together: from what an endpoint says to the transport that reaches it."""

import time
from collections.abc import Callable

from forwarder.routes.model import Endpoint
from forwarder.sender.descriptors import Descriptors
from forwarder.sender.dial import Dialler
from forwarder.sender.guard import Guard
from forwarder.sender.proxy import parse_proxy
from forwarder.sender.resolve import Resolver, SystemResolver
from forwarder.sender.tls import TlsIdentity
from forwarder.sender.transport import IDLE_SECONDS, PooledTransport
from forwarder.sender.wire import origin_of, parse_url


def pooled_transports(
    *,
    proxy_url: str | None = None,
    resolver: Resolver | None = None,
    guard: Guard | None = None,
    idle_seconds: float = IDLE_SECONDS,
    unix: Callable[[], float] = time.time,
    descriptors: Descriptors | None = None,
) -> Callable[[Endpoint], PooledTransport]:
    """
    A factory of one transport for each endpoint, as `Sender` takes it; together they keep to `descriptors`.

    Raises SettingsError when `proxy_url` is not that of an HTTP proxy.
    """
    proxy = parse_proxy(proxy_url) if proxy_url else None
    shared = descriptors or Descriptors()
    names = resolver or SystemResolver()
    anonymous = TlsIdentity(
        unix=unix
    )  # shared: the system's CAs are read once, not once for every endpoint

    def transport_for(endpoint: Endpoint) -> PooledTransport:
        origin = origin_of(parse_url(endpoint.url))
        dialler = Dialler(
            origin,
            resolver=names,
            identity=TlsIdentity(endpoint.tls, unix=unix) if endpoint.tls else anonymous,
            guard=guard or Guard(),
            allow_private=endpoint.allow_private,
            proxy=proxy,
            descriptors=shared,
        )
        return PooledTransport(
            origin,
            dialler.dial,
            max_connections=endpoint.max_concurrency,
            proxy=proxy,
            idle_seconds=idle_seconds,
            unix=unix,
            descriptors=shared,
        )

    return transport_for
