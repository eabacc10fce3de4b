"""
The stream of bytes from the broker, split into packets; pure.

What nearly every packet is, a PUBLISH at QoS 0 or 1 without properties, becomes an arrival here. Every other one,
and whatever is malformed, is given back as it came: paho knows what to make of it.
"""

from datetime import datetime
from typing import TypeAlias

from forwarder.reading import Message
from forwarder.subscriber.arrivals import Arrival

Packet: TypeAlias = "Arrival | bytes"

_PUBLISH, _PUBLISH_MASK = 0x30, 0xF4
"""PUBLISH in the packet type, and not QoS 2 or 3 (MQTT 3.1.1 §3.3.1)."""
_DUP, _QOS_1, _RETAIN = 0x08, 0x02, 0x01
_PUBACK = b"\x40\x02"
_LENGTH_BYTES = 4
"""The remaining length has at most as many (MQTT 3.1.1 §2.2.3)."""


class Packets:
    """Takes chunks as they are read from the socket, and gives out whole packets, in order."""

    def __init__(self, *, is_mqtt5: bool) -> None:
        self._is_mqtt5 = is_mqtt5
        self._data = b""
        self._at = 0
        self._parts: list[bytes] = []
        self._missing = 0

    def feed(self, chunk: bytes) -> None:
        """Add what was read next."""
        if self._at < len(self._data):
            self._set_aside(missing=0)
        self._parts.append(chunk)
        self._missing -= len(chunk)
        # Joined once, when the packet is whole: a large one comes in thousands of chunks.
        if self._missing <= 0:
            self._data, self._at = b"".join(self._parts), 0
            self._parts = []

    def take(self, *, limit: int, received_at: datetime) -> list[Packet]:
        """Up to `limit` packets; fewer only when no further one is whole."""
        data, at, end = self._data, self._at, len(self._data)
        taken: list[Packet] = []
        while at < end and len(taken) < limit:
            body, stop = _bounds(data, at, end)
            if stop > end:
                self._at = at
                self._set_aside(missing=stop - end)
                return taken
            taken.append(self._arrival(data, at, body, stop, received_at) or data[at:stop])
            at = stop
        self._at = at
        return taken

    def _set_aside(self, *, missing: int) -> None:
        self._parts.append(self._data[self._at :])
        self._data, self._at = b"", 0
        self._missing = missing

    def _arrival(
        self, data: bytes, at: int, body: int, stop: int, received_at: datetime
    ) -> Arrival | None:
        """The PUBLISH in `data[at:stop]`; None when it is something else, or not as simple (§3.3)."""
        first = data[at]
        if first & _PUBLISH_MASK != _PUBLISH or stop < body + 2:
            return None
        topic_at = body + 2
        rest = topic_end = topic_at + (data[body] << 8 | data[body + 1])
        if first & _QOS_1:
            rest += 2
        if self._is_mqtt5:
            rest += 1
            if rest <= stop and data[rest - 1]:  # has properties
                return None
        if rest > stop or topic_end == topic_at:
            return None
        return Arrival(
            Message(
                topic_text(data[topic_at:topic_end]),
                data[rest:stop],
                received_at,
                1 if first & _QOS_1 else 0,
                first & _DUP != 0,
                first & _RETAIN != 0,
            ),
            _PUBACK + data[topic_end : topic_end + 2] if first & _QOS_1 else b"",
        )


def topic_text(topic: bytes) -> str:
    """The topic; bytes that are not UTF-8, which MQTT forbids, are spelled out instead of lost."""
    try:
        return topic.decode()
    except UnicodeDecodeError:
        return topic.decode(errors="backslashreplace")


def _bounds(data: bytes, at: int, end: int) -> tuple[int, int]:
    """
    Where the body of the packet at `data[at]` begins and where it stops; beyond `end` while more bytes are needed.

    A length that goes on for too long is given the packet that ends with its first byte too many.
    """
    body = at + 2
    if body > end:
        return body, body
    byte = data[at + 1]
    length = byte & 0x7F
    while byte & 0x80:
        if body == end or body - at > _LENGTH_BYTES:
            return body, body + 1
        byte = data[body]
        length |= (byte & 0x7F) << 7 * (body - at - 1)
        body += 1
    return body, body + length
