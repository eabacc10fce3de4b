"""
Attacks at the HTTP port while 200 readings a second go through the line beside it.

The short form sees that everything arrives, and that /healthz goes on answering. The full form also compares, within
the same run, with and without the attack: how long readings take until the receiver's 2xx, and what memory is in use.
"""

import asyncio
import math
import resource
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import pytest
from support.attack import Extent, Tried
from support.line import Line, assert_balanced, assert_told_once_in_order
from support.port_attack import attacking
from support.publisher import Publisher
from support.service import eventually
from support.webhooks import OK, Answer, Post

from forwarder.reading import WebhookId

RATE = 200
ROUNDS = {"short": 1, "full": 5}
"""Each first without the attack and then with it: what else the machine does meets both."""
SECONDS = {"short": 2.0, "full": 5.0}
"""Of a half of a round."""
MOST_CONNECTIONS = 64
THE_LINES_OWN = 10
"""Connections to the receiver and files, which come and go."""


@dataclass
class Pulse:
    """Readings at a steady pace, and how long each of them took."""

    line: Line
    published_at: dict[WebhookId, float] = field(default_factory=dict)
    taken_at: dict[WebhookId, float] = field(default_factory=dict)

    def take(self, post: Post) -> Answer:
        self.taken_at.setdefault(post.webhook_id, time.monotonic())
        return OK

    async def beat(self, seconds: float) -> float:
        """Publish for so long; the 99th percentile of what these readings took, in milliseconds, once all are there."""
        first = self.line.fleet.count
        with Publisher(self.line.broker.broker(), username="device") as publisher:
            begun_at = time.monotonic()
            for number in range(int(seconds * RATE)):
                await asyncio.sleep(begun_at + number / RATE - time.monotonic())
                self._publish(publisher)
        ids = list(self.published_at)[first:]
        await eventually(self._have_come, what="the arrival of every reading")
        took = sorted(self.taken_at[one] - self.published_at[one] for one in ids)
        return took[math.ceil(len(took) * 0.99) - 1] * 1000

    def _publish(self, publisher: Publisher) -> None:
        messages = list(self.line.fleet.readings(1))
        [device] = [d for d in self.line.fleet.devices if messages[0][0].endswith(d)]
        self.published_at[self.line.fleet.issued[device][-1]] = time.monotonic()
        publisher.publish_later(messages)

    async def _have_come(self) -> bool:
        return self.published_at.keys() <= self.taken_at.keys()


@dataclass
class Patient:
    """Who asks /healthz all the time, each time by a connection of its own."""

    line: Line
    answers: list[tuple[int, float]] = field(default_factory=list)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._ask())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until_asked(self, count: int) -> None:
        async def have_come() -> bool:
            return len(self.answers) >= count

        await eventually(have_come, what=f"answer {count} of /healthz")

    @property
    def slowest_ms(self) -> float:
        return max(seconds for _, seconds in self.answers) * 1000

    async def _ask(self) -> None:
        transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
        async with httpx.AsyncClient(transport=transport, timeout=10) as client:
            while True:
                asked_at = time.monotonic()
                answer = await client.get(f"http://{self.line.service.address}/healthz")
                self.answers.append((answer.status_code, time.monotonic() - asked_at))
                await asyncio.sleep(0.02)


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def port_of(line: Line) -> int:
    return int(line.service.address.rpartition(":")[2])


@dataclass
class Rounds:
    """The 99th percentiles of what readings took, in milliseconds, of each round."""

    seconds: float
    without_ms: list[float] = field(default_factory=list)
    with_ms: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return median(self.with_ms) / median(self.without_ms)

    def __str__(self) -> str:
        return f"{median(self.with_ms):.1f} ms, {median(self.without_ms):.1f} ms without it"


