"""The database has no room: on its disk, or for another connection; or the pooler in front of it dies."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import psycopg
from support.postgres import PostgresServer

from chaos.disk import fill_up
from chaos.receiver import down
from chaos.replicas import CrammedStage, PooledStage, ReplicaStage
from chaos.scenarios.scenario import on_replicas

RATE = 50.0
PADDING = "·" * 1000
"""Makes readings that fill a disk."""
CROWDED_SECONDS = 8.0
"""Longer than it takes until a replica that does not beat is declared dead."""
_TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'forwarder%'"""

S = TypeVar("S", bound=ReplicaStage)


async def fill_disk(line: CrammedStage) -> None:
    """Not a byte is free: `/readyz` says why, nothing is acknowledged, and all goes on once there is room."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE, padding=PADDING):
        for _ in range(line.rounds(short=1, full=2)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            leader = await line.leader()
            line.inject("database's disk full")
            usual = line.receivers["steady"].policy
            line.receivers["steady"].policy = down  # what is not delivered needs room
            ballast = await asyncio.to_thread(fill_up, line.database.folder)
            said = await leader.readiness(lambda said: not said["ready"], what="a full disk")
            line.notes.append("; ".join(said["reasons"]))
            await line.pause(line.dice.uniform(1.0, 5.0))
            line.receivers["steady"].policy = usual
            back_at = time.monotonic()
            ballast.unlink()
            await asyncio.to_thread(_bring_up, line.database)
            await line.until_all_deliver(back_at, fault="database's disk full")


def _bring_up(database: PostgresServer) -> None:
    """What its supervisor does, where it could not write its log and has ended."""
    for _ in range(300):
        with suppress(psycopg.Error):
            database.ask("SELECT 1")
            return
        if not database.is_running:
            database.start()
        time.sleep(0.1)


async def exhaust_connections(line: CrammedStage) -> None:
    """Every session of the replicas ends, and none is to be had; `/readyz` says so, until there are some again."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=1, full=2)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            leader = await line.leader()
            line.inject("no connection is free")
            async with _crowd(line.database):
                said = await leader.readiness(lambda said: not said["ready"], what="a problem")
                line.notes.append("; ".join(said["reasons"]))
                await line.pause(CROWDED_SECONDS)
            await _until_running(line)
            await line.until_all_deliver(time.monotonic(), fault="no connection is free")


@asynccontextmanager
async def _crowd(database: PostgresServer) -> AsyncIterator[None]:
    """Others have every connection while the block runs."""
    is_over = threading.Event()
    crowding = asyncio.create_task(asyncio.to_thread(_hold_all, database, is_over))
    try:
        yield
    finally:
        is_over.set()
        await crowding


def _hold_all(database: PostgresServer, is_over: threading.Event) -> None:
    connect = partial(psycopg.connect, database.url(), autocommit=True)
    with ExitStack() as taken:
        first = taken.enter_context(connect())
        while not is_over.is_set():
            first.execute(_TERMINATE)
            with suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(connect())
            is_over.wait(0.05)


async def _until_running(line: ReplicaStage) -> None:
    """Whoever got a session in between may have taken another one for dead: that one has ended, and starts anew."""
    await asyncio.sleep(1.0)
    for one in line.forwarders:
        if not one.is_running:
            await one.start()


async def restart_pooler(line: PooledStage) -> None:
    """PgBouncer is killed and started again: sessions are lost, homes are kept."""
    await line.start_all()
    async with line.devices.flowing(per_second=RATE):
        for _ in range(line.rounds(short=2, full=5)):
            await line.until_taken(len(line.receivers["steady"].accepted) + 50)
            line.inject("kill -9 of the pooler")
            line.pooler.kill()
            await line.pause(line.dice.uniform(0.0, 3.0))
            back_at = time.monotonic()
            await asyncio.to_thread(line.pooler.start)
            await line.until_all_deliver(back_at, fault="kill -9 of the pooler")


SCENARIOS = (
    on_replicas(CrammedStage, "pg-full", "the database's disk is full", fill_disk),
    on_replicas(
        CrammedStage, "max-connections", "the database has no connection left", exhaust_connections
    ),
    on_replicas(PooledStage, "pgbouncer", "kill -9 of PgBouncer in session mode", restart_pooler),
)
