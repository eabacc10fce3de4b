"""
The driver moves bytes between one connection's socket and the running asyncio loop.

It reads in large chunks and hands over the messages in them. paho reads every other packet by its public `loop_read`,
and writes by its `loop_write`.

Two things are bounded: the messages that wait for the outbox, and the bytes that wait to be written to the broker. At
either limit the driver stops reading, so that the rest stays with the broker.
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
"""Most bytes of our answers that wait, because a broker that reads nothing is not read either."""
_PUBREL, _PUBCOMP = 0x62, b"\x70\x02"
"""First byte of PUBREL, the broker's last word at QoS 2, and the beginning of its answer (MQTT 3.1.1 §3.6, §3.7)."""
_PINGREQ = b"\xc0\x00"


class SocketDriver:
    """
    Serves `client` from `start` until its socket is closed. An exception of its callbacks goes to `on_failure`.

    `on_silence` is called when the broker no longer answers, at most two keep-alives after its last sign of life.
    Nothing is read while the backlog is full, and that time is no silence of the broker. Call `read_on` when there is
    room again.
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
        """Whether packets that were read may still be unhandled."""
        self._watches_readable = self._watches_writable = False
        self._held_at = -math.inf
        self._tick: Timer | None = None
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_paho_writes
        client.on_socket_unregister_write = self._on_paho_writes

    @property
    def is_running(self) -> bool:
        return self._socket is not None

    def start(self, sock: SharedSocket) -> None:
        """Begin with a socket that has just been opened, while CONNECT waits to be written."""
        self._socket = sock
        self._watch_readable(sock, wants=True)
        self._watch_writable(sock)
        self._tick = self._clock.call_later(_TICK_SECONDS, self._on_tick)

    def keep_alive(self, seconds: float) -> None:
        """Ping the broker from now on, and give up on it when it stays silent."""
        self._keep_alive = KeepAlive(seconds, now=self._clock.monotonic())

    def stop(self) -> None:
        if self._socket is not None:
            self._watch_readable(self._socket, wants=False)
            self._loop.remove_writer(self._socket.fileno())
            self._socket = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def write(self, packets: bytes) -> None:
        """Send whole packets, behind all that waits to be sent."""
        if self._socket is None:
            return
        self._keep_alive.sent(now=self._clock.monotonic())
        self._socket.write(packets)
        self._watch_writable(self._socket)
        if self._socket.has_ended:
            self._loop.call_soon(self._read)

    def read_on(self) -> None:
        """Read again, if reading has stopped and nothing stops it any more."""
        if (
            self._socket is not None
            and not self._watches_readable
            and not self._must_not_read(self._socket)
        ):
            self._held_at = self._clock.monotonic()
            self._watch_readable(self._socket, wants=True)
            # No socket announces bytes that TLS has decrypted, or packets that were read and not handled.
            self._loop.call_soon(self._read)

    @property
    def last_held_at(self) -> float:
        """Monotonic seconds at which the backlog last stopped the reading."""
        if self._socket is not None and self._waits_for_backlog:
            self._held_at = self._clock.monotonic()
        return self._held_at

    async def disconnect(self, *, timeout_seconds: float) -> None:
        """
        Write what is queued and DISCONNECT, then read on until the broker closes or the time is up.

        paho closes its socket at once. TCP would answer further messages with a reset, and the broker may then drop our
        last PUBACKs unread. So the socket stays open, and the driver discards what comes.
        """
        sock = self._socket
        if sock is None:
            return
        fd, closed = sock.fileno(), self._loop.create_future()

        def discard() -> None:
            if sock.discard() and not closed.done():
                closed.set_result(None)

        self._watch_readable(sock, wants=False)
        sock.is_leaving = True
        self._loop.add_reader(fd, discard)
        try:
            self._client.disconnect()
            await asyncio.wait({closed}, timeout=timeout_seconds)
        finally:
            self._loop.remove_reader(fd)
            self.stop()
            sock.hang_up()

    def _on_readable(self) -> None:
        # While the driver is behind, its own next `_read` is due already.
        if not self._is_behind:
            self._read()

    def _read(self) -> None:
        try:
            self._handle_input()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)

    def _handle_input(self) -> None:
        """
        Handle at most _PACKETS_PER_TURN packets, because all else on this loop waits meanwhile.

        Packets that came before the end of the connection are handled before paho learns of the end, unless the backlog
        is full.
        """
        sock = self._socket
        if sock is None:
            return
        if self._must_not_read(sock):
            self._stop_reading(sock)
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
        self._watch_writable(sock)

    def _handle_some(self, sock: SharedSocket) -> bool:
        """Whether there may be more to handle."""
        packets, now, left = self._packets, self._clock.now(), _PACKETS_PER_TURN
        while left > 0 and self._socket is not None and not self._must_not_read(sock):
            parsed = packets.parse(limit=left, received_at=now)
            if isinstance(parsed, list):
                if not parsed:
                    return False
                left -= len(parsed)
                self._backlog.add(len(parsed), packets.parsed_bytes)
                self._on_arrivals(parsed)
                if packets.is_empty:
                    return False
            elif isinstance(parsed, bytes):
                left -= 1
                self._let_paho_read(sock, parsed)
            else:
                self._on_unfit(parsed)
                return False
        return True

    def _let_paho_read(self, sock: SharedSocket, packet: bytes) -> None:
        if packet[0] == _PUBREL:
            # An earlier program with our client id began it. Unanswered, it keeps a place among the messages in flight.
            self.write(_PUBCOMP + packet[2:4])
        sock.leave_to_paho(packet)
        while sock.has_left_for_paho and self._socket is not None:
            self._client.loop_read()

    @property
    def _waits_for_backlog(self) -> bool:
        # CONNACK is always read, because it stands before all messages.
        return self._backlog.is_full and self._packets.has_begun

    def _must_not_read(self, sock: SharedSocket) -> bool:
        """Whether to leave the broker's bytes where they are."""
        is_unheard = sock.wants_to_write and (
            sock.unsent_bytes > _MOST_UNSENT_BYTES or self._client.want_write()
        )
        return self._waits_for_backlog or is_unheard or sock.is_leaving

    def _stop_reading(self, sock: SharedSocket) -> None:
        self._watch_readable(sock, wants=False)
        if sock.has_ended:
            self._client.loop_read()

    def _on_writable(self) -> None:
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)

    def _flush(self) -> None:
        sock = self._socket
        if sock is None:
            return
        sock.flush()
        if not sock.has_unsent:
            self._client.loop_write()
        if sock.has_ended or sock.read_waits_for_write:
            self._handle_input()
        if self._socket is not None:
            self._watch_writable(sock)
            self.read_on()

    def _watch_readable(self, sock: SharedSocket, *, wants: bool) -> None:
        """Have the loop announce input exactly while the driver would read it."""
        if wants and not self._watches_readable:
            self._loop.add_reader(sock.fileno(), self._on_readable)
        elif self._watches_readable and not wants:
            self._loop.remove_reader(sock.fileno())
        self._watches_readable = wants

    def _watch_writable(self, sock: SharedSocket) -> None:
        """Have the loop announce a writable socket exactly while something waits to be written."""
        wants = sock.wants_to_write or (not sock.has_unsent and self._client.want_write())
        if wants and not self._watches_writable:
            self._loop.add_writer(sock.fileno(), self._on_writable)
        elif self._watches_writable and not wants:
            self._loop.remove_writer(sock.fileno())
        self._watches_writable = wants

    def _on_tick(self) -> None:
        self._tick = self._clock.call_later(_TICK_SECONDS, self._on_tick)
        now = self._clock.monotonic()
        if self._waits_for_backlog:
            self._excuse_silence(now)
        duty = self._keep_alive.duty(now=now)
        if duty is Duty.PING:
            self.write(_PINGREQ)
        elif duty is Duty.GIVE_UP:
            # This process may have stood still itself. The broker's answer then waits to be read.
            self._read()
            if self._socket is not None and self._keep_alive.duty(now=now) is Duty.GIVE_UP:
                self._on_silence()

    def _excuse_silence(self, now: float) -> None:
        """Count no silence while nothing is read, but notice a broker that has left."""
        self._keep_alive.heard(now=now)
        self._backlog.tell()
        if self._socket is not None and self._socket.notice_end():
            self._read()

    def _on_socket_close(self, *_: Any) -> None:
        self.stop()

    def _on_paho_writes(self, *_: Any) -> None:
        # paho also calls this in the dialling thread, when it queues CONNECT. The driver has no socket at that time.
        if self._socket is not None:
            self._watch_writable(self._socket)
