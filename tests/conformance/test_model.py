"""
The whole outbox beside a model: whatever happens in whatever order, nothing is lost, offered twice, or out of turn.

What happens: puts, claims, settlements, sweeps, commands of other processes, a full outbox, commits that fail,
operations that raise, restarts. The threads work when the model says so: a commit can be anywhere between the loop and
the disk while the next thing happens, and so can a read.

The model is what the tables hold, and what this process has settled since. What is offered must be the first of a lane
that is pending and not settled; what is in flight may be ended by its own settlement alone.
"""

import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.clock import HandClock
from support.outbox import LONGEST_WAIT, attempt
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.delivery import Bury, Decision, Delivery, Done, ReadingNumber, RetryAt
from forwarder.errors import OutboxUnavailable
from forwarder.outbox import (
    BuryRemoved,
    Claim,
    DeliveryId,
    Discard,
    ExpireOld,
    Operation,
    Recipient,
    Replay,
    Settlement,
    group_commit,
    inspect,
    opened,
)
from forwarder.outbox import outbox as outbox_module
from forwarder.outbox.changes import Applied, Changes, OperationFailed
from forwarder.outbox.operations import EraseDeliveries
from forwarder.outbox.thread import Worker
from forwarder.reading import Device

IN_MEMORY = Path("/dev/shm")
DEVICES = [Device("ECC9FF5C0001"), Device("ECC9FF5C0002")]
ENDPOINTS = ["acme", "home"]
RECIPIENTS = [
    (Recipient("acme"),),
    (Recipient("acme"), Recipient("home", only_latest=True)),
    (Recipient("acme", only_latest=True), Recipient("home")),
]
"""`acme` is edited to `mode: latest` and back all the time."""
Key: TypeAlias = tuple[str, int]
"""An endpoint and a reading's number."""
Failure: TypeAlias = Literal["none", "fails", "operation"]
FAILURES: list[Failure] = ["none", "none", "fails", "operation"]

T = TypeVar("T")


def keep_name(worker: Any, name: str) -> None:
    worker.name = name


class Tables:
    """What the outbox's tables hold, as far as it matters here."""

    def __init__(self, harness: OutboxHarness) -> None:
        self.names = {row["id"]: row["name"] for row in harness.engine.rows("endpoint")}
        self.device_of: dict[Key, Device] = {}
        self.state_of: dict[Key, str] = {}
        for row in harness.engine.rows("delivery"):
            key = (self.names[row["endpoint"]], row["reading"])
            self.device_of[key], self.state_of[key] = row["device"], row["state"]

    def keys(self, state: str) -> list[Key]:
        return [key for key, its in self.state_of.items() if its == state]

    def pending(self, endpoint: str, device: Device) -> list[int]:
        """The numbers of a lane, in order."""
        keys = [key for key in self.keys("pending") if self.device_of[key] == device]
        return sorted(number for name, number in keys if name == endpoint)

    def ids(self, keys: list[Key]) -> list[DeliveryId]:
        row_ids = {name: row_id for row_id, name in self.names.items()}
        return [DeliveryId(ReadingNumber(number), row_ids[name]) for name, number in keys]


