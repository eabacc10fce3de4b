"""The guard: what an endpoint's URL leads to is judged by the address that is dialled, at every connect."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support.posting import Names, endpoint_at, post, sending
from support.receiver import OK, Peer, answering, receiving

from forwarder.addresses import parse_networks
from forwarder.delivery import Accepted, Failed
from forwarder.sender import Guard
from forwarder.sender.resolve import Address

ACCEPTED = Accepted(200, b"ok")
GOODBYE = OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)


def at(ip: str, port: int) -> Address:
    if ":" in ip:
        return Address(socket.AF_INET6, (ip, port, 0, 0))
    return Address(socket.AF_INET, (ip, port))


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def full_listener() -> Iterator[int]:
    """A port that answers no SYN: its queue is full and nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as queue:
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("127.0.0.1", id="the usual spelling"),
        pytest.param("127.1", id="two parts"),
        pytest.param("2130706433", id="one number"),
        pytest.param("0x7f000001", id="hexadecimal"),
        pytest.param("0x7f.1", id="hexadecimal, two parts"),
        pytest.param("017700000001", id="octal"),
        pytest.param("0177.0.0.01", id="octal parts"),
        pytest.param("127.0.0.1.", id="a dot at the end"),
        pytest.param("[::1]", id="IPv6"),
        pytest.param("[0:0:0:0:0:0:0:1]", id="IPv6 in full"),
        pytest.param("[::ffff:7f00:1]", id="IPv4-mapped, hexadecimal"),
        pytest.param("[::ffff:127.0.0.1]", id="IPv4-mapped, dotted"),
        pytest.param("localhost", id="a name"),
        pytest.param("LOCALHOST", id="the name in capitals"),
        pytest.param("１２７.0.0.1", id="full-width digits"),
        pytest.param("127。0。0。1", id="ideographic dots"),
        pytest.param("0.0.0.0", id="unspecified"),
        pytest.param("0", id="unspecified, as a number"),
        pytest.param("[::]", id="unspecified, IPv6"),
    ],
)
async def test_loopback_is_not_dialled_however_it_is_written(host: str) -> None:
    """Without allow_private no spelling of this machine's own address leads to it."""
    async with receiving() as receiver, sending() as sender:
        url = f"http://{host}:{receiver.port}/hook"
        result = await post(sender, endpoint_at(url, allow_private=False, timeout_seconds=5.0))
        assert isinstance(result, Failed)
        assert result.error in ("blocked_address", "protocol", "dns")
        assert receiver.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_private_address_is_dialled_where_the_endpoint_allows_it(host: str) -> None:
    """allow_private opens loopback and private networks to this endpoint."""
    async with receiving() as receiver, sending() as sender:
        url = f"http://{host}:{receiver.port}/hook"
        assert await post(sender, endpoint_at(url)) == ACCEPTED


async def test_taken_back_permission_ends_the_connections_it_opened() -> None:
    """Once allow_private is gone, not even a connection that was opened under it is used."""
    async with receiving() as receiver, sending() as sender:
        assert await post(sender, endpoint_at(receiver.url)) == ACCEPTED
        result = await post(sender, endpoint_at(receiver.url, allow_private=False))
        assert isinstance(result, Failed)
        assert (result.error, len(receiver.requests)) == ("blocked_address", 1)


async def test_some_addresses_are_dialled_for_nobody() -> None:
    """allow_private does not open the unspecified address, which the system would take for loopback."""
    async with receiving() as receiver:
        names = Names([[at("0.0.0.0", receiver.port)]])
        async with sending(resolver=names) as sender:
            result = await post(sender, endpoint_at("http://hooks.example/"))
        assert receiver.connections == 0
    detail = "0.0.0.0 is no address that anything may be sent to"
    assert result == Failed("blocked_address", detail=detail)


