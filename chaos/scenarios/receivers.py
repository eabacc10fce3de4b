"""The way to the receivers fails, or they do."""

from chaos.receiver import accepting, down, resetting
from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

RATE = 150.0


async def break_links(stage: Stage) -> None:
    """One receiver's network is cut, another's goes half-open, a third one's connections are reset."""
    stage.write_routes(timeout="2s")
    await stage.forwarder.start_ready()
    cut, stalled, reset = (stage.links[name] for name in ("steady", "acme", "bulk"))
    async with stage.devices.flowing(per_second=RATE):
        for _ in range(stage.rounds(short=1, full=4)):
            await stage.until_taken(len(stage.receivers["steady"].accepted) + 50)
            for link in (cut, stalled, reset):
                link.harmed = 0
            stage.inject("network cut to a receiver")
            stage.inject("half-open to a receiver")
            stage.inject("connections to a receiver reset")
            await cut.cut()
            await stalled.stall()
            for _ in range(5):
                reset.reset()
                await stage.pause(0.5)
            # The endpoint's circuit may have been open, and nothing under way on its link.
            await stage.until(lambda: stalled.harmed, what="an attempt on a half-open link")
            for link, fault in (
                (cut, "network cut to a receiver"),
                (stalled, "half-open to a receiver"),
                (reset, "connections to a receiver reset"),
            ):
                if link.harmed:
                    stage.hit(fault)
                await link.heal()


async def fail_receivers(stage: Stage) -> None:
    """Receivers accept connections and reset them, or answer 503, while others go on."""
    await stage.forwarder.start_ready()
    async with stage.devices.flowing(per_second=RATE):
        for _ in range(stage.rounds(short=1, full=4)):
            for name, policy in (("acme", resetting), ("bulk", down), ("steady", resetting)):
                receiver = stage.receivers[name]
                fault = "receiver resets" if policy is resetting else "receiver answers 503"
                stage.inject(fault)
                posts, usual, receiver.policy = len(receiver.posts), receiver.policy, policy
                await stage.pause(2.0)
                receiver.policy = usual
                if len(receiver.posts) > posts:
                    stage.hit(fault)


async def take_away(stage: Stage) -> None:
    """
    An endpoint is away and comes back, then the broker for more than a minute, with kills in between.

    The operator is told of each once.
    """
    steady = stage.receivers["steady"]
    for receiver in stage.receivers.values():
        receiver.policy = accepting
    rounds = stage.rounds(short=1, full=3)
    stage.outages = {"steady": rounds}
    await stage.forwarder.start_ready()
    for number in range(1, rounds + 1):
        async with stage.devices.flowing(per_second=RATE):
            stage.inject("endpoint away")
            steady.policy = down
            await stage.until_told("endpoint.failing", number)
            await _kill(stage)
            await stage.pause(stage.dice.uniform(0.0, 2.0))
            await _kill(stage)
            steady.policy = accepting
            await stage.until_taken(len(steady.accepted) + 20)
            # Just after the circuit has closed, and before that can be told.
            await _kill(stage)
        await stage.until_told("endpoint.recovered", number)
        await _kill(stage)
        stage.hit("endpoint away")
    if stage.rounds(short=0, full=1):
        await _take_broker_away(stage)


async def _take_broker_away(stage: Stage) -> None:
    stage.interruptions = 1
    stage.inject("broker away")
    await stage.broker_link.cut()
    await stage.until_told("stream.interrupted", 1)
    await stage.forwarder.kill()
    await stage.forwarder.start()
    await stage.pause(10.0)
    await stage.broker_link.heal()
    await stage.forwarder.ready()
    await stage.until_told("stream.resumed", 1)
    stage.hit("broker away")


async def _kill(stage: Stage) -> None:
    await stage.forwarder.kill()
    stage.struck("kill -9 in an outage")
    await stage.forwarder.start_ready()


SCENARIOS = (
    Scenario("links", "network faults between forwarder and receivers", break_links, is_short=True),
    Scenario(
        "away",
        "an endpoint and the broker away, with kill -9: what the operator is told",
        take_away,
        is_short=True,
    ),
    Scenario("receivers", "receivers that reset, and that answer 503", fail_receivers),
)
