"""
What stands between the port and the parser: whoever connects gets little memory, little time and few descriptors.

A connection has one of a few places, and the parser gets complete requests only, so it can be any protocol class:

    ASKING ──complete──▶ ANSWERING ──answered──▶ DRAINING ──all sent──▶ IDLE ──first byte──▶ ASKING
       └─────limit─────▶ REFUSED

Where all places are taken, a newcomer gets that of the connection which can best be spared: first of one that is idle,
then of the oldest whose request is not complete, then of one that does not read its answer. Never that of another.
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
"""What is read of a connection at once."""
CROWDED_SECONDS = 60.0
"""How long the log is silent after it has said that all places are taken."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What connections may take; how large a request may be is in `forwarder.web.head`."""

    connections: int = 64
    fresh_seconds: float = 0.025
    """What a newcomer has to bring its request before it can be spared for the next one."""
    head_seconds: float = 5.0
    """From the connection on, or from the first byte of a further request."""
    body_seconds: float = 10.0
    """From the head on."""
    idle_seconds: float = 5.0
    """Between two requests."""
    refused_seconds: float = 1.0
    """What a refused client has to read why, before what it still sends meets a reset (RFC 9112 §9.6)."""
    stall_seconds: float = 10.0
    stall_bytes: int = 16 * 1024
    """What a client reads of its answer within `stall_seconds`, or all that is left of it."""
    unsent_bytes: int = 32 * 1024 * 1024
    """Of all answers together, unless a single one is larger."""
    turn_seconds: float = 0.002
    """Between the beginnings of two requests."""


class Stage(IntEnum):
    """What a connection is at; the lower, the sooner it is spared."""

    REFUSED = 0
    IDLE = 1
    ASKING = 2
    DRAINING = 3
    """Answered, but the client has not taken all of it."""
    ANSWERING = 4


class Gate:
    """
    Counts the connections, and closes the one that can best be spared.

    parser: makes the protocol of one connection; it has the connection's `answered` called after each of its requests
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
        """One for all connections: what is read is taken before anything else is read."""
        self.left = asyncio.Event()
        """Set when a connection has gone, and when it is worth while to look again."""
        self.is_awaited = False
        """Somebody waits for a place while nobody can be spared: the first that is answered leaves."""
        self._connections: list[Connection] = []
        self._log = logger("web")
        self._silent_until = float("-inf")

    def __len__(self) -> int:
        return len(self._connections)

    def make_room(self) -> bool:
        """Whether one more may come in now; if not, the connection that can best be spared is on its way out."""
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
        """The protocol of a connection that comes in; `make_room` has said that it may."""
        connection = Connection(self)
        self._connections.append(connection)
        return connection

    def leave(self, connection: "Connection") -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        self.is_awaited = False
        self.left.set()

    def bound_unsent(self) -> None:
        """Close who has kept an answer waiting for longest, while all that is unsent takes too much memory."""
        draining = sorted(one for one in self._connections if one.stage is Stage.DRAINING)
        unsent_bytes = sum(one.unsent_bytes() for one in draining)
        for connection in draining[:-1]:
            if unsent_bytes > self.limits.unsent_bytes:
                unsent_bytes -= connection.unsent_bytes()
                connection.give_way()

    def close(self, *, up_to: Stage = Stage.ANSWERING) -> None:
        """Close the connections that are at such a stage, or a lower one."""
        for connection in list(self._connections):
            if connection.stage <= up_to:
                connection.give_way()

    def _say_crowded(self) -> None:
        now = self.clock.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + CROWDED_SECONDS
            self._log.warning("http.crowded", connections=len(self))


class Connection(asyncio.BufferedProtocol):
    """One connection: hands its requests on to the parser, each when it is complete and the one before is answered."""

    _transport: asyncio.Transport
    """From `connection_made` on, which comes a turn of the loop after the connection has its place."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._limits = gate.limits
        self._parser: asyncio.Protocol | None = None
        self._received = bytearray()
        self._seen_bytes = 0
        self._request_bytes: int | None = None
        """How long the request is, once its head is complete."""
        self._timer: Timer | None = None
        self._stall: Timer | None = None
        """Runs while the client does not take what was sent to it."""
        self._is_made = self._is_unwanted = False
        self._enter(Stage.ASKING)

    def __lt__(self, other: "Connection") -> bool:
        """Whether it can rather be spared."""
        return (self.stage, self._since) < (other.stage, other._since)

    def can_be_spared(self) -> bool:
        if self.stage is Stage.ASKING:
            return self._gate.clock.monotonic() - self._since >= self._limits.fresh_seconds
        return self.stage is not Stage.ANSWERING or self._stall is not None

    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def give_way(self) -> None:
        """Close at once, and lose what is unsent."""
        if not self._is_made:
            self._is_unwanted = True
            return
        if self.stage is Stage.ASKING:
            self._transport.write(CROWDED.answer)
        self._transport.abort()

    def answered(self) -> None:
        """The parser's request has its answer."""
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
        """The time for what it is at is over."""
        if self.stage is Stage.ASKING and self._received:
            self._refuse(LATE)
        else:
            self._transport.abort()

    def _rest(self) -> None:
        """Be between two requests: the place for one who waits, else the next request, which may be here already."""
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
        """See whether the request is complete by now."""
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
