"""
The sender POSTs one attempt to an endpoint and returns its result. It never retries and never raises.

    Sender    every endpoint, as it is now
    Channel   one version of an endpoint: its transport, and the part of its requests that never changes
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

import httpx

from forwarder.delivery import AttemptResult, Failed, Unsent, classify
from forwarder.logs import logger
from forwarder.routes.model import BearerAuth, Endpoint, EndpointName, OAuth2, TlsFiles
from forwarder.sender.answer import MAX_BODY_BYTES, Answer
from forwarder.sender.failure import NoDescriptor, TransportFailure
from forwarder.sender.redaction import Redaction
from forwarder.sender.request import (
    Fields,
    Origin,
    PreparedHead,
    authorization,
    fixed_fields,
    origin_of,
    parse_url,
)
from forwarder.sender.tokens import Token, Tokens

RETRY_AFTER_STATUSES = (429, 503)
ACCEPTED_BYTES = 512
"""How much of a success's answer is kept: little, because nobody stores it and redacting it costs each reading."""
MAX_KNOWN_URLS = 1024
_UNAUTHORIZED = 401

_NOT_UTF_8 = "one of its header fields cannot be written in UTF-8"


class Transport(Protocol):
    """
    The seam of the sender: the connections to one endpoint. Requests go out as finished bytes, without an object each.

    Every method but `aclose` may raise TransportFailure.
    """

    def prepare(self, url: str, fixed: Fields) -> PreparedHead:
        """The head of POSTs to this URL, after a check of where the URL leads."""

    async def exchange(self, request: bytes, *, deadline: float) -> Answer:
        """The answer to the request, at the latest at `deadline` by the loop's clock."""

    def turn(self, *, seconds: float) -> AbstractAsyncContextManager[bool]:
        """Hold a descriptor for an exchange while the block runs; False when none came within so many seconds."""

    async def aclose(self) -> None:
        """Close idle connections now, and every other connection after its exchange."""


TransportFor: TypeAlias = Callable[[Endpoint], Transport]

ConnectionKey: TypeAlias = tuple[Origin | None, int, bool, TlsFiles | None]


def connection_key(endpoint: Endpoint) -> ConnectionKey:
    """The settings that an endpoint's connections depend on; connections outlive an edit that keeps the key."""
    try:
        origin = origin_of(parse_url(endpoint.url))
    except TransportFailure:
        origin = None  # such a URL gets no connection, and each attempt says so
    return origin, endpoint.max_concurrency, endpoint.allow_private, endpoint.tls


class Channel:
    """One version of an endpoint, with its transport and the part of its requests that never changes."""

    def __init__(self, endpoint: Endpoint, transport: Transport) -> None:
        self.endpoint = endpoint
        self.key = connection_key(endpoint)
        self.transport = transport
        self._loop = asyncio.get_running_loop()
        self._fixed = fixed_fields(endpoint)
        self.redaction = Redaction(endpoint, self._fixed)
        self._heads: dict[str, PreparedHead] = {}
        self._token: Token | None = None
        self.needs_token = isinstance(endpoint.auth, OAuth2)

    def carry(self, token: Token) -> None:
        """Send this token with every request from now on, and hide it in answers."""
        if token is not self._token:
            self._token = token
            bearer = (b"authorization", authorization(BearerAuth(token.text)))
            self._fixed = [*fixed_fields(self.endpoint), bearer]
            self.redaction = Redaction(self.endpoint, self._fixed)
            self._heads.clear()

    @property
    def deadline(self) -> float:
        """The end of an attempt that begins now, by the loop's clock."""
        return self._loop.time() + self.endpoint.timeout_seconds

    def post(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, deadline: float
    ) -> Awaitable[Answer]:
        """
        The answer to a POST of `body` with these headers and the endpoint's own.

        Raises TransportFailure, and UnicodeError when a header cannot be encoded.
        """
        head = self._heads.get(url) or self._prepare(url)
        return self.transport.exchange(head.request(headers, body), deadline=deadline)

    def _prepare(self, url: str) -> PreparedHead:
        head = self.transport.prepare(url, self._fixed)
        if len(self._heads) >= MAX_KNOWN_URLS:
            self._heads.clear()
        self._heads[url] = head
        return head


