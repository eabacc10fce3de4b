"""A publisher of payloads of hundreds of MiB, which it makes as it sends them, because no client library does so."""

import socket
import struct
from types import TracebackType
from typing import Self

from forwarder.settings import Broker

_PIECE = b"A" * (1 << 20)
PATIENCE_SECONDS = 60.0


class HeavyPublisher:
    """Blocks until the broker has taken each message, and holds at most a MiB of it. A context manager."""

    def __init__(self, broker: Broker, *, username: str, is_mqtt5: bool = False) -> None:
        self._socket = socket.create_connection((broker.host, broker.port), PATIENCE_SECONDS)
        self._is_mqtt5 = is_mqtt5
        name, level = _text(b"MQTT"), bytes([5 if is_mqtt5 else 4])
        properties = b"\0" if is_mqtt5 else b""
        login = _text(username.encode()) + _text((broker.password or "").encode())
        body = name + level + b"\xc2\0\0" + properties + _text(b"heavy") + login
        self._send(0x10, body)
        assert self._receive()[0] == 0x20

    def publish(
        self,
        topic: str,
        size: int | bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        user_properties: int = 0,
    ) -> None:
        """Publish a payload, or one of `size` bytes; MQTT 5 adds so many bytes of user properties in front of it."""
        payload = size if isinstance(size, bytes) else b""
        filling = 0 if isinstance(size, bytes) else size
        head = _text(topic.encode()) + (b"\0\7" if qos else b"")
        head += _properties(user_properties) if self._is_mqtt5 else b""
        length = _length(len(head) + len(payload) + filling)
        self._socket.sendall(bytes([0x30 | qos << 1 | retain]) + length + head + payload)
        for at in range(0, filling, len(_PIECE)):
            self._socket.sendall(_PIECE[: filling - at])
        self._conclude(qos)

    def _conclude(self, qos: int) -> None:
        if qos == 0:
            self._send(0xC0, b"")
        self._receive()
        if qos == 2:
            self._send(0x62, b"\0\7")
            self._receive()

    def _send(self, first: int, body: bytes) -> None:
        self._socket.sendall(bytes([first]) + _length(len(body)) + body)

    def _receive(self) -> bytes:
        head = self._socket.recv(2, socket.MSG_WAITALL)
        assert len(head) == 2, "the broker has closed the connection"
        return head + self._socket.recv(head[1], socket.MSG_WAITALL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()


def _text(text: bytes) -> bytes:
    return struct.pack("!H", len(text)) + text


def _length(length: int) -> bytes:
    encoded = b""
    while length > 127:
        encoded += bytes([length & 127 | 128])
        length >>= 7
    return encoded + bytes([length])


def _properties(size: int) -> bytes:
    """User properties (MQTT 5 §3.3.2.3.7) of about so many bytes."""
    one = b"\x26" + _text(b"n" * 1000) + _text(b"v" * 1000)
    block = one * (size // len(one))
    return _length(len(block)) + block
