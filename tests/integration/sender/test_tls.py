"""TLS: who is believed, who we say we are, and what is taken up again."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.certificates import Authority
from support.clock import HandClock
from support.posting import endpoint_at, post, sending
from support.receiver import OK, Peer, answering, receiving

from forwarder.delivery import Accepted, Failed
from forwarder.routes.model import Endpoint, TlsFiles
from forwarder.sender import Sender

ACCEPTED = Accepted(200, b"ok")
GOODBYE = OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


def server_context(
    authority: Authority, *names: str, clients: Authority | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(*(names or ("127.0.0.1",))))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.ca_file)
    return context


@asynccontextmanager
async def alerting_receiver(context: ssl.SSLContext) -> AsyncIterator[str]:
    """A receiver on OpenSSL's own socket: unlike asyncio's it tells the other side why a handshake failed."""

    def refuse() -> None:
        plain, _ = listener.accept()
        with context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        ) as accepted:
            with pytest.raises(ssl.SSLError):
                accepted.do_handshake()
            accepted.shutdown(socket.SHUT_WR)
            while accepted.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = asyncio.ensure_future(asyncio.to_thread(refuse))
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/hook"
        await refusing


def trusting(url: str, authority: Authority, **files: Path) -> Endpoint:
    return endpoint_at(url, tls=TlsFiles(ca_file=authority.ca_file, **files))  # type: ignore[arg-type] # paths only


async def test_receiver_with_the_endpoints_own_ca_is_trusted(
    sender: Sender, authority: Authority
) -> None:
    """`tls.ca_file` is what the receiver's certificate is checked against."""
    async with receiving(tls=server_context(authority)) as receiver:
        assert await post(sender, trusting(receiver.url, authority)) == ACCEPTED


async def test_own_certificate_of_the_receiver_can_be_pinned(
    sender: Sender, authority: Authority, tmp_path: Path
) -> None:
    """A `ca_file` may hold the receiver's certificate itself instead of a root."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = authority.issue("127.0.0.1")
    context.load_cert_chain(certificate, key)
    async with receiving(tls=context) as receiver:
        endpoint = endpoint_at(receiver.url, tls=TlsFiles(ca_file=certificate))
        assert await post(sender, endpoint) == ACCEPTED


@pytest.mark.parametrize(
    ("names", "is_trusted", "clause"),
    [
        pytest.param(["127.0.0.1"], False, "not trusted", id="a CA that nobody knows"),
        pytest.param(["hooks.example"], True, "not trusted", id="a certificate for another name"),
        pytest.param(["127.0.0.2"], True, "not trusted", id="a certificate for another address"),
    ],
)
async def test_wrong_certificate_is_refused(
    sender: Sender, authority: Authority, names: list[str], is_trusted: bool, clause: str
) -> None:
    """A receiver that cannot prove to be the URL's host gets no request."""
    async with receiving(tls=server_context(authority, *names)) as receiver:
        endpoint = trusting(receiver.url, authority) if is_trusted else endpoint_at(receiver.url)
        result = await post(sender, endpoint)
        assert isinstance(result, Failed)
        assert (result.error, receiver.requests) == ("tls", [])
        assert clause in result.detail


