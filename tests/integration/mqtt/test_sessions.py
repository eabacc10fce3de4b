"""The session on a real mosquitto: what it keeps, what comes again, in which order it is acknowledged."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto
from support.ports import free_port
from support.publisher import Publisher
from support.subscriber_harness import QUICK, ArrivalRecorder, subscribed, until

from forwarder.clock import SystemClock
from forwarder.subscriber import Arrival, Subscriber

DEVICE = "ext/demoapp/ECC9FF5C7AD4"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture(params=["3.1.1", "5"])
def protocol(request: pytest.FixtureRequest) -> str:
    protocol: str = request.param
    return protocol


async def test_message_arrives_as_it_was_published(mosquitto: Mosquitto, protocol: str) -> None:
    """Topic, payload and QoS are those of the PUBLISH; the time of arrival is our clock's."""
    recorder = ArrivalRecorder()
    async with subscribed(mosquitto.broker(protocol=protocol), recorder):
        with Publisher(mosquitto.broker()) as device:
            device.publish(DEVICE, b'{"a":1}')
        message = (await recorder.wait(1))[0].message
    assert (message.topic, message.payload, message.qos) == (DEVICE, b'{"a":1}', 1)
    assert (message.is_redelivery, message.is_retained) == (False, False)


async def test_offline_messages_are_delivered(mosquitto: Mosquitto, protocol: str) -> None:
    """The session is persistent: what is published while nobody is connected comes with the next connection."""
    broker = mosquitto.broker(protocol=protocol)
    async with subscribed(broker):
        pass
    with Publisher(mosquitto.broker()) as device:
        device.publish_all(DEVICE, [b"1", b"2", b"3"])
    recorder = ArrivalRecorder()
    async with subscribed(broker, recorder) as subscriber:
        await recorder.wait(3)
        assert subscriber.state.gaps == 0
    assert recorder.payloads == [b"1", b"2", b"3"]


async def test_unacknowledged_messages_come_again(mosquitto: Mosquitto, protocol: str) -> None:
    """A crash before PUBACK loses nothing: the broker sends the message again, with DUP set."""
    broker = mosquitto.broker(protocol=protocol)
    first, second = ArrivalRecorder(), ArrivalRecorder()
    async with subscribed(broker, first):
        with Publisher(mosquitto.broker()) as device:
            device.publish_all(DEVICE, [b"1", b"2"])
        await first.wait(2)
    async with subscribed(broker, second):
        await second.wait(2)
    assert second.payloads == [b"1", b"2"]
    assert all(arrival.message.is_redelivery for arrival in second.arrivals)


async def test_acknowledged_messages_do_not_come_again(mosquitto: Mosquitto) -> None:
    """What was acknowledged is done with; only the rest comes again."""
    first, second = ArrivalRecorder(), ArrivalRecorder()
    async with subscribed(mosquitto.broker(), first) as subscriber:
        with Publisher(mosquitto.broker()) as device:
            device.publish_all(DEVICE, [b"1", b"2", b"3"])
        subscriber.acknowledge((await first.wait(3))[:2])
        await subscriber.stop(grace_seconds=0)
    async with subscribed(mosquitto.broker(), second):
        await second.wait(1)
    assert second.payloads == [b"3"]


async def test_late_acknowledgement_of_an_earlier_connection_is_dropped(
    mosquitto: Mosquitto,
) -> None:
    """Packet ids start over with each connection: an old one would acknowledge another, unprocessed message."""
    recorder, last = ArrivalRecorder(), ArrivalRecorder()
    async with subscribed(mosquitto.broker(), recorder) as subscriber:
        with Publisher(mosquitto.broker()) as device:
            device.publish(DEVICE, b"1")
        await recorder.wait(1)
        mosquitto.stop()
        await until(subscriber, lambda state: not state.connected)
        mosquitto.start()
        await until(subscriber, lambda state: state.subscribed)
        with Publisher(mosquitto.broker()) as device:
            device.publish(DEVICE, b"2")
        old, new = await recorder.wait(2)
        assert old.acknowledgement == new.acknowledgement
        subscriber.acknowledge([old])
        await subscriber.stop(grace_seconds=0)
    async with subscribed(mosquitto.broker(), last):
        await last.wait(1)
    assert last.payloads == [b"2"]


