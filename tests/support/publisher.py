"""A publisher, as a device is one: it publishes and waits for the PUBACK."""

import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from forwarder.settings import Broker

PATIENCE_SECONDS = 20.0


class Publisher:
    """
    A client on the forwarder's broker, with a thread of its own; a context manager.

    It blocks until the broker has taken each message, so a coroutine calls it by `asyncio.to_thread` when the broker
    runs on the same loop.
    """

    def __init__(
        self, broker: Broker, *, username: str | None = None, password: str | None = None
    ) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2)
        name = username or broker.username
        if name is not None:
            self._client.username_pw_set(name, password or broker.password)
        if broker.use_tls:
            self._client.tls_set_context(_trust(broker))
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._sent: list[MQTTMessageInfo] = []

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos, retain).wait_for_publish(PATIENCE_SECONDS)

    def publish_all(self, topic: str, payloads: Iterable[bytes], *, qos: int = 1) -> None:
        self.publish_each(((topic, payload) for payload in payloads), qos=qos)

    def publish_each(self, messages: Iterable[tuple[str, bytes]], *, qos: int = 1) -> None:
        for sent in [self._client.publish(topic, payload, qos) for topic, payload in messages]:
            sent.wait_for_publish(PATIENCE_SECONDS)

    def publish_later(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Hand messages over without waiting; `close` waits until the broker has taken them."""
        self._sent += [self._client.publish(topic, payload, 1) for topic, payload in messages]

    def close(self) -> None:
        for sent in self._sent:
            sent.wait_for_publish(PATIENCE_SECONDS)
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _trust(broker: Broker) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=broker.ca_file)
    context.check_hostname = broker.check_hostname
    if broker.cert_file is not None:
        context.load_cert_chain(broker.cert_file, broker.key_file)
    return context
