"""A small HTTP/1.1 server for webhooks: it gives whole requests one answer each, in order, and keeps connections."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httptools

MAX_BODY_BYTES = 8 << 20
MAX_HEAD_BYTES = 64 << 10
_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Request:
    """One complete HTTP request. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, after `delay_seconds`."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay_seconds: float = 0.0
    hang_up: bool = False
    """Whether to close the connection instead of answering."""


Respond = Callable[[Request], Awaitable[Answer]]


class Receiver:
    """Serves `respond` on `host` and `port`. Port 0 asks the system for a free one, which `port` then tells."""

    def __init__(self, respond: Respond, *, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._respond = respond
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken or not ours."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the socket and every connection, answered or not."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._converse(reader, writer)
        # `stop` cancels this. asyncio's streams would report that as an error of theirs.
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assembly = _Assembly()
        while data := await reader.read(_READ_BYTES):
            if (refusal := assembly.feed(data)) is not None:
                writer.write(_written(refusal, keep_alive=False))
                return
            while assembly.complete:
                request, keep_alive = assembly.complete.popleft()
                answer = await self._respond(request)
                await asyncio.sleep(answer.delay_seconds)
                if answer.hang_up:
                    return
                writer.write(_written(answer, keep_alive=keep_alive))
                await writer.drain()
                if not keep_alive:
                    return


@dataclass(slots=True)
class _Draft:
    target: bytearray = field(default_factory=bytearray)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Assembly:
    """Puts requests together from httptools' callbacks. `complete` holds them with their keep-alive."""

    def __init__(self) -> None:
        self.complete: deque[tuple[Request, bool]] = deque()
        self._parser = httptools.HttpRequestParser(self)
        self._draft = _Draft()
        self._is_too_large = False
        self._is_in_head = False
        self._head_bytes = 0

    def feed(self, data: bytes) -> Answer | None:
        """Take more bytes. An answer that is returned ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            return Answer(400)
        if self._is_in_head:
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            return Answer(431)
        return Answer(413) if self._is_too_large else None

    def on_message_begin(self) -> None:
        self._draft = _Draft()
        self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False

    def on_url(self, url: bytes) -> None:
        self._draft.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._draft.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if len(self._draft.body) + len(body) > MAX_BODY_BYTES:
            self._is_too_large = True
        else:
            self._draft.body += body

    def on_message_complete(self) -> None:
        draft = self._draft
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=draft.target.decode("latin-1"),
            headers=draft.headers,
            body=bytes(draft.body),
        )
        self.complete.append((request, self._parser.should_keep_alive()))


def _written(answer: Answer, *, keep_alive: bool) -> bytes:
    known = {status.value: status.phrase for status in HTTPStatus}
    lines = [
        f"HTTP/1.1 {answer.status} {known.get(answer.status, 'Unknown')}",
        *(f"{name}: {value}" for name, value in answer.headers),
        f"content-length: {len(answer.body)}",
        f"connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
