"""A webhook receiver on bare sockets that behaves as badly as a test says."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

PATIENCE_SECONDS = 20.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Received:
    """One request as it was on the wire."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)


@dataclass
class Peer:
    """One accepted connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    receiver: "Receiver"

    async def request(self) -> Received:
        """The next request; raises EOFError or OSError when there is none."""
        head = await self.head()
        length = int(head.header("content-length") or 0)
        whole = Received(head.line, head.headers, await self.reader.readexactly(length))
        self.receiver.requests.append(whole)
        return whole

    async def head(self) -> Received:
        """The next request's head; its body is left unread."""
        line, *fields = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        pairs = [(name.lower(), value) for name, value in (each.split(": ", 1) for each in fields)]
        return Received(line, pairs, b"")

    async def send(self, data: bytes) -> None:
        self.receiver.bytes_sent += len(data)
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Return when the other side has closed."""
        while await self.reader.read(65536):
            pass

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Behaviour: TypeAlias = Callable[[Peer], Awaitable[None]]


async def polite(peer: Peer) -> None:
    """Take every request, and keep the connection."""
    while True:
        await peer.request()
        await peer.send(OK)


def answering(answer: bytes) -> Behaviour:
    """Give this answer to every request, and keep the connection."""

    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer)

    return behave


@dataclass
class Receiver:
    """Counts connections and keeps requests; `behaviour` decides on each new connection."""

    behaviour: Behaviour = polite
    port: int = 0
    scheme: str = "http"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    bytes_sent: int = 0
    resumed: list[bool] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    async def until(self, condition: Callable[["Receiver"], bool]) -> None:
        """Return once `condition` holds, which is checked when a connection opens or closes."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._count(1)
        tls = writer.get_extra_info("ssl_object")
        if tls is not None:
            self.resumed.append(tls.session_reused)
        try:
            await self.behaviour(Peer(reader, writer, self))
        except (EOFError, OSError):
            pass  # the other side has gone, as many tests want it to
        finally:
            writer.close()
            await self._count(-1)

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.connections += change == 1
            self.open += change
            self.most_open = max(self.most_open, self.open)
            self._changed.notify_all()


@asynccontextmanager
async def receiving(
    behaviour: Behaviour = polite, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver that listens while the block runs."""
    receiver = Receiver(behaviour, scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(receiver.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
