"""The outbox of the running service: readings in, deliveries out. Everything here runs on the event loop's thread."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from forwarder.clock import Clock
from forwarder.delivery import Delivery, ReadingNumber, RetryAt
from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import OutboxError
from forwarder.logs import harmless
from forwarder.outbox.capacity import Capacity
from forwarder.outbox.changes import Applied, LaneRows
from forwarder.outbox.commit import Commit
from forwarder.outbox.devices import MOST_DEVICES, Devices
from forwarder.outbox.engine import Engine
from forwarder.outbox.group_commit import GroupCommit
from forwarder.outbox.heads import RETRY_SECONDS, HeadReader
from forwarder.outbox.intake import NewReading, Outcomes, Put, Unrouted
from forwarder.outbox.lanes import EndpointLanes, Lane, Memory, Readiness
from forwarder.outbox.operations import Operation, Shrink, Tell, Told
from forwarder.outbox.records import EndpointTotals, Overview
from forwarder.outbox.settlement import Claim, Settlement
from forwarder.reading import Device
from forwarder.settings import OutboxPlace

COMPANY_SECONDS = 0.02
"""A settlement, or a count, waits so long for a message to go with."""
LOOK_SECONDS = 0.5
"""How often the outbox looks for what commands have changed in it."""
BETWEEN_DEVICES_SECONDS = 0.1
"""Between two lots of devices' records, where there are more than one."""
MEMORY_LIMIT = 4096
"""Deliveries that wait in memory, over all lanes."""
MOST_NOTICES = 10_000
"""Notices that wait for the operator's endpoint at most."""

T = TypeVar("T")


