"""Replicas come, go and differ, and commands come from elsewhere while nobody leads."""

import time
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any

from chaos.process import Forwarder
from chaos.receiver import accepting, down, number_of, refusing
from chaos.replicas import ReplicaStage
from chaos.scenarios.scenario import on_replicas
from chaos.scenarios.time import HOUR, faked_clock

RATE = 50.0
SLOW_RATE = 30.0
"""A faked clock makes a process slower."""
SKEWED_SECONDS = 8.0
"""Longer than it takes until a replica is declared dead."""
COMMANDS_SECONDS = 30.0
"""A takeover, and commands that are processes of their own."""
DIFFER_SECONDS = 10.0
STRANGER = "0200000000FF"
"""A device of which nothing is owed."""
_END_SESSIONS = """
    SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN member m
    ON a.application_name = 'forwarder ' || m.id WHERE m.name = '{name}'"""


async def roll(line: ReplicaStage) -> None:
    """Every replica is stopped and started, one after the other, twice; receivers take nothing twice."""
    _accept_all(line)
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for replica in [*line.forwarders] * line.rounds(short=1, full=2):
            await line.until_taken(len(line.receivers["steady"].accepted) + 30)
            line.inject("SIGTERM of a replica")
            stopped_at = time.monotonic()
            if await replica.stop() == 0:
                await line.until_all_deliver(stopped_at, fault="SIGTERM of a replica")
            await replica.start_ready()
    _require_no_repetition(line)


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
    """
    Commands are given while nobody leads; whoever takes over has heard of all of them.

    An endpoint is paused, and goes on; dead letters are replayed and discarded; a device is purged.
    """
    steady, refused = line.receivers["steady"], [*range(1, 41)]
    steady.policy = refusing(*refused)
    await line.start_all()
    await line.devices.publish_and_wait(80)
    await line.until_taken(40)
    letters = {number_of(one["data"]): one["id"] for one in await line.forwarder.dead_letters()}
    steady.policy = accepting
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(90)
        leader = await line.leader()
        line.inject("commands in a takeover")
        killed_at = time.monotonic()
        await leader.kill()
        await _command(line, "endpoints", "pause", "acme")
        state = (await line.forwarder.status())["endpoints"]["acme"]["state"]
        await _command(line, "endpoints", "resume", "acme")
        await _replay_half(line, letters)
        await _purge_one(line)
        await line.until_all_deliver(
            killed_at, fault="commands in a takeover", within=COMMANDS_SECONDS
        )
        if state != "paused":
            raise AssertionError(f"paused, it is {state}")
        await line.until(lambda: line.replayed <= steady.accepted.keys(), what="what was replayed")
        await leader.start_ready()


async def _command(line: ReplicaStage, *arguments: str) -> None:
    finished = await line.forwarder.command(*arguments)
    if finished.exit_code:
        raise AssertionError(f"{arguments[:2]} failed: {finished.stderr}")


async def _replay_half(line: ReplicaStage, letters: Mapping[int, str]) -> None:
    """The other half is erased."""
    numbers = sorted(letters)
    line.replayed |= {*numbers[::2]}
    line.discarded["steady"] = {*numbers[1::2]}
    for command, some in (("replay", numbers[::2]), ("discard", numbers[1::2])):
        ids = [letters[number] for number in some]
        await _command(line, "dead-letters", command, *ids, "--endpoint", "steady")


async def _purge_one(line: ReplicaStage) -> None:
    """Of a device that has sent nothing but nonsense, so that nothing is owed."""
    line.devices.publish_nonsense(STRANGER, b"nonsense")
    await _command(line, "purge", "--device", STRANGER, "--yes")


async def join_and_leave(line: ReplicaStage) -> None:
    """One is joined by others, which leave again: homes move, and receivers take nothing twice."""
    _accept_all(line)
    first, *others = line.forwarders
    await first.start_ready()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=1, full=3)):
            for other in others:
                await _change(line, other.start_ready(), "a replica joins")
            for other in line.dice.sample(others, len(others)):
                await _change(line, other.stop(), "a replica leaves")
    _require_no_repetition(line)


async def _change(line: ReplicaStage, change: Awaitable[object], fault: str) -> None:
    await line.until_taken(len(line.receivers["steady"].accepted) + 30)
    line.inject(fault)
    began_at = time.monotonic()
    await change
    await line.until_all_deliver(began_at, fault=fault)


def _accept_all(line: ReplicaStage) -> None:
    for receiver in line.receivers.values():
        receiver.policy = accepting


def _require_no_repetition(line: ReplicaStage) -> None:
    twice = {one.name: one.duplicates for one in line.receivers.values() if one.duplicates}
    if twice:
        raise AssertionError(f"taken twice, though nobody was killed: {twice}")


