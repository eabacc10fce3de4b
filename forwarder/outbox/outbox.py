"""
The outbox of the running service: one writer that commits in groups, and the lanes that deliveries are claimed from.

Everything here runs on the event loop's thread. What comes in is handed over to the commit thread, which makes one
transaction of all that has come while it was at the one before. Where a transaction has to look at lanes, and after one
that failed, the thread rests, and the loop has its turn. A commit that fails is tried again with the same work, which
every operation allows; meanwhile nothing is acknowledged and nothing new is sent.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from forwarder.clock import Clock
from forwarder.delivery import Delivery, ReadingNumber, RetryAt
from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.outbox.changes import Changes
from forwarder.outbox.commit import Commit, LanesTouched
from forwarder.outbox.group_commit import GroupCommit
from forwarder.outbox.intake import Outcomes, Put
from forwarder.outbox.lanes import EndpointLanes, Lane, Memory, Readiness
from forwarder.outbox.operations import Operation, Shrink
from forwarder.outbox.records import EndpointTotals, Overview
from forwarder.outbox.settlement import Claim, Delivered, Settlement
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import queries
from forwarder.outbox.sqlite.disk_space import quarantine_share
from forwarder.outbox.sqlite.writer import Writer

COMPANY_SECONDS = 0.02
"""How long what is not urgent waits for company when no message brings a commit about."""
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
        quarantine_max_bytes: int | None = None,
        keep_delivered_seconds: float = 3600.0,
    ) -> None:
        self._path = path
        self._clock = clock
        self._keep_delivered_seconds = keep_delivered_seconds
        self.quarantine_max_bytes = (
            quarantine_share(max_bytes) if quarantine_max_bytes is None else quarantine_max_bytes
        )
        self._log = logger("outbox")
        self.on_claimable: Callable[[set[str]], None] = lambda _: None
        """Told after a commit in which endpoints something may be claimed now."""
        self.on_foreign_change: Callable[[], None] = lambda: None
        """Told when a command has changed the outbox."""
        with outbox_file.translated(path):
            self._reader = outbox_file.connect(path, is_read_only=True)
        self._writer = Writer(
            path, max_bytes=max_bytes, quarantine_max_bytes=self.quarantine_max_bytes
        )
        self._memory = Memory(MEMORY_LIMIT)
        self._lanes: dict[str, EndpointLanes] = {}
        self._endpoint_ids: dict[str, int] = {}
        self._work = Changes()
        """What came in and is not handed over yet."""
        self._kept = Changes()
        """What was put and waits for room."""
        self._held: dict[Lane, str] = {}
        """Lanes that a commit holds until it is on disk, and their endpoints."""
        self._handover = GroupCommit(
            self._writer,
            commit_of=self._commit_of,
            on_committed=self._on_committed,
            on_failed=self._on_failed,
            on_rest=self._on_rest,
        )
        self._hands_over = False
        """Not before `run`, and not while the loop has its turn or is to have it."""
        self._turn = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._failure: BaseException | None = None
        """Why the thread stopped."""
        self._defect: Exception | None = None
        """What `run` is to end with: something in the program itself broke when it heard of a commit."""
        self._is_closing = False
        self._is_to_look = False
        self._has_foreign_change = False
        self._are_lanes_touched = False
        self._is_readable = True
        self.problem: str | None = None
        """Why no message is taken at the moment, as one sentence."""
        self.is_writable = True
        """Whether settlements can be recorded: while they cannot, nothing new may be sent."""
        self.commits = 0
        self.enqueued: defaultdict[str, int] = defaultdict(int)
        """Deliveries put in by this process, by endpoint."""
        self.committing_since: float | None = None
        """Monotonic seconds since which a transaction is under way."""
        self._restore()

    def _restore(self) -> None:
        now = self._clock.monotonic()
        for lane in queries.lanes(self._reader):
            self.lanes(lane.endpoint).restore(lane.device, count=lane.pending, now=now)

    def put(self, puts: Sequence[Put]) -> "asyncio.Future[Outcomes]":
        """Make the messages durable; done once they are on disk, however long the disk takes none."""
        answer: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()
        self._work.put(puts, answer)
        self._go_on()
        return answer

    def count(self, outcomes: Outcomes) -> None:
        """Add messages of which there is nothing to store to the totals, with the next commit."""
        for outcome in outcomes:
            self._work.count(outcome)
        self._go_on_within(COMPANY_SECONDS)

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
            return Claim(lanes.take(lane, limit=limit), lane)
        return None

    def readiness(self, endpoint: str, *, now: float) -> Readiness:
        """What could be claimed at `now`, monotonic seconds."""
        return self.lanes(endpoint).readiness(now)

    def wake_all(self, endpoint: str) -> None:
        """The endpoint takes readings again: no lane waits for its own time any more."""
        self.lanes(endpoint).wake_all(self._clock.monotonic())

    def _heads(self, endpoint: str, lane: Lane, limit: int) -> list[Delivery]:
        try:
            with outbox_file.translated(self._path):
                heads = queries.heads(
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
            self._endpoint_ids.update(queries.endpoint_ids(self._reader))
        return self._endpoint_ids[name]

    def has_newer(self, delivery: Delivery) -> bool:
        """Whether a newer reading of its device is pending for the same endpoint."""
        return queries.has_newer(
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
        self._settle_lane(endpoint, claim.token, settled=settled, due_at=due_at)

    def settle_delivered(self, claims: Sequence[Claim], delivered: Delivered) -> None:
        """End claims of whose deliveries all are settled now: those that were not before have just been delivered."""
        self._work.delivered.append(delivered)
        endpoint, now = delivered.endpoint, self._clock.monotonic()
        waits = [self._end(endpoint, one.token, len(one.deliveries), None, now) for one in claims]
        self._wake_for_settlement(is_waited_for=any(waits))

    def _settle_lane(
        self, endpoint: str, lane: Lane, *, settled: int = 0, due_at: float | None = None
    ) -> None:
        is_waiting = self._end(endpoint, lane, settled, due_at, self._clock.monotonic())
        self._wake_for_settlement(is_waited_for=is_waiting)

    def _end(
        self, endpoint: str, lane: Lane, settled: int, due_at: float | None, now: float
    ) -> bool:
        """End the lane's claim; whether it could go on if only this were on disk."""
        if lane.is_changed:
            self._work.touched.add((endpoint, lane.device))
        is_held = self._lanes[endpoint].settle(lane, settled=settled, due_at=due_at, now=now)
        self._work.is_built_on = self._work.is_built_on or lane.pending > 0
        if is_held:
            self._work.releases.append((endpoint, lane))
        return is_held and due_at is None and lane.pending > 0

    def record_health(self, endpoint: str, health: EndpointHealth) -> None:
        """Keep the endpoint's circuit, with the next commit; of several the last counts."""
        self._work.health[endpoint] = health
        self._go_on_within(COMPANY_SECONDS)

    def record_gone(self, endpoint: str, url_digest: str | None) -> None:
        """Keep that the endpoint answered 410 at this URL, or (None) that this is over, with the next commit."""
        self._work.gone[endpoint] = url_digest
        self._go_on()

    def record(self, settlements: Sequence[Settlement]) -> None:
        """Record what was decided about deliveries whose claim goes on."""
        self._work.settlements.extend(settlements)
        self._wake_for_settlement()

    def in_flight(self, endpoint: str) -> set[ReadingNumber]:
        return self.lanes(endpoint).in_flight()

    def oldest_pending_at(self, endpoint: str) -> float | None:
        """From when the age of the endpoint's oldest pending delivery counts."""
        with outbox_file.translated(self._path):
            return queries.oldest_pending_at(self._reader, endpoint)

    def totals(self) -> list[EndpointTotals]:
        """The endpoints' accounts as of the last commit."""
        with outbox_file.translated(self._path):
            return queries.totals(self._reader)

    def overview(self) -> Overview:
        """What it holds at this moment; from any thread. Raises OutboxUnavailable or OutboxDamaged."""
        return queries.read_overview(self._path)

    def message_totals(self) -> dict[str, int]:
        """Messages by outcome over the whole life of the outbox, as of the last commit."""
        return queries.message_totals(self._reader)

    async def operate(self, operation: Operation[T]) -> T:
        """Do it with the next transaction and answer once that is on disk; what it raises is raised here."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.operations.append((operation, future))
        self._go_on()
        return await future

    async def shrink(self) -> None:
        """Give free space back to the file system."""
        await self.operate(Shrink())
        await asyncio.to_thread(outbox_file.trim, self._path)

    def _wake_for_settlement(self, *, is_waited_for: bool = False) -> None:
        if is_waited_for:
            self._go_on()
        else:
            # While the thread rests: later it would make the commit of the next message longer.
            self._go_on_within(COMPANY_SECONDS if self._handover.is_running else 0.0)

    def _go_on_within(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._go_on()

    def _go_on(self) -> None:
        """Hand over what has come in; or, where that takes a look at lanes, see to it that the loop has its turn."""
        if not self._hands_over:
            return
        if self._is_for_the_loop:
            self._ask_for_turn()
        elif work := self._take_work():
            self._handover.give(work)
            self.committing_since = self.committing_since or self._clock.monotonic()

    @property
    def _is_for_the_loop(self) -> bool:
        return (
            self._is_to_look
            or self._are_lanes_touched
            or self._has_foreign_change
            or not self._work.is_rows_alone
        )

    def _ask_for_turn(self) -> None:
        self._hands_over = False
        if not self._handover.is_running:
            self._turn.set()

    def _take_work(self) -> Changes:
        self._heed_room()
        work, self._work = self._work, Changes()
        return work

    def _heed_room(self) -> None:
        """Keep back what is put while the outbox is full, and let it go once there is room."""
        if not (self._work.puts or self._kept.puts):
            return
        if self._is_full():
            self._kept = self._kept.followed_by(self._work.take_puts())
        elif self._kept.puts:
            self._work, self._kept = self._kept.followed_by(self._work), Changes()

    def _commit_of(self, work: Changes) -> Commit:
        return Commit(
            work,
            store=self._writer.store,
            lanes=self.lanes,
            clock=self._clock,
            keep_delivered_seconds=self._keep_delivered_seconds,
            quarantine_max_bytes=self.quarantine_max_bytes,
            held=self._held,
        )

    def _on_committed(self, commit: Commit) -> None:
        self.committing_since = self._clock.monotonic() if self._handover.is_running else None
        try:
            self._publish(commit)
        except Exception as error:  # noqa: BLE001 - the top of a callback: `run` raises it
            self._defect = error
            self._ask_for_turn()

    def _on_failed(self, work: Changes, error: BaseException) -> None:
        self._put_back(work)
        self._failure = error
        self._ask_for_turn()

    def _on_rest(self) -> None:
        self.committing_since = None
        if self._is_closing or not self._hands_over:
            self._turn.set()

    def _publish(self, commit: Commit) -> None:
        """What was committed is there for all."""
        self.commits += 1
        self._recovered()
        commit.publish()
        commit.release()
        for endpoint, count in commit.enqueued.items():
            self.enqueued[endpoint] += count
        # Deliveries set out before the acknowledgements do, for those keep nobody waiting.
        self.on_claimable(commit.claimable)
        commit.answer()
        if self._kept.puts:
            self._go_on()

    def _put_back(self, work: Changes) -> None:
        self._work = work.followed_by(self._work)

    async def run(self) -> None:
        """Commit what comes in, until `close`."""
        looker = asyncio.create_task(self._look_regularly())
        self._turn.set()
        try:
            while not (self._is_closing and self._is_at_rest):
                await self._turn.wait()
                self._turn.clear()
                if self._defect is not None:
                    raise self._defect
                if not self._handover.is_running:
                    await self._take_turn()
        finally:
            self._hands_over = False
            looker.cancel()

    @property
    def _is_at_rest(self) -> bool:
        return not (self._handover.is_running or self._work or self._kept)

    async def close(self) -> None:
        """Commit what is left; what nobody waits for any more is left to the broker, which has it still."""
        self._work.drop_unawaited()
        self._kept.drop_unawaited()
        self._is_closing = True
        self._go_on()
        self._turn.set()

    def release_files(self) -> None:
        self._reader.close()
        self._writer.close()

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._is_to_look = True
            self._go_on()

    async def _take_turn(self) -> None:
        """While the thread rests: hear what stopped it, look at what commands changed, commit what needs lanes."""
        self._hands_over = False
        try:
            self._raise_failure()
            self._look()
            if self._is_for_the_loop:
                await self._commit_here()
        except LanesTouched:
            self._are_lanes_touched = True
        except OutboxError as problem:
            self._note(problem)
            await self._clock.sleep(RETRY_SECONDS)
        self._tell_foreign_change()
        self._hands_over = True
        self._go_on()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _look(self) -> None:
        if self._is_to_look:
            self._is_to_look = False
            if self._writer.has_foreign_change():
                self._has_foreign_change = self._are_lanes_touched = True

    async def _commit_here(self) -> None:
        """One transaction on the loop, which alone may look at lanes."""
        self.committing_since = self._clock.monotonic()
        commit = self._commit_of(Changes())
        try:
            async with self._writer.transaction():
                # Taken only once it has begun: whoever reads a lane again counts on what was settled before.
                commit = self._commit_of(self._take_work())
                commit.apply()
                await self._writer.commit()
        except OutboxError:
            self._put_back(commit.work)
            raise
        except Exception as error:  # noqa: BLE001 - an operation's own error goes to the one who asked for it
            self._fail_operations(commit.work, error)
        else:
            self._are_lanes_touched = False
            self._on_committed(commit)
        finally:
            self.committing_since = None

    def _tell_foreign_change(self) -> None:
        # A pause of our own that is not on disk yet would look like one that a command has ended.
        is_settled = self.is_writable and not self._are_lanes_touched and not self._work.gone
        if self._has_foreign_change and is_settled:
            self._has_foreign_change = False
            self.on_foreign_change()

    def _note(self, problem: OutboxError) -> None:
        if self.is_writable:
            self._log.error("outbox.failed", problem=str(problem))
        self.is_writable = False
        self.problem = str(problem)

    def _fail_operations(self, work: Changes, error: Exception) -> None:
        if not work.operations:
            raise error
        for _, answer in work.operations:
            if not answer.done():
                answer.set_exception(error)
        work.operations = []
        self._put_back(work)

    def _recovered(self) -> None:
        if not self.is_writable:
            self._log.info("outbox.recovered")
            self.problem = None
            self.is_writable = True
            self.on_claimable(set(self._lanes))

    def _is_full(self) -> bool:
        is_full = self._writer.is_full
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
        with outbox_file.translated(self._path):
            return outbox_file.used_bytes(self._reader)