async def test_name_that_changes_its_answer_does_not_get_through() -> None:
    """Every new connection is judged anew, by the very address it goes to: rebinding finds nothing to rebind."""
    async with receiving(answering(GOODBYE)) as receiver:
        names = Names([[at("127.0.0.1", receiver.port)], [at("169.254.169.254", 80)]])
        async with sending(resolver=names) as sender:
            endpoint = endpoint_at("http://rebind.example/")
            assert await post(sender, endpoint) == ACCEPTED
            second = await post(sender, endpoint)
        assert isinstance(second, Failed)
        assert (second.error, receiver.connections) == ("blocked_address", 1)


async def test_name_is_looked_up_once_a_connect() -> None:
    """What was judged is what is dialled: no second look-up lies between."""
    async with receiving() as receiver:
        names = Names([[at("127.0.0.1", receiver.port)], [at("169.254.169.254", 80)]])
        async with sending(resolver=names) as sender:
            for _ in range(3):
                assert await post(sender, endpoint_at("http://hooks.example/")) == ACCEPTED
    assert names.asked == ["hooks.example"]


async def test_forbidden_address_among_good_ones_is_left_out() -> None:
    """Of several addresses only those are tried that may be."""
    async with receiving() as receiver:
        names = Names([[at("169.254.169.254", 80), at("127.0.0.1", receiver.port)]])
        async with sending(resolver=names) as sender:
            assert await post(sender, endpoint_at("http://hooks.example/")) == ACCEPTED


@pytest.mark.parametrize("status", [b"200 OK", b"400 No", b"410 Gone", b"503 So"])
async def test_result_says_which_address_was_dialled(status: bytes) -> None:
    """Also over a kept connection, and from an answer that is known again without being parsed."""
    answer = b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n"
    async with receiving(answering(answer)) as receiver:
        names = Names([[at("::1", free_port()), at("127.0.0.1", receiver.port)]])
        async with sending(resolver=names) as sender:
            endpoint = endpoint_at("http://hooks.example/")
            dialled = [(await post(sender, endpoint)).address for _ in range(3)]
        assert (dialled, receiver.connections) == (["127.0.0.1"] * 3, 1)


async def test_failure_says_which_address_was_dialled() -> None:
    """A refused connect, a reset, a timeout and a failed handshake have one; where nothing was dialled none has."""

    async def silent(peer: Peer) -> None:
        await peer.gone()

    async def resetting(peer: Peer) -> None:
        await peer.head()
        peer.reset()

    async with receiving(silent) as mute, receiving(resetting) as rude, sending() as sender:
        asked = {
            f"http://127.0.0.1:{free_port()}/": ("connect_refused", "127.0.0.1"),
            rude.url: ("reset", "127.0.0.1"),
            mute.url: ("timeout", "127.0.0.1"),
            mute.url.replace("http:", "https:"): ("timeout", "127.0.0.1"),
            "http://169.254.169.254/": ("blocked_address", None),
            "http://nosuch.invalid/": ("dns", None),
        }
        for url, expected in asked.items():
            failed = await post(sender, endpoint_at(url, timeout_seconds=0.5))
            assert isinstance(failed, Failed)
            assert (failed.error, failed.address) == expected


@pytest.mark.parametrize(
    ("guard", "reaches"),
    [
        pytest.param(Guard(deny=parse_networks("127.0.0.0/8")), False, id="denied"),
        pytest.param(Guard(allow=parse_networks("127.0.0.0/8")), True, id="allowed"),
        pytest.param(Guard(allow=parse_networks("1.1.1.0/24")), False, id="outside"),
        pytest.param(Guard(deny=parse_networks("127.0.0.1"), allow=parse_networks("127.0.0.0/8")), False, id="both"),
    ],
)  # fmt: skip
async def test_networks_of_the_operator_hold_for_every_endpoint(
    guard: Guard, reaches: bool
) -> None:
    """allow_private does not lift DENY_NETWORKS, nor does it open what is outside of ALLOW_NETWORKS."""
    async with receiving() as receiver, sending(guard=guard) as sender:
        result = await post(sender, endpoint_at(receiver.url))
        assert (result == ACCEPTED, receiver.connections) == (reaches, int(reaches))
        assert reaches or (isinstance(result, Failed) and result.error == "blocked_address")