async def share_a_name(line: ReplicaStage) -> None:
    """Two replicas have one name, and one of them loses its sessions: it may be taken for what ran before its start."""
    leader, one, other = line.forwarders
    other.settings["FORWARDER_REPLICA_NAME"] = one.settings["FORWARDER_REPLICA_NAME"]
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=2, full=6)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            line.inject("twins lose their sessions")
            lost_at = time.monotonic()
            line.database.ask(_END_SESSIONS.format(name=one.settings["FORWARDER_REPLICA_NAME"]))
            await line.until_all_deliver(lost_at, fault="twins lose their sessions")
            for twin in (one, other):
                if not twin.is_running:
                    line.notes.append(f"a twin ended with {await twin.ended()}")
                    await twin.start_ready()
    if not leader.is_running:
        raise AssertionError("the leader ended, which has a name of its own")


async def differ_in_routes(line: ReplicaStage) -> None:
    """One has another routes.yaml: within 10 s all say so, until it has the same again."""
    odd, other = line.dice.choice(line.forwarders), line.folder / "routes-other.yaml"
    routes = line.folder / "routes.yaml"
    other.write_text(routes.read_text().replace("max_age: 14d", "max_age: 13d"))
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for file, differ in ((other, True), (routes, False)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            fault = "other routes at one replica" if differ else "the same routes again"
            line.inject(fault)
            await odd.stop()
            odd.settings["FORWARDER_ROUTES_FILE"] = str(file)
            await odd.start_ready()
            since = time.monotonic()
            for one in line.forwarders:
                await one.readiness(partial(_says, differ), what=fault)
            if time.monotonic() - since > DIFFER_SECONDS and line.has_time:
                raise AssertionError(f"it took {time.monotonic() - since:.1f} s: {fault}")
            there = (await line.forwarder.status())["replicas"]
            if (len({one["routes"] for one in there}) > 1) == differ:
                line.hit(fault)


def _says(differ: bool, said: Mapping[str, Any]) -> bool:  # noqa: FBT001 - one of two things to wait for
    return any("routes.yaml differs" in one for one in said["warnings"]) == differ


async def differ_in_clocks(line: ReplicaStage) -> None:
    """
    Replicas' clocks are an hour apart either way, and homes move from one to another while retries are waiting.

    Nobody is declared dead for it.
    """
    line.clocks_step = True
    offsets = line.dice.sample((HOUR, -HOUR, 0), len(line.forwarders))
    clocks = {
        one: faked_clock(FAKETIME=f"{offset:+d}")
        for one, offset in zip(line.forwarders, offsets, strict=True)
    }
    for one, clock in clocks.items():
        await one.start_ready(**clock)
    first = await line.leader()
    async with line.devices.flowing(per_second=SLOW_RATE):
        await line.pause(SKEWED_SECONDS)
        ended = [one for one in line.forwarders if not one.is_running]
        if (ended or await line.leader() is not first) and line.has_time:
            raise AssertionError("a replica was declared dead for its clock")
        await _start_ended(line, clocks)
        for _ in range(line.rounds(short=2, full=4)):
            await _move_with_retries(line, clocks)


async def _move_with_retries(
    line: ReplicaStage, clocks: Mapping[Forwarder, Mapping[str, str]]
) -> None:
    line.inject("retries move to another clock")
    policies = {one.name: one.policy for one in line.receivers.values()}
    for receiver in line.receivers.values():
        receiver.policy = down
    await line.pause(3.0)
    leader = await line.leader()
    for receiver in line.receivers.values():
        receiver.policy = policies[receiver.name]
    moved_at = time.monotonic()
    await leader.kill()
    await line.until_all_deliver(moved_at, fault="retries move to another clock")
    await leader.start_ready(**clocks[leader])
    await _start_ended(line, clocks)


async def _start_ended(line: ReplicaStage, clocks: Mapping[Forwarder, Mapping[str, str]]) -> None:
    for one in line.forwarders:
        if not one.is_running:
            line.notes.append("a replica was declared dead, on a machine that had no time for it")
            await one.start_ready(**clocks[one])


_scenario = partial(on_replicas, ReplicaStage)

SCENARIOS = (
    _scenario("rolling", "a rolling restart under load", roll, needs_retries=False),
    _scenario(
        "join-leave", "replicas join and leave under load", join_and_leave, needs_retries=False
    ),
    _scenario("twins", "another deployment on the same database", stay_out),
    _scenario("namesakes", "two replicas with one name, whose sessions are lost", share_a_name),
    _scenario("routes-differ", "one replica has another routes.yaml", differ_in_routes),
    _scenario("skew", "replicas' clocks are an hour apart", differ_in_clocks),
    _scenario(
        "commands",
        "pause, replay, discard and purge while nobody leads",
        command_in_takeover,
        may_tell=("endpoint.paused",),
    ),
)
