"""The HTTP proxy of PROXY_URL: CONNECT for https (RFC 9110 §9.3.6), the absolute form for http (RFC 9112 §3.2.2)."""

import asyncio
import base64
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from forwarder.errors import SettingsError
from forwarder.sender.failure import TransportFailure, network_failure

MAX_REPLY_BYTES = 16 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The address of the proxy, and our credentials for it."""

    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)
    """The value of Proxy-Authorization."""


def parse_proxy(url: str) -> Proxy:
    """
    The proxy of `http://[user:password@]host[:port]`; the port is 80 unless given.

    Raises SettingsError, which does not repeat the URL.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme != "http" or parts.path not in ("", "/") or parts.query:
        raise SettingsError("FORWARDER_PROXY_URL: expected http://[user:password@]host[:port]")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(pair.encode())
    return Proxy(host, port or 80, authorization)


async def open_tunnel(opened: socket.socket, proxy: Proxy, *, host: str, port: int) -> None:
    """
    Have the proxy connect `opened` to host and port.

    Raises TransportFailure. The caller closes the socket.
    """
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(opened, _connect_request(proxy, host, port))
        reply = await _read_head(opened)
    except OSError as error:
        failure = network_failure(error, stage="asking the proxy for a tunnel")
        raise TransportFailure("proxy", failure.detail) from error
    status = _STATUS_LINE.match(reply)
    if status is None:
        raise TransportFailure("proxy", "the proxy's answer is not HTTP/1.1")
    if not status[1].startswith(b"2"):
        raise TransportFailure("proxy", f"the proxy answered {status[1].decode()} to CONNECT")
    if not reply.endswith(_END_OF_HEAD):
        raise TransportFailure("proxy", "the proxy sent more than its answer")


def _connect_request(proxy: Proxy, host: str, port: int) -> bytes:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}"]
    head = "\r\n".join(lines).encode("ascii")
    if proxy.authorization is not None:
        head += b"\r\nproxy-authorization: " + proxy.authorization
    return head + _END_OF_HEAD


async def _read_head(opened: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    reply = b""
    while _END_OF_HEAD not in reply:
        piece = await loop.sock_recv(opened, 4096)
        if not piece or len(reply) > MAX_REPLY_BYTES:
            raise TransportFailure("proxy", "the proxy did not finish its answer")
        reply += piece
    return reply
