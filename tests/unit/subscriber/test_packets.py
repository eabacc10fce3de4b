"""The stream in packets, held against paho's own reading of the same bytes."""

import socket
import struct
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from forwarder.reading import Message
from forwarder.subscriber.arrivals import Arrival
from forwarder.subscriber.packets import Packet, Packets
from forwarder.subscriber.wire import Wire

NOW = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)
PROTOCOLS = pytest.mark.parametrize("is_mqtt5", [False, True], ids=["3.1.1", "5"])


def packet(first: int, body: bytes) -> bytes:
    length, left = b"", len(body)
    while left > 127:
        length += bytes([left & 127 | 128])
        left >>= 7
    return bytes([first]) + length + bytes([left]) + body


def publish(
    first: int, topic: bytes, packet_id: int, payload: bytes, properties: bytes = b""
) -> bytes:
    body = struct.pack("!H", len(topic)) + topic
    if first & 0x06:
        body += struct.pack("!H", packet_id)
    return packet(first, body + properties + payload)


PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([125, 126, 127, 128, 400, 16383, 16384]).map(lambda size: b"x" * size),
)
PUBLISHES = st.builds(
    publish,
    st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x34, 0x38, 0x3A, 0x3B, 0x3D]),
    st.one_of(st.text(max_size=20).map(str.encode), st.binary(max_size=5)),
    st.integers(0, 65535),
    PAYLOADS,
    st.sampled_from([b"", b"\0", b"\x05\x02\0\0\0\x01", b"\x07\x26\0\x01a\0\x01b"]),
)
ANYTHING = st.one_of(
    PUBLISHES,
    st.builds(packet, st.integers(0x30, 0x3F), st.binary(max_size=12)),
    st.builds(packet, st.integers(0x10, 0xFF), st.binary(max_size=6)),
)


def read_all(packets: Packets, *, limit: int = 1000) -> list[Packet]:
    taken: list[Packet] = []
    while some := packets.take(limit=limit, received_at=NOW):
        taken += some
    return taken


def described(taken: list[Packet]) -> list[Any]:
    return [
        (one.message, one.acknowledgement) if isinstance(one, Arrival) else one for one in taken
    ]


@PROTOCOLS
@settings(deadline=None)
@given(data=st.data(), stream=st.lists(ANYTHING, max_size=8).map(b"".join))
def test_chunks_make_no_difference(is_mqtt5: bool, data: st.DataObject, stream: bytes) -> None:
    """However the stream is cut into reads, and however few packets are taken a turn, the packets are the same."""
    whole = Packets(is_mqtt5=is_mqtt5)
    whole.feed(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces, taken = Packets(is_mqtt5=is_mqtt5), []
    for start, stop in pairwise([0, *cuts, len(stream)]):
        pieces.feed(stream[start:stop])
        taken += pieces.take(limit=data.draw(st.integers(0, 3)), received_at=NOW)
    taken += read_all(pieces, limit=1)
    assert described(taken) == described(read_all(whole))


@PROTOCOLS
@settings(deadline=None)
@given(one=ANYTHING)
def test_arrival_is_what_paho_reads(is_mqtt5: bool, one: bytes) -> None:
    """A PUBLISH that is not left to paho is one that paho accepts, and reads as the same message."""
    packets = Packets(is_mqtt5=is_mqtt5)
    packets.feed(one)
    [taken] = read_all(packets)
    if isinstance(taken, Arrival):
        assert [(taken.message, taken.acknowledgement)] == as_paho_reads(one, is_mqtt5=is_mqtt5)
    else:
        assert taken == one


@PROTOCOLS
@pytest.mark.parametrize("first", [0x30, 0x31, 0x32, 0x33, 0x38, 0x3A, 0x3B])
def test_plain_message_is_not_left_to_paho(is_mqtt5: bool, first: int) -> None:
    """What every device sends takes the short way: QoS 0 or 1, without properties."""
    packets = Packets(is_mqtt5=is_mqtt5)
    packets.feed(publish(first, b"ext/a", 7, b"{}", b"\0" if is_mqtt5 else b""))
    [taken] = read_all(packets)
    assert isinstance(taken, Arrival)
    assert taken.acknowledgement == (b"\x40\x02\x00\x07" if first & 0x02 else b"")


LEFT_TO_PAHO: list[Any] = [
    pytest.param(publish(0x34, b"ext/a", 7, b"{}", b"\0"), id="QoS 2"),
    pytest.param(publish(0x36, b"ext/a", 7, b"{}", b"\0"), id="QoS 3, which does not exist"),
    pytest.param(publish(0x32, b"ext/a", 7, b"{}", b"\x03\x23\0\x01"), id="a topic alias"),
    pytest.param(publish(0x32, b"", 7, b"{}", b"\0"), id="no topic"),
    pytest.param(packet(0x32, b"\0"), id="too short for a topic"),
    pytest.param(packet(0x32, b"\0\x09ext"), id="a topic longer than the packet"),
    pytest.param(packet(0x32, b"\0\x03ext\0"), id="half a packet id"),
    pytest.param(packet(0x32, b"\0\x03ext\0\x01"), id="no property length"),
    pytest.param(packet(0x32, b""), id="empty"),
    pytest.param(packet(0xD0, b""), id="PINGRESP"),
    pytest.param(b"\x32\xff\xff\xff\xff\x01", id="a length of five bytes"),
]


@pytest.mark.parametrize("one", LEFT_TO_PAHO)
def test_everything_else_is_left_to_paho(one: bytes) -> None:
    """Rare and malformed packets are given on as they came, so that paho says what is wrong with them."""
    packets = Packets(is_mqtt5=True)
    packets.feed(one)
    assert read_all(packets) == [one]


def as_paho_reads(one: bytes, *, is_mqtt5: bool) -> list[tuple[Message, bytes]]:
    """What paho hands to its `on_message`; raises when it closes the connection over it."""
    read: list[tuple[Message, bytes]] = []

    def keep(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as malformed:
            topic = malformed.object.decode(errors="backslashreplace")
        acknowledgement = struct.pack("!BBH", 0x40, 2, message.mid) if message.qos else b""
        payload, flags = bytes(message.payload), (message.dup, message.retain)
        read.append((Message(topic, payload, NOW, message.qos, *flags), acknowledgement))

    class Reader(Client):
        def _create_socket(self) -> Wire:
            return wire

    mine, theirs = socket.socketpair()
    with mine, theirs:
        wire = Wire(mine)
        client = Reader(
            CallbackAPIVersion.VERSION2,
            protocol=MQTTProtocolVersion.MQTTv5 if is_mqtt5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.on_message = keep
        client.connect("localhost")
        wire.set_aside(one)
        client.loop_read()
        assert client.socket() is wire
    return read
