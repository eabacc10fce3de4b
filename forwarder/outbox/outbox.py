"""The outbox of the running service: readings in, deliveries out. Everything here runs on the loop."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from forwarder.clock import Clock
from forwarder.delivery import Delivery, RetryAt
from forwarder.endpoint_health import EndpointHealth
from forwarder.logs import harmless
from forwarder.outbox.accounts import Accounts
from forwarder.outbox.candidates import Candidates
from forwarder.outbox.capacity import Capacity
from forwarder.outbox.changes import Applied, LaneKey
from forwarder.outbox.commit import Commit
from forwarder.outbox.devices import Devices, most_devices
from forwarder.outbox.engine import Engine, HandedOver, Limits
from forwarder.outbox.group_commit import GroupCommit
from forwarder.outbox.homes import Homes
from forwarder.outbox.intake import NewReading, Outcomes, Put, Unrouted
from forwarder.outbox.lane import lane_of
from forwarder.outbox.operations import Lead, Operation, ReleaseHomes, Shrink, Tell, Told
from forwarder.outbox.schedule import Schedule
from forwarder.outbox.settlement import Claim, Settlement
from forwarder.reading import Device
from forwarder.settings import OutboxPlace

COMPANY_SECONDS = 0.02
"""The longest wait of a settlement, or a count, for a message that shares its commit."""
LOOK_SECONDS = 0.5
"""Seconds between two looks for changes by commands."""
BETWEEN_DEVICES_SECONDS = 0.1
"""Seconds between two lots of devices' records, where more than one lot waits."""
MEMORY_LIMIT = 4096
"""Deliveries that wait in memory at most, over all lanes, but for a few at endpoints without ready lanes."""
MOST_NOTICES = 10_000
"""Notices that wait for the operator's endpoint at most."""

T = TypeVar("T")


class Listener(Protocol):
    """The right half, as the outbox calls it on the loop, after a commit or a read."""

    def start_due(self, endpoints: Iterable[str], /) -> None:
        """Something may be claimed from these endpoints."""

    def look_for_pauses(self) -> None:
        """A command has changed the outbox, and `health` is up to date."""

    def look_for_homes(self) -> None:
        """The endpoints whose home is here have changed."""


