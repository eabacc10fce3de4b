"""
Every request that is no delivery, by httpx's client over the deliveries' own transport.

    httpx.AsyncClient ─▶ Discreet ─▶ PooledTransport ─▶ resolve ▸ guard ▸ connect ▸ (proxy) ▸ TLS
                            │
                            └─ hides in the answer what the endpoint was told in confidence

So one guard, one set-up of TLS, one deadline and one redaction hold for whatever the program asks for. A client makes
several objects for each request: deliveries go by `Sender`.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import httpx

from forwarder.routes.model import Endpoint
from forwarder.sender.answer import MAX_BODY_BYTES
from forwarder.sender.redaction import Redaction
from forwarder.sender.request import fixed_fields, parse_url, target_of

_ACTED_ON = frozenset({b"content-encoding", b"location", b"set-cookie"})
"""Fields of an answer that httpx's client acts on: it decodes the body, prepares the next request, keeps the cookie."""

HttpxTransportFor: TypeAlias = Callable[[Endpoint], httpx.AsyncBaseTransport]


def client_for(endpoint: Endpoint, *, transport_for: HttpxTransportFor) -> httpx.AsyncClient:
    """
    A client for requests to one endpoint's host, with the endpoint's header fields and credentials in each.

    The endpoint's timeout covers a whole request. Path and query are sent as they are written in the URL. Redirects,
    cookies and the environment's proxies count for nothing. An answer is at most MAX_BODY_BYTES of body, as it was on
    the wire, without secrets; `response.extensions["address"]` is the IP address that gave it, where that is known.

    It is made on the loop that it works on; whoever has it closes it. Raises TransportFailure when the endpoint's URL
    leads nowhere. Its requests raise TransportFailure for whatever was in the way; NoDescriptor means ourselves.
    """
    fixed = fixed_fields(endpoint)
    client = _Verbatim(
        transport=Discreet(transport_for(endpoint), Redaction(endpoint, fixed)),
        timeout=endpoint.timeout_seconds,
        follow_redirects=False,
        trust_env=False,
    )
    client.headers.clear()  # httpx would name itself, and ask for compression
    client.headers.update(fixed)
    return client


class _Verbatim(httpx.AsyncClient):
    """Asks for the path and query that were written: `httpx.URL` takes dot segments away."""

    def build_request(self, method: str, url: httpx.URL | str, **rest: Any) -> httpx.Request:
        """Raises TransportFailure when it is no URL. With `params` the target is httpx's own."""
        if not isinstance(url, str):
            return super().build_request(method, url, **rest)
        parsed = parse_url(url)
        if not rest.get("params"):
            rest["extensions"] = {"target": target_of(url)} | (rest.get("extensions") or {})
        return super().build_request(method, parsed, **rest)


class Discreet(httpx.AsyncBaseTransport):
    """A transport whose answers are whole, hold no secret of the endpoint, and make the client do nothing."""

    def __init__(self, transport: httpx.AsyncBaseTransport, redaction: Redaction) -> None:
        self._transport = transport
        self._redaction = redaction

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what the transport beneath raises."""
        response = await self._transport.handle_async_request(request)
        body = await _first_bytes(response)
        shown = self._redaction.of(body, is_cut=len(body) >= MAX_BODY_BYTES)
        return httpx.Response(
            response.status_code,
            headers=self._without_secrets(response.headers),
            stream=httpx.ByteStream(shown),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the transport beneath."""
        await self._transport.aclose()

    def _without_secrets(self, headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
        return [
            (name, self._redaction.of(value))
            for name, value in headers.raw
            if name.lower() not in _ACTED_ON
        ]


async def _first_bytes(response: httpx.Response) -> bytes:
    """As they were on the wire: a content-encoding is the receiver's, and is not undone."""
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - what an async transport returns
    whole = b"".join([piece async for piece in response.stream])
    return whole[:MAX_BODY_BYTES]
