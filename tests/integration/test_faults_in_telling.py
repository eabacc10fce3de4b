"""
Readings flow from messages to receivers while a log, a metric or the watch raises: the first time, the second, always.

The line is the real one, in this process: real SQLite, real HTTP. The receivers fail, refuse parts and recover, so that
nearly everything that is ever told is told.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.faults import Faults
from support.ingesting import drained
from support.line import Fleet, assert_told_once_in_order
from support.outbox import flush
from support.readings import endpoint, routes_to
from support.webhooks import OK, UNAVAILABLE, Answer, Policy, Post, Webhooks, listening

from forwarder.clock import SystemClock
from forwarder.dispatcher import Dispatcher
from forwarder.ingest import Ingest
from forwarder.normalise import FastPath, Normaliser
from forwarder.outbox import Outbox, open_outbox
from forwarder.reading import Message
from forwarder.routes import BatchLimits, Endpoint, RetrySchedule, SigningKey
from forwarder.sender import Sender, pooled_transports
from forwarder.service.expiry import Expiry

READINGS = 100
FAILURES = 8
"""More than open the circuit."""
SEEN = {
    "log delivery.attempted",
    "log delivery.buried",
    "log deliveries.swept",
    "log endpoint.opened",
    "log endpoint.recovered",
    "log endpoint.paused",
    "log batch.split",
    "log message.quarantined",
    "log messages.ingested",
    "metric messages.count",
    "metric attempts.count",
    "metric attempt_duration.of",
    "metric attempt_duration.of.observe",
    "metric deliveries.count",
    "metric delivery_latency.of.observe",
    "metric endpoint_open.labels.set",
    "watch.attempted",
    "watch.delivered",
    "watch.settled",
    "watch.swept",
    "watch.gone",
    "watch.split",
    "watch.circuit_changed",
}
"""What is told at least in a run without faults."""


@dataclass(frozen=True)
class Arrived:
    message: Message


@dataclass
class Line:
    """Everything between a message and its receivers."""

    ingest: Ingest[Arrived]
    outbox: Outbox
    dispatcher: Dispatcher
    expiry: Expiry
    acme: Webhooks
    batched: Webhooks
    fleet: Fleet = field(default_factory=Fleet)
    acknowledged: list[Arrived] = field(default_factory=list)

    def receive(self, *messages: tuple[str, bytes]) -> None:
        now = datetime.now(UTC)
        self.ingest.receive([Arrived(Message(*one, now, qos=1)) for one in messages])

    async def settled(self) -> None:
        """Return once nothing is pending any more; the test's own time limit is the patience."""
        while True:
            await flush(self.outbox)
            await self.expiry.sweep()
            if not any(
                total.pending
                for total in self.outbox.accounts.overview().endpoints
                if total.name != "gone"
            ):
                return
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(folder: Path, faults: Faults) -> AsyncIterator[Line]:
    """A line whose logs, metrics and watch have these faults."""
    path, clock, metrics = folder / "outbox.db", SystemClock(), faults.metrics()
    sender = Sender(pooled_transports())
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(faults.logs(folder / "log"))
        names = ("acme", "batched", "gone", "refusing")
        acme, batched, gone, refusing = [
            await stack.enter_async_context(listening(Webhooks(name))) for name in names
        ]
        acme.policy, batched.policy = recovering(), halving
        gone.policy, refusing.policy = lambda _: Answer(410), lambda _: Answer(400)
        outbox = open_outbox(path, clock=clock)
        watch = faults.watch(metrics)
        dispatcher = Dispatcher(outbox=outbox, sender=sender, clock=clock, watch=watch)
        outbox.attach(dispatcher)
        expiry = Expiry(outbox=outbox, dispatcher=dispatcher, clock=clock, watch=watch)
        acknowledged: list[Arrived] = []

        def acknowledge(arrivals: Sequence[Arrived]) -> None:
            acknowledged.extend(arrivals)

        normaliser = Normaliser(timezone=ZoneInfo("UTC"), max_message_bytes=65536)
        ingest: Ingest[Arrived] = Ingest(
            normaliser=normaliser,
            fast_path=FastPath(normaliser),
            outbox=outbox,
            metrics=metrics,
            max_message_bytes=65536,
            acknowledge=acknowledge,
        )
        routes = routes_to(
            endpoint_at(acme),
            endpoint_at(batched, batch=BatchLimits(8, 0.02)),
            endpoint_at(gone),
            endpoint_at(refusing),
            endpoint("old", max_age_seconds=0.0, paused=True),
        )
        ingest.use(routes)
        working = [asyncio.create_task(outbox.run()), asyncio.create_task(ingest.run())]
        dispatcher.apply(routes)
        yield Line(ingest, outbox, dispatcher, expiry, acme, batched, acknowledged=acknowledged)
        assert not [task for task in working if task.done()], "a part has ended"
        await dispatcher.drain(timeout_seconds=5)
        await sender.aclose()
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        outbox.release_files()


def endpoint_at(webhooks: Webhooks, *, batch: BatchLimits | None = None) -> Endpoint:
    found = endpoint(
        webhooks.name,
        url=webhooks.url,
        allow_private=True,
        batch=batch,
        retry=RetrySchedule(initial_seconds=0.005, max_seconds=0.02),
    )
    return replace(found, keys=(SigningKey(webhooks.key.encode()),))


def recovering() -> Policy:
    """Fails at first."""
    failures = iter(range(FAILURES))
    return lambda _: OK if next(failures, None) is None else UNAVAILABLE


def halving(post: Post) -> Answer:
    return Answer(413) if len(post.data) > 4 else OK


async def flow(folder: Path, faults: Faults) -> None:
    """A hundred readings and some garbage; all that can arrive does, in order, and all is acknowledged."""
    async with running(folder, faults) as line:
        line.receive(("ext/partner/ECC9FF5C7AD4", b"\x00garbage"))
        for _ in range(4):
            line.receive(*line.fleet.readings(READINGS // 4))
            await asyncio.sleep(0)
        await drained(line.ingest)
        await line.settled()
        for webhooks in (line.acme, line.batched):
            assert_told_once_in_order(webhooks, line.fleet.issued)
        assert len(line.acknowledged) == READINGS + 1


async def test_without_faults_everything_is_told(tmp_path: Path) -> None:
    """The line tells what the tests below let raise."""
    faults = Faults()
    await flow(tmp_path, faults)
    assert set(faults.calls) >= SEEN


@pytest.mark.parametrize("kind", ["log ", "metric ", "watch.", ""])
async def test_every_call_may_raise(tmp_path: Path, kind: str) -> None:
    """With each log line lost, each metric broken, or the whole watch, readings arrive as if nothing were."""
    faults = Faults(lambda name, _: name.startswith(kind))
    await flow(tmp_path, faults)
    assert faults.raised > READINGS


@pytest.mark.parametrize("occurrence", [1, 2])
@pytest.mark.parametrize("told", sorted(SEEN))
async def test_any_call_may_raise(tmp_path: Path, told: str, occurrence: int) -> None:
    """Each thing that is told may fail, the first time and the second."""
    faults = Faults(lambda name, number: (name, number) == (told, occurrence))
    await flow(tmp_path, faults)
