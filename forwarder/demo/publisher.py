"""One MQTT connection that publishes for all simulated devices, as whatwatt devices do: QoS 1."""

import asyncio
import secrets
import string
from collections.abc import Callable
from dataclasses import replace

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from forwarder.errors import OperationError
from forwarder.reading import Device
from forwarder.settings import Broker
from forwarder.subscriber.diagnosis import (
    closed_unanswered,
    explain_dial,
    explain_refusal,
    no_answer,
)
from forwarder.subscriber.tls import client_context

_ALPHANUMERIC = string.ascii_letters + string.digits
_CONNECT_TIMEOUT_SECONDS = 10.0


def fresh_client_id(username: str) -> str:
    """A client id for one more connection: the username, `:` and 8 random letters or digits."""
    return f"{username}:" + "".join(secrets.choice(_ALPHANUMERIC) for _ in range(8))


def topic_for(topic_filter: str, device: Device) -> str:
    """
    The topic on which a subscriber of `topic_filter` hears `device`.

    The MAC takes the place of a final `#` or `+`: `ext/acme/#` → `ext/acme/ECC9FF5C7AD4`. A `+` before the end becomes
    `simulated`. A filter without wildcards is a topic as it stands.
    """
    *levels, last = topic_filter.split("/")
    front = ["simulated" if level == "+" else level for level in levels]
    return "/".join([*front, device if last in ("#", "+") else last])


class Publisher:
    """
    A connection to the configured broker. Use it as an async context manager.

    Entering raises OperationError with one sentence when the broker cannot be reached or refuses us. A connection that
    is lost later comes back by itself, and then sends the messages that were published meanwhile.
    """

    def __init__(
        self, broker: Broker, *, on_state: Callable[[str], None] = lambda _sentence: None
    ) -> None:
        self._broker = replace(
            broker, client_id=fresh_client_id(broker.username or broker.client_id)
        )
        self._on_state = on_state
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._unacknowledged = 0
        self._all_acknowledged = asyncio.Event()
        self._all_acknowledged.set()
        self._client = self._prepare_client()

    async def __aenter__(self) -> "Publisher":
        try:
            await self._connect()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._close()

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand one message over with QoS 1. `drain` waits until the broker has it."""
        self._unacknowledged += 1
        self._all_acknowledged.clear()
        self._client.publish(topic, payload, qos=1)

    async def drain(self) -> None:
        """Return when the broker has acknowledged everything published so far."""
        await self._all_acknowledged.wait()

    def _prepare_client(self) -> mqtt.Client:
        broker = self._broker
        protocol = mqtt.MQTTv5 if broker.protocol == "5" else mqtt.MQTTv311
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=protocol,
        )
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        client.on_connect = self._handle_connect
        client.on_publish = self._handle_publish
        client.on_disconnect = self._handle_disconnect
        return client

    async def _connect(self) -> None:
        try:
            await asyncio.to_thread(self._dial)
        except (OSError, ValueError) as unreachable:
            raise OperationError(explain_dial(unreachable, self._broker).sentence) from unreachable
        self._client.loop_start()
        try:
            await asyncio.wait_for(self._connected, _CONNECT_TIMEOUT_SECONDS)
        except TimeoutError as silent:
            raise OperationError(no_answer(self._broker).sentence) from silent

    def _dial(self) -> None:
        broker = self._broker
        if broker.use_tls:
            self._client.tls_set_context(client_context(broker))
        self._client.connect(broker.host, broker.port, broker.keepalive_seconds)

    async def _close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    # The three handlers below run in paho's thread, so they only pass on to the loop what happened.

    def _handle_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._tell(self._note_connected, reason)

    def _handle_publish(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _mid: int,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._tell(self._note_acknowledged)

    def _handle_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._tell(self._note_lost, reason)

    def _tell(self, note: Callable[..., None], *facts: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(note, *facts)

    def _note_connected(self, reason: ReasonCode) -> None:
        if self._connected.done():
            if not reason.is_failure:
                self._on_state("connected again")
        elif reason.is_failure:
            problem = explain_refusal(reason.value, str(reason), self._broker)
            self._connected.set_exception(OperationError(problem.sentence))
        else:
            self._connected.set_result(None)

    def _note_acknowledged(self) -> None:
        self._unacknowledged -= 1
        if self._unacknowledged == 0:
            self._all_acknowledged.set()

    def _note_lost(self, reason: ReasonCode) -> None:
        if not self._connected.done():
            self._connected.set_exception(OperationError(closed_unanswered(self._broker).sentence))
        elif self._connected.exception() is None:
            self._on_state(f"the connection was lost ({reason}), connecting again")
