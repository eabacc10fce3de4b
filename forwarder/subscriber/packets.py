"""
Packets splits the stream of bytes from the broker; pure.

A PUBLISH becomes an arrival here. Every other packet is given back as it came, because paho knows what to make of it.

The fixed header of a packet decides what the packet may cost. A PUBLISH whose payload is too large keeps its beginning
and loses the rest, so that it can be quarantined and acknowledged. Its properties are passed over at any size, because
they mean nothing to us. An unfit packet ends the connection: it is malformed, was never asked for, or is too large and
no PUBLISH.
"""

from datetime import datetime
from typing import Literal, TypeAlias

from forwarder.reading import Message
from forwarder.subscriber.arrivals import PUBACK, Arrival
from forwarder.subscriber.oversize import (
    DUP,
    HEAD_BYTES,
    QOS_1,
    RETAIN,
    Oversize,
    past_properties,
    topic_text,
)

Unfit = Literal["not_connack", "qos_2", "too_large", "malformed"]
"""Why the stream ends at this packet."""
Parsed: TypeAlias = "list[Arrival] | bytes | Unfit"

MOST_BYTES_OF_OTHERS = 65_536
"""Most bytes of a packet that is no PUBLISH. The largest, an MQTT 5 DISCONNECT with its reason, has a few hundred."""
_PUBLISH, _PUBLISH_MASK = 0x30, 0xF4
"""The first byte of a PUBLISH at QoS 0 or 1 (MQTT 3.1.1 §3.3.1)."""
_CONNACK, _TYPE_MASK, _QOS_MASK, _QOS_2 = 0x20, 0xF0, 0x06, 0x04
_LENGTH_BYTES = 4
"""Most bytes of a remaining length (MQTT 3.1.1 §2.2.3)."""


