"""
A dialler opens a connection to an origin: resolve ▸ guard ▸ connect ▸ (proxy) ▸ TLS, within one deadline.

The guard judges the very addresses that are dialled, after resolution, at every connect. A Dialler dials an address,
never a name, so a name whose answer changes in between changes nothing.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from forwarder.routes.model import Endpoint
from forwarder.sender.connection import Connection, OnLost
from forwarder.sender.descriptors import Descriptors, Place
from forwarder.sender.failure import NoDescriptor, TransportFailure, lookup_failure, network_failure
from forwarder.sender.guard import Guard
from forwarder.sender.happy_eyeballs import connect_first
from forwarder.sender.proxy import Proxy, open_tunnel
from forwarder.sender.request import Origin, origin_of, parse_url
from forwarder.sender.resolve import Address, Resolver, SystemResolver
from forwarder.sender.tls import ResumingContext, TlsIdentity


class Dialler:
    """Opens connections to one origin; `allow_private` is the setting of one endpoint and holds for no other."""

    def __init__(
        self,
        origin: Origin,
        *,
        resolver: Resolver,
        identity: TlsIdentity,
        guard: Guard,
        allow_private: bool,
        proxy: Proxy | None,
        descriptors: Descriptors,
    ) -> None:
        self._spare = descriptors.spare
        self._origin = origin
        self._resolver = resolver
        self._identity = identity
        self._guard = guard
        self._allow_private = allow_private
        self._proxy = proxy

    async def dial(self, *, deadline: float, on_lost: OnLost) -> Connection:
        """
        A connection that is ready for a request, at the latest at `deadline` by the loop's clock.

        Raises TransportFailure. No socket stays open after a failure or a cancellation.
        """
        stage = _Stage()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._dial(stage, deadline=deadline, on_lost=on_lost)
        except TimeoutError as late:
            raise TransportFailure(
                "timeout", f"still {stage.name} at the deadline", address=stage.address
            ) from late
        except TransportFailure as failure:
            failure.address = failure.address or stage.address
            raise

    async def _dial(self, stage: "_Stage", *, deadline: float, on_lost: OnLost) -> Connection:
        context = await self._context(stage)
        opened = await self._connect(stage)
        try:
            if self._proxy is not None and context is not None:
                stage.name = "asking the proxy for a tunnel"
                await open_tunnel(
                    opened, self._proxy, host=self._origin.host, port=self._origin.port
                )
        except BaseException:
            opened.close()
            raise
        connection = Connection(on_lost=on_lost)
        if context is None:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=opened)
        else:
            stage.name = "in the TLS handshake"
            await self._shake_hands(opened, connection, context, deadline=deadline)
        return connection

    async def _context(self, stage: "_Stage") -> ResumingContext | None:
        if self._origin.scheme != "https":
            return None
        _check_name(self._origin.host)
        stage.name = "reading the TLS files"
        return await self._identity.context()

    async def _connect(self, stage: "_Stage") -> socket.socket:
        if self._proxy is None:
            found = await self._resolve(stage, self._origin.host, self._origin.port)
            permitted = self._guard.permitted(found, allow_private=self._allow_private)
            return await _connect_first(stage, permitted, spare=self._spare)
        try:
            found = await self._resolve(stage, self._proxy.host, self._proxy.port)
            return await _connect_first(stage, found, spare=self._spare)
        except NoDescriptor:
            raise
        except TransportFailure as failure:
            raise TransportFailure(
                "proxy", f"cannot reach the proxy: {failure.detail}"
            ) from failure

    async def _resolve(self, stage: "_Stage", host: str, port: int) -> Sequence[Address]:
        stage.name = "looking up the host's name"
        try:
            return await self._resolver.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise lookup_failure(error) from error

    async def _shake_hands(
        self,
        opened: socket.socket,
        connection: Connection,
        context: ResumingContext,
        *,
        deadline: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        name = _certificate_name(self._origin.host)
        try:
            await loop.create_connection(
                lambda: connection,
                sock=opened,
                ssl=context,
                server_hostname=name,
                # The deadline rings first.
                ssl_handshake_timeout=max(deadline - loop.time(), 0) + 1,
            )
        except OSError as error:
            context.sessions.pop(name, None)  # the session may be why the receiver refuses
            raise network_failure(error, stage="in the TLS handshake") from error


class Diallers:
    """Makes a Dialler for each endpoint; all Diallers share a guard, a proxy, a resolver and the system's CAs."""

    def __init__(
        self,
        *,
        proxy: Proxy | None = None,
        resolver: Resolver | None = None,
        guard: Guard | None = None,
        unix: Callable[[], float] = time.time,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._proxy = proxy
        self._resolver = resolver or SystemResolver()
        self._guard = guard or Guard()
        self._unix = unix
        self._descriptors = descriptors or Descriptors()
        # The system's CAs are read once, not once for every endpoint.
        self._anonymous = TlsIdentity(unix=unix)

    def to(self, endpoint: Endpoint) -> Dialler:
        """A Dialler to the endpoint; raises TransportFailure when its URL leads nowhere."""
        tls = endpoint.tls
        return Dialler(
            origin_of(parse_url(endpoint.url)),
            resolver=self._resolver,
            identity=TlsIdentity(tls, unix=self._unix) if tls else self._anonymous,
            guard=self._guard,
            allow_private=endpoint.allow_private,
            proxy=self._proxy,
            descriptors=self._descriptors,
        )


async def _connect_first(
    stage: "_Stage", addresses: Sequence[Address], *, spare: Callable[[], Place | None]
) -> socket.socket:
    stage.name = "connecting"
    stage.address = addresses[0].ip if addresses else None
    opened = await connect_first(addresses, spare=spare)
    with suppress(OSError):  # it may be over already
        stage.address = opened.getpeername()[0]
    return opened


def _certificate_name(host: str) -> str:
    """The name that the certificate has to hold and that the server is asked for (RFC 6066 §3)."""
    return host.rstrip(".")


def _check_name(host: str) -> None:
    """
    Raises TransportFailure when no certificate can hold the host's name.

    The TLS library would refuse such a name too, but asyncio would leave the socket open.
    """
    name = _certificate_name(host)
    try:
        is_name = bool(name) and bool(name.encode("idna"))
    except UnicodeError:
        is_name = False
    if not is_name:
        raise TransportFailure("tls", "no certificate can hold the name of its host")


class _Stage:
    """The present step of a dial and its address, named in the failure when the deadline comes."""

    __slots__ = ("address", "name")

    def __init__(self) -> None:
        self.name = "waiting"
        self.address: str | None = None
        """The address of the connection, or the first of those that are tried."""
