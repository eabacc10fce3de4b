import asyncio
from collections.abc import Callable

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from support.subscriber_harness import ArrivalRecorder, subscribed

from forwarder.demo.broker import EmbeddedBroker
from forwarder.demo.publisher import Publisher
from forwarder.errors import OperationError
from forwarder.settings import Broker

USERNAME = "whatwatt.integration.client.demoville"


async def connack(broker: EmbeddedBroker, *, client_id: str, password: str) -> str:
    """What the broker answers to this CONNECT."""
    loop, answers = asyncio.get_running_loop(), asyncio.Queue[str]()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    client.username_pw_set(USERNAME, password)

    def answered(
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        loop.call_soon_threadsafe(answers.put_nowait, str(reason))

    client.on_connect = answered
    await asyncio.to_thread(client.connect, "127.0.0.1", broker.port)
    client.loop_start()
    try:
        return await asyncio.wait_for(answers.get(), 10)
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


@pytest.mark.parametrize(
    ("client_id", "password", "answer", "reason"),
    [
        (USERNAME, "throw-away", "Success", "the username is the client id"),
        (f"{USERNAME}:GMRnaj6n", "throw-away", "Success", "one more connection"),
        (USERNAME, "wrong", "Not authorized", "wrong password"),
        ("my-client", "throw-away", "Not authorized", "a client id of one's own choice"),
        (f"{USERNAME}:", "throw-away", "Not authorized", "a colon and nothing after it"),
    ],
)
async def test_broker_asks_like_whatwatts(
    embedded: EmbeddedBroker, client_id: str, password: str, answer: str, reason: str
) -> None:
    """Username, password and the client id rule are asked for as the service in earnest does."""
    assert await connack(embedded, client_id=client_id, password=password) == answer, reason


async def test_everything_published_arrives_in_order(login: Callable[..., Broker]) -> None:
    """A subscriber with QoS 1 hears every message of a publisher, in order."""
    recorder = ArrivalRecorder()
    payloads = [str(number).encode() for number in range(200)]
    async with subscribed(login(), recorder), Publisher(login()) as publisher:
        for payload in payloads:
            publisher.publish("ext/demoville/ECC9FF5C001A", payload)
        await asyncio.wait_for(publisher.drain(), 20)
        await recorder.wait(len(payloads))
    assert recorder.payloads == payloads


async def test_publisher_says_why_it_is_refused(login: Callable[..., Broker]) -> None:
    """A wrong password is one sentence that names the settings and never the password."""
    with pytest.raises(OperationError, match="FORWARDER_MQTT_PASSWORD") as refused:
        async with Publisher(login(password="not-this-one")):
            pass
    assert "not-this-one" not in str(refused.value)


async def test_publisher_says_that_nothing_listens(
    embedded: EmbeddedBroker, login: Callable[..., Broker]
) -> None:
    """An unreachable broker is one sentence with host and port."""
    broker = login()
    await embedded.stop()
    with pytest.raises(OperationError, match=f"nothing listens on {broker.address}"):
        async with Publisher(broker):
            pass
    await embedded.start()