class Packets:
    """
    Takes chunks as they are read from the socket, and gives out whole packets in their order.

    A payload keeps at most `max_message_bytes`.
    """

    def __init__(self, *, is_mqtt5: bool, max_message_bytes: int) -> None:
        self.has_begun = False
        """Whether CONNACK was given out, which must be the first packet (MQTT-3.2.0-1)."""
        self.parsed_bytes = 0
        """About the bytes that the arrivals of the last `parse` hold."""
        self._is_mqtt5 = is_mqtt5
        self._max_message_bytes = max_message_bytes
        self._data = b""
        self._at = 0
        self._partial = bytearray()
        self._missing = 0
        self._oversize: Oversize | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every byte that was fed has been parsed."""
        return self._at == len(self._data) and self._oversize is None

    @property
    def held_bytes(self) -> int:
        """Bytes in memory that are not parsed: at most a chunk and the largest packet that is held whole."""
        passing = self._oversize.held_bytes if self._oversize is not None else 0
        return len(self._data) - self._at + len(self._partial) + passing

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the stream."""
        if self._oversize is not None and not self._oversize.is_whole:
            chunk = self._oversize.feed(chunk)
        if self._at < len(self._data):
            self._keep_partial(missing=0)
        if not self._partial:
            self._data, self._at = chunk, 0
        elif len(chunk) < self._missing:
            # Chunks are joined only when the packet is whole, because a large one may come byte by byte.
            self._partial += chunk
            self._missing -= len(chunk)
        else:
            self._data, self._at = b"".join((self._partial, chunk)), 0
            self._partial = bytearray()

    def parse(self, *, limit: int, received_at: datetime) -> Parsed:
        """
        Up to `limit` arrivals in a row, or the next packet if it is another one. No arrivals when no packet is whole.

        Nothing comes after an unfit packet.
        """
        if self._oversize is not None:
            return self._pass_by(self._oversize, received_at)
        data, at, end = self._data, self._at, len(self._data)
        arrivals: list[Arrival] = []
        body = stop = at
        while at < end and len(arrivals) < limit:
            body, stop = _bounds(data, at, end)
            if stop > end or not self.has_begun:
                break
            arrival = self._arrival(data, at, body, stop, received_at)
            if arrival is None:
                break
            arrivals.append(arrival)
            at = stop
        self.parsed_bytes = at - self._at
        self._at = at
        if arrivals and body <= end < stop and data[at] & _PUBLISH_MASK == _PUBLISH:
            self._await_rest(data[at], body, stop)  # as most reads end
        elif not arrivals and at < end and limit:
            return self._parse_other(data, body, stop)
        return arrivals

    def _pass_by(self, oversize: Oversize, received_at: datetime) -> Parsed:
        if oversize.is_malformed:
            return "malformed"
        if not oversize.is_whole:
            return []
        self._oversize = None
        self.parsed_bytes = oversize.held_bytes
        return [oversize.arrival(received_at)]

    def _parse_other(self, data: bytes, body: int, stop: int) -> Parsed:
        """The next packet, which is no whole PUBLISH that becomes an arrival."""
        end, first = len(data), data[self._at]
        if body > end:
            self._keep_partial(missing=1)
            return []
        if unfit := self._unfit(first, stop - body):
            return unfit
        if stop > end:
            self._await_rest(first, body, stop)
            return []
        if first & _TYPE_MASK == _PUBLISH:
            return "malformed"
        packet, self._at = data[self._at : stop], stop
        self.has_begun = True
        return packet

    def _unfit(self, first: int, length: int) -> Unfit | None:
        """The objection that a packet's fixed header alone raises."""
        if not self.has_begun and first != _CONNACK:
            return "not_connack"
        if length < 0:
            return "malformed"
        if first & _TYPE_MASK != _PUBLISH:
            return "too_large" if length > MOST_BYTES_OF_OTHERS else None
        if first & _QOS_2:
            return "qos_2" if first & _QOS_MASK == _QOS_2 else "malformed"
        return None

    def _await_rest(self, first: int, body: int, stop: int) -> None:
        length = stop - body
        if first & _TYPE_MASK != _PUBLISH or length <= HEAD_BYTES + self._max_message_bytes:
            self._keep_partial(missing=stop - len(self._data))
            return
        self._oversize = Oversize(
            first, length, is_mqtt5=self._is_mqtt5, most_bytes=self._max_message_bytes
        )
        self._oversize.feed(self._data[body:])
        self._data, self._at = b"", 0

    def _keep_partial(self, *, missing: int) -> None:
        self._partial += self._data[self._at :]
        self._data, self._at = b"", 0
        self._missing = missing

    def _arrival(
        self, data: bytes, at: int, body: int, stop: int, received_at: datetime
    ) -> Arrival | None:
        """The PUBLISH in `data[at:stop]`; None when the packet is another one, or malformed (§3.3)."""
        first = data[at]
        if first & _PUBLISH_MASK != _PUBLISH or stop < body + 2:
            return None
        topic_at = body + 2
        payload_at = topic_end = topic_at + (data[body] << 8 | data[body + 1])
        acknowledgement = b""
        if first & QOS_1:
            payload_at += 2
            acknowledgement = PUBACK + data[topic_end:payload_at]
        if self._is_mqtt5:
            if payload_at < stop and not data[payload_at]:
                payload_at += 1  # nearly every message has no properties
            else:
                payload_at = past_properties(data, payload_at, stop)
        if payload_at > stop or acknowledgement == _NO_PACKET_ID:
            return None
        if topic_end == topic_at and not self._is_mqtt5:
            return None
        kept_end = payload_at + self._max_message_bytes
        if kept_end > stop:
            kept_end = stop
        return Arrival(
            Message(
                topic_text(data[topic_at:topic_end]),
                data[payload_at:kept_end],
                received_at,
                1 if first & QOS_1 else 0,
                first & DUP != 0,
                first & RETAIN != 0,
                stop - kept_end,
            ),
            acknowledgement,
        )


_NO_PACKET_ID = PUBACK + b"\0\0"
"""A PUBACK for packet id 0, which no packet may have (MQTT-2.3.1-1)."""


def _bounds(data: bytes, at: int, end: int) -> tuple[int, int]:
    """
    The beginning and the end of the body of the packet at `data[at]`.

    The body begins beyond `end` while the fixed header is not whole. It stops before its beginning when its length has
    too many bytes.
    """
    body = at + 2
    if body > end:
        return body, body
    byte = data[at + 1]
    length = byte & 0x7F
    while byte & 0x80:
        if body - at > _LENGTH_BYTES:
            return body, at
        if body == end:
            return end + 1, end + 1
        byte = data[body]
        length |= (byte & 0x7F) << 7 * (body - at - 1)
        body += 1
    return body, body + length