class Outbox:
    """
    The durable middle.

    `put` returns after the fsync. A settlement takes effect for claims at once and reaches the disk with the next
    commit: after a crash in between, that delivery is sent again with the same webhook id.
    """

    def __init__(
        self,
        engine: Engine,
        path: OutboxPlace,
        *,
        clock: Clock,
        quarantine_max_bytes: int,
        memory_limit: int = MEMORY_LIMIT,
        most_devices: int = MOST_DEVICES,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self.quarantine_max_bytes = quarantine_max_bytes
        self.on_claimable: Callable[[set[str]], None] = lambda _: None
        """Told after a commit, or a read, in which endpoints something may be claimed now."""
        self.on_foreign_change: Callable[[], None] = lambda: None
        """Told when a command has changed the outbox, once `health` is what it has made of it."""
        self._memory = Memory(memory_limit)
        self._lanes: dict[str, EndpointLanes] = {}
        self.devices = Devices(most_devices)
        """Who reports; on the loop alone."""
        self._sightings = harmless(self.devices)
        """The same, where it only tells: the line goes on whatever happens in it."""
        self._see = self._sightings.see
        self.see_unrouted: Callable[[Sequence[Unrouted]], None] = self._sightings.see_unrouted
        """Note whose readings came that nobody wants; of what is put it is noted by itself."""
        self._capacity = Capacity(engine, path)
        self._commits = GroupCommit(
            engine,
            clock=clock,
            admit=self._capacity.admit,
            lanes=self._lanes_of,
            publish=self._publish,
            on_failed=self._capacity.failed,
            on_rest=self._on_rest,
            on_defect=self._on_defect,
        )
        self._heads = HeadReader(
            engine, clock=clock, publish=self._publish_heads, on_defect=self._on_defect
        )
        self._end: asyncio.Future[None] | None = None
        """Of `run`."""
        self._is_closing = False
        self.commits = 0
        self.enqueued: defaultdict[str, int] = defaultdict(int)
        """Deliveries put in by this process, by endpoint."""
        self.health: dict[str, EndpointHealth] = {}
        """By endpoint, what the rows say: as of the start, and since then as of the last change by a command."""
        self._restore()

    def _restore(self) -> None:
        now = self._clock.monotonic()
        for (endpoint, device), rows in self._engine.lanes():
            lanes = self._lanes_of(endpoint)
            lanes.restore(device, pending=rows.pending, newest=rows.newest, now=now)
        self.health = {one.name: one.health for one in self._engine.totals()}
        self._sightings.restore(list(self._engine.devices()))
        self._told = self._engine.told()

    def _lanes_of(self, endpoint: str) -> EndpointLanes:
        lanes = self._lanes.get(endpoint)
        if lanes is None:
            lanes = self._lanes[endpoint] = EndpointLanes(endpoint, self._memory)
        return lanes

    # The left half.

    def put(self, puts: Sequence[Put]) -> "asyncio.Future[Outcomes]":
        """Make the messages durable; done once they are on disk, however long that takes."""
        answer: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()
        self._commits.next.put(puts, answer)
        self._commits.hurry()
        self._see(puts)
        return answer

    def count(self, outcomes: Outcomes) -> None:
        """Count messages without anything to store, with the next commit."""
        for outcome in outcomes:
            self._commits.next.changes.count(outcome)
        self._commits.within(COMPANY_SECONDS)

    # The right half.

    def serve(self, endpoint: str, *, most_at_once: int = 1, longest_wait_seconds: float) -> None:
        """
        How the endpoint is claimed for: so many deliveries of a lane at most.

        A wait from before a restart that is longer than the longest possible one is over: the clock was set.
        """
        lanes = self._lanes_of(endpoint)
        lanes.most_at_once, lanes.longest_wait_seconds = most_at_once, longest_wait_seconds

    def claim(self, endpoint: str, *, limit: int = 1, is_probe: bool = False) -> Claim | None:
        """
        The next deliveries of the lane that is served next, at most `limit`; None when memory holds none that is due.

        What comes next is read beside the loop, and `on_claimable` is told of it.
        """
        lanes = self._lanes_of(endpoint)
        now = self._clock.monotonic()
        lane = lanes.claim_for_probe(now=now) if is_probe else lanes.claim(now=now)
        claim = None if lane is None else Claim(lanes.take(lane, limit=limit), lane)
        if lanes.unread or is_probe:
            self._read_ahead(lanes, is_probe=is_probe)
        return claim

    def _read_ahead(self, lanes: EndpointLanes, *, is_probe: bool = False) -> None:
        wanted = lanes.begin_read(is_probe=is_probe)
        if wanted:
            self._heads.ask(lanes, wanted)

    def _publish_heads(
        self, lanes: EndpointLanes, found: Mapping[Lane, Sequence[Delivery]]
    ) -> None:
        """What was read joins its lane; a lane in which nothing was found is counted anew."""
        now, unix = self._clock.monotonic(), self._clock.unix()
        lanes.end_read()
        for lane, deliveries in found.items():
            wait = deliveries[0].due_at - unix if deliveries and lane.is_restored else 0.0
            if not deliveries:
                self._commits.next.changes.uncertain.add((lanes.endpoint, lane.device))
                self._commits.within(COMPANY_SECONDS)
                wait = RETRY_SECONDS
            is_early = 0 < wait <= lanes.longest_wait_seconds
            lanes.remember(lane, deliveries, due_at=now + wait if is_early else None, now=now)
        self.on_claimable({lanes.endpoint})

    def readiness(self, endpoint: str, *, now: float) -> Readiness:
        """What could be claimed at `now`, monotonic seconds."""
        lanes = self._lanes_of(endpoint)
        readiness = lanes.readiness(now)
        if lanes.unread:
            self._read_ahead(lanes)
        return readiness

    def wake_all(self, endpoint: str) -> None:
        """The endpoint takes readings again: no lane waits for its own time any more."""
        self._lanes_of(endpoint).wake_all(self._clock.monotonic())

    def settle(
        self, endpoint: str, settlements: Sequence[Settlement] = (), *, ends: Sequence[Claim] = ()
    ) -> None:
        """
        Record what was decided about claimed deliveries, and end claims.

        A delivery without a decision in a claim that ends is as if never claimed. A lane with one that is to be tried
        again waits for its time.
        """
        lanes, commit = self._lanes_of(endpoint), self._commits.next
        due: dict[Device, float] = {}
        for settlement in settlements:
            is_final = not isinstance(settlement.decision, RetryAt)
            for lane, count in lanes.settle(settlement.deliveries, is_final=is_final):
                commit.settled.append((lanes, lane, count))
            commit.changes.settlements.append(settlement)
            if isinstance(settlement.decision, RetryAt):
                _note_due(due, settlement.deliveries, settlement.decision.due_at)
        now, is_waited_for = self._clock.monotonic(), False
        offset = now - self._clock.unix() if due else 0.0
        for claim in ends:
            lane = claim.token
            due_at = due[lane.device] + offset if lane.device in due else None
            is_waited_for |= lanes.end(lane, due_at=due_at, now=now)
            commit.is_built_on = commit.is_built_on or lane.pending > 0
        if is_waited_for:
            self._commits.hurry()
        elif settlements:
            # At once while the thread rests, because later it would make the next message's commit longer.
            self._commits.within(COMPANY_SECONDS if self._commits.is_busy else 0.0)

    def record_health(self, endpoint: str, health: EndpointHealth) -> None:
        """Keep the endpoint's circuit, with the next commit; of several the last counts."""
        self._commits.next.changes.health[endpoint] = health
        self._commits.within(COMPANY_SECONDS)

    def record_gone(self, endpoint: str, url_digest: str | None) -> None:
        """Keep that the endpoint answered 410 at this URL, or (None) that this is over, with the next commit."""
        self._commits.next.changes.gone[endpoint] = url_digest
        self._commits.hurry()

    # What time and operators do.

    async def operate(self, operation: Operation[T]) -> T:
        """Do it with the next transaction and answer once that is on disk; raises what the operation raises."""
        return await self._ask(operation)

    def _ask(self, operation: Operation[T]) -> "asyncio.Future[T]":
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._commits.next.changes.operations.append(operation)
        self._commits.next.asking.append(answer)
        self._commits.hurry()
        return answer

    def tell(
        self, endpoint: str, notices: Sequence[NewReading], told: Mapping[str, str | None]
    ) -> "asyncio.Future[Counter[Told]]":
        """
        Owe notices to the operator's endpoint, and remember with them what was told; also when nobody awaits it.

        Done once they are on disk, with what each came to.
        """
        for subject, what in told.items():
            if what is None:
                self._told.pop(subject, None)
            else:
                self._told[subject] = what
        answer = self._ask(Tell(notices, told, endpoint, MOST_NOTICES, self._clock.unix()))
        answer.add_done_callback(partial(self._count_notices, endpoint))
        return answer

    def _count_notices(self, endpoint: str, answer: "asyncio.Future[Counter[Told]]") -> None:
        if not answer.cancelled() and answer.exception() is None:
            self.enqueued[endpoint] += answer.result()["enqueued"]

    def told(self) -> dict[str, str]:
        """What the operator has been told of what lasts, by subject, or is about to be."""
        return dict(self._told)

    async def shrink(self) -> None:
        """Give free space back to the file system."""
        await self.operate(Shrink())
        await asyncio.to_thread(self._engine.trim)

    def keep_devices(self) -> bool:
        """Bring some records of devices up to date, with the commit that comes next; whether there are more to be."""
        # They bring about no commit: there is one with the next look at the latest.
        self._sightings.keep(self._commits.next.changes.devices, now=self._clock.monotonic())
        return self.devices.has_more

    def look(self) -> None:
        """See whether another process has changed the outbox."""
        self._commits.next.is_to_look = True
        self._commits.hurry()

    # How it stands.

    @property
    def problem(self) -> str | None:
        """Why no message is taken at the moment, as one sentence."""
        return self._capacity.problem

    @property
    def is_writable(self) -> bool:
        """Whether settlements can be recorded: while they cannot, nothing new may be sent."""
        return self._capacity.is_writable

    def doubt(self, problem: OutboxError) -> None:
        """Have nothing new sent until a commit holds: what is here may be another's by now."""
        self._capacity.failed(problem)

    @property
    def committing_since(self) -> float | None:
        """Monotonic seconds since which a transaction is under way."""
        return self._commits.committing_since

    @property
    def is_at_rest(self) -> bool:
        """Whether everything that came in is on disk."""
        return self._commits.is_at_rest and not self._capacity.kept

    @property
    def is_reading(self) -> bool:
        """Whether something is read that may be claimed then."""
        return self._heads.is_busy

    @property
    def used_bytes(self) -> int:
        """About what it held at the last commit."""
        return self._engine.used_bytes

    async def log_length(self) -> int:
        """How many deliveries are kept for the delivery log: settled, and no dead letters; read beside the loop."""
        return await asyncio.to_thread(self._engine.log_length)

    async def totals(self) -> list[EndpointTotals]:
        """The endpoints' accounts as of the last commit; read beside the loop. Raises as `overview` does."""
        return await asyncio.to_thread(self._engine.totals)

    def overview(self) -> Overview:
        """What it holds at this moment; from any thread. Raises OutboxUnavailable or OutboxDamaged."""
        return self._engine.overview()

    # A commit's steps on the loop.

    def _publish(self, commit: Commit, applied: Applied | None) -> None:
        """Lanes, claims and those who wait take over what was committed."""
        if applied is not None:
            self.commits += 1
            claimable = set(self._lanes) if self._capacity.recovered() else set()
            if applied.is_whole:
                self._count_empty(applied)
            enqueued = commit.publish(applied, self._lanes_of, now=self._clock.monotonic())
            for endpoint, count in enqueued.items():
                self.enqueued[endpoint] += count
            # Deliveries set out before the acknowledgements, because nobody waits for those.
            self.on_claimable(claimable.union(enqueued, commit.touched_endpoints(applied)))
            commit.answer(applied)
            if self._capacity.kept:
                self._commits.hurry()
            for device in applied.forgotten:
                self._sightings.forget(device, now=self._clock.monotonic())
        if commit.has_foreign_change and self._commits.has_gone_to_write:
            # A pause of our own that is not on disk yet would look like one that a command has ended.
            self._commits.next.has_foreign_change = True
        elif commit.has_foreign_change:
            self.health = {one.name: one.health for one in commit.endpoints}
            self.on_foreign_change()

    def _count_empty(self, applied: Applied) -> None:
        """Nothing is pending in the lanes that the engine found nothing in."""
        for name, lanes in self._lanes.items():
            for device in lanes.devices():
                applied.counted.setdefault((name, device), LaneRows(0, ReadingNumber(0)))

    # From start to end.

    async def run(self) -> None:
        """Commit what comes in, until `close`."""
        self._end = asyncio.get_running_loop().create_future()
        looker = asyncio.create_task(_every(LOOK_SECONDS, self.look))
        keeper = asyncio.create_task(self._keep_all_devices())
        self._commits.start()
        self._on_rest()
        try:
            await self._end
        finally:
            self._commits.stop()
            looker.cancel()
            keeper.cancel()

    async def _keep_all_devices(self) -> None:
        while True:
            has_more = self.keep_devices()
            await asyncio.sleep(BETWEEN_DEVICES_SECONDS if has_more else LOOK_SECONDS)

    def _on_rest(self) -> None:
        if self._is_closing and self.is_at_rest and self._end is not None and not self._end.done():
            self._end.set_result(None)

    def _on_defect(self, error: BaseException) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(error)

    async def close(self) -> None:
        """Commit what is left, except puts that nobody waits for any more: the broker has those still."""
        self._commits.next.drop_unawaited()
        self._capacity.kept.drop_unawaited()
        self._sightings.keep_all(self._commits.next.changes.devices, now=self._clock.monotonic())
        self._is_closing = True
        self._commits.hurry()

    def release_files(self) -> None:
        self._commits.close()
        self._heads.close()
        self._engine.close()


async def _every(seconds: float, call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        call()


def _note_due(due: dict[Device, float], deliveries: Iterable[Delivery], at: float) -> None:
    for one in deliveries:
        due[one.device] = max(at, due.get(one.device, at))
