"""A stage with three replicas on one database, and a standby of that which the database waits for."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from support.ports import free_port
from support.postgres import PostgresServer, PostgresStandby

from chaos.process import PATIENCE_SECONDS, Forwarder, Impatient
from chaos.stage import Stage

COUNT = 3
TAKEOVER_SECONDS = 12.0
"""From a fault until every endpoint is delivered to again."""
MOST_LOAD = 2.0 * (os.cpu_count() or 1)
"""With more than that the machine has other things to do, and no time is judged."""
_LOOK_SECONDS = 0.1
_WRITABLE = {"target_session_attrs": "read-write"}


class ReplicaStage(Stage):
    """
    See `Stage`. `forwarder` is whichever replica is asked; all need the same settings but for their names.

    `database` is the server that takes writes, `standby` the other one.
    """

    database: PostgresServer
    standby: PostgresStandby | None = None
    has_standby = False

    async def _enter_database(self, stack: AsyncExitStack) -> None:
        self.database = await asyncio.to_thread(stack.enter_context, PostgresServer(fsync="on"))
        places = [self.database.folder]
        if self.has_standby:
            standby = PostgresStandby(self.database, fsync="on")
            self.standby = await asyncio.to_thread(stack.enter_context, standby)
            await asyncio.to_thread(standby.be_waited_for)
            places.append(standby.folder)
        url = self.database.url(host=",".join(map(str, places)), **_WRITABLE)
        self._outbox = {
            "FORWARDER_OUTBOX_URL": url,
            "FORWARDER_ROUTES_FILE": str(self.folder / "routes.yaml"),
        }

    def _enter_forwarders(self) -> Sequence[Forwarder]:
        self._replicas = {f"replica-{number}": self._replica(number) for number in range(COUNT)}
        return self.forwarders

    def _replica(self, number: int) -> Forwarder:
        name, usual = f"replica-{number}", self.folder
        self.folder = usual / name
        self.folder.mkdir()
        forwarder = self._new_forwarder(free_port())
        self.folder = usual
        forwarder.settings["FORWARDER_REPLICA_NAME"] = name
        return forwarder

    @property
    def forwarders(self) -> Sequence[Forwarder]:
        return list(self._replicas.values())

    @property
    def forwarder(self) -> Forwarder:
        """One that runs, where any does."""
        running = [one for one in self.forwarders if one.is_running]
        return (running or self.forwarders)[0]

    async def start_all(self) -> None:
        """The first one is to lead."""
        for forwarder in self.forwarders:
            if not forwarder.is_running:
                await forwarder.start_ready()

    async def _all_ready(self) -> None:
        await self.start_all()
        await (await self.leader()).ready()

    async def leader(self) -> Forwarder:
        """The replica that leads, and is subscribed."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    for one in (await self.forwarder.status())["replicas"]:
                        if one["leads"]:
                            return self._replicas[one["name"]]
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise Impatient("no replica leads") from None

    async def until_all_deliver(self, since: float, *, fault: str) -> None:
        """
        Return once every endpoint has got something that was published from now on; note how long after `since`.

        `since` is monotonic seconds. Raises Impatient when that takes too long on a machine that had time for it.
        """
        newest = max(self.oracle.issued, default=0)
        await self.until(
            lambda: all(max(one.accepted, default=0) > newest for one in self.receivers.values()),
            what=f"deliveries to every endpoint after {fault}",
        )
        seconds = time.monotonic() - since
        self.notes.append(f"{fault}: {seconds:.1f} s")
        if seconds > TAKEOVER_SECONDS and os.getloadavg()[0] <= MOST_LOAD:
            raise Impatient(f"it took {seconds:.1f} s until every endpoint got something: {fault}")
        self.hit(fault)


class StandbyStage(ReplicaStage):
    """The same, with a synchronous standby of the database."""

    has_standby = True