class Outbox:
    """
    The durable middle; the head of the package explains its steps.

    `put` and operations are done once they are on disk. A settlement takes effect at once and rides on the next commit.
    """

    def __init__(
        self,
        engine: Engine,
        path: OutboxPlace,
        *,
        clock: Clock,
        limits: Limits,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self.quarantine_max_bytes = limits.quarantine_max_bytes
        self.on_foreign_change: Callable[[], None] = lambda: None
        """Called when a command has changed the outbox; `health` is up to date then."""
        self.accounts = Accounts(engine)
        self.capacity = Capacity(engine, path)
        start = engine.start()
        self.schedule = Schedule(
            engine,
            start.lanes,
            clock=clock,
            memory_limit=memory_limit,
            count=self._count_lane,
            on_defect=self._on_defect,
        )
        self.devices = Devices(most_devices(limits.max_bytes))
        """The devices that report."""
        self._sightings = harmless(self.devices)
        """The same devices; an error in them never stops the line."""
        self._see = self._sightings.see
        self.see_unrouted: Callable[[Sequence[Unrouted]], None] = self._sightings.see_unrouted
        """Note devices whose readings no endpoint wants; `put` notes all others."""
        self.candidates = Candidates(
            start.totals,
            leads=lambda: self.leads,
            ask=self._ask,
            accounts=self.accounts,
            clock=clock,
        )
        self.health = {one.name: one.health for one in start.totals}
        """Each endpoint's health, as its row was at start, or after the last change by a command or of homes."""
        self._told: dict[str, str] = {}
        if self.leads:
            self._take_up(engine.handed_over())
        self._commits = GroupCommit(
            engine,
            clock=clock,
            prepare=self._prepare,
            publish=self._publish,
            on_failed=self.capacity.failed,
            on_rest=self._on_rest,
            on_defect=self._on_defect,
        )
        self.homes = Homes(
            start.homes, self.schedule, self._commits, leads=lambda: self.leads, clock=clock
        )
        self.schedule.on_served = self.homes.supersede_all
        self._end: asyncio.Future[None] | None = None
        """Ends `run`."""
        self._is_closing = False

    def attach(self, listener: Listener) -> None:
        """Tell `listener` from now on what there is to do for the right half."""
        self.schedule.on_claimable = listener.start_due
        self.on_foreign_change = listener.look_for_pauses
        self.homes.on_changed = listener.look_for_homes

    @property
    def leads(self) -> bool:
        """Whether this replica puts what comes in: its `Seat` says when it is to, and `lead` makes it so."""
        return self._engine.standing.leads

    async def lead(self) -> None:
        """
        Put what comes in from now on; devices, and what the operator was told, are as the last leader left them.

        Raises OutboxUnavailable, after which the caller calls again.
        """
        await self.operate(Lead())
        # Both reads precede both take-overs, because a read may fail and the caller then starts anew. No other leader
        # writes these rows between the awaits, because the line is ours since `Lead`.
        totals = await self.accounts.totals()
        handed_over = await asyncio.to_thread(self._engine.handed_over)
        self.candidates.lead(totals)
        self._take_up(handed_over)

    def _take_up(self, handed_over: HandedOver) -> None:
        self._sightings.restore(handed_over.devices)
        self._told = handed_over.told

    # The left half.

    def put(self, puts: Sequence[Put]) -> asyncio.Future[Outcomes]:
        """Make the messages durable; the future is done once they are on disk, however long that takes."""
        answer: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()
        self._commits.next.put(puts, answer)
        # The thread begins first, and the loop notes the devices while the thread writes.
        self._commits.hurry()
        self._see(puts)
        return answer

    def count(self, outcomes: Outcomes) -> None:
        """Count messages without anything to store, with the next commit."""
        for outcome in outcomes:
            self._commits.next.changes.count(outcome)
        self._commits.within(COMPANY_SECONDS)

    # The right half.

    def settle(
        self, endpoint: str, settlements: Sequence[Settlement] = (), *, ends: Sequence[Claim] = ()
    ) -> None:
        """
        Record what was decided about claimed deliveries, and end claims.

        A claim may end with deliveries that have no decision, and those are as if never claimed. A lane waits until its
        latest retry is due.
        """
        lanes, commit = self.schedule.lanes_of(endpoint), self._commits.next
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
            lane = lane_of(claim)
            due_at = due[lane.device] + offset if lane.device in due else None
            if due_at is not None and due_at - now > lanes.longest_wait_seconds:
                due_at = now  # the wall clock was set back since the decision
            is_waited_for |= lanes.end(lane, due_at=due_at, now=now)
            # The next delivery may set out at once, so no power cut may undo the settlement of the one before.
            commit.is_built_on = commit.is_built_on or lane.pending > 0
        if is_waited_for:
            self._commits.hurry()
        elif settlements:
            # Settlements go at once while the thread rests, because a later start makes the next message's commit
            # longer. Settlements share a commit where another replica leads, because no message comes there.
            is_at_once = not self._commits.is_busy and self.leads
            self._commits.within(0.0 if is_at_once else COMPANY_SECONDS)

    def record_health(self, endpoint: str, health: EndpointHealth) -> None:
        """Record the endpoint's health with the next commit; a later record replaces an earlier one."""
        self._commits.next.changes.health[endpoint] = health
        self._commits.within(COMPANY_SECONDS)

    def record_gone(self, endpoint: str, url_digest: str | None) -> None:
        """Record with the next commit that the endpoint answered 410 at this URL, or (None) that its pause is over."""
        self._commits.next.changes.gone[endpoint] = url_digest
        self._commits.hurry()

    def _count_lane(self, lane: LaneKey) -> None:
        self._commits.next.changes.uncertain.add(lane)
        self._commits.within(COMPANY_SECONDS)

    # Orders of time, operators and other replicas.

    def release_home(self, endpoint: str) -> None:
        """Leave the endpoint to another replica with the next commit; the caller claims nothing of it any more."""
        self._ask(ReleaseHomes([endpoint]))

    async def operate(self, operation: Operation[T]) -> T:
        """Make the operation part of the next commit; return its answer once on disk, or raise its error."""
        return await self._ask(operation)

    async def try_commit(self) -> None:
        """Return once a commit that changes nothing has succeeded, which shows that the outbox takes writes."""
        await self.operate(ReleaseHomes(()))

    def _ask(self, operation: Operation[T]) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._commits.next.changes.operations.append(operation)
        self._commits.next.asking.append(answer)
        self._commits.hurry()
        return answer

    def tell(
        self, endpoint: str, notices: Sequence[NewReading], told: Mapping[str, str | None]
    ) -> asyncio.Future[Counter[Told]]:
        """
        Owe notices to the operator's endpoint, and remember what was told in the same transaction.

        The future tells what each notice came to, once all are on disk; the caller need not await it.
        """
        for subject, what in told.items():
            if what is None:
                self._told.pop(subject, None)
            else:
                self._told[subject] = what
        answer = self._ask(Tell(notices, told, endpoint, MOST_NOTICES, self._clock.unix()))
        answer.add_done_callback(partial(_count_notices, self.accounts.enqueued, endpoint))
        return answer

    def told(self) -> dict[str, str]:
        """Words to the operator about lasting conditions, told or about to be, by subject."""
        return dict(self._told)

    async def shrink(self) -> None:
        """Give free space back to the file system."""
        await self.operate(Shrink())
        await asyncio.to_thread(self._engine.trim)

    def keep_devices(self) -> bool:
        """Bring some records of devices up to date with the next commit; returns whether more are left."""
        # Records hurry no commit, because the next look brings one.
        self._sightings.keep(self._commits.next.changes.devices, now=self._clock.monotonic())
        return self.devices.has_more

    def look(self) -> None:
        """Have the commit thread look for changes by other processes."""
        self._commits.next.is_to_look = True
        self._commits.hurry()

    # Standing.

    @property
    def committing_since(self) -> float | None:
        """Monotonic seconds since which a transaction is under way; None while none is."""
        return self._commits.committing_since

    @property
    def is_at_rest(self) -> bool:
        """Whether everything that came in is on disk."""
        return self._commits.is_at_rest and not self.capacity.kept

    # A commit's steps on the loop.

    def _prepare(self, commit: Commit) -> Commit:
        """Admit the part of the commit that there is room for, and hold what it may change."""
        admitted = self.capacity.admit(commit)
        admitted.changes.kept_last = self.candidates.kept_last
        admitted.prepare(self.schedule.lanes_of)
        return admitted

    def _publish(self, commit: Commit, applied: Applied | None) -> None:
        """Hand what was committed to lanes, homes, the right half and those who wait, in this order."""
        if commit.endpoints:
            self.health = {one.name: one.health for one in commit.endpoints}
        if applied is not None:
            self.accounts.commits += 1
            claimable = self.schedule.endpoints if self.capacity.recovered() else set()
            if applied.is_whole:
                self.schedule.count_empty(applied)
            homes = self.homes.here if applied.homes is None else applied.homes
            now = self._clock.monotonic()
            enqueued = commit.publish(applied, self.schedule.lanes_of, homes=homes, now=now)
            # Health and lanes come before homes, because an endpoint that starts here begins with both.
            claimable |= self.homes.publish(applied)
            if applied.has_more:
                self.look()
            self.accounts.enqueued.update(enqueued)
            self.accounts.enqueued.update(applied.enqueued)
            self.accounts.thinned.update(applied.thinned)
            # Attempts start before PUBACKs leave, because only deliveries are in a hurry.
            self.schedule.on_claimable(claimable.union(enqueued, commit.touched_endpoints(applied)))
            commit.answer(applied)
            if self.capacity.kept:
                self._commits.hurry()
            for device in applied.forgotten:
                self._sightings.forget(device, now=self._clock.monotonic())
        is_early = commit.has_foreign_change and self._commits.has_gone_to_write
        if is_early or commit.lacks_endpoints:
            # The next commit reads the accounts anew. These lack a pause of our own that is not on disk yet, as if a
            # command had ended it, or could not be read.
            self._commits.next.has_foreign_change = True
        elif commit.has_foreign_change:
            self.on_foreign_change()

    # Start and end.

    async def run(self) -> None:
        """Commit what comes in, until `close`."""
        self._end = asyncio.get_running_loop().create_future()
        looker = asyncio.create_task(_every(LOOK_SECONDS, self.look))
        keeper = asyncio.create_task(_keep_all_devices(self))
        self._commits.start()
        self._on_rest()
        try:
            await self._end
        finally:
            self._commits.stop()
            looker.cancel()
            keeper.cancel()

    def _on_rest(self) -> None:
        if self._is_closing and self.is_at_rest and self._end is not None and not self._end.done():
            self._end.set_result(None)

    def _on_defect(self, error: BaseException) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(error)

    async def conclude_puts(self) -> None:
        """
        Return once all puts and all records of devices are on disk, so that another replica may put.

        Puts that nobody awaits any more are dropped, because the broker still has their messages.
        """
        _drop_unawaited(self._commits.next, self.capacity.kept)
        self._sightings.keep_all(self._commits.next.changes.devices, now=self._clock.monotonic())
        await self.try_commit()

    async def close(self) -> None:
        """Commit what is left, which ends `run`; puts that nobody awaits are dropped, as by `conclude_puts`."""
        _drop_unawaited(self._commits.next, self.capacity.kept)
        self._sightings.keep_all(self._commits.next.changes.devices, now=self._clock.monotonic())
        self._is_closing = True
        self._commits.hurry()

    def release_files(self) -> None:
        self._commits.close()
        self.schedule.close()
        self._engine.close()


def _count_notices(
    enqueued: Counter[str], endpoint: str, answer: asyncio.Future[Counter[Told]]
) -> None:
    if not answer.cancelled() and answer.exception() is None:
        enqueued[endpoint] += answer.result()["enqueued"]


def _drop_unawaited(*commits: Commit) -> None:
    for commit in commits:
        commit.drop_unawaited()


async def _every(seconds: float, call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        call()


async def _keep_all_devices(outbox: Outbox) -> None:
    while True:
        has_more = outbox.keep_devices()
        await asyncio.sleep(BETWEEN_DEVICES_SECONDS if has_more else LOOK_SECONDS)


def _note_due(due: dict[Device, float], deliveries: Iterable[Delivery], at: float) -> None:
    for one in deliveries:
        due[one.device] = max(at, due.get(one.device, at))
