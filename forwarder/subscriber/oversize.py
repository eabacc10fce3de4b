"""A PUBLISH that is too large to be held keeps its beginning and loses the rest; pure."""

from datetime import datetime

from forwarder.reading import Message
from forwarder.subscriber.arrivals import PUBACK, Arrival

DUP, QOS_1, RETAIN = 0x08, 0x02, 0x01
"""Flags in the first byte of a PUBLISH (MQTT 3.1.1 §3.3.1)."""
HEAD_BYTES = 2 + 65_535 + 2 + 4
"""Most bytes before the properties themselves: a topic with its length, a packet id, the properties' length."""
_LENGTH_BYTES = 4
"""A length has at most as many (MQTT 3.1.1 §2.2.3)."""


class Oversize:
    """
    One PUBLISH as its bytes come in: `length` bytes behind its fixed header, which are more than HEAD_BYTES.

    It holds the head and the first `most_bytes` of the payload, whatever the length. The properties may be of any size,
    because they mean nothing to us and are passed over.
    """

    def __init__(self, first: int, length: int, *, is_mqtt5: bool, most_bytes: int) -> None:
        self.is_malformed = False
        """Whether a length inside it reaches beyond its end. The stream behind it cannot be trusted then."""
        self._first = first
        self._length = self._missing = length
        self._is_mqtt5 = is_mqtt5
        self._most_bytes = most_bytes
        self._head = bytearray()
        self._topic_end = self._payload_at = 0
        self._skipping = 0
        self._payload = bytearray()

    @property
    def is_whole(self) -> bool:
        return self._missing == 0

    @property
    def held_bytes(self) -> int:
        return len(self._head) + len(self._payload)

    def feed(self, chunk: bytes) -> bytes:
        """Take the bytes that belong to the packet. Returns the bytes behind it."""
        mine = chunk[: self._missing]
        self._missing -= len(mine)
        if self._payload_at:
            self._keep(mine)
        else:
            self._head += mine
            if len(self._head) >= HEAD_BYTES:
                self._read_head()
        return chunk[len(mine) :]

    def arrival(self, received_at: datetime) -> Arrival:
        """The arrival; the packet has to be whole."""
        head, first, payload = bytes(self._head), self._first, bytes(self._payload)
        return Arrival(
            Message(
                topic_text(head[2 : self._topic_end]),
                payload,
                received_at,
                1 if first & QOS_1 else 0,
                first & DUP != 0,
                first & RETAIN != 0,
                self._length - self._payload_at - len(payload),
            ),
            PUBACK + head[self._topic_end :] if first & QOS_1 else b"",
        )

    def _read_head(self) -> None:
        head = bytes(self._head)
        self._topic_end = head_end = 2 + (head[0] << 8 | head[1])
        if self._first & QOS_1:
            head_end += 2
        self._payload_at = (
            past_properties(head, head_end, self._length) if self._is_mqtt5 else head_end
        )
        packet_id, is_nameless = head[self._topic_end : head_end], self._topic_end == 2
        self.is_malformed = (
            self._payload_at > self._length
            or packet_id == b"\0\0"
            or (is_nameless and not self._is_mqtt5)
        )
        self._head = self._head[:head_end]
        self._skipping = self._payload_at
        self._keep(head)

    def _keep(self, chunk: bytes) -> None:
        skipped = min(self._skipping, len(chunk))
        self._skipping -= skipped
        self._payload += chunk[skipped : skipped + self._most_bytes - len(self._payload)]


def past_properties(data: bytes, at: int, end: int) -> int:
    """The end of the properties whose length stands at `data[at]` (MQTT 5 §2.2.2); beyond `end` when malformed."""
    length = 0
    for shift in range(_LENGTH_BYTES):
        if at >= end:
            break
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << 7 * shift
        if not byte & 0x80:
            return at + length
    return end + 1


def topic_text(topic: bytes) -> str:
    """The topic as text. MQTT forbids bytes that are not UTF-8; they are spelled out, not lost."""
    try:
        return topic.decode()
    except UnicodeDecodeError:
        return topic.decode(errors="backslashreplace")