class Sender:
    """POSTs to endpoints, each over its own transport, which `transport_for` makes when it is first needed."""

    def __init__(self, transport_for: TransportFor, *, tokens: Tokens | None = None) -> None:
        self._transport_for = transport_for
        self._tokens = tokens
        self._channels: dict[EndpointName, Channel] = {}
        self._closing: set[asyncio.Future[None]] = set()

    async def post(
        self, endpoint: Endpoint, *, url: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> AttemptResult | Unsent:
        """
        The result of a POST of `body` to `url` with these headers and the endpoint's own.

        The result is Unsent when there was no descriptor for a connection; `turn` waits for one.
        One deadline, the endpoint's timeout, covers everything from the look-up of the name to the last byte read.
        Raises nothing but CancelledError, and a cancelled attempt leaves no connection behind.
        """
        try:
            channel = self._channels.get(endpoint.name)
            if channel is None or channel.endpoint is not endpoint:
                channel = self._renew(endpoint, channel)
            if channel.needs_token:
                return await self._post_with_token(channel, url, headers, body)
            answer = await channel.post(url, headers, body, deadline=channel.deadline)
        except NoDescriptor:
            return Unsent()
        except TransportFailure as failure:
            return Failed(failure.word, detail=failure.detail, address=failure.address)
        except UnicodeError:
            return Failed("protocol", detail=_NOT_UTF_8)
        except Exception as error:  # noqa: BLE001 - a bug in here must cost an attempt, not the dispatcher
            return _broken(endpoint, error)
        return _result(answer, channel.endpoint, channel.redaction)

    async def _post_with_token(
        self, channel: Channel, url: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> AttemptResult:
        """POST with an OAuth 2.0 token; after a 401 renew the token once and send once more, by the same deadline."""
        assert self._tokens is not None  # noqa: S101 - a sender with such endpoints is given some
        endpoint, deadline = channel.endpoint, channel.deadline
        token = await self._tokens.current(endpoint, deadline=deadline)
        channel.carry(token)
        # Taken now, because another attempt may bring the next token during the POST.
        redaction = channel.redaction
        answer = await channel.post(url, headers, body, deadline=deadline)
        if answer.status == _UNAUTHORIZED and _UNAUTHORIZED not in endpoint.success:
            renewed = await self._tokens.renewed(endpoint, token, deadline=deadline)
            if renewed is not token:
                channel.carry(renewed)
                redaction = channel.redaction
                answer = await channel.post(url, headers, body, deadline=deadline)
        return _result(answer, endpoint, redaction)

    def turn(self, endpoint: Endpoint, *, seconds: float) -> AbstractAsyncContextManager[bool]:
        """
        Wait at most so long for a descriptor, and keep it for a `post` to the endpoint while the block runs.

        False when none came in time.
        """
        channel = self._channels.get(endpoint.name)
        if channel is None or channel.endpoint is not endpoint:
            channel = self._renew(endpoint, channel)
        return channel.transport.turn(seconds=seconds)

    def retain(self, endpoints: Collection[Endpoint]) -> None:
        """
        Close the connections of endpoints that are not among these, or whose connections an edit has outdated.

        Attempts in flight go on; their connections are closed after them. Tokens that no endpoint has are forgotten.
        """
        keys = {endpoint.name: connection_key(endpoint) for endpoint in endpoints}
        if self._tokens is not None:
            self._tokens.retain(endpoints)
        for name, channel in list(self._channels.items()):
            if keys.get(name) != channel.key:
                self._retire(self._channels.pop(name))

    async def aclose(self) -> None:
        """Close every idle connection; the caller has awaited or cancelled the attempts in flight."""
        self.retain(())
        if self._tokens is not None:
            self._tokens.close()
        await asyncio.gather(*self._closing)

    def _retire(self, channel: Channel) -> None:
        """Close the channel's transport beside the attempts, so that none waits for it."""
        closing = asyncio.ensure_future(channel.transport.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _renew(self, endpoint: Endpoint, channel: Channel | None) -> Channel:
        """A channel for this version of the endpoint, over the same transport if its key has not changed."""
        if channel is not None and channel.key == connection_key(endpoint):
            renewed = Channel(endpoint, channel.transport)
        else:
            if channel is not None:
                self._retire(channel)
            renewed = Channel(endpoint, self._transport_for(endpoint))
        self._channels[endpoint.name] = renewed
        return renewed


def _broken(endpoint: Endpoint, error: Exception) -> Failed:
    """Log where the error came from, but not its text, because that may quote a header or a URL."""
    kind, frames = type(error).__name__, traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    logger("sender").error("attempt.broken", endpoint=endpoint.name, error=kind, place=place)
    return Failed("protocol", detail=f"an error in the forwarder itself ({kind})")


def _result(answer: Answer, endpoint: Endpoint, redaction: Redaction) -> AttemptResult:
    status = answer.status
    most = ACCEPTED_BYTES if status in endpoint.success else MAX_BODY_BYTES
    shown = redaction.of(answer.body[:most], is_cut=len(answer.body) >= most)
    hint = None
    if status in RETRY_AFTER_STATUSES:
        hint = httpx.Headers(answer.headers).get("retry-after")
    return classify(
        status,
        success=endpoint.success,
        refused=endpoint.refused,
        retry_after=hint,
        answer=shown,
        address=answer.address,
    )
