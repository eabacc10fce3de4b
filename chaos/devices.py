"""The devices' side of the broker: publishes at QoS 1 through every outage, and notes each PUBACK."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from chaos.oracle import Oracle

PATIENCE_SECONDS = 180.0
_LOOK_SECONDS = 0.02
_CATCH_UP_SECONDS = 0.5
"""A flow makes up for so much that it was late on a busy machine, but not for a whole outage."""
_MOST_WAITING = 400
"""A flow waits for a broker that is so many messages behind, because what it publishes is to be seen soon."""


class Devices:
    """
    One connection for all devices, with a thread of its own; a context manager.

    What the broker has not acknowledged is sent again on the next connection, in its order, as devices do.
    """

    def __init__(self, oracle: Oracle, *, port: int, username: str, password: str) -> None:
        self._oracle = oracle
        self._waiting: dict[int, int] = {}
        # The callback runs under paho's locks, so it only leaves a note: no lock of ours, no deadlock.
        self._told: deque[int] = deque()
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id="devices")
        client.max_inflight_messages_set(200)
        client.reconnect_delay_set(1, 1)
        client.username_pw_set(username, password)
        client.on_publish = self._note
        client.connect("127.0.0.1", port)
        client.loop_start()

    def publish(self, count: int, *, padding: str = "") -> None:
        """Hand so many readings to the client; returns at once."""
        for _ in range(count):
            reading = self._oracle.issue(padding=padding)
            sent = self._client.publish(reading.topic, reading.payload, qos=1)
            self._waiting[sent.mid] = reading.number
        self._look()

    def publish_nonsense(self, device: str, payload: bytes) -> None:
        """Hand the client a message that is no reading, and that nothing is owed for."""
        self._client.publish(f"ext/partner/{device}", payload, qos=1)

    async def publish_and_wait(self, count: int, *, padding: str = "") -> None:
        """Return once the broker has taken them, and everything before them."""
        await self.connected()
        self.publish(count, padding=padding)
        await self.all_taken()

    async def connected(self) -> None:
        """
        Return once there is a connection.

        What paho is given without one may leave after what it is given later, and its order would be no device's.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._client.is_connected():
                await asyncio.sleep(_LOOK_SECONDS)

    async def all_taken(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._waiting:
                await asyncio.sleep(_LOOK_SECONDS)
                self._look()

    @asynccontextmanager
    async def flowing(self, *, per_second: float, padding: str = "") -> AsyncIterator[None]:
        """Readings flow while the block runs, at a steady pace; what is on its way at the end counts too."""
        flow = asyncio.create_task(self._flow(1 / per_second, padding))
        try:
            yield
        finally:
            flow.cancel()
            with suppress(asyncio.CancelledError):
                await flow

    async def _flow(self, seconds: float, padding: str) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.connected()
            if len(self._waiting) < _MOST_WAITING:
                self.publish(1, padding=padding)
            self._look()
            due = max(due + seconds, loop.time() - _CATCH_UP_SECONDS)
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _note(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        _reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._told.append(mid)

    def _look(self) -> None:
        while self._told:
            number = self._waiting.pop(self._told.popleft(), None)
            if number is not None:
                self._oracle.take(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
