import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from forwarder.sender.descriptors import Descriptors
from forwarder.sender.failure import TransportFailure
from forwarder.sender.happy_eyeballs import connect_first
from forwarder.sender.resolve import Address

pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")


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
    assert failed.value.word == "connect_refused"


async def test_without_a_spare_descriptor_addresses_are_tried_one_by_one() -> None:
    """Where there is one descriptor for the dial the next address waits until the one before has failed."""
    with listening(2) as (gone, alert):
        missing = address_of(gone)
        gone.close()
        opened = await connect_first(
            [missing, missing, address_of(alert)], stagger_seconds=0, spare=lambda: None
        )
        with opened:
            assert opened.getpeername() == alert.getsockname()


async def test_race_gives_its_spare_descriptors_back() -> None:
    """What a race of addresses took beside the connection's own place is free when it is over."""
    descriptors = Descriptors(8)
    with listening(3) as listeners:
        addresses = [address_of(listener) for listener in listeners]
        (await connect_first(addresses, stagger_seconds=0, spare=descriptors.spare)).close()
    places = [descriptors.spare() for _ in range(9)]
    assert [place is not None for place in places] == [True] * 8 + [False]
