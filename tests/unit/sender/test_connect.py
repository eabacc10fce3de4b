import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from forwarder.sender.connect import MAX_ADDRESSES, connect_first, permitted
from forwarder.sender.failure import TransportFailure
from forwarder.sender.resolve import Address, SystemResolver

pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")

PUBLIC = Address(socket.AF_INET, ("1.1.1.1", 443))
PRIVATE = Address(socket.AF_INET, ("10.0.0.1", 443))
METADATA = Address(socket.AF_INET, ("169.254.169.254", 443))


@pytest.mark.parametrize(
    "literal",
    [
        pytest.param("169.254.169.254", id="cloud metadata"),
        pytest.param("0xa9fea9fe", id="cloud metadata, hexadecimal"),
        pytest.param("::ffff:a9fe:a9fe", id="cloud metadata, IPv4-mapped"),
        pytest.param("fd00:ec2::254", id="cloud metadata, IPv6"),
        pytest.param("fe80::1", id="link-local"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("ff02::1", id="multicast, IPv6"),
        pytest.param("0", id="unspecified"),
        pytest.param("::", id="unspecified, IPv6"),
        pytest.param("192.0.2.1", id="documentation"),
        pytest.param("198.18.0.1", id="benchmarking"),
        pytest.param("::127.0.0.1", id="loopback, IPv4-compatible"),
        pytest.param("64:ff9b::7f00:1", id="loopback by NAT64"),
        pytest.param("2002:7f00:1::", id="loopback by 6to4"),
        pytest.param("2001:0:4136:e378:8000:63bf:80ff:fffe", id="loopback by Teredo"),
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
async def test_what_is_never_dialled(literal: str, allow_private: bool) -> None:
    """Whatever the endpoint allows and however it is written, these addresses are refused."""
    addresses = await SystemResolver().resolve(literal, 443)
    with pytest.raises(TransportFailure) as blocked:
        permitted(addresses, allow_private=allow_private)
    assert blocked.value.word == "blocked_address"


@pytest.mark.parametrize(
    "literal", ["10.1", "100.64.0.1", "127.0.0.1", "::1", "fd12::1", "192.168.1.1"]
)
async def test_what_only_allow_private_opens(literal: str) -> None:
    """Private and loopback addresses are the endpoint's own choice."""
    addresses = await SystemResolver().resolve(literal, 443)
    with pytest.raises(TransportFailure) as blocked:
        permitted(addresses, allow_private=False)
    assert "allow_private is not set" in blocked.value.detail
    assert permitted(addresses, allow_private=True) == addresses


def test_only_the_addresses_that_may_be_dialled_are_left() -> None:
    """Of several addresses the forbidden are left out, the order stays."""
    addresses = [METADATA, PRIVATE, PUBLIC]
    assert permitted(addresses, allow_private=False) == [PUBLIC]
    assert permitted(addresses, allow_private=True) == [PRIVATE, PUBLIC]


def test_name_with_very_many_addresses_is_cut_short() -> None:
    """A name server cannot have us try for ever."""
    assert len(permitted([PUBLIC] * 1000, allow_private=False)) == MAX_ADDRESSES


def test_name_without_addresses_is_dns() -> None:
    """An empty answer is no answer."""
    with pytest.raises(TransportFailure) as failed:
        permitted([], allow_private=True)
    assert failed.value.word == "dns"


@contextmanager
def listening(count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]


def address_of(listener: socket.socket) -> Address:
    return Address(socket.AF_INET, listener.getsockname())


async def test_of_two_that_answer_one_stays_open() -> None:
    """When several addresses answer at once, one connection is kept and the others are closed."""
    with listening(2) as listeners:
        addresses = [address_of(listener) for listener in listeners]
        with await connect_first(addresses, stagger_seconds=0) as opened:
            accepted = [listener.accept()[0] for listener in listeners]
            winner = [peer for peer in accepted if peer.getpeername() == opened.getsockname()]
            (loser,) = (peer for peer in accepted if peer not in winner)
            assert len(winner) == 1
            assert await asyncio.to_thread(loser.recv, 1) == b""
        for peer in accepted:
            peer.close()


async def test_connect_that_lost_the_race_is_given_up() -> None:
    """Nothing goes on connecting behind a race that is won."""
    before = asyncio.all_tasks()
    with listening(2) as (deaf, alert), ExitStack() as queue:
        deaf.listen(0)
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        (await connect_first([address_of(deaf), address_of(alert)], stagger_seconds=0.01)).close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_failed_connects_leave_no_socket() -> None:
    """A socket that found nobody is closed at once, not when the garbage is collected."""
    with listening(1) as (listener,):
        address = address_of(listener)
    for _ in range(3):
        with pytest.raises(TransportFailure):
            await connect_first([address])
    gc.collect()


async def test_first_failure_speaks_for_all() -> None:
    """When no address answers, the best one's failure is told."""
    with listening(2) as listeners:
        addresses = [address_of(listener) for listener in listeners]
    with pytest.raises(TransportFailure) as failed:
        await connect_first([*addresses, Address(socket.AF_APPLETALK, ("127.0.0.1", 1))])
    assert failed.value.word == "refused"
