"""PROXY_URL: the proxy resolves and connects; ours is only to ask it, and to say when it failed."""

import asyncio
import ssl
from pathlib import Path

import pytest
from support.certificates import Authority
from support.posting import endpoint_at, post, sending
from support.receiver import OK, Peer, answering, receiving

from forwarder.delivery import Accepted, Failed
from forwarder.routes.model import TlsFiles

ACCEPTED = Accepted(200, b"ok")


async def tunnelling(peer: Peer) -> None:
    """A CONNECT proxy, to a port of this machine."""
    asked = await peer.head()
    peer.receiver.requests.append(asked)
    port = int(asked.line.split(" ")[1].rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    await asyncio.gather(pump(peer.reader, writer), pump(reader, peer.writer))


async def test_http_goes_to_the_proxy_in_absolute_form() -> None:
    """A plain request asks the proxy for the whole URL; the name is the proxy's to resolve."""
    async with receiving() as proxy, sending(proxy_url=f"http://127.0.0.1:{proxy.port}") as sender:
        endpoint = endpoint_at("http://hooks.nosuch.invalid/in?a=b", allow_private=False)
        assert await post(sender, endpoint) == ACCEPTED
        assert await post(sender, endpoint) == ACCEPTED
        request = proxy.requests[0]
        assert request.line == "POST http://hooks.nosuch.invalid/in?a=b HTTP/1.1"
        assert request.header("host") == "hooks.nosuch.invalid"
        assert proxy.connections == 1


async def test_credentials_are_shown_to_the_proxy() -> None:
    """User and password of PROXY_URL become Proxy-Authorization, percent-decoded."""
    async with receiving() as proxy:
        async with sending(proxy_url=f"http://us%20er:p%40ss@127.0.0.1:{proxy.port}") as sender:
            assert await post(sender, endpoint_at("http://hooks.invalid/")) == ACCEPTED
        assert proxy.requests[0].header("proxy-authorization") == "Basic dXMgZXI6cEBzcw=="


async def test_https_goes_through_a_tunnel_with_tls_to_the_receiver(tmp_path: Path) -> None:
    """The proxy sees a CONNECT and then only TLS, which is checked against the receiver's name."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("hooks.invalid"))
    async with receiving(tls=context) as receiver, receiving(tunnelling) as proxy:
        async with sending(proxy_url=f"http://u:p@127.0.0.1:{proxy.port}") as sender:
            endpoint = endpoint_at(
                f"https://hooks.invalid:{receiver.port}/in", tls=TlsFiles(authority.ca_file)
            )
            assert await post(sender, endpoint) == ACCEPTED
        (asked,), (request,) = proxy.requests, receiver.requests
        assert asked.line == f"CONNECT hooks.invalid:{receiver.port} HTTP/1.1"
        assert asked.header("proxy-authorization") == "Basic dTpw"
        assert request.header("proxy-authorization") is None
        assert request.line == "POST /in HTTP/1.1"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(b"HTTP/1.1 403 No\r\n\r\n", "answered 403", id="refuses"),
        pytest.param(b"HTTP/1.1 407 Who\r\n\r\n", "answered 407", id="wants other credentials"),
        pytest.param(b"SSH-2.0\r\n\r\n", "not HTTP", id="is no HTTP proxy"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhello", "more than", id="talks on its own"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "did not finish", id="closes in between"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 99999, "did not finish", id="never ends"),
    ],
)
async def test_proxy_that_gives_no_tunnel_is_a_proxy_failure(answer: bytes, detail: str) -> None:
    """Whatever the proxy does wrong, the word is proxy and the clause says what."""

    async def failing(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)
        peer.writer.write_eof()
        await peer.gone()

    async with receiving(failing) as proxy:
        async with sending(proxy_url=f"http://127.0.0.1:{proxy.port}") as sender:
            result = await post(sender, endpoint_at("https://hooks.invalid/"))
        assert isinstance(result, Failed)
        assert (result.error, detail in result.detail) == ("proxy", True)
        await proxy.until(lambda it: it.open == 0)


async def test_proxy_that_asks_for_credentials_is_a_proxy_failure() -> None:
    """A 407 to a plain request is the proxy's word, not the receiver's."""
    answer = OK.replace(b"200 OK", b"407 Who are you")
    async with (
        receiving(answering(answer)) as proxy,
        sending(proxy_url=f"http://127.0.0.1:{proxy.port}") as sender,
    ):
        result = await post(sender, endpoint_at("http://hooks.invalid/"))
    assert isinstance(result, Failed)
    assert result.error == "proxy"


@pytest.mark.parametrize("host", ["127.0.0.1:1", "proxy.nosuch.invalid"])
async def test_proxy_that_is_not_there_is_a_proxy_failure(host: str) -> None:
    """Nothing is sent past a proxy that cannot be reached."""
    async with receiving() as receiver, sending(proxy_url=f"http://{host}") as sender:
        result = await post(sender, endpoint_at(receiver.url))
        assert isinstance(result, Failed)
        assert (result.error, receiver.connections) == ("proxy", 0)


async def test_proxy_of_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY and its like change nothing."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with receiving() as receiver, sending() as sender:
        assert await post(sender, endpoint_at(receiver.url)) == ACCEPTED
