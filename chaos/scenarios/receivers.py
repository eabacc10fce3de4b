"""The way to the receivers fails, or they do."""

from chaos.receiver import down, resetting
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


SCENARIOS = (
    Scenario("links", "network faults between forwarder and receivers", break_links, is_short=True),
    Scenario("receivers", "receivers that reset, and that answer 503", fail_receivers),
)
