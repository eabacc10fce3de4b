"""Moves bytes between a paho client's socket and the running asyncio loop, through paho's public loop functions."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client

_PACKETS_PER_TURN = 200
_TICK_SECONDS = 1.0


class Pump:
    """
    Runs `client` once its socket is open, until its socket is closed; what its callbacks raise goes to `on_failure`.

    paho itself pings a quiet broker, and closes the socket of one that does not answer: after two keep-alives at most.
    """

    def __init__(self, client: Client, *, on_failure: Callable[[Exception], None]) -> None:
        self.messages = 0
        """Counted up by `on_message`, which is how the pump learns that there was something to read."""
        self._client = client
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._fd: int | None = None
        self._tick: asyncio.TimerHandle | None = None
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write

    @property
    def is_running(self) -> bool:
        return self._fd is not None

    def start(self, sock: socket.socket) -> None:
        """Begin with a socket that has just been opened; CONNECT is waiting to be written."""
        # PUBACKs are written one by one: without this the second of a batch waits for the broker's TCP to answer.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self._read)
        self._loop.add_writer(self._fd, self._write)
        self._tick = self._loop.call_later(_TICK_SECONDS, self._on_tick)

    def stop(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    async def disconnect(self, *, timeout_seconds: float) -> None:
        """
        Write what is queued and DISCONNECT, then read on until the broker closes or the time is up.

        paho closes its socket at once. With messages still coming in, TCP would answer those with a reset,
        at which the broker may drop our last PUBACKs unread; so a second descriptor keeps the connection open.
        """
        if self._fd is None:
            return
        with socket.socket(fileno=os.dup(self._fd)) as rest, suppress(OSError, TimeoutError):
            rest.settimeout(0)
            self._loop.remove_reader(self._fd)
            self._client.disconnect()
            async with asyncio.timeout(timeout_seconds):
                while await self._loop.sock_recv(rest, 65536):
                    pass

    def _read(self) -> None:
        try:
            has_more = self._take_packets()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)
        else:
            if has_more:
                self._loop.call_soon(self._read)

    def _take_packets(self) -> bool:
        """
        Handle what has come in, at most _PACKETS_PER_TURN packets, for others on this loop have their turns too.

        True when bytes are left that TLS has already taken from the socket, of which the loop will not tell.
        """
        for _ in range(_PACKETS_PER_TURN):
            before = self.messages
            self._client.loop_read()
            if self._fd is None:
                return False
            if self.messages == before and not self._decrypted():
                return False
        return self._decrypted() > 0

    def _decrypted(self) -> int:
        pending = getattr(self._client.socket(), "pending", None)
        return pending() if pending is not None else 0

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)

    def _on_tick(self) -> None:
        self._tick = self._loop.call_later(_TICK_SECONDS, self._on_tick)
        try:
            self._client.loop_misc()
        except Exception as error:  # noqa: BLE001 - the top of the loop's callback
            self._on_failure(error)

    def _on_socket_close(self, *_: Any) -> None:
        self.stop()

    def _on_register_write(self, *_: Any) -> None:
        if self._fd is not None:
            self._loop.add_writer(self._fd, self._write)

    def _on_unregister_write(self, *_: Any) -> None:
        if self._fd is not None:
            self._loop.remove_writer(self._fd)
