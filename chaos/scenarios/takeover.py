"""Replicas die or stand still: the one that leads, one that only delivers, both; at random, and at named points."""

import asyncio
import signal
import time
from collections.abc import Sequence
from functools import partial

from chaos.endurance.look import scrape
from chaos.process import Forwarder
from chaos.replicas import TAKEOVER_SECONDS, ReplicaStage
from chaos.scenarios.scenario import on_replicas

RATE = 50.0
STOPPED_SECONDS = 11.0
"""Longer than it takes until a replica is declared dead."""
SHORT_STOP_SECONDS, LONG_STOP_SECONDS = 5.0, 60.0
"""Shorter than that, and much longer."""
UNFENCED_READINGS, UNFENCED_SECONDS = 100, 120.0
"""What a leader that was taken over from is to put, beside the new one, within so long."""
DELIVERING_POINTS = (
    "before-commit:20",
    "before-puback:8",
    "after-claim:20",
    "before-request:20",
    "before-settle:20",
    "in-settle:10",
    "in-release:1",
)
"""What a replica that leads and delivers passes, and how often before it dies or stands still there."""
TAKEOVER_POINTS = ("in-election:1", "in-lead:1", "before-connect:1", "in-burial:1")
"""What one passes that takes over from the one that led."""
JOINING_POINTS = ("in-join:1", "in-take:1")
POINTS = (*DELIVERING_POINTS, *TAKEOVER_POINTS, *JOINING_POINTS)
WHO = {"leader": "the leader", "owner": "an owner", "both": "leader and owner"}


async def _victims(line: ReplicaStage, who: str) -> list[Forwarder]:
    leader = await line.leader()
    if who == "leader":
        return [leader]
    owner = await line.owner()
    return [owner] if who == "owner" else [leader, owner]


async def kill(line: ReplicaStage, who: str) -> None:
    """They are killed again and again; others go on, and they come back as ones that stand by."""
    fault = f"kill -9 of {WHO[who]}"
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=1, full=3)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            victims = await _victims(line, who)
            line.inject(fault)
            killed_at = time.monotonic()
            await asyncio.gather(*(one.kill() for one in victims))
            await line.until_all_deliver(killed_at, fault=fault)
            await line.start_all()


async def stop(line: ReplicaStage, who: str) -> None:
    """They stand still, are taken over from, wake up, and end because what they held is another's."""
    every = (STOPPED_SECONDS, SHORT_STOP_SECONDS, LONG_STOP_SECONDS)
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for seconds in every[: line.rounds(short=1, full=3)]:
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            await _stop(line, await _victims(line, who), f"SIGSTOP of {WHO[who]}", seconds)
            await line.start_all()


async def _stop(
    line: ReplicaStage, victims: Sequence[Forwarder], fault: str, seconds: float
) -> None:
    line.inject(fault)
    stopped_at = time.monotonic()
    line.stops += len(victims)
    for one in victims:
        one.send(signal.SIGSTOP)
    if seconds < STOPPED_SECONDS:
        await line.pause(seconds)
        for one in victims:
            one.send(signal.SIGCONT)
        await line.until_all_deliver(stopped_at, fault=fault)
        return
    await line.until_all_deliver(stopped_at, fault=fault)
    await line.pause(max(0.0, seconds - (time.monotonic() - stopped_at)))
    await _wake(line, victims)


async def _wake(line: ReplicaStage, victims: Sequence[Forwarder]) -> None:
    """Whoever was taken over from ends, and says why."""
    for one in victims:
        line.inject("a deposed replica wakes")
        one.send(signal.SIGCONT)
    for one in victims:
        if await one.ended() == 1:
            line.hit("a deposed replica wakes")


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


async def fail_at_points(line: ReplicaStage) -> None:
    """At each named point of what replicas do with each other one dies there, or stands still."""
    ways = [(point, way) for way in ("KILL", "STOP") for point in POINTS]
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for point, way in line.some_of(ways, short=3):
            await _fail_at(line, point, way)


