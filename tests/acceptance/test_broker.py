"""The broker that goes, comes back, or does not let us in."""

import asyncio

from support.line import USERNAME, Line, assert_told_once_in_order, topic_of
from support.scripted_broker import Conversation, hold, scripted_broker

from forwarder.reading import Device

TIMELESS = b'{"sys.id":"ECC9FF5C7AD4","1_7_0":0.5,"number":1}'


async def test_a_restarted_broker_costs_nothing(line: Line) -> None:
    """What is published before, and after before we are back, arrives, each reading under one id."""
    webhooks = await line.receiver("acme")
    await line.start()
    await line.publish(30)
    await webhooks.until_count(10)
    line.broker.stop()
    line.broker.start()
    await line.publish(30)
    await webhooks.until_count(60)
    assert_told_once_in_order(webhooks, line.fleet.issued)


async def test_it_waits_for_a_broker_that_lets_it_in(line: Line) -> None:
    """Without a broker, or with the wrong password, it stays up, says why it is not ready, and goes on by itself."""
    webhooks = await line.receiver("acme")
    line.service.settings["FORWARDER_MQTT_PASSWORD"] = "new-password"
    line.broker.kill()
    line.write_routes()
    await line.service.start()
    await refused(line, f"nothing listens on {line.broker.address}")
    line.broker.start()
    await refused(line, "FORWARDER_MQTT_PASSWORD")
    line.broker.add_user(USERNAME, "new-password")
    await line.service.ready()
    await line.publish(1)
    await webhooks.until_count(1)


async def refused(line: Line, why: str) -> None:
    """Return once /readyz is 503 for this reason; /healthz is 200 all the same."""
    said = await line.service.readiness(lambda status, said: status == 503 and why in str(said))
    assert said["reasons"] == [said["mqtt"]["problem"]]
    health = await line.service.ask("/healthz")
    assert health is not None
    assert health.status_code == 200


async def test_a_message_sent_again_is_the_same_reading(line: Line) -> None:
    """A payload that holds no time, which the broker repeats because it saw no PUBACK, is posted once."""
    webhooks = await line.receiver("acme")
    seen: list[bytes] = []
    is_repeated = asyncio.Event()

    async def forgetful(conversation: Conversation) -> None:
        await conversation.accept()
        conversation.send(publication(is_repeated=bool(seen)))
        seen.append(await conversation.receive())
        if len(seen) == 2:
            is_repeated.set()
            await hold(conversation)

    async with scripted_broker(forgetful) as broker:
        line.service.settings["FORWARDER_MQTT_URI"] = f"mqtt://{broker.address}"
        line.write_routes()
        await line.service.start()
        await is_repeated.wait()
    assert seen == [b"\x40\x02\x00\x07"] * 2
    await line.service.counted("duplicate", 1)
    await line.service.settled("acme", lambda totals: totals.delivered == 1)
    assert len(webhooks.posts) == 1


def publication(*, is_repeated: bool) -> bytes:
    topic = topic_of(Device("ECC9FF5C7AD4")).encode()
    rest = len(topic).to_bytes(2) + topic + b"\x00\x07" + TIMELESS
    return bytes([0x3A if is_repeated else 0x32, len(rest)]) + rest
