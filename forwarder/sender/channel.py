"""What stays the same from one attempt at an endpoint to the next, worked out once."""

import asyncio
import base64
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol, TypeAlias, runtime_checkable

import httpx

from forwarder import __version__
from forwarder.routes.model import Auth, BasicAuth, Endpoint, TlsFiles
from forwarder.sender.answer import MAX_BODY_BYTES, Answer
from forwarder.sender.body import Whole, first_bytes
from forwarder.sender.dial import Origin
from forwarder.sender.failure import TransportFailure
from forwarder.sender.redaction import Redaction
from forwarder.sender.wire import Fields, PreparedHead, origin_of, parse_url, target_of

USER_AGENT = f"whatwatt-forwarder/{__version__}"
MAX_KNOWN_URLS = 1024

OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "webhook-attempt",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""Header fields that an endpoint's own `headers` cannot set: each has one meaning here, and one value."""

ConnectionKey: TypeAlias = tuple[Origin | None, int, bool, TlsFiles | None]


def connection_key(endpoint: Endpoint) -> ConnectionKey:
    """What of an endpoint its connections depend on: with the same key they may be used on after an edit."""
    try:
        origin = origin_of(parse_url(endpoint.url))
    except TransportFailure:
        origin = None  # no connection comes of it, and each attempt says so
    return origin, endpoint.max_concurrency, endpoint.allow_private, endpoint.tls


@runtime_checkable
class Engine(Protocol):
    """
    What a transport may offer beside httpx's seam: requests as finished bytes, without an object for each.

    Both raise TransportFailure.
    """

    def prepare(self, url: str, fixed: Fields) -> PreparedHead:
        """The head of POSTs to this URL, once it is judged where it leads."""

    async def exchange(self, request: bytes, *, deadline: float) -> Answer:
        """What answered the request, at the latest at `deadline` by the loop's clock."""

    def turn(self, *, seconds: float) -> AbstractAsyncContextManager[bool]:
        """Hold a descriptor for an exchange while the block runs; False when none came within so many seconds."""


class Channel:
    """One version of an endpoint, with its transport and the part of its requests that never changes."""

    def __init__(self, endpoint: Endpoint, transport: httpx.AsyncBaseTransport) -> None:
        self.endpoint = endpoint
        self.key = connection_key(endpoint)
        self.transport = transport
        self._engine = transport if isinstance(transport, Engine) else None
        self._loop = asyncio.get_running_loop()
        self._fixed = fixed_fields(endpoint)
        self.redaction = Redaction(endpoint, self._fixed)
        self._heads: dict[str, PreparedHead] = {}

    def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Awaitable[Answer]:
        """
        What answered a POST of `body` with these headers and the endpoint's own, within the endpoint's timeout.

        Raises UnicodeError for a header, and whatever the transport raises.
        """
        deadline = self._loop.time() + self.endpoint.timeout_seconds
        if self._engine is None:
            return self._post_by_httpx(url, headers, body, deadline=deadline)
        head = self._heads.get(url) or self._prepare(url, self._engine)
        return self._engine.exchange(head.request(headers, body), deadline=deadline)

    def turn(self, *, seconds: float) -> AbstractAsyncContextManager[bool]:
        """A descriptor of the engine; other transports look after theirs themselves."""
        if self._engine is None:
            return nullcontext(enter_result=True)
        return self._engine.turn(seconds=seconds)

    def _prepare(self, url: str, engine: Engine) -> PreparedHead:
        head = engine.prepare(url, self._fixed)
        if len(self._heads) >= MAX_KNOWN_URLS:
            self._heads.clear()
        self._heads[url] = head
        return head

    async def _post_by_httpx(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, deadline: float
    ) -> Answer:
        parsed = parse_url(url)
        fields = [(b"host", parsed.netloc), (b"content-length", b"%d" % len(body)), *self._fixed]
        fields += [(name.encode(), value.encode()) for name, value in headers]
        request = httpx.Request(
            "POST",
            parsed,
            headers=fields,
            stream=Whole(body),
            extensions={"deadline": deadline, "target": target_of(url)},
        )
        response = await self.transport.handle_async_request(request)
        answer = Answer()
        answer.status, answer.headers = response.status_code, response.headers.raw
        answer.body = await first_bytes(response, limit=MAX_BODY_BYTES)
        return answer


def fixed_fields(endpoint: Endpoint) -> list[tuple[bytes, bytes]]:
    """The header fields that every attempt at this endpoint carries, its own after ours."""
    fields = [(b"user-agent", USER_AGENT.encode()), (b"accept-encoding", b"identity")]
    taken = OURS | {"authorization"} if endpoint.auth is not None else OURS
    for name, value in endpoint.headers:
        if name.lower() not in taken:
            fields.append((name.encode(), value.encode()))
    if endpoint.auth is not None:
        fields.append((b"authorization", authorization(endpoint.auth)))
    return fields


def authorization(auth: Auth) -> bytes:
    """The value of Authorization: Basic in UTF-8 (RFC 7617 §2.1), or Bearer (RFC 6750 §2.1)."""
    if isinstance(auth, BasicAuth):
        return b"Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode())
    return f"Bearer {auth.token}".encode()
