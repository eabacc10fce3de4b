"""
Moves bytes between one connection's socket and the running asyncio loop.

It reads in large chunks and hands over what arrives; packets that are not simply messages are read by paho, through
its public `loop_read`, and what paho has to say is written by its `loop_write`.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from typing import Any, cast

from paho.mqtt.client import Client

from forwarder.clock import Clock, Timer
from forwarder.subscriber.arrivals import Arrival
from forwarder.subscriber.keep_alive import Duty, KeepAlive
from forwarder.subscriber.packets import Packets
from forwarder.subscriber.wire import Wire

_PACKETS_PER_TURN = 200
_TICK_SECONDS = 1.0
_PINGREQ = b"\xc0\x00"


class Pump:
    """
    Serves `client` from `start` until its socket is closed; what its callbacks raise goes to `on_failure`.

    `on_silence` is called when the broker no longer answers: two keep-alives after its last sign of life at most.
    """

    def __init__(
        self,
        client: Client,
        packets: Packets,
        *,
        clock: Clock,
        on_arrivals: Callable[[list[Arrival]], None],
        on_silence: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._client = client
        self._packets = packets
        self._clock = clock
        self._on_arrivals = on_arrivals
        self._on_silence = on_silence
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._keep_alive = KeepAlive(0, now=clock.monotonic())
        self._is_behind = False
        self._watches_room = False
        self._tick: Timer | None = None
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_paho_writes
        client.on_socket_unregister_write = self._on_paho_writes

    @property
    def is_running(self) -> bool:
        return self._wire is not None

    def start(self, wire: Wire) -> None:
        """Begin with a socket that has just been opened; CONNECT is waiting to be written."""
        self._wire = wire
        self._loop.add_reader(wire.fileno(), self._on_readable)
        self._watch_room(wire)
        self._tick = self._clock.call_later(_TICK_SECONDS, self._on_tick)

    def keep_alive(self, seconds: float) -> None:
        """From now on see to it that the broker hears from us, and we from it."""
        self._keep_alive = KeepAlive(seconds, now=self._clock.monotonic())

    def stop(self) -> None:
        if self._wire is not None:
            self._loop.remove_reader(self._wire.fileno())
            self._loop.remove_writer(self._wire.fileno())
            self._wire = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def write(self, packets: bytes) -> None:
        """Send whole packets, after everything that is on its way already."""
        if self._wire is None:
            return
        self._keep_alive.sent(now=self._clock.monotonic())
        self._wire.write(packets)
        self._watch_room(self._wire)
        if self._wire.has_ended:
            self._loop.call_soon(self._read)

    async def disconnect(self, *, timeout_seconds: float) -> None:
        """
        Write what is queued and DISCONNECT, then read on until the broker closes or the time is up.

        paho closes its socket at once. With messages still coming in, TCP would answer those with a reset,
        at which the broker may drop our last PUBACKs unread; so a second descriptor keeps the connection open.
        """
        if self._wire is None:
            return
        fd = self._wire.fileno()
        with socket.socket(fileno=os.dup(fd)) as rest, suppress(OSError, TimeoutError):
            rest.settimeout(0)
            self._loop.remove_reader(fd)
            self._client.disconnect()
            async with asyncio.timeout(timeout_seconds):
                while await self._loop.sock_recv(rest, 65536):
                    pass

    def _on_readable(self) -> None:
        if not self._is_behind:
            self._read()

    def _read(self) -> None:
        try:
            self._take_in()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)

    def _take_in(self) -> None:
        """
        Handle what has come in, at most _PACKETS_PER_TURN packets, for others on this loop have their turns too.

        What came before the connection ended is handled before paho is told of its end.
        """
        wire = self._wire
        if wire is None:
            return
        if not self._is_behind:
            self._receive(wire)
        packets = self._packets.take(limit=_PACKETS_PER_TURN, received_at=self._clock.now())
        for kind, some in groupby(packets, key=type):
            if kind is Arrival:
                self._on_arrivals(cast("list[Arrival]", [*some]))
            else:
                self._let_paho_read(wire, cast("Iterable[bytes]", some))
            if self._wire is None:
                return
        self._is_behind = len(packets) == _PACKETS_PER_TURN
        if self._is_behind:
            self._loop.call_soon(self._read)
        elif wire.has_ended:
            self._client.loop_read()

    def _receive(self, wire: Wire) -> None:
        if chunk := wire.receive():
            self._keep_alive.heard(now=self._clock.monotonic())
            self._packets.feed(chunk)
        self._watch_room(wire)

    def _let_paho_read(self, wire: Wire, packets: Iterable[bytes]) -> None:
        for packet in packets:
            if self._wire is None:
                return
            wire.set_aside(packet)
            while wire.has_set_aside and self._wire is not None:
                self._client.loop_read()

    def _on_room(self) -> None:
        try:
            self._write_out()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)

    def _write_out(self) -> None:
        wire = self._wire
        if wire is None:
            return
        wire.flush()
        if not wire.has_unsent:
            self._client.loop_write()
        if wire.has_ended or wire.read_waits_for_room:
            self._take_in()
        if self._wire is not None:
            self._watch_room(wire)

    def _watch_room(self, wire: Wire) -> None:
        """Have the loop tell when there is room to write, exactly while something waits for it."""
        wants = wire.wants_room or (not wire.has_unsent and self._client.want_write())
        if wants and not self._watches_room:
            self._loop.add_writer(wire.fileno(), self._on_room)
        elif self._watches_room and not wants:
            self._loop.remove_writer(wire.fileno())
        self._watches_room = wants

    def _on_tick(self) -> None:
        self._tick = self._clock.call_later(_TICK_SECONDS, self._on_tick)
        now = self._clock.monotonic()
        duty = self._keep_alive.duty(now=now)
        if duty is Duty.PING:
            self.write(_PINGREQ)
        elif duty is Duty.GIVE_UP:
            # It may have been us who stood still, and the answer is there to be read.
            self._read()
            if self._wire is not None and self._keep_alive.duty(now=now) is Duty.GIVE_UP:
                self._on_silence()

    def _on_socket_close(self, *_: Any) -> None:
        self.stop()

    def _on_paho_writes(self, *_: Any) -> None:
        if self._wire is not None:
            self._watch_room(self._wire)
