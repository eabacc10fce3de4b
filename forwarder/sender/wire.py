"""A request as the bytes of HTTP/1.1: head and body in one piece, so that one write sends them."""

from collections.abc import Sequence
from typing import TypeAlias

import httpx

from forwarder.sender.dial import Origin
from forwarder.sender.failure import TransportFailure
from forwarder.sender.proxy import Proxy

_DEFAULT_PORTS = {"http": 80, "https": 443}
_BREAKS = b"\r\n\0"
_BROKEN_LINE = "one of its header fields holds a line break"

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]


def parse_url(url: str) -> httpx.URL:
    """
    Raises TransportFailure when it is no URL.
    """
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as invalid:
        raise TransportFailure("protocol", "its URL is not valid") from invalid


def origin_of(url: httpx.URL) -> Origin:
    """
    Raises TransportFailure when the URL is none of http or https, or has no host.
    """
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise TransportFailure("protocol", "its URL is not one of http or https with a host")
    host = url.raw_host.decode("ascii").strip("[]").lower()
    return Origin(url.scheme, host, url.port or _DEFAULT_PORTS[url.scheme])


class PreparedHead:
    """
    The head of every POST to one URL, but for the fields of one attempt; judged once, when it is prepared.

    `fixed` follow host and content-length, what an attempt adds follows those. Raises TransportFailure for a field
    that would break out of its line (RFC 9112 §11.1).
    """

    __slots__ = ("_end", "_fixed", "_start")

    def __init__(self, url: httpx.URL, fixed: Fields, *, proxy: Proxy | None) -> None:
        start = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (_target(url, proxy), url.netloc)
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


def encode_head(request: httpx.Request, *, proxy: Proxy | None) -> bytes:
    """
    The request line and the header fields; through a proxy in absolute form.

    Raises TransportFailure for a field that would break out of its line (RFC 9112 §11.1).
    """
    line = b"%b %b HTTP/1.1\r\n" % (request.method.encode("ascii"), _target(request.url, proxy))
    fields = [*request.headers.raw, *_proxy_fields(proxy)]
    return _whole_lines(line + _lines(fields), 1 + len(fields)) + b"\r\n"


def _proxy_fields(proxy: Proxy | None) -> Fields:
    if proxy is None or proxy.authorization is None:
        return []
    return [(b"proxy-authorization", proxy.authorization)]


def _lines(fields: Fields) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def _whole_lines(lines: bytes, count: int) -> bytes:
    """The same, of which each ends in CRLF. Raises TransportFailure when a line holds a break of its own, or NUL."""
    if len(lines) - len(lines.translate(None, _BREAKS)) != 2 * count:
        raise TransportFailure("protocol", _BROKEN_LINE)
    return lines


def _target(url: httpx.URL, proxy: Proxy | None) -> bytes:
    if proxy is None:
        return url.raw_path
    return b"".join((url.scheme.encode("ascii"), b"://", url.netloc, url.raw_path))