class OutboxAgainstTables(RuleBasedStateMachine):
    """Rules are what may happen, invariants what must hold whenever it did."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.harness = OutboxHarness(self.folder / "outbox.db", HandClock())
        self.count = 0
        self.answered = 0
        """Messages that were acknowledged before the process that runs now."""
        self.patches = ExitStack()
        no_thread: dict[str, Any] = {
            "__init__": keep_name,
            "start": lambda worker, call, **told: self.begin(worker, call, **told),
            "close": lambda _: None,
        }
        self.patches.enter_context(patch.multiple(Worker, **no_thread))
        self.patches.enter_context(patch.object(outbox_module, "COMPANY_SECONDS", 0.0))
        self.patches.enter_context(patch.object(outbox_module, "LOOK_SECONDS", 3600.0))
        self.patches.enter_context(patch.object(group_commit, "LARGE", 1))
        self.begin_process()

    def run(self, awaitable: Awaitable[T]) -> T:
        return self.loop.run_until_complete(awaitable)

    async def turns(self) -> None:
        """The loop listens to the thread, and gives it what came in."""
        while self.told:
            self.told.popleft()()
        for _ in range(group_commit.TURNS + 3):
            await asyncio.sleep(0)

    def begin_process(self) -> None:
        self.calls: dict[str, deque[Callable[[], None]]] = {"commit": deque(), "heads": deque()}
        """What each thread was given and has not done."""
        self.told: deque[Callable[[], None]] = deque()
        """What it has told the loop, which has not listened yet."""
        self.claims: dict[tuple[str, Device], tuple[Claim, list[Delivery]]] = {}
        self.settled: set[Key] = set()
        """For good, in this process."""
        self.disturbed: set[tuple[str, Device]] = set()
        """Lanes that another process changed, which ours may not know yet."""
        self.puts: list[asyncio.Future[Any]] = []
        self.asking: list[asyncio.Task[Any]] = []
        self.failure: Failure = "none"
        self.run(self.open())

    def begin(
        self,
        worker: Any,
        call: Callable[[], Any],
        *,
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """In place of a thread: `work` makes the call, and `publish` lets the loop hear of it."""

        def make() -> None:
            try:
                conclusion = partial(done, call())
            except BaseException as error:  # noqa: BLE001 - as the thread does
                conclusion = partial(failed, error)
            self.told.append(conclusion)

        self.calls[worker.name].append(make)

    async def open(self) -> None:
        self.outbox = self.harness.open(memory_limit=3)
        for name in ENDPOINTS:
            self.outbox.schedule.serve(name, most_at_once=3, longest_wait_seconds=LONGEST_WAIT)
        self.apply_through = self.harness.engine.apply
        self.harness.engine.apply = self.apply  # type: ignore[method-assign] # a disk that fails
        await self.turns()

    def apply(self, changes: Changes, *, now: float) -> Applied:
        """What the thread does, with the failure that was chosen for it."""
        failure, self.failure = self.failure, "none"
        if failure == "operation" and changes.operations:
            raise OperationFailed(0, LookupError())
        if failure == "fails":
            raise OutboxUnavailable("no")
        return self.apply_through(changes, now=now)

    # What comes from the broker, and from time.

    @initialize(data=st.data())
    def begin_with_some(self, data: st.DataObject) -> None:
        self.put(data, count=3)
        self.look("none")

    @rule(data=st.data(), count=st.integers(1, 3))
    def put(self, data: st.DataObject, count: int) -> None:
        readings = []
        for _ in range(count):
            self.count += 1
            device = data.draw(st.sampled_from(DEVICES))
            to = data.draw(st.sampled_from(RECIPIENTS))
            readings.append(new_reading(device, f"{self.count}", recipients=to))
        self.run(self.put_all(readings))

    async def put_all(self, readings: list[Any]) -> None:
        self.puts.append(self.outbox.put(readings))

    @rule(name=st.sampled_from(ENDPOINTS), is_removed=st.booleans())
    def sweep(self, name: str, is_removed: bool) -> None:
        now = self.harness.clock.unix()
        sweep: Operation[int] = (
            BuryRemoved(name, now) if is_removed else ExpireOld(name, now - 5, False, now)
        )
        self.run(self.operate(sweep))

    async def operate(self, operation: Operation[Any]) -> None:
        task = asyncio.ensure_future(self.outbox.operate(operation))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.asking.append(task)
        await asyncio.sleep(0)

    @rule(seconds=st.sampled_from([1.0, 6.0]), is_full=st.booleans(), recovers=st.booleans())
    def wait(self, seconds: float, is_full: bool, recovers: bool) -> None:
        """Time passes; the outbox has reached its limit or not, and an endpoint may take readings again."""
        self.harness.engine.is_over_limit = is_full
        if recovers:
            self.outbox.schedule.wake_all("acme")
        self.run(self.advance(seconds))

    async def advance(self, seconds: float) -> None:
        self.harness.clock.advance(seconds)
        await asyncio.sleep(0)

    # What the dispatcher does.

    @rule(name=st.sampled_from(ENDPOINTS), limit=st.integers(1, 3), is_probe=st.booleans())
    def claim(self, name: str, limit: int, is_probe: bool) -> None:
        claimed = self.run(self.claimed(name, limit, is_probe=is_probe))
        if claimed is None:
            return
        lane = (name, claimed.device)
        assert lane not in self.claims
        numbers = [int(one.reading) for one in claimed.deliveries]
        assert not self.settled.intersection((name, one) for one in numbers)
        if lane not in self.disturbed:
            pending = Tables(self.harness).pending(*lane)
            owed = [one for one in pending if (name, one) not in self.settled]
            assert numbers == owed[: len(numbers)]
        self.claims[lane] = (claimed, list(claimed.deliveries))

    async def claimed(self, name: str, limit: int, *, is_probe: bool = False) -> Claim | None:
        return self.outbox.schedule.claim(name, limit=limit, is_probe=is_probe)

    @rule(data=st.data(), ends=st.booleans(), status=st.sampled_from(["2xx", "4xx", "5xx", "none"]))
    def settle(self, data: st.DataObject, ends: bool, status: str) -> None:
        if not self.claims:
            return
        lane = data.draw(st.sampled_from(sorted(self.claims)))
        decisions: dict[str, Decision] = {
            "2xx": Done(),
            "4xx": Bury("refused"),
            "5xx": RetryAt(self.harness.clock.unix() + 5),
        }
        self.run(self.decide(lane, decisions.get(status), ends=ends or status == "5xx"))

    async def decide(
        self, lane: tuple[str, Device], decision: Decision | None, *, ends: bool
    ) -> None:
        claim, left = self.claims[lane]
        settlements = []
        if decision is not None and left:
            one = left[0]
            settlements.append(Settlement([one], decision, attempt(one.attempts + 1)))
            if not isinstance(decision, RetryAt):
                self.settled.add((lane[0], int(left.pop(0).reading)))
        if ends:
            del self.claims[lane]
        self.outbox.settle(lane[0], settlements, ends=[claim] if ends else [])
        await asyncio.sleep(0)

    # What the thread and the loop do.

    @rule(worker=st.sampled_from(["commit", "heads"]), failure=st.sampled_from(FAILURES))
    def work(self, worker: str, failure: Failure) -> None:
        """A thread does what it was given first; the loop does not know yet."""
        if self.calls[worker]:
            self.failure = failure if worker == "commit" else "none"
            self.calls[worker].popleft()()

    @rule()
    def publish(self) -> None:
        self.run(self.turns())

    @rule(failure=st.sampled_from(FAILURES))
    def look(self, failure: Failure) -> None:
        """What the outbox does by itself every half second; and all of it comes to rest."""
        self.failure = failure
        self.run(self.come_to_rest())

    async def come_to_rest(self) -> None:
        self.harness.engine.is_over_limit = False
        self.outbox.look()
        for _ in range(50):
            await self.turns()
            while calls := self.calls["heads"] or self.calls["commit"]:
                calls.popleft()()
                await self.turns()
            if self.outbox.is_at_rest:
                break
            self.harness.clock.advance(1)
        assert self.outbox.is_at_rest
        self.disturbed &= self.claims.keys()

    # What other processes do.

    @rule(state=st.sampled_from(["pending", "dead"]), is_replay=st.booleans(), data=st.data())
    def command(self, state: str, is_replay: bool, data: st.DataObject) -> None:
        tables = Tables(self.harness)
        keys = tables.keys(state)
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        (row,), device = tables.ids([key]), tables.device_of[key]
        operation: Operation[Any] = EraseDeliveries([row], device)
        if state == "dead":
            operation = Replay([row], self.harness.clock.unix()) if is_replay else Discard([row])
            self.settled.discard(key)
        with opened(self.harness.path) as file:
            file.operate(operation)
        self.disturbed.add((key[0], device))

    @rule()
    def restart(self) -> None:
        """The process dies: claims are void, what was not committed is gone."""
        self.answered += self.answered_now()
        self.run(self.end_process())
        self.begin_process()

    async def end_process(self) -> None:
        for task in self.asking:
            task.cancel()
        await self.harness.kill()

    # What must hold.

    @invariant()
    def what_is_in_flight_is_pending(self) -> None:
        """Unless its own settlement, or another process, has ended it."""
        undisturbed = self.claims.keys() - self.disturbed
        tables = Tables(self.harness) if undisturbed else None
        for lane, (_, left) in self.claims.items():
            if tables is not None and lane in undisturbed:
                states = {tables.state_of[lane[0], int(one.reading)] for one in left}
                assert states <= {"pending"}

    @invariant()
    def what_is_answered_is_on_disk(self) -> None:
        if not self.answered_now():
            return
        on_disk = sum(row["count"] for row in self.harness.engine.rows("message_total"))
        assert on_disk >= self.answered + self.answered_now()

    def answered_now(self) -> int:
        return sum(len(put.result()) for put in self.puts if put.done())

    def teardown(self) -> None:
        """In the end everything is offered, and the accounts agree."""
        try:
            self.run(self.deliver_all())
        finally:
            self.run(self.end_process())
            self.patches.close()
            self.loop.close()
            shutil.rmtree(self.folder)

    async def deliver_all(self) -> None:
        for lane in list(self.claims):
            await self.decide(lane, None, ends=True)
        for _ in range(99):
            await self.come_to_rest()
            if not Tables(self.harness).keys("pending"):
                break
            await self.advance(10)
            for name in ENDPOINTS:
                while (claimed := await self.claimed(name, 9)) is not None:
                    done = Settlement(claimed.deliveries, Done(), attempt())
                    self.outbox.settle(name, [done], ends=[claimed])
                    await self.come_to_rest()
        assert Tables(self.harness).keys("pending") == []
        assert all(put.done() for put in self.puts)
        assert inspect(self.harness.path).faults == ()


OutboxAgainstTables.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.timeout(300)
class TestOutboxAgainstTables(OutboxAgainstTables.TestCase):  # type: ignore[misc,valid-type] # made by hypothesis
    """Run by pytest."""