async def test_own_http_port_is_not_dialled() -> None:
    """A delivery to ourselves would come back to us."""
    async with receiving() as receiver:
        async with sending(guard=Guard(listen=("0.0.0.0", receiver.port))) as sender:
            result = await post(sender, endpoint_at(receiver.url))
        assert isinstance(result, Failed)
        assert (result.error, receiver.connections) == ("blocked_address", 0)


async def test_next_address_is_tried_when_the_first_refuses() -> None:
    """A host with one dead address of two is reached."""
    async with receiving() as receiver:
        dead = at("127.0.0.1", free_port())
        names = Names([[dead, at("::1", free_port()), at("127.0.0.1", receiver.port)]])
        async with sending(resolver=names) as sender:
            assert await post(sender, endpoint_at("http://hooks.example/")) == ACCEPTED


async def test_address_that_hangs_does_not_hold_up_the_next() -> None:
    """While the first address gives no answer the second is tried beside it, and the slower one is let go."""
    with full_listener() as deaf:
        async with receiving() as receiver:
            names = Names([[at("127.0.0.1", deaf), at("127.0.0.1", receiver.port)]])
            async with sending(resolver=names) as sender:
                assert await post(sender, endpoint_at("http://hooks.example/")) == ACCEPTED


async def test_connect_that_hangs_times_out() -> None:
    """The deadline covers connecting."""
    with full_listener() as deaf:
        async with sending() as sender:
            endpoint = endpoint_at(f"http://127.0.0.1:{deaf}/", timeout_seconds=0.2)
            result = await post(sender, endpoint)
    assert result == Failed("timeout", detail="still connecting at the deadline")


async def test_address_without_a_socket_is_unreachable() -> None:
    """What the operating system gives no socket for is a failed attempt like any other."""
    odd = Address(socket.AF_APPLETALK, ("127.0.0.1", 80))
    async with sending(resolver=Names([[odd]])) as sender:
        result = await post(sender, endpoint_at("http://hooks.example/"))
    assert isinstance(result, Failed)
    assert result.error == "unreachable"


@pytest.mark.parametrize("host", ["a..example", ".example", "a" * 64 + ".example"])
async def test_host_that_no_certificate_can_name_is_not_dialled(host: str) -> None:
    """A name that TLS cannot check is a TLS failure before anything is connected."""
    async with receiving() as receiver:
        names = Names([[at("127.0.0.1", receiver.port)]])
        async with sending(resolver=names) as sender:
            result = await post(sender, endpoint_at(f"https://{host}/"))
        assert isinstance(result, Failed)
        assert (result.error, receiver.connections) == ("tls", 0)


async def test_refused_connection_is_told() -> None:
    """Nobody listens there."""
    async with sending() as sender:
        result = await post(sender, endpoint_at(f"http://127.0.0.1:{free_port()}/"))
    assert result == Failed("connect_refused", detail="connection refused while connecting")


async def test_look_up_that_hangs_times_out_and_can_be_cancelled() -> None:
    """The deadline covers the look-up, and so does a cancellation."""

    class Hanging:
        async def resolve(self, host: str, port: int) -> list[Address]:
            await asyncio.Event().wait()
            raise AssertionError

    async with sending(resolver=Hanging()) as sender:
        endpoint = endpoint_at("http://hooks.example/", timeout_seconds=0.1, max_concurrency=1)
        result = await post(sender, endpoint)
        assert result == Failed(
            "timeout", detail="still looking up the host's name at the deadline"
        )
        attempt = asyncio.ensure_future(post(sender, endpoint))
        await asyncio.sleep(0)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