async def test_acknowledgements_leave_in_order_of_arrival(mosquitto: Mosquitto) -> None:
    """Told out of order, PUBACKs wait for those before them (MQTT-4.6.0-2)."""
    recorder = ArrivalRecorder()
    async with subscribed(mosquitto.broker(), recorder) as subscriber:
        with Publisher(mosquitto.broker()) as device:
            device.publish_all(DEVICE, [b"1", b"2", b"3"])
        one, two, three = await recorder.wait(3)
        subscriber.acknowledge([three])
        subscriber.acknowledge([two])
        assert subscriber.unacknowledged == 3
        subscriber.acknowledge([one])
        assert subscriber.unacknowledged == 0
        await subscriber.stop()
    mosquitto.wait_for_log("Received DISCONNECT from whatwatt")
    received = [line for line in mosquitto.log.splitlines() if "PUBACK from whatwatt" in line]
    assert [line.partition("Mid: ")[2][0] for line in received] == ["1", "2", "3"]


async def test_broker_holds_back_what_exceeds_its_limit(mosquitto: Mosquitto) -> None:
    """mosquitto hands out 20 unacknowledged messages, and the rest as acknowledgements come: none is lost."""
    recorder = ArrivalRecorder()
    async with subscribed(mosquitto.broker(), recorder) as subscriber:
        with Publisher(mosquitto.broker()) as device:
            device.publish_all(DEVICE, [b"%d" % number for number in range(100)])
        await recorder.wait(20)
        assert (len(recorder.arrivals), subscriber.unacknowledged) == (20, 20)
        for count in range(20, 120, 20):
            subscriber.acknowledge((await recorder.wait(count))[count - 20 :])
    assert recorder.payloads == [b"%d" % number for number in range(100)]


async def test_several_topics_are_subscribed(mosquitto: Mosquitto) -> None:
    """Each topic filter brings its messages."""
    recorder = ArrivalRecorder()
    async with subscribed(mosquitto.broker(topics=("ext/demoapp/#", "lab/+/power")), recorder):
        with Publisher(mosquitto.broker()) as device:
            for topic in (DEVICE, "lab/kitchen/power", "other"):
                device.publish(topic, b"1")
        await recorder.wait(2)
    assert {arrival.message.topic for arrival in recorder.arrivals} == {DEVICE, "lab/kitchen/power"}


async def test_retained_copy_is_marked(mosquitto: Mosquitto) -> None:
    """A copy that the broker keeps and sends because we subscribed says so."""
    recorder = ArrivalRecorder()
    with Publisher(mosquitto.broker()) as device:
        device.publish(DEVICE, b"1", retain=True)
    async with subscribed(mosquitto.broker(), recorder):
        assert (await recorder.wait(1))[0].message.is_retained


async def test_quality_of_service_0_needs_no_acknowledgement(mosquitto: Mosquitto) -> None:
    """At QoS 0 nothing is owed to the broker."""
    recorder = ArrivalRecorder()
    async with subscribed(mosquitto.broker(qos=0), recorder) as subscriber:
        with Publisher(mosquitto.broker()) as device:
            device.publish_all(DEVICE, [b"%d" % number for number in range(1000)])
        subscriber.acknowledge(await recorder.wait(1000))
        assert subscriber.unacknowledged == 0


async def test_session_survives_a_restart_of_the_broker(tmp_path: Path, protocol: str) -> None:
    """A broker that keeps its sessions on disk brings what was unacknowledged before; that is no gap."""
    recorder = ArrivalRecorder()
    with Mosquitto(tmp_path / "mosquitto", persistence=True) as mosquitto:
        async with subscribed(mosquitto.broker(protocol=protocol), recorder) as subscriber:
            with Publisher(mosquitto.broker()) as device:
                device.publish_all(DEVICE, [b"1", b"2"])
            subscriber.acknowledge((await recorder.wait(2))[:1])
            await asyncio.to_thread(mosquitto.wait_for_log, "PUBACK from whatwatt")
            mosquitto.stop()
            await until(subscriber, lambda state: not state.connected)
            mosquitto.start()
            await recorder.wait(3)
            state = await until(subscriber, lambda state: state.subscribed)
    assert recorder.payloads == [b"1", b"2", b"2"]
    assert (state.sessions, state.gaps, state.problem) == (2, 0, None)


