"""The stream in packets: what they cost, and that they are what paho reads in the same bytes."""

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
from forwarder.subscriber.oversize import HEAD_BYTES
from forwarder.subscriber.packets import MOST_BYTES_OF_OTHERS, Packets
from forwarder.subscriber.shared_socket import SharedSocket

NOW = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)
PROTOCOLS = pytest.mark.parametrize("is_mqtt5", [False, True], ids=["3.1.1", "5"])
CONNACK = b"\x20\x02\0\0"
LARGEST = 300
"""Bytes of a payload that these packets keep."""
HELD_WHOLE = HEAD_BYTES + LARGEST


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


def begun(stream: bytes = b"", *, is_mqtt5: bool = True) -> Packets:
    """The packets of a connection that was accepted, and then brought `stream`."""
    packets = Packets(is_mqtt5=is_mqtt5, max_message_bytes=LARGEST)
    packets.feed(CONNACK)
    assert packets.parse(limit=1, received_at=NOW) == CONNACK
    packets.feed(stream)
    return packets


def properties(block: bytes) -> bytes:
    return packet(0, block)[1:]


PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([125, 128, LARGEST, LARGEST + 1, 16384, HELD_WHOLE, HELD_WHOLE + 1]).map(
        lambda size: b"x" * size
    ),
)
PROPERTIES = st.one_of(
    st.sampled_from([b"\0", b"\x05\x02\0\0\0\x01", b"\x07\x26\0\x01a\0\x01b"]),
    st.sampled_from([16384, 2 * HELD_WHOLE]).map(lambda size: properties(b"p" * size)),
)
TOPICS = st.one_of(
    st.text(max_size=20).map(str.encode),
    st.binary(max_size=5),
    st.sampled_from([40_000, 65_535]).map(lambda size: b"t" * size),
)
PUBLISHES = st.builds(
    publish,
    st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x38, 0x3A, 0x3B]),
    TOPICS,
    st.integers(0, 65535),
    PAYLOADS,
    st.one_of(st.just(b""), PROPERTIES),
)
ANYTHING = st.one_of(
    PUBLISHES,
    PUBLISHES,
    st.builds(packet, st.integers(0x30, 0x3F), st.binary(max_size=12)),
    st.builds(packet, st.integers(0x10, 0xFF), st.binary(max_size=6)),
    st.builds(packet, st.sampled_from([0x20, 0x34, 0xE0]), st.just(b"x" * (1 << 17))),
    st.just(b"\x32\xff\xff\xff\xff\x01"),
)


def described(parsed: Any) -> list[Any]:
    if isinstance(parsed, list):
        return [(one.message, one.acknowledgement) for one in parsed]
    return [parsed]


def read_some(packets: Packets, *, limit: int = 1000) -> list[Any]:
    """What can be parsed, up to what ends the connection."""
    read: list[Any] = []
    while parsed := packets.parse(limit=limit, received_at=NOW):
        read += described(parsed)
        if isinstance(parsed, str):
            break
    return read


def read(stream: bytes, *, is_mqtt5: bool = True) -> list[Any]:
    return read_some(begun(stream, is_mqtt5=is_mqtt5))


