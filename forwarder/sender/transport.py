"""
The pool under the sender: a few connections to one origin.

    acquire a slot ─▶ newest idle connection, else dial ─▶ exchange ─▶ idle again, or closed and the slot given back
                                                   │
                                a place for its file descriptor, shared with all pools, from the dial to the close

A slot is the right to one connection in use. Idle connections are used before any is dialled, so
in use + idle + closing never exceeds `max_connections`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import httpx

from forwarder.routes.model import Endpoint
from forwarder.sender.answer import Answer
from forwarder.sender.connection import Connection, OnLost
from forwarder.sender.descriptors import Descriptors, Place
from forwarder.sender.dial import Diallers
from forwarder.sender.failure import ConnectionLost, NoDescriptor, TransportFailure
from forwarder.sender.guard import Guard
from forwarder.sender.proxy import Proxy, parse_proxy
from forwarder.sender.request import (
    Fields,
    Origin,
    PreparedHead,
    encode_request,
    origin_of,
    parse_url,
    target_of,
)
from forwarder.sender.resolve import Resolver
from forwarder.sender.slots import Slots
from forwarder.sender.tls import remember_session

DEFAULT_TIMEOUT_SECONDS = 10.0
IDLE_SECONDS = 60.0
SECOND_TURN_SECONDS = 1.0

_OTHER_CREDENTIALS = "the proxy answered 407, it wants other credentials"
_NO_SLOT = "still waiting for one of its connections to be free at the deadline"


class Dial(Protocol):
    """Opens a connection to the pool's origin, as `Dialler.dial` does."""

    async def __call__(self, *, deadline: float, on_lost: OnLost) -> Connection: ...


