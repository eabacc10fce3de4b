"""The stream on a real socket: what a broker may send, in any mixture and any size."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.certificates import Authority
from support.scripted_broker import CONNACK, SUBACK_QOS_1, Conversation, hold, scripted_broker
from support.subscriber_harness import ArrivalRecorder, running, subscribed, until

from forwarder.settings import Broker
from forwarder.subscriber import Arrival, Pace, Subscriber
from forwarder.subscriber.backlog import MOST_BYTES

IMPATIENT = Pace(dial=5.0, answer=5.0, first_retry=0.02, longest_retry=0.05, steady=30.0)
CONNACK_5 = b"\x20\x03\x00\x00\x00"
SUBACK_5 = b"\x90\x04\x00\x01\x00\x01"


def numbered(number: int) -> bytes:
    """PUBLISH at QoS 1 under MQTT 3.1.1: the packet id is the payload."""
    return b"\x32\x0b\x00\x05ext/a" + number.to_bytes(2) + number.to_bytes(2)


@asynccontextmanager
async def acknowledging(broker: Broker, recorder: ArrivalRecorder) -> AsyncIterator[Subscriber]:
    """Acknowledges each message as it comes."""

    def take(arrivals: Sequence[Arrival]) -> None:
        recorder(arrivals)
        subscriber.acknowledge(arrivals)

    async with running(broker, take, pace=IMPATIENT) as subscriber:
        yield subscriber


@pytest.mark.parametrize("use_tls", [False, True], ids=["plain", "TLS"])
async def test_flood_is_acknowledged_in_order(tmp_path: Path, use_tls: bool) -> None:
    """Thousands of messages at once are all handed over, and each is acknowledged once, in its turn."""
    authority, count = Authority(tmp_path), 20_000
    acknowledged: list[bytes] = []
    done = asyncio.Event()

    async def flood(client: Conversation) -> None:
        await client.accept()
        client.send(b"".join(numbered(number) for number in range(1, count + 1)))
        with suppress(asyncio.IncompleteReadError):
            while len(acknowledged) < count:
                acknowledged.append(await client.receive())
        done.set()
        await hold(client)

    recorder = ArrivalRecorder()
    files = authority.issue("127.0.0.1") if use_tls else None
    async with scripted_broker(flood, server_files=files) as reached:
        broker = replace(reached, ca_file=authority.ca_file if use_tls else None)
        async with acknowledging(broker, recorder), asyncio.timeout(20):
            await done.wait()
    assert recorder.payloads == [number.to_bytes(2) for number in range(1, count + 1)]
    assert acknowledged == [b"\x40\x02" + payload for payload in recorder.payloads]


async def test_messages_with_properties_keep_their_place() -> None:
    """They mean nothing to us: such messages are handed over and acknowledged as all others are."""
    heard: list[bytes] = []
    done = asyncio.Event()

    async def mix(client: Conversation) -> None:
        await client.receive()
        client.send(CONNACK_5)
        await client.receive()
        plain, rich = b"\x32\x0b\0\x05ext/a\0%c\0%c", b"\x32\x10\0\x05ext/a\0%c\x05\x02\0\0\0\x3c%c"
        packets = [(plain, rich)[number % 2] % (number, number) for number in range(1, 9)]
        client.send(SUBACK_5 + b"".join(packets))
        heard.extend([await client.receive() for _ in packets])
        done.set()
        await hold(client)

    recorder = ArrivalRecorder()
    async with (
        scripted_broker(mix) as reached,
        acknowledging(replace(reached, protocol="5"), recorder),
        asyncio.timeout(20),
    ):
        await done.wait()
    assert recorder.payloads == [bytes([number]) for number in range(1, 9)]
    assert heard == [b"\x40\x02\0" + payload for payload in recorder.payloads]


async def test_large_message_is_cut_and_acknowledged() -> None:
    """One far larger than a read of the socket: its beginning and its size are kept, the rest passes by."""
    payload = bytes(range(256)) * 8192
    heard: list[bytes] = []
    done = asyncio.Event()

    async def send_large(client: Conversation) -> None:
        await client.accept()
        client.send(b"\x32\x89\x80\x80\x01\x00\x05ext/a\x00\x07" + payload + numbered(8))
        heard.extend([await client.receive(), await client.receive()])
        done.set()
        await hold(client)

    recorder = ArrivalRecorder()
    async with (
        scripted_broker(send_large) as broker,
        acknowledging(broker, recorder),
        asyncio.timeout(20),
    ):
        await done.wait()
    large = recorder.arrivals[0].message
    assert (large.payload, large.size) == (payload[:65_536], len(payload))
    assert recorder.payloads[1:] == [b"\0\x08"]
    assert heard == [b"\x40\x02\x00\x07", b"\x40\x02\x00\x08"]


async def test_declared_length_that_never_comes_costs_nothing() -> None:
    """The broker says 256 MiB and falls silent: it is given up as any silent broker is."""

    async def fall_silent(client: Conversation) -> None:
        await client.accept()
        client.send(b"\x32\xff\xff\xff\x7f\x00\x05ext/a\x00\x07" + b"x" * 100_000)
        await asyncio.Event().wait()

    async with scripted_broker(fall_silent) as reached:
        broker = replace(reached, keepalive_seconds=1)
        async with running(broker, pace=IMPATIENT) as subscriber:
            state = await until(subscriber, lambda state: state.problem is not None)
    assert "gone silent" in str(state.problem)


@pytest.mark.parametrize("use_tls", [False, True], ids=["plain", "TLS"])
async def test_messages_behind_a_full_backlog_are_read_later(tmp_path: Path, use_tls: bool) -> None:
    """SUBACK too: it may stand behind more messages than there is room for, and its time does not run meanwhile."""
    count, size = 600, 60_000

    async def send_many(client: Conversation) -> None:
        await client.receive()
        client.send(CONNACK)
        await client.receive()
        many = b"\x30\xe7\xd4\x03\x00\x05ext/a" + b"x" * size
        client.send(many * count + SUBACK_QOS_1)
        await hold(client)

    authority, recorder = Authority(tmp_path), ArrivalRecorder()
    files = authority.issue("127.0.0.1") if use_tls else None
    pace = replace(IMPATIENT, answer=2.0)
    async with (
        scripted_broker(send_many, server_files=files) as reached,
        running(replace(reached, ca_file=authority.ca_file), recorder, pace=pace) as subscriber,
    ):
        await recorder.wait(MOST_BYTES // (size + 1000))
        await asyncio.sleep(1.5 * pace.answer)
        assert len(recorder.arrivals) <= MOST_BYTES // size + 4
        assert (subscriber.state.connected, subscriber.state.sessions) == (True, 1)
        seen = 0
        while seen < count:
            arrivals = await recorder.wait(seen + 1)
            subscriber.acknowledge(arrivals[seen:])
            seen = len(arrivals)
        await until(subscriber, lambda state: state.subscribed)
        assert subscriber.state.sessions == 1


async def test_answer_behind_messages_that_come_slowly_is_awaited() -> None:
    """A slow line is no silence: each message shows that the SUBACK may still be on its way."""
    pace = replace(IMPATIENT, answer=3.0)

    async def send_slowly(client: Conversation) -> None:
        await client.receive()
        client.send(CONNACK)
        await client.receive()
        for number in range(8):
            client.send(numbered(number + 1))
            await asyncio.sleep(pace.answer / 6)
        client.send(SUBACK_QOS_1)
        await hold(client)

    async with (
        scripted_broker(send_slowly) as broker,
        running(broker, ArrivalRecorder(), pace=pace) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.subscribed)
    assert state.sessions == 1


UNFIT = {
    "a topic longer than its packet": b"\x32\x04\x00\x09ex",
    "QoS 3": b"\x36\x0a\x00\x05ext/a\x00\x07{",
    "QoS 2, which was not asked for": b"\x34\x0a\x00\x05ext/a\x00\x07{",
    "a SUBACK of 256 MiB": b"\x90\xff\xff\xff\x7f",
    "a length of five bytes": b"\x32\xff\xff\xff\xff\x01",
}


@pytest.mark.parametrize("packet", UNFIT.values(), ids=UNFIT.keys())
async def test_unfit_packet_ends_the_connection(packet: bytes) -> None:
    """What came before it is handed over, nothing after it; the session is made anew, and its problem stays known."""
    conversations = 0

    async def speak_badly(client: Conversation) -> None:
        nonlocal conversations
        conversations += 1
        await client.accept()
        if conversations == 1:
            client.send(numbered(1) + packet + numbered(2))
        await hold(client)

    recorder = ArrivalRecorder()
    with capture_logs() as logs:
        async with (
            scripted_broker(speak_badly) as broker,
            running(broker, recorder, pace=IMPATIENT) as subscriber,
        ):
            state = await until(subscriber, lambda state: state.sessions == 2 and state.subscribed)
    assert recorder.payloads == [b"\0\x01"]
    [said] = [log for log in logs if log["event"] == "mqtt.failed"]
    assert (said["reason"], said["log_level"], said["problem"]) == (
        "packet",
        "warning",
        state.problem,
    )


async def test_reason_for_the_end_is_read_although_nothing_can_be_written_any_more() -> None:
    """The broker says why and closes while we are at work: our PUBACK fails, its reason is heard."""

    async def leave(client: Conversation) -> None:
        await client.receive()
        client.send(CONNACK_5)
        await client.receive()
        client.send(SUBACK_5 + b"\x32\x0b\0\x05ext/a\0\x01\0{" + b"\xe0\x02\x8e\x00")

    async with (
        scripted_broker(leave) as reached,
        acknowledging(replace(reached, protocol="5"), ArrivalRecorder()) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.problem is not None)
    assert "gave the session to another program" in str(state.problem)


async def test_broker_sets_the_keep_alive() -> None:
    """Under MQTT 5 the broker may want to hear from us sooner than we proposed (§3.2.2.3.14)."""
    heard: list[bytes] = []
    done = asyncio.Event()

    async def hurry(client: Conversation) -> None:
        await client.receive()
        client.send(b"\x20\x06\x00\x00\x03\x13\x00\x01")
        await client.receive()
        client.send(SUBACK_5)
        for _ in range(2):
            heard.append(await client.receive())
            client.send(b"\xd0\x00")
        done.set()
        await hold(client)

    async with (
        scripted_broker(hurry) as reached,
        subscribed(replace(reached, protocol="5")) as subscriber,
        asyncio.timeout(20),
    ):
        await done.wait()
        assert subscriber.state.sessions == 1
    assert heard == [b"\xc0\x00", b"\xc0\x00"]


async def test_broker_that_has_no_time_to_answer_pings_is_kept() -> None:
    """While messages come, a broker is not silent, even if its PINGRESP never gets its turn."""
    pings: list[bytes] = []

    async def talk_on(client: Conversation) -> None:
        await client.accept()
        while len(pings) < 3:
            pings.append(await client.receive())
            client.send(b"\x30\x08\x00\x05ext/a1")
        client.send(b"\x30\x08\x00\x05ext/a2")
        await hold(client)

    recorder = ArrivalRecorder()
    async with (
        scripted_broker(talk_on) as reached,
        subscribed(replace(reached, keepalive_seconds=1), recorder) as subscriber,
    ):
        await recorder.wait(4)
        assert (subscriber.state.sessions, subscriber.state.problem) == (1, None)
    assert pings == [b"\xc0\x00"] * 3
