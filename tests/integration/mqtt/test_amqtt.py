"""Topic, login and TLS, on a broker of another make."""

import asyncio
from dataclasses import replace
from pathlib import Path

from support.amqtt_broker import amqtt_broker
from support.certificates import Authority
from support.publisher import Publisher
from support.subscriber_harness import QUICK, ArrivalRecorder, running, subscribed, until

from forwarder.settings import Broker

USERNAME = "whatwatt.integration.client.demoapp"
TOPIC = "ext/demoapp/ECC9FF5C7AD4"


async def test_login_topic_and_tls_bring_the_message(tmp_path: Path) -> None:
    """What whatwatt hands out is enough: URI, certificate, username, password, topic."""
    authority, recorder = Authority(tmp_path), ArrivalRecorder()
    files = authority.issue("localhost", "127.0.0.1")
    async with amqtt_broker(users={USERNAME: "secret"}, server_files=files) as reached:
        broker = replace(reached, ca_file=authority.ca_file, topics=("ext/demoapp/#",))
        async with subscribed(broker, recorder) as subscriber:
            await asyncio.to_thread(_publish, broker)
            subscriber.acknowledge(await recorder.wait(1))
    assert recorder.arrivals[0].message.topic == TOPIC


async def test_wrong_password_is_said() -> None:
    """A refused login names the settings to check."""
    async with (
        amqtt_broker(users={USERNAME: "secret"}) as reached,
        running(replace(reached, password="wrong")) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.problem is not None)
    assert "check FORWARDER_MQTT_USERNAME, FORWARDER_MQTT_PASSWORD" in str(state.problem)


async def test_refused_topic_is_said() -> None:
    """A refused subscription names the topic, and is not taken for a subscribed session."""
    async with (
        amqtt_broker(users={USERNAME: "secret"}, readable={USERNAME: ["ext/other/#"]}) as reached,
        running(replace(reached, topics=("ext/demoapp/#",))) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.problem is not None)
    assert (state.connected, state.subscribed) == (True, False)
    assert "subscribe to ext/demoapp/#" in str(state.problem)


async def test_mqtt_5_is_not_spoken_by_every_broker() -> None:
    """A broker of MQTT 3.1.1 alone is recognised, and the setting named."""
    impatient = replace(QUICK, answer=0.2)
    async with (
        amqtt_broker() as reached,
        running(replace(reached, protocol="5"), pace=impatient) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.problem is not None)
    assert "FORWARDER_MQTT_PROTOCOL" in str(state.problem)


def _publish(broker: Broker) -> None:
    with Publisher(broker) as device:
        device.publish(TOPIC, b"{}")
