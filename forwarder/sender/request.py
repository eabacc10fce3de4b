"""
A request as the bytes of HTTP/1.1: head and body in one piece, so that one write sends them.

    PreparedHead     POSTs to one URL: the head is checked once, an attempt adds its own fields and the body
    encode_request   any request of httpx's

Both write the same bytes for the same request.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

import httpx

from forwarder import __version__
from forwarder.routes.model import BasicAuth, BearerAuth, Endpoint, OAuth2
from forwarder.sender.failure import TransportFailure
from forwarder.sender.proxy import Proxy

USER_AGENT = f"whatwatt-forwarder/{__version__}"

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
"""Header fields that an endpoint's own `headers` cannot set, because the forwarder gives each its one value."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PARTS = re.compile(r"[^:/?#]+://[^/?#]*([^?#]*)(\?[^#]*)?")
"""Path and query of an absolute URL (RFC 3986, appendix B)."""
_AS_THEY_STAND = "!$%&'()*+,/:;=@[\\]^|"
"""Characters that stay as they are, like letters, digits and `-._~`; `%` stays, so nothing is encoded twice."""
_BREAKS = b"\r\n\0"
_BROKEN_LINE = "one of its header fields holds a line break"

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Origin:
    """The scheme, host and port that a connection belongs to (RFC 9110 §4.3.1)."""

    scheme: str
    host: str
    port: int


def parse_url(url: str) -> httpx.URL:
    """Raises TransportFailure when the text is no URL."""
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as invalid:
        raise TransportFailure("protocol", "its URL is not valid") from invalid


def target_of(url: str) -> bytes:
    """
    Path and query of a URL that `parse_url` takes, in origin form (RFC 9112 §3.2.1): the bytes of the request line.

    Percent-encoding changes only what cannot stand in a request line. Nothing is normalised, because a URL without its
    dot segments leads to another path than the one that was checked.
    """
    parts = _PARTS.match(url)
    path, query = parts.groups(default="") if parts else ("", "")
    target = quote(path or "/", safe=_AS_THEY_STAND) + quote(query, safe=_AS_THEY_STAND + "?`{}")
    return target.encode("ascii")


def origin_of(url: httpx.URL) -> Origin:
    """Raises TransportFailure when the URL is none of http or https, or has no host."""
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise TransportFailure("protocol", "its URL is not one of http or https with a host")
    host = url.raw_host.decode("ascii").strip("[]").lower()
    return Origin(url.scheme, host, url.port or _DEFAULT_PORTS[url.scheme])


def fixed_fields(endpoint: Endpoint) -> list[tuple[bytes, bytes]]:
    """The header fields of every request to this endpoint, its own after ours, without an OAuth 2.0 token."""
    fields = [(b"user-agent", USER_AGENT.encode()), (b"accept-encoding", b"identity")]
    taken = OURS | {"authorization"} if endpoint.auth is not None else OURS
    for name, value in endpoint.headers:
        if name.lower() not in taken:
            fields.append((name.encode(), value.encode()))
    if endpoint.auth is not None and not isinstance(endpoint.auth, OAuth2):
        fields.append((b"authorization", authorization(endpoint.auth)))
    return fields


def authorization(auth: BasicAuth | BearerAuth) -> bytes:
    """The value of Authorization: Basic in UTF-8 (RFC 7617 §2.1), or Bearer (RFC 6750 §2.1)."""
    if isinstance(auth, BasicAuth):
        return b"Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode())
    return f"Bearer {auth.token}".encode()


class PreparedHead:
    """
    The head of every POST to one URL without the fields of one attempt; it is checked once, when it is prepared.

    `target` is that of the URL, see `target_of`. The fields of `fixed` follow host and content-length, and an attempt's
    own come after them. Raises TransportFailure for a field that would break out of its line (RFC 9112 §11.1).
    """

    __slots__ = ("_end", "_fixed", "_start")

    def __init__(
        self, url: httpx.URL, fixed: Fields, *, target: bytes, proxy: Proxy | None
    ) -> None:
        form = _form(url, target, proxy)
        start = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (form, url.netloc)
        self._start = _whole_lines(start, 2) + b"content-length: "
        self._fixed = b"\r\n" + _whole_lines(_lines(fixed), len(fixed))
        self._end = _lines(_proxy_fields(proxy)) + b"\r\n"

    def request(self, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
        """
        The whole request.

        Raises TransportFailure like the class, and UnicodeError for what UTF-8 cannot hold.
        """
        own = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode()
        _whole_lines(own, len(headers))
        return b"".join((self._start, b"%d" % len(body), self._fixed, own, self._end, body))


def encode_request(request: httpx.Request, body: bytes, *, proxy: Proxy | None) -> bytes:
    """
    The whole request with this body; a request through a proxy has its target in absolute form.

    The target is `request.extensions["target"]`, as in httpcore, else that of the request's URL. The body always goes
    with its length, even if httpx meant to send it in chunks.

    Raises TransportFailure for a field that would break out of its line (RFC 9112 §11.1).
    """
    target = request.extensions.get("target", request.url.raw_path)
    form = _form(request.url, target, proxy)
    line = b"%b %b HTTP/1.1\r\n" % (request.method.encode("ascii"), form)
    fields = [*_framed_by_length(request.headers.raw, body), *_proxy_fields(proxy)]
    return _whole_lines(line + _lines(fields), 1 + len(fields)) + b"\r\n" + body


def _framed_by_length(fields: Fields, body: bytes) -> Fields:
    kept = [field for field in fields if field[0].lower() != b"transfer-encoding"]
    return fields if len(kept) == len(fields) else [*kept, (b"content-length", b"%d" % len(body))]


def _proxy_fields(proxy: Proxy | None) -> Fields:
    if proxy is None or proxy.authorization is None:
        return []
    return [(b"proxy-authorization", proxy.authorization)]


def _lines(fields: Fields) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def _whole_lines(lines: bytes, count: int) -> bytes:
    """The lines, each ending in CRLF; raises TransportFailure when one holds another break or NUL."""
    if len(lines) - len(lines.translate(None, _BREAKS)) != 2 * count:
        raise TransportFailure("protocol", _BROKEN_LINE)
    return lines


def _form(url: httpx.URL, target: bytes, proxy: Proxy | None) -> bytes:
    if proxy is None:
        return target
    return b"".join((url.scheme.encode("ascii"), b"://", url.netloc, target))
