"""What is unacknowledged comes again from a broker of another make too, which marks it in no way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.aedes_broker import aedes_broker, install_aedes
from support.publisher import Publisher
from support.subscriber_harness import ArrivalRecorder, subscribed

from forwarder.settings import Broker

TOPIC = "ext/demoapp/ECC9FF5C7AD4"


@pytest.fixture(scope="module")
def aedes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aedes")
    if (obstacle := install_aedes(folder)) is not None:
        pytest.skip(obstacle)
    return folder


@pytest.fixture
def broker(aedes_folder: Path) -> Iterator[Broker]:
    with aedes_broker(aedes_folder) as broker:
        yield broker


async def test_unacknowledged_messages_come_again(broker: Broker) -> None:
    """A crash before PUBACK loses nothing, whatever the broker does with DUP and packet id."""
    first, second = ArrivalRecorder(), ArrivalRecorder()
    async with subscribed(broker, first):
        with Publisher(broker) as device:
            device.publish_all(TOPIC, [b"1", b"2", b"3"])
        await first.wait(3)
    async with subscribed(broker, second) as subscriber:
        await second.wait(3)
        assert subscriber.state.gaps == 0
    assert sorted(second.payloads) == [b"1", b"2", b"3"]


async def test_acknowledged_and_offline_messages(broker: Broker) -> None:
    """Acknowledged messages are done with; what is published while nobody is connected is kept."""
    first, second = ArrivalRecorder(), ArrivalRecorder()
    async with subscribed(broker, first) as subscriber:
        with Publisher(broker) as device:
            device.publish_all(TOPIC, [b"1", b"2"])
        subscriber.acknowledge(await first.wait(2))
        await subscriber.stop()
    with Publisher(broker) as device:
        device.publish(TOPIC, b"3")
    async with subscribed(broker, second) as subscriber:
        await second.wait(1)
    assert second.payloads == [b"3"]