async def _fail_at(line: ReplicaStage, point: str, way: str) -> None:
    name = point.partition(":")[0]
    fault = f"{way} {name}"
    trap = {"CHAOS_POINT": point, "CHAOS_SIGNAL": way}
    line.inject(fault)
    armed = await _have_pass(line, point, trap)
    await _until_one_springs(line, armed, name)
    for one in line.forwarders:
        if not one.is_running:
            await one.start()
    await asyncio.gather(*(one.ready() for one in line.forwarders if one not in armed))
    # Each of them may pass the point, one after the other took over.
    within = TAKEOVER_SECONDS * len(armed)
    await line.until_all_deliver(time.monotonic(), fault=fault, within=within)
    if way == "STOP":
        await line.pause(STOPPED_SECONDS)
        stopped = [one for one in armed if one.has_sprung]
        line.stops += len(stopped)
        await _wake(line, stopped)
    await _disarm(line, armed)


async def _have_pass(line: ReplicaStage, point: str, trap: dict[str, str]) -> list[Forwarder]:
    """Those who are to pass the point, started with a trap there."""
    if point in DELIVERING_POINTS:
        await asyncio.gather(*(one.stop() for one in line.forwarders if one.is_running))
        first = line.dice.choice(line.forwarders)
        await first.start(**trap)
        await first.logged("replica.leads", times=first.count_logged("replica.leads") + 1)
        return [first]
    await line.start_all()
    leader = await line.leader()
    followers = [one for one in line.forwarders if one is not leader]
    if point in JOINING_POINTS:
        followers = [line.dice.choice(followers)]
    for one in followers:
        await one.stop()
        await one.start(**trap)
    if point in TAKEOVER_POINTS:
        await asyncio.gather(*(one.ready() for one in followers))
        await leader.kill()
    return followers


async def _until_one_springs(line: ReplicaStage, armed: Sequence[Forwarder], name: str) -> None:
    """Of those; others start meanwhile where the point needs company. Whoever takes over may pass it next."""
    if name == "in-release":
        for one in line.forwarders:
            if not one.is_running:
                await one.start()
    await line.until(lambda: any(one.has_sprung for one in armed), what=f"a replica at {name}")


async def _disarm(line: ReplicaStage, armed: Sequence[Forwarder]) -> None:
    """Traps that have not sprung go."""
    for one in armed:
        if one.is_running and not one.has_sprung:
            await one.stop()
    await line.start_all()


async def go_on_unfenced(line: ReplicaStage) -> None:
    """The control: a leader that stood still is taken over from, wakes, and nothing refuses what it does."""
    first, *others = line.forwarders
    await first.start_ready(CHAOS_FENCES="OFF")
    for replica in others:
        await replica.start_ready()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(50)
        line.inject("SIGSTOP of the leader")
        line.inject("a deposed leader goes on")
        stopped_at = time.monotonic()
        first.send(signal.SIGSTOP)
        await line.until_all_deliver(stopped_at, fault="SIGSTOP of the leader")
        first.send(signal.SIGCONT)
        await _put_more(first)
        line.hit("a deposed leader goes on")
        await line.lose(first)


async def _put_more(replica: Forwarder) -> None:
    """Return once it has put so many readings more, as its own metrics say: it has to win the session for that."""
    before = await _accepted(replica)
    async with asyncio.timeout(UNFENCED_SECONDS):
        while await _accepted(replica) < before + UNFENCED_READINGS:
            await asyncio.sleep(0.5)


async def _accepted(replica: Forwarder) -> int:
    return (await scrape(replica.address)).total("forwarder_messages_total", outcome="accepted")


_scenario = partial(on_replicas, ReplicaStage)

SCENARIOS = (
    _scenario("kill-leader", "kill -9 of the replica that leads", partial(kill, who="leader")),
    _scenario("kill-owner", "kill -9 of one that only delivers", partial(kill, who="owner")),
    _scenario("kill-both", "kill -9 of both at once", partial(kill, who="both")),
    _scenario("kill-any", "kill -9 of replicas at random", kill_any),
    _scenario("stop-leader", "SIGSTOP of the leader for 11 s", partial(stop, who="leader")),
    _scenario("stop-owner", "SIGSTOP of one that only delivers", partial(stop, who="owner")),
    _scenario("stop-both", "SIGSTOP of both at once", partial(stop, who="both")),
    _scenario(
        "replica-points",
        "kill -9 and SIGSTOP at each named point between replicas",
        fail_at_points,
    ),
    _scenario(
        "no-fencing",
        "control: a leader that was taken over from goes on, unfenced",
        go_on_unfenced,
        must_lose=True,
    ),
)
