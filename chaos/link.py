"""A way for TCP connections that the suite can stall, cut and reset."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

_CHUNK = 1 << 16


class Weather(Enum):
    """What becomes of connections, those that exist and those to come."""

    FAIR = "fair"
    STALLED = "stalled"
    """Nothing passes and nobody is told: half-open."""
    CUT = "cut"
    """Closed, and refused."""


@dataclass(eq=False)
class _Pair:
    """One connection from each side."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    has_stalled: bool = False

    def reset(self) -> None:
        for writer in (self.near, self.far):
            if writer is not None:
                _linger_zero(writer)
                writer.transport.abort()


@dataclass
class Link:
    """Forwards a port of its own on `host` to `target` on loopback in fair weather; an async context manager."""

    target: int
    port: int = 0
    host: str = "127.0.0.1"
    weather: Weather = Weather.FAIR
    connections: int = 0
    """Accepted so far."""
    harmed: int = 0
    """Connections that a fault has ended or frozen."""
    _pairs: set[_Pair] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def stall(self) -> None:
        """Go half-open: connections stay, and nothing passes."""
        self.weather = Weather.STALLED
        for pair in self._pairs:
            pair.has_stalled = True
        self.harmed += len(self._pairs)

    async def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self.weather = Weather.CUT
        await self._close_listener()
        self.reset()

    def reset(self) -> None:
        """End every connection by a RST; new ones are welcome, unless the link is cut."""
        self.harmed += len(self._pairs)
        for pair in list(self._pairs):
            pair.reset()

    async def heal(self) -> None:
        """Let everything through again; what was stalled has been lost on the way, and is reset."""
        self.weather = Weather.FAIR
        for pair in list(self._pairs):
            if pair.has_stalled:
                pair.reset()
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer, has_stalled=self.weather is Weather.STALLED)
        self._pairs.add(pair)
        self.connections += 1
        self.harmed += pair.has_stalled
        try:
            far_reader, pair.far = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(
                self._pump(pair, reader, pair.far), self._pump(pair, far_reader, writer)
            )
        except OSError:
            pass  # either side is away: the other one learns it by the reset below
        finally:
            self._pairs.discard(pair)
            pair.reset()

    async def _pump(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            if pair.has_stalled:
                continue
            writer.write(data)
            await writer.drain()
        if not pair.has_stalled:
            with suppress(OSError, RuntimeError):
                writer.write_eof()

    async def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_listener()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _linger_zero(writer: asyncio.StreamWriter) -> None:
    carrier = writer.get_extra_info("socket")
    with suppress(OSError):
        carrier.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