class PooledTransport(httpx.AsyncBaseTransport):
    """
    Sends requests to `origin` over at most `max_connections` connections, newest idle one first.

    Deliveries come as finished bytes, by `prepare` and `exchange`. Other requests of the program come from httpx, by
    `handle_async_request`, and use the same connections. A pool belongs to the event loop that it is made on, so it
    needs no lock.
    """

    def __init__(
        self,
        origin: Origin,
        dial: Dial,
        *,
        max_connections: int,
        proxy: Proxy | None = None,
        idle_seconds: float = IDLE_SECONDS,
        unix: Callable[[], float] = time.time,
        descriptors: Descriptors | None = None,
        may_send: Callable[[], bool] | None = None,
    ) -> None:
        self._may_send = may_send
        self._origin = origin
        self._dial = dial
        self._absolute_for = proxy if origin.scheme == "http" else None
        self._idle_seconds = idle_seconds
        self._unix = unix
        self._loop = asyncio.get_running_loop()
        self._slots = Slots(max_connections)
        self._idle: list[Connection] = []
        self._closing: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._descriptors = descriptors or Descriptors()
        self._descriptors.join(self)
        self._places: dict[Connection, Place] = {}
        self._granted: list[Place] = []
        self.held = 0
        """Descriptors that the pool has, as `Descriptors` counts them."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        The answer with the kept part of its body, see `answer`; there is nothing to close.

        One deadline covers everything from the wait for a slot to the last byte read. It is the longest of httpx's
        timeouts, else DEFAULT_TIMEOUT_SECONDS. `response.extensions["address"]` is the IP address that answered.
        Raises TransportFailure when no complete head of an answer came in time.
        """
        deadline = self._loop.time() + timeout_seconds_of(request)
        self._check_origin(request.url)
        encoded = encode_request(request, await request.aread(), proxy=self._absolute_for)
        answer = await self.exchange(encoded, deadline=deadline)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(answer.body),
            extensions={"address": answer.address},
        )

    def prepare(self, url: str, fixed: Fields) -> PreparedHead:
        """Raises TransportFailure when the URL leads to another origin, or a field would break out of its line."""
        parsed = parse_url(url)
        self._check_origin(parsed)
        return PreparedHead(parsed, fixed, target=target_of(url), proxy=self._absolute_for)

    def _check_origin(self, url: httpx.URL) -> None:
        if origin_of(url) != self._origin:
            raise TransportFailure("protocol", "its URL leads to another host than the endpoint's")

    async def exchange(self, request: bytes, *, deadline: float) -> Answer:
        """
        Raises TransportFailure when no complete head of an answer came by `deadline`, by the loop's clock.

        NoDescriptor says that nothing was sent; `turn` waits for a descriptor.
        """
        if not self._slots.take():
            await self._wait_for_slot(deadline)
        connection = self._take_idle()
        if connection is None:
            return await self._exchange_anew(request, deadline)
        try:
            self._require_leave()
            answer = await connection.exchange(request, deadline=deadline)
        except ConnectionLost as lost:
            if not connection.has_answered:
                # The connection went stale while it was idle, so the request goes once more, on a new connection.
                return await self._exchange_anew(request, deadline)
            self._give_up(connection, lost)
            raise
        except BaseException as error:
            self._give_up(connection, error)
            raise
        self._release(connection)
        return self._judged(answer)

    async def _exchange_anew(self, request: bytes, deadline: float) -> Answer:
        """Exchange on a new connection, which takes over the caller's slot, whatever happens."""
        try:
            connection = await self._open(deadline)
        except BaseException:
            self._slots.give_back()
            raise
        try:
            self._require_leave()
            answer = await connection.exchange(request, deadline=deadline)
            remember_session(connection.tls, valid_until=connection.valid_until)
        except BaseException as error:
            self._give_up(connection, error)
            raise
        self._release(connection)
        return self._judged(answer)

    def _require_leave(self) -> None:
        """
        Raises NoDescriptor, which says that nothing was sent, unless the pool may send now.

        It is asked right before the request is written, because another replica may have taken over during the wait.
        """
        if self._may_send is not None and not self._may_send():
            raise NoDescriptor

    def _give_up(self, connection: Connection, error: BaseException) -> None:
        """Close the connection, because a late answer would be taken for the next request's."""
        connection.abort()
        if isinstance(error, TransportFailure):
            error.address = connection.address
        self._release(connection)

    def _judged(self, answer: Answer) -> Answer:
        if answer.status == 407 and self._absolute_for is not None:
            raise TransportFailure("proxy", _OTHER_CREDENTIALS, address=answer.address)
        return answer

    @asynccontextmanager
    async def turn(self, *, seconds: float) -> AsyncIterator[bool]:
        """
        Wait for a descriptor, which is kept for a dial while the block runs; False when none came in time.

        A pool with connections waits less, because they can take the request meanwhile.
        """
        patience = min(seconds, SECOND_TURN_SECONDS) if self.held else seconds
        place = await self._descriptors.wait(self, seconds=patience)
        if place is None:
            yield False
            return
        self._granted.append(place)
        try:
            yield True
        finally:
            if place in self._granted:  # no dial has taken it
                self._granted.remove(place)
                place.give_back()

    @property
    def idle_since(self) -> float:
        return self._idle[0].idle_since if self._idle else float("inf")

    def close_longest_idle(self) -> None:
        self._idle.pop(0).close()

    async def aclose(self) -> None:
        """Close idle connections now and each other one after its exchange; return when the idle ones are closed."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._descriptors.leave(self)
        for connection in idle:
            await connection.wait_lost()

    async def _open(self, deadline: float) -> Connection:
        """Raises TransportFailure, or NoDescriptor when there is no place for the connection."""
        place = self._granted.pop() if self._granted else self._descriptors.take(self)
        if place is None:
            raise NoDescriptor
        try:
            connection = await self._dial(deadline=deadline, on_lost=self._forget)
        except BaseException as error:
            if isinstance(error, NoDescriptor):
                self._descriptors.run_out()
            place.give_back()
            raise
        if connection.is_lost:
            place.give_back()
        else:
            self._places[connection] = place
        return connection

    async def _wait_for_slot(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.wait()
        except TimeoutError as late:
            raise TransportFailure("timeout", _NO_SLOT) from late

    def _take_idle(self) -> Connection | None:
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            is_fresh = connection.is_reusable and now < connection.idle_until
            if is_fresh and (connection.tls is None or self._unix() < connection.valid_until):
                return connection
            connection.close()
        return None

    def _release(self, connection: Connection) -> None:
        if connection.is_lost:
            self._slots.give_back()
        elif (
            connection.is_reusable
            and not self._is_closed
            and not (self._descriptors.waiting and self._is_wanted(connection))
        ):
            self._keep(connection)
            self._slots.give_back()
        else:
            # The slot comes back when the socket is closed, because the receiver counts it until then.
            self._closing.add(connection)
            connection.abort()

    def _is_wanted(self, connection: Connection) -> bool:
        """Whether others wait for the connection's descriptor and it has had its turn."""
        return self._descriptors.wants_from(self, self._places[connection])

    def _keep(self, connection: Connection) -> None:
        seconds = self._idle_seconds
        if connection.keep_alive_seconds is not None:
            # The pool gives up a second early, so that the receiver's close does not cross our next request.
            seconds = min(seconds, connection.keep_alive_seconds - 1)
        connection.idle_since = self._loop.time()
        connection.idle_until = connection.idle_since + seconds
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._idle_seconds / 4, self._sweep)

    def _sweep(self) -> None:
        """Close connections that nobody used; the timer runs only while there are idle ones."""
        now = self._loop.time()
        for connection in [each for each in self._idle if each.idle_until <= now]:
            self._idle.remove(connection)
            connection.close()
        self._sweeper = None
        if self._idle:
            self._sweeper = self._loop.call_later(self._idle_seconds / 4, self._sweep)

    def _forget(self, connection: Connection) -> None:
        place = self._places.pop(connection, None)
        if place is not None:
            place.give_back()
        if connection in self._closing:
            self._closing.discard(connection)
            self._slots.give_back()
        elif connection in self._idle:
            self._idle.remove(connection)


def timeout_seconds_of(request: httpx.Request) -> float:
    """The longest of httpx's timeouts, DEFAULT_TIMEOUT_SECONDS where there is none."""
    stages = request.extensions.get("timeout", {}).values()
    return max((each for each in stages if each is not None), default=DEFAULT_TIMEOUT_SECONDS)


def pooled_transports(
    *,
    proxy_url: str | None = None,
    resolver: Resolver | None = None,
    guard: Guard | None = None,
    idle_seconds: float = IDLE_SECONDS,
    unix: Callable[[], float] = time.time,
    descriptors: Descriptors | None = None,
    may_send: Callable[[], bool] | None = None,
) -> Callable[[Endpoint], PooledTransport]:
    """
    A factory of one transport for each endpoint, as `Sender` and `client_for` take it.

    All transports share `descriptors`, and write a request only while `may_send` says so. Raises SettingsError when
    `proxy_url` is not that of an HTTP proxy.
    """
    proxy = parse_proxy(proxy_url) if proxy_url else None
    shared = descriptors or Descriptors()
    diallers = Diallers(proxy=proxy, resolver=resolver, guard=guard, unix=unix, descriptors=shared)

    def transport_for(endpoint: Endpoint) -> PooledTransport:
        return PooledTransport(
            origin_of(parse_url(endpoint.url)),
            diallers.to(endpoint).dial,
            max_connections=endpoint.max_concurrency,
            proxy=proxy,
            idle_seconds=idle_seconds,
            unix=unix,
            descriptors=shared,
            may_send=may_send,
        )

    return transport_for
