"""The pump's turns on the loop: how much it does in one, and what it makes of errors and silence."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from support.clock import HandClock

from forwarder.subscriber.packets import Packets
from forwarder.subscriber.pump import Pump
from forwarder.subscriber.wire import Wire

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from forwarder.subscriber.arrivals import Arrival

PUBLISH = b"\x30\x08\x00\x05ext/a1"
PACKETS_PER_TURN = 200


class Paho:
    """As much of a paho client as the pump drives: reads what is left to it, and closes when that is the end."""

    def __init__(self) -> None:
        self.read = b""
        self.wire: Wire | None = None
        self.told_of_the_end = asyncio.Event()

    def loop_read(self) -> None:
        assert self.wire is not None
        try:
            packet = self.wire.recv(65536)
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


class CountedWire(Wire):
    reads = 0

    def receive(self) -> bytes:
        self.reads += 1
        return super().receive()


class Bench:
    """A pump between a socket pair, with a clock to hand-set."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        ours.setblocking(False)
        self.theirs = theirs
        self.wire = CountedWire(ours)
        self.clock = HandClock()
        self.paho = Paho()
        self.paho.wire = self.wire
        self.arrivals: list[Arrival] = []
        self.silences = 0
        self.failures: list[Exception] = []
        self.pump = Pump(
            cast("Client", self.paho),
            Packets(is_mqtt5=False),
            clock=self.clock,
            on_arrivals=self.arrivals.extend,
            on_silence=self._on_silence,
            on_failure=self.failures.append,
        )
        self.pump.start(self.wire)

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
def bench() -> Iterator[Bench]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = Bench(ours, theirs)
        yield made
        made.pump.stop()
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
        assert it.wire.reads == 1


async def test_failed_write_loses_nothing_that_was_read() -> None:
    """What has been read already is handed over before paho is told of the failure."""
    with bench() as it:
        it.theirs.send(PUBLISH * 700)
        it.theirs.shutdown(socket.SHUT_RD)
        await it.turn_until(1)
        it.pump.write(b"\x40\x02\x00\x01")
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
        assert not it.pump.is_running


async def test_failed_write_ends_the_connection() -> None:
    """Without waiting for the socket to say so when it is read: with TLS it may never."""
    with bench() as it:
        it.theirs.shutdown(socket.SHUT_RD)
        it.pump.write(b"\x40\x02\x00\x01")
        async with asyncio.timeout(10):
            await it.paho.told_of_the_end.wait()


async def test_silent_broker_is_pinged_and_given_up() -> None:
    """Two keep-alives after its last sign of life."""
    with bench() as it:
        it.pump.keep_alive(5)
        it.clock.advance(9)
        assert (it.theirs.recv(64), it.silences) == (b"\xc0\x00", 0)
        it.clock.advance(1)
        assert it.silences == 1


async def test_our_own_standstill_is_no_silence_of_the_broker() -> None:
    """After a long pause of this process the answer lies unread in the socket: it is read before the judgement."""
    with bench() as it:
        it.pump.keep_alive(5)
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
