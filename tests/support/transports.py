"""Transports that end at a test's handler of httpx requests, such as respx's router."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

import h11
import httpx

from forwarder.sender.answer import MAX_BODY_BYTES, Answer
from forwarder.sender.failure import TransportFailure
from forwarder.sender.request import Fields, PreparedHead, parse_url, target_of


class HandledTransport:
    """A sender's Transport that passes requests to `handle`, whose response is the answer."""

    def __init__(self, handle: Callable[[httpx.Request], Awaitable[httpx.Response]]) -> None:
        self._handle = handle
        self._scheme = ""

    def prepare(self, url: str, fixed: Fields) -> PreparedHead:
        parsed = parse_url(url)
        self._scheme = parsed.scheme
        return PreparedHead(parsed, fixed, target=target_of(url), proxy=None)

    async def exchange(self, request: bytes, *, deadline: float) -> Answer:
        response = await self._handle(parsed_request(request, scheme=self._scheme))
        answer = Answer()
        answer.status, answer.headers = response.status_code, response.headers.raw
        answer.body = response.content[:MAX_BODY_BYTES]
        return answer

    def turn(self, *, seconds: float) -> AbstractAsyncContextManager[bool]:
        return nullcontext(enter_result=True)

    async def aclose(self) -> None:
        """Close nothing, because there are no connections."""


def parsed_request(request: bytes, *, scheme: str) -> httpx.Request:
    """The bytes of one whole request, as a strict server reads them."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(request)
    head, body = server.next_event(), b""
    assert isinstance(head, h11.Request)
    while not isinstance(event := server.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        body += event.data
    fields = list(head.headers)
    host = dict(fields)[b"host"].decode()
    url = f"{scheme}://{host}{head.target.decode()}"
    return httpx.Request(head.method.decode(), url, headers=fields, content=body)


@dataclass
class AnyReceiver:
    """The receiver behind every endpoint's URL."""

    status: int = 204
    answer: bytes = b""
    failure: TransportFailure | None = None
    received: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        if self.failure is not None:
            raise self.failure
        # The answer is a stream, because the sender reads the bytes of the wire.
        stream = httpx.ByteStream(self.answer)
        return httpx.Response(self.status, stream=stream, extensions={"address": "192.0.2.7"})
