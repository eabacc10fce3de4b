"""A request as the bytes of HTTP/1.1: head and body in one piece, so that one write sends them."""

import httpx

from forwarder.sender.dial import Origin
from forwarder.sender.failure import TransportFailure
from forwarder.sender.proxy import Proxy

_DEFAULT_PORTS = {"http": 80, "https": 443}


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


def encode_head(request: httpx.Request, *, proxy: Proxy | None) -> bytes:
    """
    The request line and the header fields; through a proxy in absolute form.

    Raises TransportFailure for a field that would break out of its line (RFC 9112 §11.1).
    """
    pieces = [request.method.encode("ascii"), b" ", _target(request.url, proxy), b" HTTP/1.1\r\n"]
    fields = request.headers.raw
    for name, value in fields:
        pieces += (name, b": ", value, b"\r\n")
    if proxy is not None and proxy.authorization is not None:
        pieces += (b"proxy-authorization: ", proxy.authorization, b"\r\n")
    pieces.append(b"\r\n")
    head = b"".join(pieces)
    lines = len(fields) + 2 + (proxy is not None and proxy.authorization is not None)
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise TransportFailure("protocol", "one of its header fields holds a line break")
    return head


def _target(url: httpx.URL, proxy: Proxy | None) -> bytes:
    if proxy is None:
        return url.raw_path
    return b"".join((url.scheme.encode("ascii"), b"://", url.netloc, url.raw_path))