async def test_expired_certificate_is_refused(sender: Sender, authority: Authority) -> None:
    """A certificate past its end is named as such."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_expired("127.0.0.1"))
    async with receiving(tls=context) as receiver:
        result = await post(sender, trusting(receiver.url, authority))
        assert isinstance(result, Failed)
        assert (result.error, "expired" in result.detail) == ("tls", True)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_nothing_older_than_tls_1_2_is_spoken(sender: Sender, authority: Authority) -> None:
    """A receiver that offers only TLS 1.1 is refused."""
    context = server_context(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with alerting_receiver(context) as url:
        result = await post(sender, trusting(url, authority))
        assert isinstance(result, Failed)
        assert result.error == "tls"


async def test_plain_http_where_tls_is_expected_is_a_tls_failure(sender: Sender) -> None:
    """A receiver that speaks no TLS on this port is told apart from one that hangs up."""

    async def plain(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await peer.gone()

    async with receiving(plain) as receiver:
        result = await post(sender, endpoint_at(receiver.url.replace("http:", "https:")))
        assert result == Failed("tls", detail="wrong version number")


async def test_handshake_that_hangs_times_out_and_is_closed(
    sender: Sender, authority: Authority
) -> None:
    """A receiver that takes the connection and says nothing costs the timeout and no socket."""
    async with receiving(Peer.gone) as receiver:
        url = receiver.url.replace("http:", "https:")
        endpoint = replace(trusting(url, authority), timeout_seconds=1.0)
        result = await post(sender, endpoint)
        assert isinstance(result, Failed)
        assert (result.error, "TLS handshake" in result.detail) == ("timeout", True)
        await receiver.until(lambda it: it.open == 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_session_is_resumed(
    sender: Sender, authority: Authority, version: ssl.TLSVersion
) -> None:
    """The second connection to a receiver takes up the session of the first."""
    context = server_context(authority)
    context.maximum_version = version
    async with receiving(answering(GOODBYE), tls=context) as receiver:
        for _ in range(3):
            assert await post(sender, trusting(receiver.url, authority)) == ACCEPTED
        assert receiver.resumed == [False, True, True]


@pytest.fixture
def clock() -> HandClock:
    """Our own wall clock; OpenSSL looks at the machine's, and finds the certificate valid."""
    return HandClock(started_at=datetime.now(UTC))