async def test_session_lost_by_a_killed_broker_counts_as_a_gap(mosquitto: Mosquitto) -> None:
    """A broker that comes back without our session may have lost messages: that is counted."""
    async with subscribed(mosquitto.broker()) as subscriber:
        mosquitto.kill()
        await until(subscriber, lambda state: not state.connected)
        mosquitto.start()
        state = await until(subscriber, lambda state: state.subscribed)
    assert (state.sessions, state.gaps) == (2, 1)


@pytest.mark.parametrize(
    ("expects_session", "gaps"),
    [(False, 0), (True, 1)],
    ids=["first connection ever", "an earlier process was subscribed"],
)
async def test_first_connection_is_a_gap_only_after_an_earlier_process(
    mosquitto: Mosquitto,
    expects_session: bool,
    gaps: int,
) -> None:
    """A broker cannot have lost what was never there."""
    async with subscribed(mosquitto.broker(), expects_session=expects_session) as subscriber:
        assert subscriber.state.gaps == gaps


async def test_stop_waits_for_what_is_being_committed(mosquitto: Mosquitto) -> None:
    """After stop nothing more is handed over, and what was handed over can still be acknowledged."""
    recorder, later = ArrivalRecorder(), ArrivalRecorder()
    async with subscribed(mosquitto.broker(), recorder) as subscriber:
        with Publisher(mosquitto.broker()) as device:
            device.publish_all(DEVICE, [b"%d" % number for number in range(40)])
        await recorder.wait(20)
        stopping = asyncio.create_task(subscriber.stop())
        await asyncio.sleep(0)
        subscriber.acknowledge(recorder.arrivals)
        await stopping
        assert (len(recorder.arrivals), subscriber.state.connected) == (20, False)
    mosquitto.wait_for_log("Received DISCONNECT from whatwatt")
    async with subscribed(mosquitto.broker(), later):
        assert (await later.wait(20))[0].message.payload == b"20"


async def test_stop_ends_run(mosquitto: Mosquitto) -> None:
    """`run` returns once `stop` has disconnected, in any state."""
    for broker in (mosquitto.broker(), mosquitto.broker(port=free_port())):
        subscriber = Subscriber(broker, clock=SystemClock(), on_arrivals=ArrivalRecorder())
        run = asyncio.create_task(subscriber.run())
        await until(subscriber, lambda state: state.subscribed or state.problem is not None)
        await subscriber.stop()
        async with asyncio.timeout(5):
            await run


async def test_failing_handler_costs_the_connection_and_nothing_else(mosquitto: Mosquitto) -> None:
    """A handler that raises leaves its message unacknowledged: it comes again, and the session goes on."""
    recorder = ArrivalRecorder()

    def fail_once(arrivals: Sequence[Arrival]) -> None:
        recorder(arrivals)
        if len(recorder.arrivals) == 1:
            raise ZeroDivisionError

    async with subscribed(mosquitto.broker(), fail_once) as subscriber:
        with Publisher(mosquitto.broker()) as device:
            device.publish(DEVICE, b"1")
        await recorder.wait(2)
        assert (await until(subscriber, lambda state: state.subscribed)).sessions == 2
    assert recorder.payloads == [b"1", b"1"]


async def test_no_connect_leaves_while_another_may_have_the_session(mosquitto: Mosquitto) -> None:
    """The one who has it is not thrown out; as soon as it is ours again, we connect."""
    is_ours = False
    subscriber = Subscriber(
        mosquitto.broker(),
        clock=SystemClock(),
        on_arrivals=lambda _: None,
        may_connect=lambda: is_ours,
        pace=QUICK,
    )
    async with subscribed(mosquitto.broker()) as rival:
        task = asyncio.create_task(subscriber.run())
        state = await until(subscriber, lambda state: state.problem is not None)
        assert "another replica may have taken it over" in str(state.problem)
        await asyncio.sleep(4 * QUICK.first_retry)  # some tries, of which none may reach the broker
        assert (rival.state.sessions, subscriber.state.sessions) == (1, 0)
    is_ours = True
    await until(subscriber, lambda state: state.subscribed)
    task.cancel()
    await asyncio.wait({task})
