"""A broker that follows a test's script byte by byte, to do what no well-behaved broker does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from support.mosquitto import HOST

from forwarder.settings import Broker

CONNACK = b"\x20\x02\x00\x00"
SUBACK_QOS_1 = b"\x90\x03\x00\x01\x01"


class Conversation:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        """The next packet, whole; raises asyncio.IncompleteReadError when the client is gone."""
        head = await self._reader.readexactly(2)
        length, shift = head[1] & 127, 7
        while head[-1] & 128:
            head += await self._reader.readexactly(1)
            length, shift = length | (head[-1] & 127) << shift, shift + 7
        return head + await self._reader.readexactly(length)

    def send(self, packet: bytes) -> None:
        self._writer.write(packet)

    async def drain(self) -> None:
        """Return once the client has taken most of what was sent."""
        await self._writer.drain()

    async def accept(self) -> None:
        """Take CONNECT and SUBSCRIBE, and grant both."""
        await self.receive()
        self.send(CONNACK)
        await self.receive()
        self.send(SUBACK_QOS_1)


Script = Callable[[Conversation], Awaitable[None]]


@asynccontextmanager
async def scripted_broker(
    script: Script, *, server_files: tuple[Path, Path] | None = None
) -> AsyncIterator[Broker]:
    """A broker, as the forwarder reaches it, that runs `script` for each connection and closes it after the script."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await script(Conversation(reader, writer))
        writer.close()

    context = None
    if server_files is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # Weak certificates are allowed, because some tests are about a broker with one.
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.load_cert_chain(*server_files)
    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Broker(
            host=HOST,
            port=port,
            use_tls=context is not None,
            client_id="whatwatt-forwarder",
            topics=("ext/#",),
        )
    finally:
        server.close()


async def hold(conversation: Conversation) -> None:
    """Take every packet, and say nothing, until the client goes."""
    while True:
        await conversation.receive()
