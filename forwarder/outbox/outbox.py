"""
The outbox of the running service: one writer that commits in groups, and the lanes that deliveries are claimed from.

Everything here runs on the event loop's thread; transactions are committed, and nearly all of them applied, in one of
their own, which waits for the disk. What arrives while one commit is under way goes into the next. A commit that fails
is tried again with the same work, which every operation allows; meanwhile nothing is acknowledged and nothing new is
sent.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from forwarder.clock import Clock
from forwarder.delivery import Delivery, ReadingNumber, RetryAt
from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.outbox import reads, sqlite
from forwarder.outbox.commit import Commit, LanesTouched
from forwarder.outbox.lanes import EndpointLanes, Lane, Memory
from forwarder.outbox.store import Store
from forwarder.outbox.words import (
    Claim,
    EndpointHealth,
    MessageOutcome,
    Put,
    PutOutcome,
    Settlement,
)
from forwarder.outbox.work import Work
from forwarder.outbox.writer import Writer

SETTLE_SECONDS = 0.02
"""How long a settlement waits for company when no message brings a commit about."""
RETRY_SECONDS = 1.0
"""How long after a commit that failed it is tried again."""
LOOK_SECONDS = 0.5
"""How often the outbox looks for what commands have changed in it."""
READ_AHEAD = 32
"""Deliveries of a lane that are read at once."""
MEMORY_LIMIT = 4096
"""Deliveries that wait in memory, over all lanes."""

T = TypeVar("T")


class Outbox:
    """
    The durable middle: readings in, deliveries out.

    `put` returns after the fsync. A settlement takes effect for claims at once and reaches the disk with the next
    commit: after a crash in between, that delivery is sent again with the same webhook id.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        max_bytes: int = 10 << 30,
        keep_delivered_seconds: float = 3600.0,
    ) -> None:
        self._path = path
        self._clock = clock
        self._max_bytes = max_bytes
        self._keep_delivered_seconds = keep_delivered_seconds
        self._log = logger("outbox")
        self.on_claimable: Callable[[set[str]], None] = lambda _: None
        """Told after a commit in which endpoints something may be claimed now."""
        self.on_foreign_change: Callable[[], None] = lambda: None
        """Told when a command has changed the outbox."""
        with sqlite.translated(path):
            self._reader = sqlite.connect(path, is_read_only=True)
        self._writer = Writer(path)
        self._memory = Memory(MEMORY_LIMIT)
        self._lanes: dict[str, EndpointLanes] = {}
        self._endpoint_ids: dict[str, int] = {}
        self._work = Work()
        self._held: dict[Lane, str] = {}
        """Lanes that a commit holds until it is on disk, and their endpoints."""
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_closing = False
        self._is_to_look = False
        self._has_foreign_change = False
        self._are_lanes_touched = False
        self._takes_puts = True
        self._is_readable = True
        self.problem: str | None = None
        """Why no message is taken at the moment, as one sentence."""
        self.is_writable = True
        """Whether settlements can be recorded: while they cannot, nothing new may be sent."""
        self.commits = 0
        self.enqueued: Counter[str] = Counter()
        """Deliveries put in by this process, by endpoint."""
        self.committing_since: float | None = None
        """Monotonic seconds since which a transaction is under way."""
        self._restore()

    def _restore(self) -> None:
        now = self._clock.monotonic()
        for lane in reads.lanes(self._reader):
            self.lanes(lane.endpoint).restore(lane.device, count=lane.pending, now=now)

    async def put(self, puts: Sequence[Put]) -> list[PutOutcome]:
        """Make the messages durable; returns once they are on disk, and waits as long as the disk takes none."""
        future: asyncio.Future[list[PutOutcome]] = asyncio.get_running_loop().create_future()
        self._work.puts.append((puts, future))
        self._wake_writer(at_once=True)
        return await future

    def count(self, outcome: MessageOutcome, count: int = 1) -> None:
        """Add to the totals of messages, with the next commit."""
        self._work.messages[outcome] += count
        self._wake_writer()

    def lanes(self, endpoint: str) -> EndpointLanes:
        lanes = self._lanes.get(endpoint)
        if lanes is None:
            lanes = self._lanes[endpoint] = EndpointLanes(self._memory)
        return lanes

    def endpoints(self) -> list[str]:
        """The names of those that have something pending, or had since the start."""
        return list(self._lanes)

    def claim(
        self, endpoint: str, *, limit: int = 1, longest_wait_seconds: float, is_probe: bool = False
    ) -> Claim | None:
        """
        The next deliveries of the lane that is served next, at most `limit`; None when none is due.

        A wait from before a restart that is longer than the longest possible one is over: the clock was set.
        """
        lanes = self.lanes(endpoint)
        now = self._clock.monotonic()
        take = lanes.claim_for_probe if is_probe else lanes.claim
        while (lane := take(now=now)) is not None:
            if not lane.fresh:
                lanes.remember(lane, self._heads(endpoint, lane, limit))
            if not lane.fresh:
                self._work.touched.add((endpoint, lane.device))
                self._settle_lane(endpoint, lane, due_at=now + RETRY_SECONDS)
                continue
            wait = lane.fresh[0].due_at - self._clock.unix() if lane.is_restored else 0.0
            lane.is_restored = False
            if 0 < wait <= longest_wait_seconds and not is_probe:
                self._settle_lane(endpoint, lane, due_at=now + wait)
                continue
            return Claim(lane, lanes.take(lane, limit=limit))
        return None

    def _heads(self, endpoint: str, lane: Lane, limit: int) -> list[Delivery]:
        try:
            with sqlite.translated(self._path):
                heads = reads.heads(
                    self._reader,
                    endpoint=self._endpoint_id(endpoint),
                    endpoint_name=endpoint,
                    device=lane.device,
                    limit=max(limit, min(READ_AHEAD, self._memory.room)),
                )
        except OutboxError as problem:
            # The lane is tried again in a second. Of all the lanes that meet with this, one log event is enough.
            if self._is_readable:
                self._log.error("outbox.unread", problem=str(problem))
            self._is_readable = False
            return []
        self._is_readable = True
        return heads

    def _endpoint_id(self, name: str) -> int:
        if name not in self._endpoint_ids:
            self._endpoint_ids.update(reads.endpoint_ids(self._reader))
        return self._endpoint_ids[name]

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading of its device is pending for the same endpoint."""
        return reads.has_newer(
            self._reader,
            endpoint=self._endpoint_id(delivery.endpoint),
            device=delivery.device,
            reading=delivery.reading,
        )

    def settle(
        self,
        endpoint: str,
        claim: Claim,
        settlements: Sequence[Settlement] = (),
        *,
        recorded: int = 0,
    ) -> None:
        """
        End a claim with what was decided about its deliveries; those without a decision are as if never claimed.

        `recorded` of them were settled before, by `record`.
        """
        self._work.settlements.extend(settlements)
        retries = [one.decision for one in settlements if isinstance(one.decision, RetryAt)]
        due_at = None
        if retries:
            wait = max(retry.due_at for retry in retries) - self._clock.unix()
            due_at = self._clock.monotonic() + wait
        settled = recorded + len(settlements) - len(retries)
        self._settle_lane(endpoint, claim.lane, settled=settled, due_at=due_at)

    def _settle_lane(
        self, endpoint: str, lane: Lane, *, settled: int = 0, due_at: float | None = None
    ) -> None:
        lanes = self._lanes[endpoint]
        if lane.is_changed:
            self._work.touched.add((endpoint, lane.device))
        is_held = lanes.settle(lane, settled=settled, due_at=due_at, now=self._clock.monotonic())
        if is_held:
            self._work.releases.append((endpoint, lane))
        self._wake_writer(at_once=is_held and due_at is None and lane.pending > 0)

    def record_health(self, endpoint: str, health: EndpointHealth) -> None:
        """Keep the endpoint's circuit, with the next commit; of several the last counts."""
        self._work.health[endpoint] = health
        self._wake_writer()

    def record_gone(self, endpoint: str, url_digest: str | None) -> None:
        """Keep that the endpoint answered 410 at this URL, or (None) that this is over, with the next commit."""
        self._work.gone[endpoint] = url_digest
        self._wake_writer(at_once=True)

    def record(self, settlements: Sequence[Settlement]) -> None:
        """Record what was decided about deliveries whose claim goes on."""
        self._work.settlements.extend(settlements)
        self._wake_writer()

    def in_flight(self, endpoint: str) -> set[ReadingNumber]:
        return self.lanes(endpoint).in_flight()

    def oldest_pending_at(self, endpoint: str) -> float | None:
        """From when the age of the endpoint's oldest pending delivery counts."""
        with sqlite.translated(self._path):
            return reads.oldest_pending_at(self._reader, endpoint)

    def totals(self) -> list[reads.EndpointTotals]:
        """The endpoints' accounts as of the last commit."""
        with sqlite.translated(self._path):
            return reads.totals(self._reader)

    def message_totals(self) -> dict[str, int]:
        """Messages by outcome over the whole life of the outbox, as of the last commit."""
        return reads.message_totals(self._reader)

    async def transact(self, job: Callable[[Store], T]) -> T:
        """
        Run `job` in the next transaction and return what it returned, once that is on disk.

        The job may run more than once; what it raises rolls the transaction back and is raised here.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.jobs.append((job, future))
        self._wake_writer(at_once=True)
        return await future

    def _wake_writer(self, *, at_once: bool = False) -> None:
        self._wake.set()
        if at_once:
            self._hurry.set()

    async def run(self) -> None:
        """Commit what comes in, until `close`."""
        looker = asyncio.create_task(self._look_regularly())
        try:
            while not (self._is_closing and not self._work):
                await self._wake.wait()
                await self._gather()
                await self._commit_work()
        finally:
            looker.cancel()

    async def close(self) -> None:
        """Commit what is left; what nobody waits for any more is left to the broker, which has it still."""
        self._work.puts = [(puts, answer) for puts, answer in self._work.puts if not answer.done()]
        self._is_closing = True
        self._wake_writer(at_once=True)

    def release_files(self) -> None:
        self._reader.close()
        self._writer.close()

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._is_to_look = True
            self._wake_writer(at_once=True)

    async def _gather(self) -> None:
        if not self._hurry.is_set():
            # A plain timer: asyncio.timeout costs half as much again as all of this, at every small commit.
            timer = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._hurry.set)
            try:
                await self._hurry.wait()
            finally:
                timer.cancel()
        self._wake.clear()
        self._hurry.clear()

    async def _commit_work(self) -> None:
        commit = Commit(
            store=self._writer.store,
            lanes=self.lanes,
            clock=self._clock,
            keep_delivered_seconds=self._keep_delivered_seconds,
            held=self._held,
        )
        try:
            if not self._has_work():
                return
            self.committing_since = self._clock.monotonic()
            await self._transact(commit)
        except LanesTouched:
            self._work = commit.work.before(self._work)
            self._are_lanes_touched = True
            self._wake_writer(at_once=True)
        except OutboxError as problem:
            self.committing_since = None
            self._keep_for_later(commit.work, problem)
            await self._clock.sleep(RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - a job's own error goes to the one who asked for the job
            self._fail_jobs(commit.work, error)
        else:
            self.commits += 1
            self._recovered()
            commit.publish()
            commit.release()
            self.enqueued.update(commit.enqueued)
        finally:
            self.committing_since = None
        self.on_claimable(commit.claimable)
        self._tell_foreign_change()

    async def _transact(self, commit: Commit) -> None:
        async with self._writer.transaction():
            # Taken only once the transaction has begun: whoever reads a lane again counts on what was settled before.
            commit.begin(self._take_work())
            if commit.is_rows_alone and not self._are_lanes_touched:
                await self._writer.commit(commit.apply_rows)
            else:
                commit.apply()
                await self._writer.commit()
                self._are_lanes_touched = False

    def _has_work(self) -> bool:
        if self._is_to_look:
            self._is_to_look = False
            if self._writer.has_foreign_change():
                self._has_foreign_change = self._are_lanes_touched = True
        self._takes_puts = not (self._work.puts and self._is_full())
        has_puts = bool(self._work.puts) and self._takes_puts
        return (
            has_puts
            or self._work.has_more_than_puts
            or self._are_lanes_touched
            or self._has_foreign_change
        )

    def _take_work(self) -> Work:
        work, self._work = self._work, Work()
        if not self._takes_puts:
            self._work.puts, work.puts = work.puts, []
        return work

    def _tell_foreign_change(self) -> None:
        # A pause of our own that is not on disk yet would look like one that a command has ended.
        is_settled = self.is_writable and not self._are_lanes_touched and not self._work.gone
        if self._has_foreign_change and is_settled:
            self._has_foreign_change = False
            self.on_foreign_change()

    def _keep_for_later(self, work: Work, problem: OutboxError) -> None:
        if self.is_writable:
            self._log.error("outbox.failed", problem=str(problem))
        self.is_writable = False
        self.problem = str(problem)
        self._work = work.before(self._work)
        self._wake_writer(at_once=True)

    def _fail_jobs(self, work: Work, error: Exception) -> None:
        if not work.jobs:
            raise error
        for _, answer in work.jobs:
            if not answer.done():
                answer.set_exception(error)
        work.jobs = []
        self._work = work.before(self._work)
        self._wake_writer(at_once=True)

    def _recovered(self) -> None:
        if not self.is_writable:
            self._log.info("outbox.recovered")
            self.problem = None
            self.is_writable = True
            self.on_claimable(set(self._lanes))

    def _is_full(self) -> bool:
        is_full = self._writer.used_bytes() >= self._max_bytes
        if is_full and self.problem is None:
            self.problem = (
                f"the outbox {self._path} has reached FORWARDER_OUTBOX_MAX_BYTES; new messages stay with the broker"
                " until deliveries make room, dead letters are discarded, or the limit is raised"
            )
            self._log.error("outbox.filled", problem=self.problem)
        elif not is_full and self.is_writable:
            self.problem = None
        return is_full

    @property
    def used_bytes(self) -> int:
        """What the file held at the last commit; raises OutboxUnavailable or OutboxDamaged."""
        with sqlite.translated(self._path):
            return sqlite.used_bytes(self._reader)