@dataclass(frozen=True)
class Attack:
    """What is done to the port."""

    kind: str
    count: int
    """Connections at the same time, in the full form."""
    few: int
    """In the short form."""
    refusal: str | None = None
    """A status that some of them get."""
    growth_mb: float = 10
    """What memory may grow by."""
    slower: float = 2
    """How many times as long readings may take at the 99th percentile."""
    descriptors: int | None = None
    """All that the service has."""

    def __str__(self) -> str:
        limit = f", {self.descriptors} descriptors" if self.descriptors else ""
        return self.kind.replace("_", " ") + limit


ATTACKS = [
    Attack("endless_headers", 16, few=2, refusal="431"),
    Attack("endless_header", 16, few=2, refusal="431"),
    Attack("endless_target", 16, few=2, refusal="414"),
    Attack("half_open", 900, few=200, refusal="503"),
    Attack("half_open", 160, few=160, refusal="503", descriptors=128),
    Attack("slow_body", 200, few=80, refusal="503", slower=4),
    Attack("unread", 100, few=70, growth_mb=96, slower=4),
    Attack("flood", 100, few=64, growth_mb=32, slower=4),
    Attack("knocking", 16, few=8),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
async def test_the_line_goes_on_beside_an_attacked_port(
    line: Line, extent: Extent, tried: list[Tried], attack: Attack
) -> None:
    """Whatever is done to the port: every reading arrives, /healthz answers, memory and descriptors stay bounded."""
    pulse, patient = Pulse(line), Patient(line)
    webhooks = await line.receiver("acme", pulse.take)
    await line.start()
    port, pid = port_of(line), line.service.pid
    count = attack.count if extent == "full" else attack.few
    if attack.descriptors is not None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (attack.descriptors, attack.descriptors))
    rounds, grown_mb = Rounds(SECONDS[extent]), list[float]()
    answers: Counter[str] = Counter()
    async with patient.asking():
        await pulse.beat(1)
        before_mb, before = resident_mb(pid), descriptors(pid)
        for _ in range(ROUNDS[extent]):
            rounds.without_ms.append(await pulse.beat(rounds.seconds))
            async with attacking(attack.kind, port=port, count=count) as answered:
                rounds.with_ms.append(await pulse.beat(rounds.seconds))
                grown_mb.append(resident_mb(pid) - before_mb)
                assert descriptors(pid) <= before + MOST_CONNECTIONS + THE_LINES_OWN
            answers += answered
        await patient.until_asked(3)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    assert_balanced(await line.service.status())
    assert {status for status, _ in patient.answers} == {200}
    assert attack.refusal is None or answers[attack.refusal]
    assert max(grown_mb) < attack.growth_mb
    assert await line.service.stop() == 0
    assert line.service.complaints == []
    if extent == "full":
        assert rounds.ratio <= attack.slower, rounds
        assert patient.slowest_ms < 1000
    outcome = (
        f"{line.fleet.count:,} readings, none missing; p99 {rounds}; "
        f"{max(grown_mb):+.1f} MB; /healthz within {patient.slowest_ms:.0f} ms"
    )
    tried.append(
        Tried("HTTP port", f"{attack}, {count} at a time", answers["connections"], outcome)
    )


async def test_it_stops_in_time_whoever_is_connected(
    line: Line, extent: Extent, tried: list[Tried]
) -> None:
    """SIGTERM ends it with exit code 0 beside half-open requests and answers that nobody reads."""
    await line.receiver("acme")
    await line.start()
    port = port_of(line)
    async with (
        attacking("half_open", port=port, count=64) as half_open,
        attacking("unread", port=port, count=8),
    ):
        await line.service.logged("http.crowded")
        asked_at = time.monotonic()
        assert await line.service.stop(signal.SIGTERM) == 0
        took = time.monotonic() - asked_at
    assert line.service.complaints == []
    tried.append(
        Tried(
            "HTTP port",
            "a stop beside half-open requests and unread answers",
            half_open["connections"],
            f"ended with exit code 0 after {took:.1f} s",
        )
    )
