"""
Three replicas, whatever happens in whatever order: nothing is lost, in two places, or out of turn.

What happens: readings come, homes move, attempts end in every way or are under way for long, dead letters are replayed,
what is old expires, and a replica is killed, whose homes others take.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.outbox import claim, flush, settle
from support.readings import STARTED_AT, new_reading
from support.replicas import Replicas, replicas, seen

from forwarder.delivery import Bury, Decision, RetryAt
from forwarder.outbox import Claim, ExpireOld, ReleaseHomes, TakeHomes, inspect
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.settings import Database

NAMES = ("one", "two", "three")
ENDPOINTS = ("acme", "home")
DEVICES = ("ECC9FF5C0001", "ECC9FF5C0002")
DECISIONS: dict[str, Decision | None] = {
    "delivered": None,
    "later": RetryAt(STARTED_AT),
    "dead": Bury("refused"),
}

puts = st.tuples(st.just("put"), st.sampled_from(DEVICES), st.sampled_from(["acme", "acme home"]))
moves = st.tuples(st.just("move"), st.sampled_from(ENDPOINTS), st.sampled_from(NAMES))
begins = st.tuples(st.just("begin"), st.sampled_from(NAMES), st.sampled_from(ENDPOINTS))
ends = st.tuples(st.just("end"), st.sampled_from(ENDPOINTS), st.sampled_from(sorted(DECISIONS)))
others = st.tuples(
    st.sampled_from(["replay", "expire", "kill"]),
    st.sampled_from(NAMES),
    st.sampled_from(ENDPOINTS),
)
events = st.lists(st.one_of(puts, puts, moves, begins, begins, ends, ends, others), max_size=30)


class Story:
    """What happens to the replicas, and what receivers have accepted."""

    def __init__(self, database: Database, replicas: Replicas) -> None:
        self.database = database
        self.replicas = replicas
        self.count = 0
        self.under_way: dict[tuple[str, str, str], Claim] = {}
        """By replica, endpoint and device."""
        self.accepted: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    async def put(self, device: str, to: str) -> None:
        self.count += 1
        await self.replicas.leader.put([new_reading(device, str(self.count), to=to)])

    async def move(self, endpoint: str, to: str) -> None:
        """As a dispatcher does: what is under way ends first."""
        if to not in self.replicas.outboxes:
            return
        for name, outbox in self.replicas.outboxes.items():
            if name != to and endpoint in outbox.homes:
                await self._give_back(name, endpoint)
                await outbox.operate(ReleaseHomes([endpoint]))
        await self.replicas[to].operate(TakeHomes([endpoint]))

    async def _give_back(self, name: str, endpoint: str) -> None:
        for key in [key for key in self.under_way if key[:2] == (name, endpoint)]:
            self.replicas[name].settle(endpoint, ends=[self.under_way.pop(key)])
        await flush(self.replicas[name])

    async def begin(self, name: str, endpoint: str) -> None:
        outbox = self.replicas.outboxes.get(name)
        if outbox is None or endpoint not in outbox.homes:
            return
        await seen(outbox)
        claimed = await claim(outbox, endpoint)
        if claimed is not None:
            lane = (endpoint, claimed.device)
            assert [key for key in self.under_way if key[1:] == lane] == []
            self.under_way[name, *lane] = claimed

    async def end(self, endpoint: str, how: str) -> None:
        for key in [key for key in self.under_way if key[1] == endpoint]:
            claimed = self.under_way.pop(key)
            if how == "delivered":
                (delivery,) = claimed.deliveries
                self.accepted[endpoint, claimed.device].append(delivery.reading)
            error = "" if how == "delivered" else "http_500"
            settle(self.replicas[key[0]], claimed, DECISIONS[how], error=error)
            await flush(self.replicas[key[0]])

    async def replay(self, *_: str) -> None:
        """From here on the order of what was dead is another."""
        await asyncio.to_thread(self.replicas.harnesses["one"].other.replay)
        await self.check()

    async def expire(self, name: str, endpoint: str) -> None:
        outbox = self.replicas.outboxes.get(name)
        if outbox is not None and endpoint in outbox.homes:
            wanted = ExpireOld(endpoint, STARTED_AT, only_latest=False, now=STARTED_AT)
            await outbox.operate(wanted)

    async def kill(self, name: str, _: str) -> None:
        """Not the one that leads; what it had under way is sent again by whoever takes its homes."""
        if name == "one" or name not in self.replicas.outboxes:
            return
        await self.replicas.harnesses[name].kill()
        del self.replicas.outboxes[name]
        for key in [key for key in self.under_way if key[0] == name]:
            del self.under_way[key]
        with opened_connection(self.database) as connection:
            connection.execute("DELETE FROM member WHERE id = ?", (name,))
        await self.replicas.leader.operate(TakeHomes(ENDPOINTS))

    async def check(self) -> None:
        """Each home is one replica's at most, and the accounts agree with the rows."""
        for endpoint in ENDPOINTS:
            homes = [name for name, one in self.replicas.outboxes.items() if endpoint in one.homes]
            assert len(homes) <= 1, (endpoint, homes)
        assert inspect(self.database).faults == ()

    async def finish(self) -> None:
        """Deliver all that is left."""
        for endpoint in ENDPOINTS:
            await self.end(endpoint, "delivered")
        for endpoint in ENDPOINTS:
            for name, outbox in self.replicas.outboxes.items():
                if endpoint not in outbox.homes:
                    continue
                await self.begin(name, endpoint)
                while [key for key in self.under_way if key[1] == endpoint]:
                    await self.end(endpoint, "delivered")
                    await self.begin(name, endpoint)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(happening=events)
def test_nothing_is_lost_doubled_or_out_of_turn(
    new_database: Callable[[], Database], happening: list[tuple[str, str, str]]
) -> None:
    """At the end everything is delivered, or dead with its reason, and each lane's readings were accepted in order."""
    asyncio.run(_tell(new_database(), happening))


async def _tell(database: Database, happening: list[tuple[str, str, str]]) -> None:
    async with replicas(database, *NAMES) as some:
        story = Story(database, some)
        await story.put(DEVICES[0], "acme home")
        await story.move("home", "two")
        for what, *about in happening:
            await getattr(story, what)(*about)
            await story.check()
        await story.finish()
        await story.check()
        rows = {row["id"]: row for row in some.harnesses["one"].engine.rows("endpoint")}
        for row in rows.values():
            assert row["enqueued"] == row["delivered"] + row["dead"]
        is_replayed = any(what == "replay" for what, *_ in happening)
        for accepted in story.accepted.values():
            assert len(accepted) == len(set(accepted))
            assert is_replayed or accepted == sorted(accepted)
