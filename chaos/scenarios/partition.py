"""A replica is cut off: from the database, or from the broker, while it reaches all else."""

import time
from datetime import datetime
from functools import partial

from chaos.process import Forwarder, Impatient
from chaos.replicas import POSTGRES_PORT, NetworkStage
from chaos.scenarios.scenario import on_replicas

RATE = 50.0
STOPS_SECONDS = 4.0
"""After its last beat, until a replica begins no attempt any more."""
SLACK_SECONDS = 1.5
"""For what is noted late on a busy machine."""
DEAD_SECONDS = 11.0
"""After which one that was cut off has certainly been declared dead."""
PATIENCE_SECONDS = 300.0
"""A leader gives up 20 s after it has noticed that its session is dead, once another one could have one."""


async def cut_database(line: NetworkStage, who: str) -> None:
    """It stops by itself, is taken over from, and ends once it reaches the database again."""
    fault = f"{who} cut off from the database"
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        await line.until_taken(50)
        victim = await (line.leader() if who == "leader" else line.owner())
        line.inject(fault)
        cut_at, cut_unix = time.monotonic(), time.time()
        line.machine_of(victim).cut(POSTGRES_PORT)
        line.stops += 1
        await line.until_all_deliver(cut_at, fault=fault)
        said = await victim.readiness(lambda said: not said["ready"], what="doubt")
        line.notes.append("; ".join(said["reasons"]))
        await line.pause(max(0.0, DEAD_SECONDS - (time.monotonic() - cut_at)))
        line.inject("one that was cut off ends")
        line.machine_of(victim).heal()
        if await victim.ended() == 1:
            line.hit("one that was cut off ends")
        _require_silence(victim, since=cut_unix + STOPS_SECONDS + SLACK_SECONDS)
        await victim.start_ready()


def _require_silence(victim: Forwarder, *, since: float) -> None:
    """That no attempt began later than that, UNIX seconds."""
    attempts = [line for line in victim.log_lines() if line["event"] == "delivery.attempted"]
    late = [one for one in attempts if _began_at(one) > since]
    if late:
        seconds = _began_at(late[-1]) - since
        raise AssertionError(f"{len(late)} attempts began up to {seconds:.1f} s too late")
    if not attempts:
        raise Impatient("the replica that was cut off had delivered nothing before")


def _began_at(attempted: dict[str, object]) -> float:
    ended = datetime.fromisoformat(str(attempted["timestamp"])).timestamp()
    return ended - float(str(attempted["duration_ms"])) / 1000


async def cut_broker(line: NetworkStage) -> None:
    """The leader has no way to the broker, and another one has: it leaves the subscription to that one."""
    fault = "leader cut off from the broker"
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=1, full=2)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            leader = await line.leader()
            line.inject(fault)
            cut_at = time.monotonic()
            line.machine_of(leader).cut(line.broker_link.port)
            if await leader.ended(patience_seconds=PATIENCE_SECONDS) != 1:
                raise AssertionError("a leader without a session ended, and not with exit code 1")
            line.notes.append(f"given up after {time.monotonic() - cut_at:.0f} s")
            await line.until_all_deliver(time.monotonic(), fault=fault)
            line.machine_of(leader).heal()
            await leader.start_ready()


_scenario = partial(on_replicas, NetworkStage)

SCENARIOS = (
    _scenario(
        "partition-leader",
        "the leader is cut off from the database",
        partial(cut_database, who="leader"),
    ),
    _scenario(
        "partition-owner",
        "one that only delivers is cut off from the database",
        partial(cut_database, who="owner"),
    ),
    _scenario("partition-broker", "the leader is cut off from the broker", cut_broker),
)
"""Played where network namespaces may be made."""