def short_lived(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A receiver's context whose certificate is valid for another hour."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    not_after = datetime.now(UTC) + timedelta(hours=1)
    context.load_cert_chain(*authority.issue("127.0.0.1", not_after=not_after))
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_session_is_not_resumed_past_the_certificate(
    authority: Authority, clock: HandClock, version: ssl.TLSVersion
) -> None:
    """Who takes up a session shows no certificate: from its end on each handshake is a whole one."""
    async with (
        receiving(answering(GOODBYE), tls=short_lived(authority, version)) as receiver,
        sending(unix=clock.unix) as sender,
    ):
        endpoint = trusting(receiver.url, authority)
        for seconds in (0, 3500, 200, 0):
            clock.advance(seconds)
            assert await post(sender, endpoint) == ACCEPTED
        assert receiver.resumed == [False, True, False, False]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_kept_connection_is_not_used_past_the_certificate(
    authority: Authority, clock: HandClock, version: ssl.TLSVersion
) -> None:
    """A connection that was opened under a certificate carries no request once that has ended."""
    async with (
        receiving(tls=short_lived(authority, version)) as receiver,
        sending(unix=clock.unix) as sender,
    ):
        endpoint = trusting(receiver.url, authority)
        opened = []
        for seconds in (0, 3500, 200):
            clock.advance(seconds)
            assert await post(sender, endpoint) == ACCEPTED
            opened.append(receiver.connections)
        assert (opened, receiver.resumed) == ([1, 1, 2], [False, False])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_certificate_is_shown(
    sender: Sender, authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A receiver that asks for a client certificate gets the endpoint's."""
    clients = Authority(tmp_path / "clients")
    certificate, key = clients.issue("forwarder.example", stem="client")
    context = server_context(authority, clients=clients)
    context.maximum_version = version
    async with receiving(tls=context) as receiver:
        endpoint = trusting(receiver.url, authority, cert_file=certificate, key_file=key)
        assert await post(sender, endpoint) == ACCEPTED


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("is_shown", [False, True])
async def test_refused_client_certificate_is_told_apart(
    sender: Sender, authority: Authority, tmp_path: Path, version: ssl.TLSVersion, is_shown: bool
) -> None:
    """When the receiver wants a client certificate and ours is absent or foreign, the word says so."""
    certificate, key = Authority(tmp_path / "others").issue("forwarder.example", stem="client")
    context = server_context(authority, clients=authority)
    context.maximum_version = version
    async with alerting_receiver(context) as url:
        files = {"cert_file": certificate, "key_file": key} if is_shown else {}
        result = await post(sender, trusting(url, authority, **files))
        assert isinstance(result, Failed)
        # Up to TLS 1.2 a missing certificate is only a failed handshake to the client (RFC 5246 §7.4.6).
        is_told = is_shown or version is ssl.TLSVersion.TLSv1_3
        assert result.error == ("client_certificate" if is_told else "tls")


async def test_unusable_key_costs_attempts_until_it_is_put_right(
    sender: Sender, authority: Authority, tmp_path: Path
) -> None:
    """Files that cannot be read are a failed attempt, and are looked at again by the next."""
    certificate, key = authority.issue("forwarder.example", stem="client")
    absent = tmp_path / "client.key"
    async with receiving(tls=server_context(authority, clients=authority)) as receiver:
        endpoint = trusting(receiver.url, authority, cert_file=certificate, key_file=absent)
        failed = await post(sender, endpoint)
        assert isinstance(failed, Failed)
        assert (failed.error, receiver.connections) == ("client_certificate", 0)
        absent.write_bytes(key.read_bytes())
        assert await post(sender, endpoint) == ACCEPTED


async def test_changed_files_are_used_by_the_next_attempt(
    sender: Sender, authority: Authority, tmp_path: Path
) -> None:
    """A new fingerprint makes new connections, with what the files hold now."""
    wrong, right = Authority(tmp_path / "wrong"), authority
    file = tmp_path / "ca.pem"
    file.write_bytes(wrong.ca_file.read_bytes())
    async with receiving(tls=server_context(right)) as receiver:
        endpoint = endpoint_at(receiver.url, tls=TlsFiles(ca_file=file, fingerprint="1"))
        assert isinstance(await post(sender, endpoint), Failed)
        file.write_bytes(right.ca_file.read_bytes())
        renewed = replace(endpoint, tls=TlsFiles(ca_file=file, fingerprint="2"))
        assert await post(sender, renewed) == ACCEPTED


async def test_cancelled_handshake_leaves_no_connection(sender: Sender) -> None:
    """A post that is cancelled within the handshake closes its socket."""
    async with receiving(Peer.gone) as receiver:
        url = receiver.url.replace("http:", "https:")
        attempt = asyncio.ensure_future(post(sender, endpoint_at(url)))
        await receiver.until(lambda it: it.open == 1)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await receiver.until(lambda it: it.open == 0)


async def test_idle_connection_is_closed_with_a_goodbye(
    sender: Sender, authority: Authority
) -> None:
    """TLS ends with close_notify, so that the receiver can tell the end from a cut (RFC 8446 §6.1)."""
    ends: asyncio.Queue[int] = asyncio.Queue()

    async def noting(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        tls: ssl.SSLObject = peer.writer.get_extra_info("ssl_object")
        assert await peer.reader.read() == b""
        with pytest.raises(ssl.SSLZeroReturnError):
            tls.read()
        ends.put_nowait(1)

    async with receiving(noting, tls=server_context(authority)) as receiver:
        assert await post(sender, trusting(receiver.url, authority)) == ACCEPTED
        await sender.aclose()
        assert await ends.get() == 1
        await receiver.until(lambda it: it.open == 0)


async def test_stale_tls_connection_is_opened_again(sender: Sender, authority: Authority) -> None:
    """What holds for a plain connection that went stale holds under TLS too."""

    async def closing_on_the_second(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        if peer.receiver.connections == 1:
            await peer.request()
            peer.reset()
        else:
            await peer.gone()

    async with receiving(closing_on_the_second, tls=server_context(authority)) as receiver:
        for _ in range(2):
            assert await post(sender, trusting(receiver.url, authority)) == ACCEPTED
        assert receiver.requests[0] == receiver.requests[1] == receiver.requests[2]
