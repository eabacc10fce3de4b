"""One program and one fault: readings flow, the fault is put in, everything is healed, every reading is looked for."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.mosquitto import Mosquitto
from support.receiver import receiving

from benchmarks.programs import TOPIC, Job
from chaos.devices import Devices
from chaos.oracle import Oracle
from chaos.peers.contestants import Contestant, Entry
from chaos.peers.receiver import Receiver

QUEUE = ("max_queued_messages 0",)
"""mosquitto's own limit of 1000 messages for an absent client would lose what is published meanwhile."""
RATE = 200.0
"""Readings per second: well within what each of them can do."""
OUTAGE_SECONDS = 8.0
LINGER_SECONDS = 3.0
"""How long a late repetition is waited for once everything has arrived."""
QUIET_SECONDS = 30.0
"""When nothing new has arrived for so long, what is missing is lost."""
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Trial:
    """What became of the readings."""

    program: str
    fault: str
    seed: str
    issued: int
    owed: int
    """Acknowledged by the broker."""
    kills: int
    refused: int
    """POSTs that were answered by 503."""
    delivered: int
    lost: int
    duplicates: int
    inversions: int
    settled_seconds: float
    """From the end of the flow until the last reading came that came at all."""


class Scene:
    """Devices, broker and receiver, and the program between them."""

    def __init__(self, entry: Entry, folder: Path, seed: str) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - to repeat a run
        self.oracle = Oracle()
        self.receiver = Receiver()
        self.kills = 0
        self._entry = entry
        self._folder = folder
        self._broker = Mosquitto(folder / "broker", settings=QUEUE)
        self._program: Contestant | None = None
        self._devices: Devices | None = None

    @asynccontextmanager
    async def set(self) -> AsyncIterator[None]:
        """Readings may flow inside the block: the program has subscribed."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._broker)
            listener = await stack.enter_async_context(receiving(self.receiver.serve))
            job = Job(self._folder, self._broker.port, listener.url, is_careful=True)
            self._program = self._entry.set_up(job)
            stack.push_async_callback(self._program.close)
            await self._start()
            port = self._broker.port
            self._devices = Devices(self.oracle, port=port, username="device", password="none")  # noqa: S106
            stack.enter_context(self._devices)
            yield

    @property
    def devices(self) -> Devices:
        if self._devices is None:
            raise RuntimeError("the scene is not set")
        return self._devices

    @property
    def program(self) -> Contestant:
        if self._program is None:
            raise RuntimeError("the scene is not set")
        return self._program

    async def crash(self, *, away_seconds: float) -> None:
        """`kill -9`, and a new process after a while; returns once that has subscribed."""
        await self.program.kill()
        self.kills += 1
        await asyncio.sleep(away_seconds)
        await self._start()

    async def _start(self) -> None:
        seen = self._broker.log.count("\n")
        await self.program.start()
        subscribed = f"\t{TOPIC} (QoS 1)"
        await asyncio.to_thread(self._broker.wait_for_log, subscribed, after=seen)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """The receiver answers 503 inside the block."""
        self.receiver.is_down = True
        yield
        self.receiver.is_down = False

    async def settle(self) -> float:
        """Have a fresh reading of each device published; seconds until the last that came had come."""
        started = latest = time.monotonic()
        await self.devices.publish_and_wait(self.oracle.size)
        count = len(self.receiver.accepted)
        while time.monotonic() < latest + QUIET_SECONDS:
            if self.oracle.owed <= self.receiver.accepted.keys():
                await asyncio.sleep(LINGER_SECONDS)
                break
            await asyncio.sleep(_LOOK_SECONDS)
            if len(self.receiver.accepted) > count:
                count, latest = len(self.receiver.accepted), time.monotonic()
        return latest - started


async def kill(scene: Scene) -> None:
    """Four times, 2 to 5 seconds after it has subscribed, however long that takes it."""
    for _ in range(4):
        await asyncio.sleep(scene.dice.uniform(2, 5))
        await scene.crash(away_seconds=scene.dice.uniform(0.2, 1.5))
    await asyncio.sleep(5)


async def outage(scene: Scene) -> None:
    await asyncio.sleep(scene.dice.uniform(4, 6))
    async with scene.outage():
        await asyncio.sleep(OUTAGE_SECONDS)
    await asyncio.sleep(8)


async def both(scene: Scene) -> None:
    """Two kills, one of them during the outage."""
    await asyncio.sleep(scene.dice.uniform(4, 6))
    async with scene.outage():
        over = time.monotonic() + OUTAGE_SECONDS
        await asyncio.sleep(scene.dice.uniform(2, 4))
        await scene.crash(away_seconds=1.0)
        await asyncio.sleep(max(0.0, over - time.monotonic()))
    await asyncio.sleep(scene.dice.uniform(1, 3))
    await scene.crash(away_seconds=1.0)
    await asyncio.sleep(5)


FAULTS: dict[str, Callable[[Scene], Awaitable[None]]] = {"kill": kill, "503": outage, "both": both}


async def play(entry: Entry, fault: str, *, seed: str, folder: Path) -> Trial:
    """Play the fault once; every program meets the same dice."""
    folder.mkdir(parents=True)
    scene = Scene(entry, folder, f"{seed}/{fault}")
    async with scene.set():
        async with scene.devices.flowing(per_second=RATE):
            await FAULTS[fault](scene)
        settled_seconds = await scene.settle()
    oracle, receiver = scene.oracle, scene.receiver
    return Trial(
        program=entry.name,
        fault=fault,
        seed=seed,
        issued=len(oracle.issued),
        owed=len(oracle.owed),
        kills=scene.kills,
        refused=receiver.refused,
        delivered=len(receiver.accepted),
        lost=len(oracle.owed - receiver.accepted.keys()),
        duplicates=receiver.duplicates,
        inversions=inversions(oracle, receiver.accepted),
        settled_seconds=settled_seconds,
    )


def inversions(oracle: Oracle, accepted: Iterable[int]) -> int:
    """Readings that were first accepted after a newer one of their device."""
    newest: dict[str, int] = defaultdict(int)
    late = 0
    for number in accepted:
        device = oracle.issued[number].device
        late += number < newest[device]
        newest[device] = max(newest[device], number)
    return late