@PROTOCOLS
@settings(deadline=None)
@given(data=st.data(), stream=st.lists(ANYTHING, max_size=6).map(b"".join))
def test_chunks_make_no_difference(is_mqtt5: bool, data: st.DataObject, stream: bytes) -> None:
    """However the stream is cut into reads, and however few packets are parsed a turn, the packets are the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces, parsed = begun(is_mqtt5=is_mqtt5), list[Any]()
    for start, stop in pairwise([0, *cuts, len(stream)]):
        if not (parsed and isinstance(parsed[-1], str)):
            pieces.feed(stream[start:stop])
            parsed += described(pieces.parse(limit=data.draw(st.integers(0, 3)), received_at=NOW))
    if not (parsed and isinstance(parsed[-1], str)):
        parsed += read_some(pieces, limit=1)
    assert parsed == read(stream, is_mqtt5=is_mqtt5)


@PROTOCOLS
@settings(deadline=None)
@given(
    stream=st.lists(ANYTHING, max_size=6).map(b"".join),
    chunk=st.sampled_from([1 << 16, 9973, 1000, 131]),
)
def test_what_is_held_is_bounded(is_mqtt5: bool, stream: bytes, chunk: int) -> None:
    """One read and the largest packet that is held whole: no more stays in memory, whatever comes."""
    packets = begun(is_mqtt5=is_mqtt5)
    most = 5 + max(HELD_WHOLE, MOST_BYTES_OF_OTHERS)
    for at in range(0, len(stream), chunk):
        packets.feed(stream[at : at + chunk])
        assert packets.held_bytes <= most + chunk
        if any(isinstance(one, str) for one in read_some(packets)):
            break


@PROTOCOLS
@settings(deadline=None)
@given(one=PUBLISHES)
def test_arrival_is_what_paho_reads(is_mqtt5: bool, one: bytes) -> None:
    """What paho accepts is an arrival, the same message but for what is cut off; only packet id 0 is not."""
    expected = as_paho_reads(one, is_mqtt5=is_mqtt5)
    if expected is None:
        return
    message, acknowledgement = expected
    found = read(one, is_mqtt5=is_mqtt5)
    if acknowledgement.endswith(b"\0\0"):
        assert found == ["malformed"]
        return
    payload = message.payload[:LARGEST]
    left_out = len(message.payload) - len(payload)
    cut = message._replace(payload=payload, bytes_left_out=left_out)
    assert found == [(cut, acknowledgement)]
    assert cut.size == len(message.payload)


@PROTOCOLS
@pytest.mark.parametrize("first", [0x30, 0x31, 0x32, 0x33, 0x38, 0x3A, 0x3B])
def test_message_is_not_left_to_paho(is_mqtt5: bool, first: int) -> None:
    """Every message is read here, and its PUBACK is that of its packet id."""
    one = publish(first, b"ext/a", 7, b"{}", b"\0" if is_mqtt5 else b"")
    [(_, acknowledgement)] = read(one, is_mqtt5=is_mqtt5)
    assert acknowledgement == (b"\x40\x02\x00\x07" if first & 0x02 else b"")


@pytest.mark.parametrize("size", [LARGEST + 1, HELD_WHOLE, 1 << 20])
@pytest.mark.parametrize("qos", [0, 1])
@PROTOCOLS
def test_of_a_large_message_the_beginning_is_kept(is_mqtt5: bool, qos: int, size: int) -> None:
    """It can be quarantined with its true size, and acknowledged; what comes next is not touched."""
    block = b"\0" if is_mqtt5 else b""
    large = publish(0x30 | qos << 1, b"ext/a", 7, b"x" * size, block)
    small = publish(0x30, b"ext/b", 0, b"y", block)
    [(first, acknowledgement), (second, _)] = read(large + small, is_mqtt5=is_mqtt5)
    assert (first.topic, first.payload, first.size) == ("ext/a", b"x" * LARGEST, size)
    assert acknowledgement == (b"\x40\x02\0\x07" if qos else b"")
    assert (second.topic, second.payload, second.size) == ("ext/b", b"y", 1)


@pytest.mark.parametrize("size", [10, 70_000, 2_000_000])
def test_properties_of_any_size_are_passed_over(size: int) -> None:
    """Publishers choose them (MQTT 5 §3.3.2.3.7), so they may neither fill the memory nor end the connection."""
    block = properties(b"p" * size)
    [(message, acknowledgement)] = read(publish(0x32, b"ext/a", 7, b"{}", block))
    assert (message.payload, message.bytes_left_out) == (b"{}", 0)
    assert acknowledgement == b"\x40\x02\0\x07"


def test_topic_of_any_length_is_kept() -> None:
    """65,535 bytes at most (§1.5.4), also of a message that is too large."""
    topic = b"t" * 65_535
    [(message, _)] = read(publish(0x32, topic, 7, b"x" * 10_000, b"\0"))
    assert (message.topic, message.size) == (topic.decode(), 10_000)


UNFIT: list[Any] = [
    pytest.param(publish(0x34, b"ext/a", 7, b"{}", b"\0"), "qos_2", id="QoS 2"),
    pytest.param(b"\x34\xff\xff\xff\x7f", "qos_2", id="QoS 2, of 256 MiB"),
    pytest.param(publish(0x36, b"ext/a", 7, b"{}", b"\0"), "malformed", id="QoS 3"),
    pytest.param(b"\x36\xff\xff\xff\x7f", "malformed", id="QoS 3, of 256 MiB"),
    pytest.param(publish(0x32, b"ext/a", 0, b"{}", b"\0"), "malformed", id="packet id 0"),
    pytest.param(
        publish(0x32, b"a", 0, b"x" * (1 << 20), b"\0"), "malformed", id="packet id 0, of 1 MiB"
    ),
    pytest.param(packet(0x32, b"\0"), "malformed", id="too short for a topic"),
    pytest.param(packet(0x32, b"\0\x09ext"), "malformed", id="a topic longer than the packet"),
    pytest.param(packet(0x32, b"\0\x03ext\0"), "malformed", id="half a packet id"),
    pytest.param(packet(0x32, b"\0\x03ext\0\x01"), "malformed", id="no property length"),
    pytest.param(
        packet(0x32, b"\0\x03ext\0\x01\x09abc"), "malformed", id="properties beyond the packet"
    ),
    pytest.param(
        packet(0x32, b"\0\x03ext\0\x01" + b"\xff\xff\xff\x7f" + b"x" * (1 << 17)),
        "malformed",
        id="properties beyond a large packet",
    ),
    pytest.param(
        packet(0x32, b"\0\x03ext\0\x01" + b"\xff" * (1 << 17)),
        "malformed",
        id="a property length that goes on",
    ),
    pytest.param(packet(0x32, b""), "malformed", id="empty"),
    pytest.param(b"\x32\xff\xff\xff\xff\x01", "malformed", id="a length of five bytes"),
    pytest.param(b"\xe0\x80\x80\x08", "too_large", id="a DISCONNECT of 128 KiB"),
    pytest.param(b"\x90\xff\xff\xff\x7f", "too_large", id="a SUBACK of 256 MiB"),
]


@pytest.mark.parametrize(("one", "why"), UNFIT)
def test_unfit_packet_is_told_by_its_header(one: bytes, why: str) -> None:
    """What came before it is handed over; it ends the stream as soon as it can be told, and nothing of it is kept."""
    packets = begun(publish(0x30, b"ext/a", 0, b"{}", b"\0") + one)
    (message, _), found = read_some(packets)
    assert (message.payload, found) == (b"{}", why)
    assert packets.parse(limit=1, received_at=NOW) == why


def test_no_topic_is_malformed_before_mqtt_5() -> None:
    """There it may stand for an alias, which we never allow a broker; then nobody can tell the device."""
    nameless = publish(0x32, b"", 7, b"{}")
    assert read(nameless, is_mqtt5=False) == ["malformed"]
    [(message, _)] = read(publish(0x32, b"", 7, b"{}", b"\x03\x23\0\x01"))
    assert (message.topic, message.payload) == ("", b"{}")


@pytest.mark.parametrize("first", [b"HTTP/1.1 400 Bad Request\r\n", publish(0x30, b"a", 0, b"{}")])
def test_connack_comes_first(first: bytes) -> None:
    """Whatever answers CONNECT with something else is no broker of ours (MQTT-3.2.0-1)."""
    packets = Packets(is_mqtt5=False, max_message_bytes=LARGEST)
    packets.feed(first)
    assert packets.parse(limit=9, received_at=NOW) == "not_connack"


@pytest.mark.parametrize("one", [b"\xd0\0", b"\x90\x03\0\x01\x01", b"\x62\x02\0\x07"])
def test_everything_else_is_left_to_paho(one: bytes) -> None:
    """Packets that are no messages are given on as they came."""
    assert read(one) == [one]


def as_paho_reads(one: bytes, *, is_mqtt5: bool) -> tuple[Message, bytes] | None:
    """What paho hands to its `on_message`; None when it closes the connection over it, or breaks."""
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
        def _create_socket(self) -> SharedSocket:
            return shared

    mine, theirs = socket.socketpair()
    with mine, theirs:
        shared = SharedSocket(mine)
        client = Reader(
            CallbackAPIVersion.VERSION2,
            protocol=MQTTProtocolVersion.MQTTv5 if is_mqtt5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.on_message = keep
        client.connect("localhost")
        shared.leave_to_paho(one)
        try:
            while shared.has_left_for_paho and client.socket() is shared:
                client.loop_read()
        except (struct.error, IndexError, AttributeError, UnicodeDecodeError):
            return None
    return read[0] if read else None
