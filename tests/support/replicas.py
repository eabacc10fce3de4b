"""A harness of several replicas on one database in one process; each is a running outbox."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from support.clock import HandClock
from support.outbox import claim, flush, ids, settle
from support.outbox_harness import OutboxHarness

from forwarder.outbox import Outbox, ReleaseHomes, TakeHomes
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.settings import Database

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE ? AND pid <> pg_backend_pid()"""


class Replicas:
    """Running replicas, of which the first leads."""

    def __init__(self, database: Database, names: Sequence[str]) -> None:
        self.harnesses = {name: OutboxHarness(database, HandClock()) for name in names}
        self.outboxes = {
            name: harness.open(member=name, leads=name == names[0])
            for name, harness in self.harnesses.items()
        }
        self.leader = self.outboxes[names[0]]

    def __getitem__(self, name: str) -> Outbox:
        return self.outboxes[name]

    async def move(self, endpoint: str, to: str) -> None:
        """Move the endpoint's home; nothing of the endpoint may be claimed."""
        for name, outbox in self.outboxes.items():
            if name != to and endpoint in outbox.homes:
                await outbox.operate(ReleaseHomes([endpoint]))
        await self[to].operate(TakeHomes([endpoint]))
        assert endpoint in self[to].homes

    async def kill(self) -> None:
        for harness in self.harnesses.values():
            await harness.kill()


@asynccontextmanager
async def replicas(database: Database, *names: str) -> AsyncIterator[Replicas]:
    some = Replicas(database, names or ("one", "two"))
    try:
        yield some
    finally:
        await some.kill()


async def seen(outbox: Outbox) -> None:
    """Return once the outbox has seen what others have committed."""
    outbox.look()
    await flush(outbox)


async def delivered(outbox: Outbox, endpoint: str = "acme", *, limit: int = 9) -> list[str]:
    """Deliver everything that can be claimed; return the payloads in order."""
    sent: list[str] = []
    await seen(outbox)
    while (claimed := await claim(outbox, endpoint, limit=limit)) is not None:
        sent += ids(claimed)
        settle(outbox, claimed)
        await flush(outbox)
    return sent


async def until_somebody_waits(place: Database, statement: str) -> None:
    """Return once a session waits for another's lock in such a statement."""
    with opened_connection(place) as connection:
        async with asyncio.timeout(10):
            while connection.execute(_WAITING, (statement,)).fetchone() == (0,):  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.01)
