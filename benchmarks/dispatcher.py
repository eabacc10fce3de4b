"""
The right half's cost: Dispatcher and Sender over an outbox in memory, one reading per POST and batches of 100.

    taskset -c 1 python benchmarks/dispatcher.py --seconds 2

Readings of 1,000 devices come in groups of 50 (of 1,000 for batches), as commits bring them. `dispatch` has a
transport that answers at once and sends nothing: everything but HTTP. `with HTTP` has the forwarder's own transport and
a minimal receiver on loopback, in a process of its own. The outbox is the lanes of the real one without its file; what
is written about a settlement is not counted here. CPU of this process alone.
"""

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import uvloop
from sender import receive

from forwarder.clock import SystemClock
from forwarder.delivery import Delivery, ReadingNumber, RetryAt
from forwarder.dispatcher import Dispatcher, Watch
from forwarder.endpoint_health import EndpointHealth
from forwarder.logs import configure_logs
from forwarder.metrics import Metrics
from forwarder.outbox import Claim, Readiness, Settlement
from forwarder.outbox.lane import Lane, Memory, lane_of
from forwarder.outbox.lanes import EndpointLanes
from forwarder.reading import Device, WebhookId
from forwarder.routes import BatchLimits, Endpoint, EndpointName, Routes, SigningKey
from forwarder.sender import Sender, pooled_transports
from forwarder.sender.answer import Answer
from forwarder.sender.request import Fields, PreparedHead, parse_url, target_of

DEVICES = 1000
DATA = b'{"id":"msg_0123456789abcdef0123456789abcdef","measurements":{' + b"x" * 560 + b"}}"
CONCURRENCY = 8


class MemoryOutbox:
    """What a dispatcher needs of an outbox, with nothing behind the lanes; settlements are only counted."""

    may_send = True
    here = None
    """Every endpoint has its home here."""

    def __init__(self) -> None:
        self.schedule = self.capacity = self.homes = self
        self._memory = Memory(1 << 20)
        self._lanes: dict[str, EndpointLanes] = {}
        self._put = 0
        self.settled = 0
        self.missing = asyncio.Event()
        self.health: dict[str, EndpointHealth] = {}

    def __contains__(self, endpoint: str) -> bool:
        return True

    def lanes(self, endpoint: str) -> EndpointLanes:
        lanes = self._lanes.get(endpoint)
        if lanes is None:
            lanes = self._lanes[endpoint] = EndpointLanes(endpoint, self._memory)
        return lanes

    def serve(self, endpoint: str, **_: float) -> None:
        """Nothing is read back here."""

    def put(self, endpoint: str, count: int) -> None:
        deliveries, unix = [], time.time()
        for _ in range(count):
            self._put += 1
            device = Device(f"ECC9FF{self._put % DEVICES:06X}")
            delivery = Delivery(
                reading=ReadingNumber(self._put),
                endpoint=endpoint,
                device=device,
                webhook_id=WebhookId(f"msg_{self._put:032x}"),
                measured_at="2025-11-18T10:17:40Z",
                received_at=unix,
                age_from=unix,
                attempts=0,
                data=DATA,
            )
            deliveries.append(delivery)
        self.lanes(endpoint).extend(deliveries, now=time.monotonic())

    def claim(self, endpoint: str, *, limit: int = 1, is_probe: bool = False) -> Claim | None:
        lanes = self.lanes(endpoint)
        lane = lanes.claim(now=time.monotonic())
        return None if lane is None else Claim(lanes.take(lane, limit=limit), lane)

    def readiness(self, endpoint: str, *, now: float) -> Readiness:
        return self.lanes(endpoint).readiness(now)

    def wake_all(self, endpoint: str) -> None:
        """Nothing waits here."""

    def settle(
        self, endpoint: str, settlements: Sequence[Settlement] = (), *, ends: Sequence[Claim] = ()
    ) -> None:
        lanes, now = self.lanes(endpoint), time.monotonic()
        written: list[tuple[Lane, int]] = []
        for one in settlements:
            if isinstance(one.decision, RetryAt):
                raise SystemExit("an attempt failed: the figures would be void")
            written += lanes.settle(one.deliveries)
            self.settled += len(one.deliveries)
        for claim in ends:
            lanes.end(lane_of(claim), now=now)
        for lane, count in written:
            lanes.written(lane, count, now=now)
        if self.settled == self._put:
            self.missing.set()

    def record_health(self, endpoint: str, health: EndpointHealth) -> None:
        """Nobody asks for it here."""


