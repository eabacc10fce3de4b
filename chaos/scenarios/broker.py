"""The broker dies, forgets, goes silent, or lets somebody else in; or has kept messages."""

import asyncio

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from chaos.receiver import accepting, down
from chaos.scenarios.scenario import Scenario
from chaos.stage import PASSWORD, USERNAME, Stage

RATE = 100.0
SAVED_SECONDS = 0.5
"""mosquitto saves its sessions in the turn of its loop after a change, without fsync: kill -9 leaves that alone."""


async def kill_broker(stage: Stage) -> None:
    """While the forwarder is away the broker holds a queue; it dies with it, and comes back with it."""
    await stage.subscribe_once()
    for _ in range(stage.rounds(short=1, full=3)):
        await stage.devices.publish_and_wait(200)
        await stage.pause(SAVED_SECONDS)
        await stage.forwarder.start_ready()
        await stage.until_taken(len(stage.receivers["steady"].accepted) + 20)
        stage.broker.kill()
        stage.struck("kill -9 of the broker")
        await stage.pause(stage.dice.uniform(0.0, 1.5))
        stage.broker.start()
        async with stage.devices.flowing(per_second=RATE):
            await stage.forwarder.ready()
            await stage.until_taken(len(stage.receivers["steady"].accepted) + 20)
        await stage.devices.all_taken()
        await stage.pause(SAVED_SECONDS)
        await stage.forwarder.stop()


async def lose_sessions(stage: Stage) -> None:
    """Everything has reached the forwarder, nothing the receivers, when the broker forgets it all."""
    await stage.forwarder.start_ready()
    for receiver in stage.receivers.values():
        receiver.policy = down
    await stage.devices.publish_and_wait(300)
    await stage.until_status(lambda status: status["messages"]["accepted"] >= 300)
    stage.inject("broker without memory killed")
    stage.broker.kill()
    stage.broker.start()
    for receiver in stage.receivers.values():
        receiver.policy = accepting
    said = await stage.forwarder.readiness(
        lambda said: said["ready"] and said["mqtt"]["sessions"] > 1, what="a new session"
    )
    if said["mqtt"]["gaps"] == 1:
        stage.hit("broker without memory killed")


async def go_half_open(stage: Stage) -> None:
    """Nothing passes between broker and forwarder, and neither is told."""
    stage.forwarder.settings["FORWARDER_MQTT_KEEPALIVE"] = "5s"
    await stage.forwarder.start_ready()
    async with stage.devices.flowing(per_second=RATE):
        await stage.until_taken(50)
        stage.inject("half-open to the broker")
        await stage.broker_link.stall()
        await stage.pause(stage.rounds(short=6, full=30))
        if stage.broker_link.harmed:
            stage.hit("half-open to the broker")
        await stage.broker_link.heal()
        await stage.forwarder.ready()


async def cut_broker(stage: Stage) -> None:
    """The network between broker and forwarder is cut, and comes back."""
    await stage.forwarder.start_ready()
    async with stage.devices.flowing(per_second=RATE):
        for _ in range(stage.rounds(short=1, full=3)):
            await stage.until_taken(len(stage.receivers["steady"].accepted) + 50)
            stage.inject("network cut to the broker")
            await stage.broker_link.cut()
            await stage.pause(stage.dice.uniform(0.0, 2.0))
            if stage.broker_link.harmed:
                stage.hit("network cut to the broker")
            await stage.broker_link.heal()
            await stage.forwarder.ready()


async def intrude(stage: Stage) -> None:
    """Another client takes the forwarder's session over, again and again, and acknowledges nothing."""
    await stage.forwarder.start_ready()
    async with stage.devices.flowing(per_second=RATE):
        await stage.until_taken(50)
        for _ in range(3):
            stage.inject("client id taken over")
            sessions = (await stage.forwarder.ready())["mqtt"]["sessions"]
            await asyncio.to_thread(_take_over, stage.broker.port)
            await stage.forwarder.readiness(
                lambda said, before=sessions: said["mqtt"]["sessions"] > before,
                what="another session",
            )
            stage.hit("client id taken over")


def _take_over(port: int) -> None:
    """Connect with the forwarder's client id, hold the session for a moment, and leave without a PUBACK."""
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=USERNAME, clean_session=False, manual_ack=True
    )
    client.username_pw_set(USERNAME, PASSWORD)
    client.connect("127.0.0.1", port)
    for _ in range(20):
        client.loop(0.02)
    client.disconnect()
    client.loop(0.02)


async def start_with_backlog(stage: Stage) -> None:
    await stage.subscribe_once()
    count = stage.rounds(short=1000, full=10_000)
    for _ in range(count // 500):
        await stage.devices.publish_and_wait(500)
    stage.inject("backlog at start")
    await stage.forwarder.start_ready()
    await stage.until_taken(count)
    stage.hit("backlog at start")


SCENARIOS = (
    Scenario(
        "broker",
        "kill -9 of the broker, which keeps its sessions on disk",
        kill_broker,
    ),
    Scenario(
        "amnesia",
        "kill -9 of a broker without persistence",
        lose_sessions,
        has_persistence=False,
    ),
    Scenario("half-open", "silence between broker and forwarder", go_half_open),
    Scenario("cut", "network cut between broker and forwarder", cut_broker),
    Scenario("intruder", "a second client with the same client id", intrude),
    Scenario("backlog", "a backlog at start", start_with_backlog),
)
