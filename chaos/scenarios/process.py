"""The forwarder dies: anywhere, at each named point, in a checkpoint, in a replay; or is asked to stop."""

from contextlib import AsyncExitStack

from chaos.disk import require
from chaos.receiver import refusing
from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

RATE = 150.0
EARLY_POINTS = ("in-creation:1", "in-start:1")
POINTS = (
    "after-receive:30",
    "before-commit:30",
    "before-puback:8",
    "after-puback:8",
    "after-claim:25",
    "before-settle:25",
    "in-settle:20",
    "in-reload:2",
)
"""Each point, and how often it is passed before the process dies there."""


async def kill_anywhere(stage: Stage) -> None:
    await stage.forwarder.start_ready()
    async with stage.devices.flowing(per_second=RATE):
        for _ in range(stage.rounds(short=3, full=12)):
            seen = len(stage.receivers["steady"].accepted)
            await stage.until_taken(seen + stage.dice.randrange(5, 120))
            await stage.forwarder.kill()
            stage.struck("kill -9")
            await stage.forwarder.start()
            await stage.pause(stage.dice.uniform(0.0, 1.0))
            if stage.dice.random() < 0.5:
                await stage.forwarder.kill()
                stage.struck("kill -9 in start-up")
                await stage.forwarder.start()


async def kill_at_points(stage: Stage) -> None:
    for point in EARLY_POINTS:
        await _die_at(stage, point)
    await stage.subscribe_once()
    async with stage.devices.flowing(per_second=RATE):
        for point in stage.some_of(POINTS, short=4):
            await _die_at(stage, point)


async def _die_at(stage: Stage, point: str) -> None:
    name = point.partition(":")[0]
    stage.inject(name)
    await stage.forwarder.start(CHAOS_POINT=point)
    if name == "in-reload":
        await stage.forwarder.ready()
        stage.write_routes(timeout="9s")
    await stage.forwarder.ended()
    if name in stage.forwarder.points_hit:
        stage.hit(name)


async def kill_in_checkpoint(stage: Stage) -> None:
    """SQLite carries its log into the file every few pages; strace kills the process at one of those writes."""
    strace = require("strace")
    await stage.subscribe_once()
    async with stage.devices.flowing(per_second=RATE):
        for _ in range(stage.rounds(short=1, full=4)):
            stage.inject("kill -9 in a checkpoint")
            at = stage.dice.randrange(5, 60)
            killing = ("-e", "trace=pwrite64", "-e", f"inject=pwrite64:signal=KILL:when={at}")
            quiet = ("-f", "-qq", "-o", "/dev/null", "-P", str(stage.forwarder.outbox))
            await stage.forwarder.start(
                wrapped_in=(strace, *quiet, *killing), CHAOS_CHECKPOINT="20"
            )
            await stage.forwarder.ended()
            stage.hit("kill -9 in a checkpoint")


async def terminate_under_load(stage: Stage) -> None:
    await stage.forwarder.start_ready()
    async with stage.devices.flowing(per_second=RATE):
        for _ in range(stage.rounds(short=2, full=6)):
            seen = len(stage.receivers["steady"].accepted)
            await stage.until_taken(seen + stage.dice.randrange(20, 120))
            stage.inject("SIGTERM")
            if await stage.forwarder.stop() == 0:
                stage.hit("SIGTERM")
            await stage.forwarder.start_ready()


async def start_twice(stage: Stage) -> None:
    """The second forwarder on a data directory says why it does not start, and the first one goes on."""
    await stage.forwarder.start_ready()
    second = stage.another_forwarder()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(second.close)
        await stack.enter_async_context(stage.devices.flowing(per_second=RATE))
        await stage.until_taken(20)
        stage.inject("second process")
        before = len(stage.forwarder.complaints)
        await second.start()
        code = await second.ended()
        if code == 1 and "another forwarder is running on" in second.complaints[before:]:
            stage.hit("second process")


async def kill_in_replay(stage: Stage) -> None:
    """Dead letters are replayed by a command that is killed, then by one that is not while the service is."""
    refused = range(1, 60)
    stage.receivers["steady"].policy = refusing(*refused)
    await stage.forwarder.start_ready()
    await stage.devices.publish_and_wait(200)
    await stage.until_taken(200 - len(refused))
    stage.replayed |= {*refused}
    stage.receivers["steady"].policy = refusing()
    stage.inject("kill -9 of a replay")
    finished = await stage.forwarder.command(
        "dead-letters", "replay", "--all", CHAOS_POINT="in-replay:30"
    )
    if finished.exit_code == -9:
        stage.hit("kill -9 of a replay")
    async with stage.devices.flowing(per_second=RATE):
        await stage.forwarder.command("dead-letters", "replay", "--all")
        await stage.forwarder.kill()
        stage.struck("kill -9 in a replay")
        await stage.forwarder.start_ready()
    await stage.until_taken(200)


SCENARIOS = (
    Scenario("kill", "kill -9 at random", kill_anywhere, is_short=True),
    Scenario(
        "points",
        "kill -9 at each named point",
        kill_at_points,
        is_short=True,
        needs_redelivery=True,
    ),
    Scenario(
        "checkpoint",
        "kill -9 in the middle of a checkpoint",
        kill_in_checkpoint,
        needs_retries=False,
        engines=("sqlite",),
    ),
    Scenario("terminate", "SIGTERM under load", terminate_under_load),
    Scenario("twice", "two forwarders on one data directory", start_twice, engines=("sqlite",)),
    Scenario("replay", "kill -9 in the middle of a replay", kill_in_replay),
)
