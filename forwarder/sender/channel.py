"""What stays the same from one attempt at an endpoint to the next, worked out once."""

import base64
from collections.abc import Sequence
from typing import TypeAlias

import httpx

from forwarder import __version__
from forwarder.routes.model import Auth, BasicAuth, Endpoint, TlsFiles
from forwarder.sender.body import Whole
from forwarder.sender.dial import Origin
from forwarder.sender.failure import TransportFailure
from forwarder.sender.redaction import Redaction
from forwarder.sender.wire import origin_of, parse_url

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

Fields: TypeAlias = list[tuple[bytes, bytes]]
ConnectionKey: TypeAlias = tuple[Origin | None, int, bool, TlsFiles | None]


def connection_key(endpoint: Endpoint) -> ConnectionKey:
    """What of an endpoint its connections depend on: with the same key they may be used on after an edit."""
    try:
        origin = origin_of(parse_url(endpoint.url))
    except TransportFailure:
        origin = None  # no connection comes of it, and each attempt says so
    return origin, endpoint.max_concurrency, endpoint.allow_private, endpoint.tls


class Channel:
    """One version of an endpoint, with its transport and the part of its requests that never changes."""

    def __init__(self, endpoint: Endpoint, transport: httpx.AsyncBaseTransport) -> None:
        self.endpoint = endpoint
        self.key = connection_key(endpoint)
        self.transport = transport
        self._fixed = fixed_fields(endpoint)
        self.redaction = Redaction(endpoint, self._fixed)
        self._urls: dict[str, httpx.URL] = {}

    def request(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, deadline: float
    ) -> httpx.Request:
        parsed = self._urls.get(url) or self._parse(url)
        fields = [(b"host", parsed.netloc), (b"content-length", b"%d" % len(body)), *self._fixed]
        fields += [(name.encode(), value.encode()) for name, value in headers]
        return httpx.Request(
            "POST",
            parsed,
            headers=fields,
            stream=Whole(body),
            extensions={"deadline": deadline},
        )

    def _parse(self, url: str) -> httpx.URL:
        parsed = parse_url(url)
        if len(self._urls) >= MAX_KNOWN_URLS:
            self._urls.clear()
        self._urls[url] = parsed
        return parsed


def fixed_fields(endpoint: Endpoint) -> Fields:
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
