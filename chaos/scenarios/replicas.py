"""Replicas die, stand still, or are replaced, while others are there to go on."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

from chaos.receiver import accepting
from chaos.replicas import ReplicaStage
from chaos.scenarios.scenario import Scenario, played_on

RATE = 100.0
STOPPED_SECONDS = 11.0
"""Longer than it takes until a replica is declared dead."""


async def kill_leader(line: ReplicaStage) -> None:
    """The leader is killed again and again; another one goes on, and it comes back as one that stands by."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=1, full=3)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            leader = await line.leader()
            line.inject("kill -9 of the leader")
            killed_at = time.monotonic()
            await leader.kill()
            await line.until_all_deliver(killed_at, fault="kill -9 of the leader")
            await leader.start_ready()


async def stop_leader(line: ReplicaStage) -> None:
    """The leader stands still, is taken over from, wakes up, and ends because what it held is another's."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=1, full=2)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            leader = await line.leader()
            line.inject("SIGSTOP of the leader")
            stopped_at = time.monotonic()
            leader.send(signal.SIGSTOP)
            await line.until_all_deliver(stopped_at, fault="SIGSTOP of the leader")
            await line.pause(max(0.0, STOPPED_SECONDS - (time.monotonic() - stopped_at)))
            line.inject("a deposed leader wakes")
            leader.send(signal.SIGCONT)
            if await leader.ended() == 1:
                line.hit("a deposed leader wakes")
            await leader.start_ready()


async def kill_any(line: ReplicaStage) -> None:
    """Replicas are killed at random, also while another one takes over; one of them is always left."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=2, full=8)):
            await line.pause(line.dice.uniform(0.0, 4.0))
            for victim in line.dice.sample(list(line.forwarders), line.dice.choice([1, 2])):
                if victim.is_running:
                    await victim.kill()
                    line.struck("kill -9 of a replica")
            for replica in line.forwarders:
                if not replica.is_running:
                    await replica.start()
        await line.leader()


async def roll(line: ReplicaStage) -> None:
    """Every replica is stopped and started, one after the other, twice; receivers take nothing twice."""
    for receiver in line.receivers.values():
        receiver.policy = accepting
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for replica in [*line.forwarders] * line.rounds(short=1, full=2):
            await line.until_taken(len(line.receivers["steady"].accepted) + 30)
            line.inject("SIGTERM of a replica")
            stopped_at = time.monotonic()
            if await replica.stop() == 0:
                await line.until_all_deliver(stopped_at, fault="SIGTERM of a replica")
            await replica.start_ready()
    twice = {one.name: one.duplicates for one in line.receivers.values() if one.duplicates}
    if twice:
        raise AssertionError(f"taken twice in a rolling restart: {twice}")


async def stay_out(line: ReplicaStage) -> None:
    """A replica with other topics is refused in a sentence; the others go on."""
    *_, stranger = line.forwarders
    for replica in line.forwarders[:-1]:
        await replica.start_ready()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(50)
        line.inject("another deployment on the database")
        before = len(stranger.complaints)
        await stranger.start(FORWARDER_MQTT_TOPIC="ext/other/#")
        code, said = await stranger.ended(), stranger.complaints[before:]
        if code == 1 and said.count("\n") == 1 and "another deployment works on" in said:
            line.hit("another deployment on the database")


async def command_in_takeover(line: ReplicaStage) -> None:
    """A pause and its end are given while nobody leads; whoever leads next has heard of both."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(50)
        leader = await line.leader()
        line.inject("commands in a takeover")
        killed_at = time.monotonic()
        await leader.kill()
        paused, _ = await asyncio.gather(
            line.forwarder.command("endpoints", "pause", "acme"), line.pause(0.5)
        )
        state = (await line.forwarder.status())["endpoints"]["acme"]["state"]
        resumed = await line.forwarder.command("endpoints", "resume", "acme")
        await line.until_all_deliver(killed_at, fault="commands in a takeover")
        if (paused.exit_code, resumed.exit_code, state) != (0, 0, "paused"):
            raise AssertionError(f"pause {paused}, then {state}, resume {resumed}")
        await leader.start_ready()


def _scenario(
    name: str,
    what: str,
    play: Callable[[ReplicaStage], Awaitable[None]],
    *,
    needs_retries: bool = True,
    may_tell: tuple[str, ...] = (),
) -> Scenario:
    return Scenario(
        name,
        what,
        played_on(ReplicaStage, play),
        stage=ReplicaStage,
        engines=("postgresql",),
        needs_retries=needs_retries,
        may_tell=may_tell,
    )


SCENARIOS = (
    _scenario("kill-leader", "kill -9 of the replica that leads", kill_leader),
    _scenario("stop-leader", "SIGSTOP of the leader for 11 s", stop_leader),
    _scenario("kill-any", "kill -9 of replicas at random", kill_any),
    _scenario("rolling", "a rolling restart under load", roll, needs_retries=False),
    _scenario("twins", "another deployment on the same database", stay_out),
    _scenario(
        "commands",
        "commands while nobody leads",
        command_in_takeover,
        may_tell=("endpoint.paused",),
    ),
)
