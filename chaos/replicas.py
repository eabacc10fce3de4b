"""Stages with three replicas on one database: plain, with a standby, a network, a pooler, or little room."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
from support.ports import free_port
from support.postgres import PgBouncer, PostgresServer, PostgresStandby

from chaos.disk import Mount, small_disk
from chaos.namespaces import Machine, Network
from chaos.process import PATIENCE_SECONDS, Forwarder, Impatient
from chaos.stage import Stage

COUNT = 3
TAKEOVER_SECONDS = 12.0
"""From a fault until every endpoint is delivered to again."""
MOST_LOAD = 2.0 * (os.cpu_count() or 1)
"""With more than that the machine has other things to do, and no time is judged."""
POSTGRES_PORT = 5432
DISK_KILOBYTES = 160 << 10
_LOOK_SECONDS = 0.1
_HAS_SESSION = """
    EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'forwarder ' || member.id)"""
_LEADER = f"SELECT name FROM member JOIN line ON owner = id WHERE {_HAS_SESSION}"
_OWNERS = f"""
    SELECT DISTINCT name FROM member JOIN home ON home.owner = member.id
    WHERE member.id IS DISTINCT FROM (SELECT owner FROM line) AND {_HAS_SESSION} ORDER BY name"""
_WRITABLE = {"target_session_attrs": "read-write"}


class ReplicaStage(Stage):
    """
    See `Stage`. `forwarder` is whichever replica is asked; all need the same settings but for their names.

    `database` is the server that takes writes.
    """

    database: PostgresServer

    async def _enter_database(self, stack: AsyncExitStack) -> None:
        server = self._new_server(stack)
        self.database = await asyncio.to_thread(stack.enter_context, server)
        self._outbox = {
            "FORWARDER_OUTBOX_URL": await asyncio.to_thread(self._reach_database, stack),
            "FORWARDER_ROUTES_FILE": str(self.folder / "routes.yaml"),
        }

    def _new_server(self, _: AsyncExitStack) -> PostgresServer:
        return PostgresServer(fsync="on")

    def _reach_database(self, stack: AsyncExitStack) -> str:  # noqa: ARG002 - what is on the way is entered there
        """The URL by which replicas find the database."""
        return self.database.url(**_WRITABLE)

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
        """The first one is to lead, where none does yet."""
        idle = [one for one in self.forwarders if not one.is_running]
        for some in (idle[:1], idle[1:]):
            await asyncio.gather(*(one.start_ready() for one in some))

    async def lose(self, replica: Forwarder) -> None:
        """Its machine is gone, for good."""
        await replica.kill()
        self._replicas = {name: one for name, one in self._replicas.items() if one is not replica}

    async def _all_ready(self) -> None:
        await self.start_all()
        await (await self.leader()).ready()

    async def leader(self) -> Forwarder:
        """The replica that leads."""
        return self._replicas[(await self._named(_LEADER, what="a replica that leads"))[0]]

    async def owner(self) -> Forwarder:
        """A replica that has endpoints, and does not lead."""
        names = await self._named(_OWNERS, what="a replica with endpoints that does not lead")
        return self._replicas[self.dice.choice(names)]

    async def _named(self, query: str, *, what: str) -> list[str]:
        """The names that the database has of such replicas, once there are any; a command would take much longer."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (names := await asyncio.to_thread(self._ask_names, query)):
                    await asyncio.sleep(_LOOK_SECONDS)
                return names
        except TimeoutError:
            raise Impatient(f"there never was {what}") from None

    def _ask_names(self, query: str) -> list[str]:
        url = self._outbox["FORWARDER_OUTBOX_URL"]
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=5) as asking:
            return [name for (name,) in asking.execute(query.encode())]
        return []

    async def until_all_deliver(
        self, since: float, *, fault: str, within: float = TAKEOVER_SECONDS
    ) -> None:
        """
        Return once every endpoint has got something that was published from now on; note how long after `since`.

        `since` is monotonic seconds. Raises Impatient when that takes more than `within` seconds on a machine that had
        time for it.
        """
        newest = max(self.oracle.issued, default=0)
        await self.until(
            lambda: all(max(one.accepted, default=0) > newest for one in self.receivers.values()),
            what=f"deliveries to every endpoint after {fault}",
        )
        seconds = time.monotonic() - since
        self.notes.append(f"{fault}: {seconds:.1f} s")
        if seconds > within and self.has_time:
            raise Impatient(f"it took {seconds:.1f} s until every endpoint got something: {fault}")
        self.hit(fault)

    @property
    def has_time(self) -> bool:
        """Whether the machine is so free that seconds may be judged."""
        return os.getloadavg()[0] <= MOST_LOAD


class StandbyStage(ReplicaStage):
    """The same, with a synchronous standby of the database."""

    standby: PostgresStandby

    def _reach_database(self, stack: AsyncExitStack) -> str:
        self.standby = stack.enter_context(PostgresStandby(self.database, fsync="on"))
        self.standby.be_waited_for()
        places = (self.database.folder, self.standby.folder)
        return self.database.url(host=",".join(map(str, places)), **_WRITABLE)


class NetworkStage(ReplicaStage):
    """The same, each replica on a machine of its own, from which the way to broker or database can be cut."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.network = Network(COUNT)
        self.host = self.network.address
        super().__init__(folder, **settings)

    async def _enter_database(self, stack: AsyncExitStack) -> None:
        stack.enter_context(self.network)
        await super()._enter_database(stack)
        self._outbox |= {
            "FORWARDER_MQTT_ALLOW_PLAIN": "true",
            "FORWARDER_MQTT_KEEPALIVE": "5s",
            "FORWARDER_LOG_LEVEL": "debug",
        }

    def _new_server(self, _: AsyncExitStack) -> PostgresServer:
        return PostgresServer(fsync="on", listen_addresses=self.host)

    def _reach_database(self, _: AsyncExitStack) -> str:
        self.database.admit(f"{self.host}/24")
        return self.database.url(host=self.host, port=str(POSTGRES_PORT), **_WRITABLE)

    def _replica(self, number: int) -> Forwarder:
        forwarder, machine = super()._replica(number), self.network.machines[number]
        forwarder.listen_on(machine.address)
        forwarder.wrapped_in = machine.wrapped_in
        return forwarder

    def machine_of(self, forwarder: Forwarder) -> Machine:
        return self.network.machines[self.forwarders.index(forwarder)]


class PooledStage(ReplicaStage):
    """The same, with PgBouncer in session mode in between."""

    pooler: PgBouncer

    def _reach_database(self, stack: AsyncExitStack) -> str:
        self.pooler = stack.enter_context(PgBouncer(self.database, mode="session"))
        return self.pooler.url(**_WRITABLE)


class CrammedStage(ReplicaStage):
    """The same, on a database with a small disk and few connections."""

    disk: Mount

    def _new_server(self, stack: AsyncExitStack) -> PostgresServer:
        server = PostgresServer(
            fsync="on", max_connections="40", max_wal_size="32MB", min_wal_size="32MB"
        )
        self.disk = stack.enter_context(small_disk(server.folder, kilobytes=DISK_KILOBYTES))
        return server
