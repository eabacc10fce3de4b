"""
The gate stands between port and parser. Its clients get little memory, little time and few descriptors.

A connection has one of a few places, and the parser gets complete requests only, so it can be any protocol class:

    ASKING ──complete──▶ ANSWERING ──answered──▶ DRAINING ──all sent──▶ IDLE ──first byte──▶ ASKING
       └─────limit─────▶ REFUSED

If all places are taken, a newcomer gets the place of the connection that can best be spared: an idle one, else the
oldest whose request is not complete, else one that does not read its answer. No other connection loses its place.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from forwarder.clock import Clock, Timer
from forwarder.logs import logger
from forwarder.web.head import CROWDED, LATE, Refusal, request_bytes
from forwarder.web.turns import Turns

READ_BYTES = 16 * 1024
"""Most bytes that are read of a connection at once."""
CROWDED_SECONDS = 60.0
"""The time until the log says again that all places are taken."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of connections. `forwarder.web.head` has those of a request's size."""

    connections: int = 64
    fresh_seconds: float = 0.025
    """A newcomer's time for its request, before it can be spared for the next one."""
    head_seconds: float = 5.0
    """The time for a head, from the connection on, or from the first byte of a further request."""
    body_seconds: float = 10.0
    """The time for a body, from the head on."""
    idle_seconds: float = 5.0
    """The time between two requests."""
    refused_seconds: float = 1.0
    """A refused client's time to read why, before its further bytes meet a reset (RFC 9112 §9.6)."""
    stall_seconds: float = 10.0
    stall_bytes: int = 16 * 1024
    """Fewest bytes that a client has to read of its answer within `stall_seconds`, unless it has fewer left."""
    unsent_bytes: int = 32 * 1024 * 1024
    """Most unsent bytes of all answers together, unless a single answer is larger."""
    turn_seconds: float = 0.002
    """The time between the beginnings of two requests."""


class Stage(IntEnum):
    """The stage of a connection. The lowest is spared first."""

    REFUSED = 0
    IDLE = 1
    ASKING = 2
    DRAINING = 3
    """The request is answered, but the client has not taken the whole answer."""
    ANSWERING = 4


