"""
Moves bytes between one connection's socket and the running asyncio loop.

It reads in large chunks and hands over what arrives; packets that are no messages are read by paho, through its public
`loop_read`, and what paho has to say is written by its `loop_write`.

It reads only what there is room for. What waits for the outbox, and what waits to be written to the broker, is bounded;
at the limit the socket is left alone, and so the rest stays with the broker.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client

from forwarder.clock import Clock, Timer
from forwarder.subscriber.arrivals import Arrival
from forwarder.subscriber.backlog import Backlog
from forwarder.subscriber.keep_alive import Duty, KeepAlive
from forwarder.subscriber.packets import Packets, Unfit
from forwarder.subscriber.shared_socket import SharedSocket

_PACKETS_PER_TURN = 200
_TICK_SECONDS = 1.0
_MOST_UNSENT_BYTES = 65_536
"""Of what we answer: a broker that reads nothing is not read either."""
_PUBREL, _PUBCOMP = 0x62, b"\x70\x02"
"""How the end of an exchange at QoS 2 begins, and its answer (MQTT 3.1.1 §3.6, §3.7)."""
_PINGREQ = b"\xc0\x00"


class SocketDriver:
    """
    Serves `client` from `start` until its socket is closed; what its callbacks raise goes to `on_failure`.

    `on_silence` is called when the broker no longer answers: two keep-alives after its last sign of life at most.
    While the backlog is full nothing is read, which is no silence of the broker's; once it has room, `read_on`.
    """

    def __init__(
        self,
        client: Client,
        packets: Packets,
        *,
        clock: Clock,
        backlog: Backlog,
        on_arrivals: Callable[[list[Arrival]], None],
        on_unfit: Callable[[Unfit], None],
        on_silence: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._client = client
        self._packets = packets
        self._clock = clock
        self._backlog = backlog
        self._on_arrivals = on_arrivals
        self._on_unfit = on_unfit
        self._on_silence = on_silence
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._socket: SharedSocket | None = None
        self._keep_alive = KeepAlive(0, now=clock.monotonic())
        self._is_behind = False
        """Whether packets that were read may still have to be handled."""
        self._watches_input = self._watches_room = False
        self._held_at = -math.inf
        self._tick: Timer | None = None
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_paho_writes
        client.on_socket_unregister_write = self._on_paho_writes

    @property
    def is_running(self) -> bool:
        return self._socket is not None

    def start(self, sock: SharedSocket) -> None:
        """Begin with a socket that has just been opened; CONNECT is waiting to be written."""
        self._socket = sock
        self._watch_input(sock, wants=True)
        self._watch_room(sock)
        self._tick = self._clock.call_later(_TICK_SECONDS, self._on_tick)

    def keep_alive(self, seconds: float) -> None:
        """From now on see to it that the broker hears from us, and we from it."""
        self._keep_alive = KeepAlive(seconds, now=self._clock.monotonic())

    def stop(self) -> None:
        if self._socket is not None:
            self._watch_input(self._socket, wants=False)
            self._loop.remove_writer(self._socket.fileno())
            self._socket = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def write(self, packets: bytes) -> None:
        """Send whole packets, after everything that is on its way already."""
        if self._socket is None:
            return
        self._keep_alive.sent(now=self._clock.monotonic())
        self._socket.write(packets)
        self._watch_room(self._socket)
        if self._socket.has_ended:
            self._loop.call_soon(self._read)

    def read_on(self) -> None:
        """Go on reading, if that was put off and need not be any more."""
        if self._socket is not None and not self._watches_input and not self._is_held(self._socket):
            self._held_at = self._clock.monotonic()
            self._watch_input(self._socket, wants=True)
            # What TLS has decrypted, or was not handled yet, is announced by no socket.
            self._loop.call_soon(self._read)

    @property
    def last_held_at(self) -> float:
        """By the monotonic clock, when the backlog last kept us from reading."""
        if self._socket is not None and self._waits_for_backlog:
            self._held_at = self._clock.monotonic()
        return self._held_at

    async def disconnect(self, *, timeout_seconds: float) -> None:
        """
        Write what is queued and DISCONNECT, then read on until the broker closes or the time is up.

        paho closes its socket at once. With messages still coming in, TCP would answer those with a reset, at which
        the broker may drop our last PUBACKs unread; so the socket stays open, and what comes is thrown away.
        """
        sock = self._socket
        if sock is None:
            return
        fd, closed = sock.fileno(), self._loop.create_future()

        def throw_away() -> None:
            if sock.throw_away() and not closed.done():
                closed.set_result(None)

        self._watch_input(sock, wants=False)
        sock.is_leaving = True
        self._loop.add_reader(fd, throw_away)
        try:
            self._client.disconnect()
            await asyncio.wait({closed}, timeout=timeout_seconds)
        finally:
            self._loop.remove_reader(fd)
            self.stop()
            sock.hang_up()

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

        What came before the connection ended is handled before paho is told of its end, if there is room for it.
        """
        sock = self._socket
        if sock is None:
            return
        if self._is_held(sock):
            self._hold(sock)
            return
        if not self._is_behind:
            self._receive(sock)
        self._is_behind = self._handle_some(sock)
        if self._socket is None:
            return
        if self._is_behind:
            self._loop.call_soon(self._read)
        elif sock.has_ended:
            self._client.loop_read()

    def _receive(self, sock: SharedSocket) -> None:
        if chunk := sock.receive():
            self._keep_alive.heard(now=self._clock.monotonic())
            self._packets.feed(chunk)
        self._watch_room(sock)

    def _handle_some(self, sock: SharedSocket) -> bool:
        """Whether there may be more to handle."""
        packets, now, left = self._packets, self._clock.now(), _PACKETS_PER_TURN
        while left > 0 and self._socket is not None and not self._is_held(sock):
            taken = packets.take(limit=left, received_at=now)
            if isinstance(taken, list):
                if not taken:
                    return False
                left -= len(taken)
                self._backlog.add(len(taken), packets.taken_bytes)
                self._on_arrivals(taken)
                if packets.is_empty:
                    return False
            elif isinstance(taken, bytes):
                left -= 1
                self._let_paho_read(sock, taken)
            else:
                self._on_unfit(taken)
                return False
        return True

    def _let_paho_read(self, sock: SharedSocket, packet: bytes) -> None:
        if packet[0] == _PUBREL:
            # Left by an earlier program under our client id. Unanswered it keeps a place among those in flight.
            self.write(_PUBCOMP + packet[2:4])
        sock.set_aside(packet)
        while sock.has_set_aside and self._socket is not None:
            self._client.loop_read()

    @property
    def _waits_for_backlog(self) -> bool:
        # CONNACK stands before all messages, and is always read.
        return self._backlog.is_full and self._packets.has_begun

    def _is_held(self, sock: SharedSocket) -> bool:
        """Whether to leave alone what comes in."""
        is_unheard = sock.wants_room and (
            sock.unsent_bytes > _MOST_UNSENT_BYTES or self._client.want_write()
        )
        return self._waits_for_backlog or is_unheard or sock.is_leaving

    def _hold(self, sock: SharedSocket) -> None:
        self._watch_input(sock, wants=False)
        if sock.has_ended:
            self._client.loop_read()

    def _on_room(self) -> None:
        try:
            self._write_out()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)

    def _write_out(self) -> None:
        sock = self._socket
        if sock is None:
            return
        sock.flush()
        if not sock.has_unsent:
            self._client.loop_write()
        if sock.has_ended or sock.read_waits_for_room:
            self._take_in()
        if self._socket is not None:
            self._watch_room(sock)
            self.read_on()

    def _watch_input(self, sock: SharedSocket, *, wants: bool) -> None:
        """Have the loop tell when there is something to read, exactly while it would be read."""
        if wants and not self._watches_input:
            self._loop.add_reader(sock.fileno(), self._on_readable)
        elif self._watches_input and not wants:
            self._loop.remove_reader(sock.fileno())
        self._watches_input = wants

    def _watch_room(self, sock: SharedSocket) -> None:
        """Have the loop tell when there is room to write, exactly while something waits for it."""
        wants = sock.wants_room or (not sock.has_unsent and self._client.want_write())
        if wants and not self._watches_room:
            self._loop.add_writer(sock.fileno(), self._on_room)
        elif self._watches_room and not wants:
            self._loop.remove_writer(sock.fileno())
        self._watches_room = wants

    def _on_tick(self) -> None:
        self._tick = self._clock.call_later(_TICK_SECONDS, self._on_tick)
        now = self._clock.monotonic()
        if self._waits_for_backlog:
            self._bear_hold(now)
        duty = self._keep_alive.duty(now=now)
        if duty is Duty.PING:
            self.write(_PINGREQ)
        elif duty is Duty.GIVE_UP:
            # It may have been us who stood still, and the answer is there to be read.
            self._read()
            if self._socket is not None and self._keep_alive.duty(now=now) is Duty.GIVE_UP:
                self._on_silence()

    def _bear_hold(self, now: float) -> None:
        """It is us who do not listen, so the broker cannot be called silent; but it may have left."""
        self._keep_alive.heard(now=now)
        self._backlog.tell()
        if self._socket is not None and self._socket.notice_end():
            self._read()

    def _on_socket_close(self, *_: Any) -> None:
        self.stop()

    def _on_paho_writes(self, *_: Any) -> None:
        if self._socket is not None:
            self._watch_room(self._socket)
