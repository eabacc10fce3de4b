"""A connection writes a request, reads its answer, and can then be used again or is spent."""

import asyncio
import math
from typing import TYPE_CHECKING, TypeAlias

from forwarder.sender.answer import Answer, AnswerReader
from forwarder.sender.failure import ConnectionLost, TransportFailure, lost_connection
from forwarder.sender.tls import end_of_certificate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

OnLost: TypeAlias = "Callable[[Connection], None]"

_TIMED_OUT = "no complete answer within the endpoint's timeout"


class Connection(asyncio.Protocol):
    """
    A connection that carries one exchange at a time.

    `on_lost` is called once, when its socket is closed. Bytes that come without a request end the connection, because
    they must not become the next request's answer.
    """

    def __init__(self, *, on_lost: OnLost) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._request = b""
        """The request that is still to be written."""
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self.is_reusable = True
        """Whether another request may be written."""
        self.is_lost = False
        self.tls: ssl.SSLObject | None = None
        self.valid_until = math.inf
        """UNIX seconds at which the receiver's certificate ends; nothing is written from then on."""
        self.idle_since = 0.0
        """The loop's time at which the connection was used last."""
        self.idle_until = 0.0
        """The loop's time until which the pool may use the connection again."""

    @property
    def has_answered(self) -> bool:
        """Whether a byte came since the last request was written."""
        return self._reader.wire_bytes > 0

    @property
    def address(self) -> str | None:
        """The IP address that the connection leads to: the receiver's, or the proxy's."""
        return self._reader.address

    @property
    def keep_alive_seconds(self) -> int | None:
        """How long the receiver says it keeps an idle connection."""
        return self._reader.answer.keep_alive_seconds

    def exchange(self, request: bytes, *, deadline: float) -> "asyncio.Future[Answer]":
        """
        Write `request` in the next turn of the loop; the future holds its answer, at the latest at `deadline` by the
        loop's clock.

        Raises TransportFailure, as does the future when no complete head came. A caller that gives up the future has
        to call `abort`.
        """
        self._reader.begin()
        if self._transport is None or not self.is_reusable:
            raise ConnectionLost("reset", "the receiver closed the idle connection")
        self._deadline = deadline
        # A connection moves its one timer when it rings, because a timer for every request costs more.
        if self._timer is None or self._timer.when() > deadline:
            self._set_timer()
        # A future costs less than a coroutine; it is awaited in one place, once a request.
        self._waiter = self._loop.create_future()
        # The write waits for the rest of this turn, because a receiver that wakes may take the core and its caches.
        self._request = request
        self._loop.call_soon(self._write)
        return self._waiter

    def _write(self) -> None:
        request, self._request = self._request, b""
        if self._transport is not None and self.is_reusable:
            self._transport.write(request)

    def abort(self) -> None:
        """Close the socket now, whatever is going on."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection; TLS says goodbye, and does not wait for the other side's (RFC 8446 §6.1)."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.close()
            self._loop.call_soon(self.abort)

    async def wait_lost(self) -> None:
        """Return when the socket is closed."""
        await asyncio.shield(self._lost)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # asyncio types it too widely
        self.tls = transport.get_extra_info("ssl_object")
        self.valid_until = end_of_certificate(self.tls)
        peer = transport.get_extra_info("peername")
        self._reader.address = peer[0] if peer else None

    def data_received(self, data: bytes) -> None:
        waiter, reader = self._waiter, self._reader
        if waiter is None or waiter.done() or self._request:
            self.abort()
            return
        reader.feed(data)
        if reader.violation:
            self._end(TransportFailure("protocol", reader.violation))
        elif reader.is_over:
            # An answer may overtake its request, and the unwritten rest would then mix with the next request.
            self.is_reusable = reader.is_reusable and not self._unwritten()
            waiter.set_result(reader.answer)

    def eof_received(self) -> None:
        self._end(lost_connection(None, has_answered=self.has_answered))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(lost_connection(exc, has_answered=self.has_answered))
        self._transport = None
        self.is_lost = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._lost.done():
            self._lost.set_result(None)
        self._on_lost(self)

    def _unwritten(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport else 0

    def _end(self, failure: TransportFailure) -> None:
        """Read nothing more: a complete head stands as the answer, and without one the exchange has failed."""
        self.abort()
        if self._waiter is None or self._waiter.done():
            return
        if self._reader.answer.status:
            self._waiter.set_result(self._reader.answer)
        else:
            self._waiter.set_exception(failure)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self._end(TransportFailure("timeout", _TIMED_OUT))
