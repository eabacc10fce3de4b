"""The turns of the driver on the loop: how much it does in one, and what it makes of errors and silence."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from support.clock import HandClock

from forwarder.logs import logger
from forwarder.subscriber.backlog import BYTES_PER_MESSAGE, Backlog
from forwarder.subscriber.packets import Packets, Unfit
from forwarder.subscriber.shared_socket import SharedSocket
from forwarder.subscriber.socket_driver import SocketDriver

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from forwarder.subscriber.arrivals import Arrival

CONNACK = b"\x20\x02\0\0"
PUBLISH = b"\x30\x08\x00\x05ext/a1"
BURST = 100
"""Messages that fill the backlog of these benches."""
PACKETS_PER_TURN = 200


class Paho:
    """As much of a paho client as the driver drives: reads what is left to it, and closes when that is the end."""

    def __init__(self) -> None:
        self.read = b""
        self.shared: SharedSocket | None = None
        self.told_of_the_end = asyncio.Event()

    def loop_read(self) -> None:
        assert self.shared is not None
        try:
            packet = self.shared.recv(65536)
        except ConnectionError:
            packet = b""
        self.read += packet
        if not packet:
            self.told_of_the_end.set()
            self.on_socket_close()

    def on_socket_close(self) -> None: ...

    def loop_write(self) -> None: ...

    def want_write(self) -> bool:
        return False

    def disconnect(self) -> None:
        """As paho does: the packet leaves, and its socket is closed at once."""
        assert self.shared is not None
        self.shared.send(b"\xe0\x00")
        self.shared.close()
        self.on_socket_close()


class CountedSocket(SharedSocket):
    reads = 0

    def receive(self) -> bytes:
        self.reads += 1
        return super().receive()


class Bench:
    """A driver between a socket pair, with a clock to hand-set."""

    def __init__(self, ours: socket.socket, theirs: socket.socket, *, most: int) -> None:
        ours.setblocking(False)
        self.theirs = theirs
        self.shared = CountedSocket(ours)
        self.clock = HandClock()
        self.paho = Paho()
        self.paho.shared = self.shared
        self.arrivals: list[Arrival] = []
        self.silences = 0
        self.failures: list[Exception] = []
        self.unfit: list[Unfit] = []
        size = len(PUBLISH) + BYTES_PER_MESSAGE
        self.backlog = Backlog(logger("mqtt"), self.clock, most_bytes=most * size)
        self.packets = Packets(is_mqtt5=False, max_message_bytes=65_536)
        self.packets.feed(CONNACK)
        self.packets.parse(limit=1, received_at=self.clock.now())
        self.driver = SocketDriver(
            cast("Client", self.paho),
            self.packets,
            clock=self.clock,
            backlog=self.backlog,
            on_arrivals=self.arrivals.extend,
            on_unfit=self.unfit.append,
            on_silence=self._on_silence,
            on_failure=self.failures.append,
        )
        self.driver.start(self.shared)

    def acknowledge(self, count: int) -> None:
        self.backlog.remove(count)
        self.driver.read_on()

    async def turn(self, turns: int = 20) -> None:
        """Let the loop do whatever it has to do."""
        for _ in range(turns):
            await asyncio.sleep(0)

    def _on_silence(self) -> None:
        self.silences += 1

    async def turn_until(self, wanted: int) -> list[int]:
        """How many arrivals there were after each turn of the loop in which any came, until there are `wanted`."""
        seen = [0]
        async with asyncio.timeout(10):
            while len(self.arrivals) < wanted:
                await asyncio.sleep(0)
                if len(self.arrivals) != seen[-1]:
                    seen.append(len(self.arrivals))
        return seen[1:]


@contextmanager
def bench(*, most: int = 1 << 20) -> Iterator[Bench]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = Bench(ours, theirs, most=most)
        yield made
        made.driver.stop()
        assert made.failures == []


async def test_flood_leaves_turns_to_others() -> None:
    """A bounded number of packets is handled in one turn of the loop, however many are there to be read."""
    with bench() as it:
        it.theirs.send(PUBLISH * 10_000)
        seen = await it.turn_until(10_000)
        steps = [after - before for before, after in pairwise([0, *seen])]
        # Twice: what is left of one read, and the beginning of the next.
        assert max(steps) <= 2 * PACKETS_PER_TURN


async def test_no_more_is_read_than_is_handled() -> None:
    """What comes in faster than it is handled stays in the socket, and so with the broker."""
    with bench() as it:
        it.theirs.send(PUBLISH * 700)
        await it.turn_until(700)
        assert it.shared.reads == 1


async def test_failed_write_loses_nothing_that_was_read() -> None:
    """What has been read already is handed over before paho is told of the failure."""
    with bench() as it:
        it.theirs.send(PUBLISH * 700)
        it.theirs.shutdown(socket.SHUT_RD)
        await it.turn_until(1)
        it.driver.write(b"\x40\x02\x00\x01")
        await it.paho.told_of_the_end.wait()
        assert len(it.arrivals) == 700


async def test_end_is_told_after_all_that_came_before_it() -> None:
    """However many turns that takes."""
    with bench() as it:
        it.theirs.send(PUBLISH * 500 + b"\xe0\x00")
        it.theirs.close()
        async with asyncio.timeout(10):
            await it.paho.told_of_the_end.wait()
        assert (len(it.arrivals), it.paho.read) == (500, b"\xe0\x00")
        assert not it.driver.is_running


async def test_failed_write_ends_the_connection() -> None:
    """Without waiting for the socket to say so when it is read: with TLS it may never."""
    with bench() as it:
        it.theirs.shutdown(socket.SHUT_RD)
        it.driver.write(b"\x40\x02\x00\x01")
        async with asyncio.timeout(10):
            await it.paho.told_of_the_end.wait()


async def test_silent_broker_is_pinged_and_given_up() -> None:
    """Two keep-alives after its last sign of life."""
    with bench() as it:
        it.driver.keep_alive(5)
        it.clock.advance(9)
        assert (it.theirs.recv(64), it.silences) == (b"\xc0\x00", 0)
        it.clock.advance(1)
        assert it.silences == 1


async def test_our_own_standstill_is_no_silence_of_the_broker() -> None:
    """After a long pause of this process the answer lies unread in the socket: it is read before the judgement."""
    with bench() as it:
        it.driver.keep_alive(5)
        it.clock.advance(5)
        it.theirs.send(b"\xd0\x00")
        it.clock.elapsed += 60
        it.clock.advance(0)
        assert it.silences == 0
        assert it.paho.read == b"\xd0\x00"


async def test_nothing_is_pinged_before_connack() -> None:
    """Until then the time for an answer is limited by whoever waits for it."""
    with bench() as it:
        it.theirs.settimeout(0)
        it.clock.advance(600)
        assert it.silences == 0


async def test_full_backlog_leaves_the_rest_with_the_broker() -> None:
    """What waits is bounded: the socket is not read while it is full, and from its half on it is read again."""
    with bench(most=BURST) as it:
        sent = 0
        it.theirs.setblocking(False)
        for _ in range(40):
            with suppress(BlockingIOError):
                sent += it.theirs.send(PUBLISH * BURST) // len(PUBLISH)
            await it.turn()
        assert BURST <= len(it.arrivals) < BURST + PACKETS_PER_TURN
        reads = it.shared.reads
        it.acknowledge(BURST // 4)
        await it.turn()
        assert it.shared.reads == reads
        seen = len(it.arrivals)
        while seen < sent:
            it.acknowledge(len(it.arrivals) - seen + BURST)
            await it.turn()
            assert len(it.arrivals) <= seen + BURST + PACKETS_PER_TURN
            seen = len(it.arrivals)
        assert it.arrivals[-1].message.payload == b"1"


async def test_broker_is_pinged_and_not_called_silent_while_we_do_not_read() -> None:
    """It is us who do not listen; so the session lives on, however long the outbox takes nothing."""
    with bench(most=BURST) as it:
        it.driver.keep_alive(5)
        it.theirs.send(PUBLISH * BURST)
        await it.turn_until(BURST)
        for _ in range(60):
            it.clock.advance(1)
        assert (it.theirs.recv(64), it.silences) == (b"\xc0\x00" * 12, 0)
        it.theirs.send(b"\xd0\x00" * 12)
        it.acknowledge(BURST)
        await it.turn()
        it.clock.advance(5)
        assert it.silences == 0


async def test_broker_that_leaves_while_we_do_not_read_is_noticed() -> None:
    """Although what it sent before stands unread in front of its end."""
    with bench(most=BURST) as it:
        it.theirs.send(PUBLISH * BURST)
        await it.turn_until(BURST)
        it.theirs.send(PUBLISH * BURST)
        it.theirs.close()
        await it.turn()
        assert not it.paho.told_of_the_end.is_set()
        it.clock.advance(1)
        assert it.paho.told_of_the_end.is_set()


async def test_broker_that_reads_nothing_is_not_read() -> None:
    """What we answer is bounded too: whoever leaves our PUBACKs unread gets to send nothing more."""
    with bench() as it:
        it.theirs.setblocking(False)
        while not it.shared.unsent_bytes:
            it.driver.write(bytes(1 << 16))
        it.driver.write(bytes(1 << 17))
        it.theirs.send(PUBLISH)
        await it.turn()
        assert it.arrivals == []
        it.driver.keep_alive(5)
        it.clock.advance(5)
        it.clock.advance(5)
        assert it.silences == 1
        with suppress(BlockingIOError):
            while True:
                it.theirs.recv(1 << 16)
                await it.turn(3)
        assert len(it.arrivals) == 1


async def test_unfit_packet_is_told_after_what_came_before_it() -> None:
    """And nothing behind it is looked at."""
    with bench() as it:
        it.theirs.send(PUBLISH + b"\x34\xff\xff\xff\x7f" + PUBLISH)
        await it.turn_until(1)
        assert (it.unfit, len(it.arrivals)) == (["qos_2"], 1)


async def test_half_an_exchange_at_qos_2_is_ended() -> None:
    """An earlier program may have left one: unanswered it would take a place among those in flight for ever."""
    with bench() as it:
        it.theirs.send(b"\x62\x02\x12\x34")
        await it.turn()
        assert it.theirs.recv(64) == b"\x70\x02\x12\x34"


async def test_stop_needs_no_descriptor() -> None:
    """Where no more can be opened, what was written still leaves, and DISCONNECT, before the connection is closed."""
    with bench(most=BURST) as it, no_descriptor_left():
        it.theirs.send(PUBLISH * 2 * BURST)
        await it.turn_until(BURST)
        it.driver.write(b"\x40\x02\x00\x01")
        leaving = asyncio.create_task(it.driver.disconnect(timeout_seconds=10))
        await it.turn()
        assert it.theirs.recv(64) == b"\x40\x02\x00\x01\xe0\x00"
        it.theirs.shutdown(socket.SHUT_WR)
        await leaving
        assert it.shared.fileno() == -1


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As many are open as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as newest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (newest.fileno(), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
