"""
Lanes and commits beside a model: puts, reads, claims, settlements, failures of a commit, foreign changes, restarts.

The model is the rows, as lists of numbers. A read takes place at some instant between its question and its answer. What
is offered must be the first rows that are not settled, in order; what is in flight must neither give way nor expire;
when everything is written and counted, lanes and rows agree. No lane that holds something is forgotten.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.properties import examples
from support.readings import delivery, new_reading

from forwarder.delivery import Delivery, Done, ReadingNumber, RetryAt
from forwarder.outbox import Claim, ExpireOld, NewReading, Recipient, Settlement
from forwarder.outbox.changes import Applied, Changes, LaneKey, LaneRows, Run
from forwarder.outbox.commit import Commit
from forwarder.outbox.lane import Lane, LaneState, Memory
from forwarder.outbox.lanes import EndpointLanes
from forwarder.reading import Device

ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")
DEVICES = st.sampled_from([ONE, TWO])


def rows_of(numbers: list[int]) -> LaneRows:
    return LaneRows(len(numbers), ReadingNumber(max(numbers, default=0)))


class Rows:
    """What is pending on disk, by device: an engine for one endpoint, in a few lines."""

    def __init__(self) -> None:
        self.pending: dict[Device, list[int]] = {ONE: [], TWO: []}
        self.last = 1000
        self.noted: set[LaneKey] = set()
        self.ends: Counter[int] = Counter()
        """By number, how often it was delivered, superseded, expired or erased."""

    def apply(self, changes: Changes) -> Applied:
        touched, applied = {*changes.uncertain, *self.noted}, Applied()
        in_flight = changes.in_flight.get("acme", set())
        for settlement in changes.settlements:
            for one in settlement.deliveries if settlement.decision == Done() else ():
                if not self.end(one.device, one.reading):
                    touched.add(("acme", one.device))
        for operation in changes.operations:
            assert isinstance(operation, ExpireOld)
            for device, numbers in self.pending.items():
                for number in [one for one in numbers[:2] if one not in in_flight]:
                    self.end(device, number)
                    touched.add(("acme", device))
        for (reading,) in changes.puts:
            assert isinstance(reading, NewReading)
            applied.runs.append(self.put(reading, in_flight, applied.superseded))
        applied.counted = {key: rows_of(self.pending[key[1]]) for key in touched}
        self.noted.clear()
        return applied

    def put(
        self, reading: NewReading, in_flight: set[ReadingNumber], superseded: dict[LaneKey, int]
    ) -> Run:
        self.last += 1
        numbers = self.pending[reading.device]
        if reading.recipients[0].only_latest:
            older = [one for one in numbers if one not in in_flight]
            key = ("acme", reading.device)
            superseded[key] = superseded.get(key, 0) + len(older)
            for one in older:
                self.end(reading.device, one)
        numbers.append(self.last)
        return Run(ReadingNumber(self.last), [reading], reading.recipients)

    def end(self, device: Device, number: int) -> bool:
        if number not in self.pending[device]:
            return False
        self.pending[device].remove(number)
        self.ends[number] += 1
        return True


class OutboxAgainstRows(RuleBasedStateMachine):
    """Whatever happens: order, one claim a lane, nothing twice, right counts, and nothing is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.now = 0.0
        self.begin_process()

    def begin_process(self) -> None:
        self.memory = Memory(limit=2)
        self.lanes = EndpointLanes("acme", self.memory)
        self.next = Commit()
        self.under_way: tuple[Commit, Applied | None] | None = None
        self.reading: dict[Lane, int] = {}
        self.found: dict[Lane, list[Delivery]] | None = None
        self.claims: dict[Device, tuple[Lane, list[Delivery]]] = {}
        self.settled: set[int] = set()
        """For good, by this process."""
        for device, numbers in self.rows.pending.items():
            if numbers:
                self.lanes.restore(device, pending=len(numbers), newest=max(numbers), now=self.now)
        self.rows.noted.clear()

    @initialize(count=st.integers(0, 4))
    def begin_with_some(self, count: int) -> None:
        for _ in range(count):
            self.put(ONE, is_latest=False)
        self.commit_all()

    @rule(device=DEVICES, is_latest=st.booleans())
    def put(self, device: Device, is_latest: bool) -> None:
        to = Recipient("acme", only_latest=is_latest)
        reading = new_reading(device, "payload", recipients=(to,))
        self.next.changes.puts.append([reading])
        self.next.may_supersede |= is_latest

    @rule()
    def expire(self) -> None:
        self.next.changes.operations.append(ExpireOld("acme", 0.0, only_latest=False, now=0.0))

    @rule(device=DEVICES, is_replay=st.booleans())
    def change_from_outside(self, device: Device, is_replay: bool) -> None:
        """A command puts a delivery at the head of a lane, or erases the last one."""
        numbers = self.rows.pending[device]
        if is_replay:
            self.rows.last += 1
            numbers.insert(0, 2000 - self.rows.last)
        elif numbers:
            self.rows.end(device, numbers[-1])
        self.rows.noted.add(("acme", device))

    @precondition(lambda self: not (self.reading or self.lanes.is_held))
    @rule(is_probe=st.booleans())
    def ask(self, is_probe: bool) -> None:
        """What comes next in lanes is to be read."""
        self.reading = self.lanes.unread.begin(is_probe=is_probe)

    @precondition(lambda self: self.reading and self.found is None)
    @rule()
    def read(self) -> None:
        """The thread sees the rows as they are now, whatever the loop knows of them."""
        self.found = {
            lane: [delivery(one, lane.device) for one in self.rows.pending[lane.device][:count]]
            for lane, count in self.reading.items()
        }

    @precondition(lambda self: self.found is not None)
    @rule()
    def publish_read(self) -> None:
        found, self.found, self.reading = self.found or {}, None, {}
        self.lanes.unread.end()
        for lane, deliveries in found.items():
            if not deliveries:
                self.next.changes.uncertain.add(("acme", lane.device))
            due_at = None if deliveries else self.now + 1.0
            self.lanes.remember(lane, deliveries, due_at=due_at, now=self.now)

    @rule(limit=st.integers(1, 3), is_probe=st.booleans())
    def claim(self, limit: int, is_probe: bool) -> None:
        take = self.lanes.claim_for_probe if is_probe else self.lanes.claim
        lane = take(now=self.now)
        if lane is None:
            return
        assert lane.device not in self.claims
        is_known = not self.is_unseen(lane.device)
        taken = list(self.lanes.take(lane, limit=limit))
        numbers = [int(one.reading) for one in taken]
        assert numbers
        assert not self.settled.intersection(numbers)
        if is_known:
            owed = [one for one in self.rows.pending[lane.device] if one not in self.settled]
            assert numbers == owed[: len(numbers)]
        self.claims[lane.device] = (lane, taken)

    def is_unseen(self, device: Device) -> bool:
        """Whether rows of the lane were changed, and the lanes have not been told of it yet."""
        applied = self.under_way[1] if self.under_way else None
        is_counted = applied is not None and ("acme", device) in applied.counted
        return ("acme", device) in self.rows.noted or is_counted

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), is_final=st.booleans(), ends=st.booleans(), wait=st.booleans())
    def settle(self, data: st.DataObject, is_final: bool, ends: bool, wait: bool) -> None:
        device = data.draw(st.sampled_from(sorted(self.claims)))
        _, left = self.claims[device]
        if left and (is_final or wait):
            self.record(left[:1], is_final=is_final)
            if is_final:
                left.pop(0)
        if ends:
            self.end(device, due_at=self.now + 5.0 if wait and not is_final else None)

    def record(self, deliveries: list[Delivery], *, is_final: bool) -> None:
        for lane, count in self.lanes.settle(deliveries, is_final=is_final):
            self.next.settled.append((self.lanes, lane, count))
        decision = Done() if is_final else RetryAt(0.0)
        self.next.changes.settlements.append(Settlement(deliveries, decision, None))
        if is_final:
            self.settled.update(int(one.reading) for one in deliveries)

    def end(self, device: Device, *, due_at: float | None = None) -> None:
        lane, _ = self.claims.pop(device)
        self.lanes.end(lane, due_at=due_at, now=self.now)

    @precondition(lambda self: self.under_way is None)
    @rule()
    def begin(self) -> None:
        """A commit is prepared, and is on its way to the thread."""
        commit, self.next = self.next, Commit()
        commit.prepare(lambda _: self.lanes)
        self.under_way = (commit, None)

    @precondition(lambda self: self.under_way and self.under_way[1] is None)
    @rule(fails=st.booleans())
    def apply(self, fails: bool) -> None:
        """The thread has brought it into the rows, which the loop does not know yet; or it could not."""
        assert self.under_way is not None
        commit, _ = self.under_way
        if fails:
            self.next, self.under_way = commit.followed_by(self.next), None
            return
        in_flight = {int(one.reading) for _, left in self.claims.values() for one in left}
        before = {one: count for one, count in self.rows.ends.items() if one in in_flight}
        applied = self.rows.apply(commit.changes)
        # What is in flight still was neither superseded nor expired; a settlement of it is yet to come.
        assert all(self.rows.ends[one] == before.get(one, 0) for one in in_flight)
        self.under_way = (commit, applied)

    @precondition(lambda self: self.under_way and self.under_way[1] is not None)
    @rule()
    def publish(self) -> None:
        assert self.under_way is not None
        commit, applied = self.under_way
        assert applied is not None
        self.under_way = None
        commit.publish(applied, lambda _: self.lanes, homes=None, now=self.now)

    @rule()
    def commit(self) -> None:
        """All of it at once."""
        self.commit_all()

    @rule()
    def restart(self) -> None:
        """The process dies: what was not committed is gone, claims are void, a commit that was made stays made."""
        self.begin_process()

    @rule(seconds=st.floats(0.1, 10.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def recover(self) -> None:
        self.lanes.wake_all(self.now)

    @invariant()
    def counts_agree(self) -> None:
        in_memory = sum(len(lane.fresh) for lane in self.lanes._lanes.values())
        assert self.memory.used == in_memory + sum(self.reading.values())
        assert all(count == 1 for count in self.rows.ends.values())

    @invariant()
    def no_lane_is_forgotten(self) -> None:
        """One that rests for no other reason is to be read, or is being read; one that is ready is in memory."""
        for lane in self.lanes._lanes.values():
            assert lane.fresh or lane.state is not LaneState.READY
            is_free = not (lane.is_held or lane.due_at is not None or lane.unsaved)
            if lane.state is LaneState.RESTING and is_free:
                assert (lane in self.lanes.unread) != lane.is_read
                assert not lane.fresh

    @invariant()
    def newer_readings_are_known(self) -> None:
        """A lane tells without a look at the rows whether something newer waits behind what is in flight."""
        for device, (lane, left) in self.claims.items():
            if self.under_way is None and not self.is_unseen(device) and not lane.is_changed:
                claim = Claim(lane.claimed, lane)
                owed = [one for one in self.rows.pending[device] if one not in self.settled]
                has_more = len(owed) > len(left)
                for one in left:
                    assert claim.has_newer(one) == (has_more and max(owed) > one.reading)

    @invariant()
    def lanes_agree_with_rows(self) -> None:
        """While nothing is under way: pending is what the rows hold, without what is settled and not written."""
        if self.under_way is not None:
            return
        for device, numbers in self.rows.pending.items():
            if ("acme", device) not in self.rows.noted and not self.has_vanished(device):
                lane = self.lanes.find(device)
                owed = [one for one in numbers if one not in self.settled]
                assert (lane.pending if lane else 0) == len(owed)

    def has_vanished(self, device: Device) -> bool:
        """Whether something was settled that was erased meanwhile: its commit will count the lane."""
        return any(
            one.device == device and int(one.reading) not in self.rows.pending[device]
            for settlement in self.next.changes.settlements
            for one in settlement.deliveries
        )

    def teardown(self) -> None:
        """In the end everything is offered, and delivered."""
        for device in list(self.claims):
            self.end(device)
        for _ in range(12):
            self.commit_all()
            self.now += 100.0
            self.lanes.wake_due(self.now)
            self.read_all()
            while (lane := self.lanes.claim(now=self.now)) is not None:
                self.record(list(self.lanes.take(lane, limit=99)), is_final=True)
                self.lanes.end(lane, now=self.now)
        self.commit_all()
        assert self.rows.pending == {ONE: [], TWO: []}

    def read_all(self) -> None:
        if not self.reading:
            self.ask(is_probe=False)
        if self.reading and self.found is None:
            self.read()
        self.publish_read()

    def commit_all(self) -> None:
        if self.under_way is None:
            self.begin()
        if self.under_way and self.under_way[1] is None:
            self.apply(fails=False)
        self.publish()


OutboxAgainstRows.TestCase.settings = settings(
    max_examples=examples(600), stateful_step_count=40, deadline=None
)
TestOutboxAgainstRows = OutboxAgainstRows.TestCase
