"""Messages and packets of every size at the real service, in the memory that compose.yaml and Kubernetes give it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.attack import Extent, Tried
from support.heavy_publisher import HeavyPublisher
from support.line import USERNAME, Fleet, Line, a_line, assert_told_once_in_order
from support.memory import inside, memory_limit
from support.receiver_policies import always
from support.scripted_broker import Conversation, hold, scripted_broker
from support.service import Service
from support.webhooks import OK, UNAVAILABLE, Webhooks

from forwarder.reading import Device

MIB = 1 << 20
CONTAINER_BYTES = 256 * MIB
"""The limit in compose.yaml and in the StatefulSet."""
MOST_BYTES = 160_000_000
"""How much the process may ever have taken."""
SIZES: dict[Extent, tuple[int, ...]] = {"short": (1, 16, 64), "full": (1, 16, 64, 200, 255)}
"""MiB; the largest packet of all has 256."""
FLOOD: dict[Extent, int] = {"short": 1000, "full": 5000}
GOOD = 200
PADDING = "x" * 60_000
NO_WINDOW = ("max_inflight_messages 0",)
"""mosquitto then sends whatever it has, acknowledged or not."""
HEAVY = "ext/partner/heavy"
STRANGER = Device("ECC9FF0FFFFF")


@asynccontextmanager
async def limited(service: Service) -> AsyncIterator[str]:
    """Runs it in the memory of a container, where one can be made here; given is how that is called."""
    with memory_limit(CONTAINER_BYTES) as group:
        with inside(group):
            await service.start()
        try:
            yield "in a control group of 256 MiB" if group else "without a control group"
        finally:
            await service.stop()


def peak(service: Service) -> str:
    """The most memory that it ever took, which is little enough."""
    taken = service.peak_memory_bytes
    assert taken < MOST_BYTES
    return f"peak RSS {taken / 1e6:.0f} MB"


async def publish_heavy(line: Line, size: int, *, qos: int, retain: bool = False) -> None:
    def publish() -> None:
        with HeavyPublisher(line.broker.broker(), username="device") as publisher:
            publisher.publish(HEAVY, size, qos=qos, retain=retain)

    await asyncio.to_thread(publish)


async def assert_unharmed(line: Line, webhooks: Webhooks) -> None:
    """Every good reading has come, in order, over the one session."""
    await webhooks.until_count(line.fleet.count)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    said = await line.service.ready()
    assert (said["mqtt"]["sessions"], said["mqtt"]["problem"]) == (1, None)


async def test_message_of_any_size_is_quarantined_and_the_line_goes_on(
    line: Line, extent: Extent, tried: list[Tried]
) -> None:
    """Its true size is known, its beginning kept; the readings around it arrive, and it does not come again."""
    webhooks = await line.receiver("acme")
    line.write_routes()
    heavy = [(size * MIB, qos) for size in SIZES[extent] for qos in (0, 1, 2)]
    # A packet holds 268,435,455 bytes, with topic and packet id (MQTT 3.1.1 §2.2.3).
    heavy = [(min(size, 255 * MIB + 1), qos) for size, qos in heavy]
    async with limited(line.service) as where:
        await line.service.ready()
        for size, qos in heavy:
            await line.publish(GOOD // len(heavy))
            await publish_heavy(line, size, qos=qos)
        await line.publish(GOOD % len(heavy))
        await line.service.counted("quarantined", len(heavy))
        await assert_unharmed(line, webhooks)
        listed = await line.service.command("quarantine", "list", "--json")
        took = peak(line.service)
    kept = json.loads(listed.stdout)
    assert {one["reason"] for one in kept} == {"too_large"}
    assert sorted(one["size"] for one in kept) == sorted(size for size, _ in heavy)
    sizes = ", ".join(map(str, SIZES[extent]))
    what = f"messages of {sizes} MiB at QoS 0, 1 and 2, among {GOOD} readings, {where}"
    tried.append(Tried("MQTT", what, len(heavy), f"all quarantined and acknowledged; {took}"))


async def test_retained_message_of_any_size_is_passed_over(line: Line) -> None:
    """It comes again at every subscribe, so it is counted as the copy that it is, and acknowledged."""
    webhooks = await line.receiver("acme")
    line.write_routes()
    await publish_heavy(line, 16 * MIB, qos=1, retain=True)
    async with limited(line.service):
        await line.service.counted("duplicate", 1)
        await line.publish(5)
        await assert_unharmed(line, webhooks)
        peak(line.service)
    assert line.service.message_totals()["duplicate"] == 1


async def test_properties_of_any_size_are_passed_over(line: Line, tried: list[Tried]) -> None:
    """An MQTT 5 publisher may send megabytes of them with a payload that is quite in order: it is delivered."""
    webhooks = await line.receiver("acme")
    line.write_routes()
    line.service.settings |= {"FORWARDER_MQTT_PROTOCOL": "5"}

    def publish() -> None:
        broker = line.broker.broker()
        with HeavyPublisher(broker, username="device", is_mqtt5=True) as publisher:
            for topic, payload in line.fleet.readings(3):
                publisher.publish(topic, payload, user_properties=32 * MIB)

    async with limited(line.service):
        await line.service.ready()
        await asyncio.to_thread(publish)
        await line.publish(5)
        await assert_unharmed(line, webhooks)
        took = peak(line.service)
    what = "readings with 32 MiB of MQTT 5 properties each"
    tried.append(Tried("MQTT", what, 3, f"all delivered; {took}"))


@pytest.mark.parametrize("qos", [0, 1])
async def test_flood_stays_with_the_broker_while_the_outbox_is_full(
    tmp_path: Path, extent: Extent, tried: list[Tried], qos: int
) -> None:
    """Without a window in which a broker waits for PUBACKs: what is not read takes no memory of ours."""
    async with a_line(tmp_path, broker_settings=NO_WINDOW) as line:
        webhooks = await line.receiver(
            "acme",
            always(UNAVAILABLE),
            devices=line.fleet.devices,
            fields=["active_power_import_kw"],
            max_concurrency=64,
        )
        line.write_routes()
        line.service.settings |= {"FORWARDER_OUTBOX_MAX_BYTES": "4MiB"}
        async with limited(line.service) as where:
            await line.service.ready()
            await line.publish(200, padding=PADDING)
            await line.service.readiness(lambda status, _: status == 503)
            await flood(line, FLOOD[extent], qos=qos)
            await line.publish(GOOD)
            held = peak(line.service)
            webhooks.policy = always(OK)
            async with asyncio.timeout(300):
                await recover(line, webhooks)
            took = peak(line.service)
        what = f"messages of 60 KB at QoS {qos} with the outbox full, {where}"
        outcome = f"they stay with the broker ({held}), every reading arrives later ({took})"
        tried.append(Tried("MQTT", what, FLOOD[extent], outcome))


async def flood(line: Line, count: int, *, qos: int) -> None:
    for _ in range(count // 50):
        if qos:
            await line.publish(50, padding=PADDING)
        else:
            # Of a device that nobody wants, for the broker may drop them.
            readings = Fleet().readings(50, device=STRANGER, padding=PADDING)
            await line.publish_messages(list(readings), qos=0)


async def recover(line: Line, webhooks: Webhooks) -> None:
    while webhooks.count < line.fleet.count:  # noqa: ASYNC110 - longer than its own patience
        await asyncio.sleep(0.1)
    await assert_unharmed(line, webhooks)


HOSTILE = {
    "QoS 2 of 256 MiB": b"\x34\xff\xff\xff\x7f\x00\x05ext/a\x00\x07",
    "a SUBACK of 256 MiB": b"\x90\xff\xff\xff\x7f\x00\x01",
    "a length without end": b"\x32\xff\xff\xff\xff\xff\xff\xff",
}


async def test_broker_that_sends_what_was_never_asked_for_is_left(
    line: Line, tried: list[Tried]
) -> None:
    """Each ends its session with a line that says why; the next session is tried again, and works when it can."""
    webhooks = await line.receiver("acme")
    line.write_routes()
    hostile = list(HOSTILE.values())
    [(topic, payload)] = line.fleet.readings(1)
    body = len(topic).to_bytes(2) + topic.encode() + b"\x00\x07" + payload

    async def turn_hostile(client: Conversation) -> None:
        await client.accept()
        if hostile:
            client.send(hostile.pop(0) + b"x" * (8 * MIB))
            await client.drain()
        else:
            client.send(b"\x32" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body)
        await hold(client)

    async with scripted_broker(turn_hostile) as broker:
        line.service.settings |= {
            "FORWARDER_MQTT_URI": f"mqtt://{broker.address}",
            "FORWARDER_MQTT_USERNAME": USERNAME,
        }
        async with limited(line.service):
            await line.service.readiness(lambda _, said: "QoS 2" in str(said["mqtt"]["problem"]))
            await webhooks.until_count(1)
            took = peak(line.service)
    said = [line["reason"] for line in line.service.events if line["event"] == "mqtt.failed"]
    assert set(said) == {"packet"}
    assert line.service.complaints == []
    what = f"a broker that sends {', '.join(HOSTILE)}"
    tried.append(Tried("MQTT", what, len(HOSTILE), f"each session ended with its reason; {took}"))


async def test_stop_while_nothing_is_read_loses_nothing(tmp_path: Path) -> None:
    """What was handed over and not stored stays with the broker, which hears what was acknowledged and a DISCONNECT."""
    async with a_line(tmp_path, broker_settings=NO_WINDOW) as line:
        webhooks = await line.receiver("acme", always(UNAVAILABLE), max_concurrency=64)
        full = {"FORWARDER_OUTBOX_MAX_BYTES": "4MiB", "FORWARDER_DRAIN_TIMEOUT": "500ms"}
        line.service.settings |= full
        await line.start()
        await line.publish(200, padding=PADDING)
        await line.service.readiness(lambda status, _: status == 503)
        await line.publish(300, padding=PADDING)
        assert await line.service.stop() == 0
        assert f"Client {USERNAME} disconnected." in line.broker.log
        webhooks.policy = always(OK)
        await line.service.start_ready()
        await assert_unharmed(line, webhooks)