class AnsweringTransport:
    """Answers 200 at once."""

    def __init__(self) -> None:
        self._answer = Answer()
        self._answer.status = 200

    def prepare(self, url: str, fixed: Fields) -> PreparedHead:
        return PreparedHead(parse_url(url), fixed, target=target_of(url), proxy=None)

    async def exchange(self, request: bytes, *, deadline: float) -> Answer:
        return self._answer

    def turn(self, *, seconds: float) -> AbstractAsyncContextManager[bool]:
        return nullcontext(enter_result=True)

    async def aclose(self) -> None:
        """It holds nothing."""


async def measure(
    endpoint: Endpoint, sender: Sender, *, group: int, seconds: float, rounds: int
) -> list[float]:
    """CPU microseconds a reading of each round, what it takes to put the readings in not included."""
    outbox: Any = MemoryOutbox()
    dispatcher = Dispatcher(
        outbox=outbox, sender=sender, clock=SystemClock(), watch=Watch(Metrics())
    )
    routes = Routes(
        {endpoint.name: endpoint}, every_device=(endpoint.name,), by_device={}, groups={}
    )
    dispatcher.apply(routes)
    figures = []
    for _ in range(rounds):
        count, spent, until = 0, 0.0, time.perf_counter() + seconds / rounds
        while time.perf_counter() < until:
            outbox.put(endpoint.name, group)
            outbox.missing.clear()
            started = time.process_time()
            dispatcher.start_due([endpoint.name])
            await outbox.missing.wait()
            await asyncio.sleep(0)
            spent += time.process_time() - started
            count += group
        figures.append(spent / count * 1e6)
    await dispatcher.drain(timeout_seconds=1)
    await sender.aclose()
    return figures


def cases(url: str) -> Iterator[tuple[str, Endpoint, Sender, int]]:
    plain = Endpoint(
        name=EndpointName("it"),
        url=url,
        keys=(SigningKey(b"k" * 32),),
        allow_private=True,
        max_concurrency=CONCURRENCY,
    )
    batched = Endpoint(
        name=EndpointName("it"),
        url=url,
        keys=(SigningKey(b"k" * 32),),
        allow_private=True,
        max_concurrency=CONCURRENCY,
        batch=BatchLimits(100, 0.0),
    )
    yield "one per POST, dispatch", plain, Sender(lambda _: AnsweringTransport()), 50
    yield "one per POST, with HTTP", plain, Sender(pooled_transports()), 50
    yield "100 per POST, dispatch", batched, Sender(lambda _: AnsweringTransport()), 1000
    yield "100 per POST, with HTTP", batched, Sender(pooled_transports()), 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="where the CPU goes, by cProfile")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    options = parser.parse_args()
    configure_logs(format="json", level="info")
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    receiver = multiprocessing.get_context("fork").Process(
        target=receive, args=(listener,), daemon=True
    )
    receiver.start()
    for name, endpoint, sender, group in cases(url):
        if options.only not in name:
            continue
        measured = measure(
            endpoint, sender, group=group, seconds=options.seconds, rounds=options.rounds
        )
        if options.profile:
            import cProfile
            import pstats

            profile = cProfile.Profile()
            figures = profile.runcall(uvloop.run, measured)
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        else:
            figures = uvloop.run(measured)
        print(
            f"{name:24} {min(figures):6.1f} (median {statistics.median(figures):6.1f}) µs a reading"
        )
    receiver.terminate()


if __name__ == "__main__":
    main()
