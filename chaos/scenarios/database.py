"""The database fails over, has no standby, or stands still."""

import signal
import time
from functools import partial

from chaos.receiver import down
from chaos.replicas import StandbyStage
from chaos.scenarios.scenario import on_replicas

RATE = 50.0
PROMOTION_SECONDS = 2.0
AWAY_SECONDS = 9.0
"""Longer than it takes until a replica that does not beat is declared dead."""


async def fail_over(line: StandbyStage) -> None:
    """The primary is killed, and its synchronous standby promoted; what was acknowledged is there."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(100)
        line.inject("kill -9 of the primary")
        killed_at = time.monotonic()
        line.database.kill()
        await line.pause(PROMOTION_SECONDS)
        line.standby.promote()
        await line.until_all_deliver(killed_at, fault="kill -9 of the primary")


async def fail_over_unsynchronised(line: StandbyStage) -> None:
    """The control: nobody waits for the standby, which has stopped receiving a second before the primary dies."""
    line.database.set("synchronous_standby_names", "")
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(100)
        line.inject("a failover that loses")
        # Nothing is delivered meanwhile: what a receiver has got is not lost.
        policies = {one.name: one.policy for one in line.receivers.values()}
        for receiver in line.receivers.values():
            receiver.policy = down
        line.standby.signal(signal.SIGSTOP, named="walreceiver")
        accepted = (await line.forwarder.status())["messages"]["accepted"]
        await line.pause(1.0)
        await line.until_status(lambda status: status["messages"]["accepted"] > accepted + 50)
        line.database.kill()
        line.standby.signal(signal.SIGKILL, named="walreceiver")
        await line.pause(PROMOTION_SECONDS)
        line.standby.promote()
        for receiver in line.receivers.values():
            receiver.policy = policies[receiver.name]
        line.hit("a failover that loses")
        await line.until_taken(len(line.receivers["steady"].accepted) + 50)


async def lose_standby(line: StandbyStage) -> None:
    """No standby answers: nothing is acknowledged, nobody is declared dead, and all goes on once it is back."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(100)
        leader = await line.leader()
        line.inject("standby away")
        line.standby.signal(signal.SIGSTOP)
        await line.pause(2.0)  # what was under way
        before = _stored(line)
        await line.pause(AWAY_SECONDS)
        stored = _stored(line) - before
        back_at = time.monotonic()
        line.standby.signal(signal.SIGCONT)
        await line.until_all_deliver(back_at, fault="standby away")
    if await line.leader() is not leader:
        raise AssertionError("a replica was taken over from while no standby answered")
    if stored:
        raise AssertionError(f"{stored} messages were stored while no standby answered")


def _stored(line: StandbyStage) -> int:
    """Readings that the standby's confirmation has made visible."""
    ((count,),) = line.database.ask("SELECT last FROM line")
    assert isinstance(count, int)  # noqa: S101
    return count


async def stall_database(line: StandbyStage) -> None:
    """The database stands still for 10 s, as its disk may: nobody is declared dead for it."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(100)
        leader = await line.leader()
        line.inject("database stalled")
        line.database.signal(signal.SIGSTOP)
        await line.pause(AWAY_SECONDS + 1.0)
        back_at = time.monotonic()
        line.database.signal(signal.SIGCONT)
        await line.until_all_deliver(back_at, fault="database stalled")
        if await line.leader() is not leader:
            raise AssertionError("a replica was taken over from while the database stood still")


_scenario = partial(on_replicas, StandbyStage)

SCENARIOS = (
    _scenario("failover", "kill -9 of the primary, its synchronous standby promoted", fail_over),
    _scenario("standby-gone", "no standby answers for 11 s", lose_standby),
    _scenario("db-stall", "the database stands still for 10 s", stall_database),
    _scenario(
        "async-failover",
        "control: a failover that waits for no standby",
        fail_over_unsynchronised,
        may_tell=("outbox.fell_back",),
        must_lose=True,
    ),
)