class Gate:
    """
    Counts the connections, and closes the one that can best be spared.

    parser: makes the protocol of one connection. The protocol calls the connection's `answered` after each request.
    """

    def __init__(
        self,
        parser: Callable[["Connection"], asyncio.Protocol],
        *,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self.parser = parser
        self.clock = clock
        self.limits = limits or Limits()
        self.turns = Turns(clock, seconds=self.limits.turn_seconds)
        self.read_buffer = memoryview(bytearray(READ_BYTES))
        """One buffer for all connections, because bytes are taken out before anything else is read."""
        self.left = asyncio.Event()
        """Set when a connection has left, and when another look for a place may find one."""
        self.is_awaited = False
        """Whether a newcomer waits while no connection can be spared. The first that is answered then leaves."""
        self._connections: list[Connection] = []
        self._log = logger("web")
        self._silent_until = float("-inf")

    def __len__(self) -> int:
        return len(self._connections)

    def make_room(self) -> bool:
        """Whether one more may come in now. If not, the connection that can best be spared is closed."""
        if len(self) < self.limits.connections:
            return True
        self.left.clear()
        self._say_crowded()
        spare = min(filter(Connection.can_be_spared, self._connections), default=None)
        self.is_awaited = spare is None
        if spare is None:
            self.clock.call_later(self.limits.fresh_seconds, self.left.set)
        else:
            spare.give_way()
        return False

    def enter(self) -> "Connection":
        """The protocol of a connection that comes in, after `make_room` has said that it may."""
        connection = Connection(self)
        self._connections.append(connection)
        return connection

    def leave(self, connection: "Connection") -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        self.is_awaited = False
        self.left.set()

    def bound_unsent(self) -> None:
        """Close the connections that have drained for longest, while unsent answers take too much memory."""
        draining = sorted(one for one in self._connections if one.stage is Stage.DRAINING)
        unsent_bytes = sum(one.unsent_bytes() for one in draining)
        for connection in draining[:-1]:
            if unsent_bytes > self.limits.unsent_bytes:
                unsent_bytes -= connection.unsent_bytes()
                connection.give_way()

    def close(self, *, up_to: Stage = Stage.ANSWERING) -> None:
        """Close the connections at this stage or a lower one."""
        for connection in list(self._connections):
            if connection.stage <= up_to:
                connection.give_way()

    def _say_crowded(self) -> None:
        now = self.clock.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + CROWDED_SECONDS
            self._log.warning("http.crowded", connections=len(self))


class Connection(asyncio.BufferedProtocol):
    """A connection hands its requests on to the parser, each when it is complete and the one before is answered."""

    _transport: asyncio.Transport
    """Set by `connection_made`, which comes a turn of the loop after the connection has its place."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._limits = gate.limits
        self._parser: asyncio.Protocol | None = None
        self._received = bytearray()
        self._seen_bytes = 0
        self._request_bytes: int | None = None
        """The length of the request, once its head is complete."""
        self._timer: Timer | None = None
        self._stall: Timer | None = None
        """The timer that runs while the client does not take its answer."""
        self._is_made = self._is_unwanted = False
        self._enter(Stage.ASKING)

    def __lt__(self, other: "Connection") -> bool:
        """Whether this connection is spared before the other."""
        return (self.stage, self._since) < (other.stage, other._since)

    def can_be_spared(self) -> bool:
        if self.stage is Stage.ASKING:
            return self._gate.clock.monotonic() - self._since >= self._limits.fresh_seconds
        return self.stage is not Stage.ANSWERING or self._stall is not None

    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def give_way(self) -> None:
        """Close at once, and lose all unsent bytes."""
        if not self._is_made:
            self._is_unwanted = True
            return
        if self.stage is Stage.ASKING:
            self._transport.write(CROWDED.answer)
        self._transport.abort()

    def answered(self) -> None:
        """Note that the parser's request has its answer."""
        if self.stage is Stage.ANSWERING and self._stall is None:
            self._rest()
        elif self.stage is Stage.ANSWERING:
            self._enter(Stage.DRAINING)
            self._gate.bound_unsent()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_made = True
        if self._is_unwanted:
            self.give_way()
            return
        self._transport.set_write_buffer_limits(0)  # writing is paused while anything is unsent
        self._enter(Stage.ASKING, seconds=self._limits.head_seconds)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio calls it so
        return self._gate.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.stage is Stage.REFUSED:
            return
        self._received += self._gate.read_buffer[:nbytes]
        if self.stage >= Stage.DRAINING:
            self._transport.pause_reading()  # more requests wait with the client
            return
        if self.stage is Stage.IDLE:
            self._enter(Stage.ASKING, seconds=self._limits.head_seconds)
        self._look()

    def pause_writing(self) -> None:
        self._since = self._gate.clock.monotonic()
        self._watch()
        if self._parser is not None:
            self._parser.pause_writing()

    def resume_writing(self) -> None:
        self._unwatch()
        if self._parser is not None:
            self._parser.resume_writing()
        if self.stage is Stage.DRAINING:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gate.leave(self)
        self._gate.turns.forget(self._begin)
        self._enter(Stage.REFUSED)
        self._unwatch()
        if self._parser is not None:
            self._parser.connection_lost(exc)

    def _enter(self, stage: Stage, *, seconds: float | None = None) -> None:
        self.stage = stage
        self._since = self._gate.clock.monotonic()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._gate.clock.call_later(seconds, self._end) if seconds else None

    def _end(self) -> None:
        """Act on the end of the stage's time."""
        if self.stage is Stage.ASKING and self._received:
            self._refuse(LATE)
        else:
            self._transport.abort()

    def _rest(self) -> None:
        """Rest between two requests: leave the place to a newcomer that waits, else take the next request."""
        if self._transport.is_closing():
            return
        self._enter(Stage.IDLE, seconds=self._limits.idle_seconds)
        if self._gate.is_awaited:
            self.give_way()
            return
        self._transport.resume_reading()
        if self._received:
            self._enter(Stage.ASKING, seconds=self._limits.head_seconds)
            self._look()

    def _look(self) -> None:
        """Look whether the request is complete by now."""
        if self._request_bytes is None:
            found = request_bytes(self._received, seen_bytes=self._seen_bytes)
            if isinstance(found, Refusal):
                self._refuse(found)
                return
            self._seen_bytes = len(self._received)
            self._request_bytes = found
            if found is not None:
                self._enter(Stage.ASKING, seconds=self._limits.body_seconds)
        if self._request_bytes is not None and len(self._received) >= self._request_bytes:
            self._enter(Stage.ANSWERING)
            self._gate.turns.ask(self._begin)

    def _begin(self) -> None:
        if self._parser is None:
            self._parser = self._gate.parser(self)
            self._parser.connection_made(self._transport)
        request = bytes(self._received[: self._request_bytes])
        del self._received[: self._request_bytes]
        self._request_bytes, self._seen_bytes = None, 0
        self._parser.data_received(request)

    def _refuse(self, refusal: Refusal) -> None:
        self._received.clear()
        self._enter(Stage.REFUSED, seconds=self._limits.refused_seconds)
        self._transport.pause_reading()
        self._transport.write(refusal.answer)

    def _watch(self) -> None:
        unsent_bytes = self.unsent_bytes()
        self._stall = self._gate.clock.call_later(
            self._limits.stall_seconds, lambda: self._end_stall(unsent_bytes)
        )

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = None

    def _end_stall(self, before_bytes: int) -> None:
        if before_bytes - self.unsent_bytes() < self._limits.stall_bytes:
            self._transport.abort()
        else:
            self._watch()
