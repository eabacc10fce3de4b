"""What the schedule of lanes owes, with a model beside it."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.readings import delivery

from forwarder.outbox.lanes import GONE_IN_QUEUE, EndpointLanes, Lane, Memory
from forwarder.reading import Device

ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")


@pytest.fixture
def lanes() -> EndpointLanes:
    return EndpointLanes(Memory(limit=100))


def claimed(lanes: EndpointLanes, *, now: float = 0.0) -> Lane:
    lane = lanes.claim(now=now)
    assert lane is not None
    return lane


def test_lane_in_flight_is_not_claimed_again(lanes: EndpointLanes) -> None:
    """Of one device one claim is out at a time, however much is pending."""
    lanes.add(ONE, count=3, now=0.0)
    claimed(lanes)
    assert lanes.claim(now=0.0) is None


def test_lanes_are_served_in_turn(lanes: EndpointLanes) -> None:
    """A lane with a backlog goes behind those that became ready before it is done."""
    lanes.extend([delivery(1, ONE)], now=0.0)
    lanes.extend([delivery(2, ONE)], now=0.0)
    lanes.add(TWO, now=0.0)
    first = claimed(lanes)
    lanes.take(first, limit=1)
    lanes.settle(first, settled=1, now=0.0)
    assert [claimed(lanes).device, claimed(lanes).device] == [TWO, ONE]


def test_postponed_lane_waits_until_it_is_due(lanes: EndpointLanes) -> None:
    """A lane whose head is tried again later gives nothing before, and then does."""
    lanes.add(ONE, now=0.0)
    lane = claimed(lanes)
    lanes.settle(lane, due_at=10.0, now=0.0)
    lanes.confirm(lane, now=0.0)
    assert lanes.claim(now=9.9) is None
    assert lanes.next_due() == 10.0
    assert lanes.claim(now=10.0) is lane


def test_postponed_lane_waits_for_its_settlement_even_when_due(lanes: EndpointLanes) -> None:
    """What is not on disk yet is not read back: a due lane rests until its settlement is released."""
    lanes.add(ONE, now=0.0)
    lane = claimed(lanes)
    assert lanes.settle(lane, due_at=1.0, now=0.0)
    assert lanes.claim(now=5.0) is None
    lanes.confirm(lane, now=5.0)
    assert lanes.claim(now=5.0) is lane


def test_next_in_memory_needs_no_release(lanes: EndpointLanes) -> None:
    """While memory holds what comes next, a settled lane goes on at once."""
    for number in (1, 2):
        lanes.extend([delivery(number, ONE)], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    assert not lanes.settle(lane, settled=1, now=0.0)
    assert [one.reading for one in lanes.take(claimed(lanes), limit=9)] == [2]


def test_unsettled_delivery_is_read_again_before_later_ones(lanes: EndpointLanes) -> None:
    """A claim that ends unsettled empties the lane's memory, which holds only what comes after it."""
    for number in (1, 2):
        lanes.extend([delivery(number, ONE)], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    assert lanes.settle(lane, settled=0, now=0.0)
    assert not lane.fresh


def test_held_lane_is_not_claimed(lanes: EndpointLanes) -> None:
    """While a transaction changes what is pending, nothing is claimed from the lane."""
    lane = lanes.add(ONE, now=0.0)
    lanes.hold(lane)
    assert lanes.claim(now=0.0) is None
    lanes.release(lane, now=0.0)
    assert lanes.claim(now=0.0) is lane


def test_lane_held_in_flight_rests_after_its_claim(lanes: EndpointLanes) -> None:
    """A hold that began in flight outlives the claim."""
    lane = lanes.add(ONE, count=2, now=0.0)
    claimed(lanes)
    lanes.hold(lane)
    lanes.settle(lane, settled=1, now=0.0)
    lanes.confirm(lane, now=0.0)
    assert lanes.claim(now=0.0) is None
    lanes.release(lane, now=0.0)
    assert lanes.claim(now=0.0) is lane


def test_recovered_endpoint_wakes_every_lane(lanes: EndpointLanes) -> None:
    """When the endpoint takes readings again, no lane waits for its own retry any more."""
    for device in (ONE, TWO):
        lanes.add(device, now=0.0)
        lane = claimed(lanes)
        lanes.settle(lane, due_at=900.0, now=0.0)
        lanes.confirm(lane, now=0.0)
    lanes.wake_all(1.0)
    assert {claimed(lanes).device, claimed(lanes).device} == {ONE, TWO}


def test_probe_takes_what_is_due_first(lanes: EndpointLanes) -> None:
    """When nothing is ready, a probe takes the lane whose time is nearest."""
    for device, due_at in ((ONE, 900.0), (TWO, 60.0)):
        lanes.add(device, now=0.0)
        lane = claimed(lanes)
        lanes.settle(lane, due_at=due_at, now=0.0)
        lanes.confirm(lane, now=0.0)
    probe = lanes.claim_for_probe(now=1.0)
    assert probe is not None
    assert probe.device == TWO


def test_emptied_lane_rests_until_that_is_on_disk(lanes: EndpointLanes) -> None:
    """What comes next to a lane whose last settlement is not on disk is not read from there: it would come twice."""
    lanes.extend([delivery(1, ONE)], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    assert lanes.settle(lane, settled=1, now=0.0)
    lanes.add(ONE, now=0.0)
    assert lanes.claim(now=0.0) is None
    lanes.confirm(lane, now=0.0)
    assert lanes.claim(now=0.0) is lane


@pytest.mark.parametrize(
    ("settled", "held"), [(1, [2]), (0, [])], ids=["nothing before it", "one before it"]
)
def test_what_is_put_while_a_lane_rests(
    lanes: EndpointLanes, settled: int, held: list[int]
) -> None:
    """A reading that comes in while the last one is settled need not be read back, unless another is before it."""
    lanes.extend([delivery(1, ONE)], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    lanes.settle(lane, settled=settled, now=0.0)
    lanes.extend([delivery(2, ONE)], now=0.0)
    assert lanes.claim(now=0.0) is None
    lanes.confirm(lane, now=0.0)
    assert [one.reading for one in claimed(lanes).fresh] == held


def test_recovery_ends_the_wait_from_before_a_restart_too(lanes: EndpointLanes) -> None:
    """A lane that was not claimed since the start does not wait for its head's time after its endpoint recovered."""
    lanes.restore(ONE, count=1, now=0.0)
    lanes.wake_all(1.0)
    assert not claimed(lanes).is_restored


def recount(lanes: EndpointLanes, device: Device, *, pending: int) -> None:
    """Within a transaction of its own."""
    lane = lanes.recount(device, pending=pending, now=0.0)
    if lane is not None:
        assert lanes.claim(now=0.0) is None
        lanes.release(lane, now=0.0)


def test_recount_to_nothing_forgets_the_lane(lanes: EndpointLanes) -> None:
    """A lane that a command has emptied is gone."""
    lanes.add(ONE, count=2, now=0.0)
    recount(lanes, ONE, pending=0)
    assert (len(lanes), lanes.claim(now=0.0), lanes.pending_count) == (0, None, 0)


def test_recount_brings_a_lane_back(lanes: EndpointLanes) -> None:
    """A replayed dead letter makes a lane that was empty."""
    recount(lanes, ONE, pending=1)
    assert claimed(lanes).device == ONE


def test_recounted_lane_reads_anew_what_its_head_waits_for(lanes: EndpointLanes) -> None:
    """A replay at the head is not held up by what waited there, nor is what waits there hurried by a replay behind."""
    lane = lanes.add(ONE, now=0.0)
    lanes.settle(claimed(lanes), due_at=900.0, now=0.0)
    lanes.confirm(lane, now=0.0)
    recount(lanes, ONE, pending=2)
    assert claimed(lanes).is_restored


def test_lane_recounted_in_flight_asks_for_another_count(lanes: EndpointLanes) -> None:
    """Nothing is remembered of it meanwhile: what memory holds might not be what comes next."""
    lanes.add(ONE, count=2, now=0.0)
    lane = claimed(lanes)
    recount(lanes, ONE, pending=0)
    lanes.extend([delivery(3, ONE)], now=0.0)
    assert lane.is_changed
    assert not lane.fresh


def test_memory_is_bounded_over_all_lanes() -> None:
    """Beyond the limit a delivery is counted, and read when its turn comes."""
    memory = Memory(limit=2)
    lanes = EndpointLanes(memory)
    for number in range(5):
        lanes.extend([delivery(number, ONE)], now=0.0)
    lane = claimed(lanes)
    assert (memory.used, lane.pending, len(lane.fresh)) == (2, 5, 2)


def test_queue_does_not_grow_while_nothing_is_claimed(lanes: EndpointLanes) -> None:
    """A lane that is held and released for months, at an endpoint that takes nothing, is queued once."""
    lane = lanes.add(ONE, now=0.0)
    for _ in range(100):
        lanes.hold(lane)
        lanes.release(lane, now=0.0)
    assert len(lanes._ready) == 1


def test_queue_forgets_lanes_that_are_gone(lanes: EndpointLanes) -> None:
    """Nor does it grow where readings expire for months before anything is claimed."""
    for _ in range(3 * GONE_IN_QUEUE):
        lanes.add(ONE, now=0.0)
        recount(lanes, ONE, pending=0)
    assert len(lanes._ready) <= GONE_IN_QUEUE + 1


class LanesAgainstModel(RuleBasedStateMachine):
    """Whatever happens: order per lane, one claim a lane, nothing twice, right counts, and nothing is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(limit=2)
        self.lanes = EndpointLanes(self.memory)
        self.now = 0.0
        self.number = 0
        self.pending: dict[Device, list[int]] = {ONE: [], TWO: []}
        self.rows: dict[Device, list[int]] = {ONE: [], TWO: []}
        """What is on disk: settlements reach it with the next commit."""
        self.claims: dict[Lane, list[int]] = {}
        self.recorded: Counter[Lane] = Counter()
        self.owed: list[Lane] = []
        self.touched: set[Device] = set()
        self.unwritten: list[tuple[Device, int]] = []
        self.arriving: list[Device] = []
        self.is_committing = False

    @rule(device=st.sampled_from([ONE, TWO]))
    def put(self, device: Device) -> None:
        self.arriving.append(device)

    def join(self, device: Device) -> None:
        self.number += 1
        self.pending[device].append(self.number)
        self.rows[device].append(self.number)
        self.lanes.extend([delivery(self.number, device)], now=self.now)

    @precondition(lambda self: not self.is_committing)
    @rule(device=st.sampled_from([ONE, TWO]), is_replay=st.booleans())
    def change(self, device: Device, is_replay: bool) -> None:
        """A command puts a delivery at the head of the lane, or erases its last."""
        self.number += 1
        last = self.pending[device][-1:]
        for numbers in (self.pending[device], self.rows[device]):
            if is_replay:
                numbers.insert(0, -self.number)
            elif last:
                numbers.remove(last[0])
        self.touched.add(device)

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        lane = self.lanes.claim(now=self.now)
        if lane is None:
            return
        assert lane not in self.claims
        is_known = lane.device not in self.touched
        if not lane.fresh:
            self.lanes.remember(
                lane, [delivery(number, lane.device) for number in self.rows[lane.device]]
            )
        taken = [one.reading for one in self.lanes.take(lane, limit=limit)]
        if is_known:
            assert taken == self.pending[lane.device][: len(taken)]
        self.claims[lane] = [int(number) for number in taken]

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        lane = self.draw_claim(data)
        if self.claims[lane]:
            self.settle_row(lane, self.claims[lane].pop(0))
            self.recorded[lane] += 1

    @precondition(lambda self: self.claims)
    @rule(is_settled=st.booleans(), wait=st.sampled_from([None, 5.0]), data=st.data())
    def settle(self, is_settled: bool, wait: float | None, data: st.DataObject) -> None:
        lane = self.draw_claim(data)
        due_at = None if is_settled or wait is None else self.now + wait
        self.end(lane, is_settled=is_settled, due_at=due_at)

    def draw_claim(self, data: st.DataObject) -> Lane:
        return data.draw(st.sampled_from(sorted(self.claims, key=lambda one: one.device)))

    def end(self, lane: Lane, *, is_settled: bool, due_at: float | None = None) -> None:
        left = self.claims.pop(lane)
        for number in left if is_settled else []:
            self.settle_row(lane, number)
        settled = self.recorded.pop(lane, 0) + (len(left) if is_settled else 0)
        if lane.is_changed:
            self.touched.add(lane.device)
        if self.lanes.settle(lane, settled=settled, due_at=due_at, now=self.now):
            self.owed.append(lane)

    def settle_row(self, lane: Lane, number: int) -> None:
        if number in self.pending[lane.device]:
            self.pending[lane.device].remove(number)
            self.unwritten.append((lane.device, number))
        else:
            self.touched.add(lane.device)  # it was erased meanwhile

    @precondition(lambda self: not self.is_committing)
    @rule()
    def begin(self) -> None:
        """A transaction takes over what came in and was settled so far, and counts what was changed."""
        self.is_committing = True
        self.joining, self.arriving = self.arriving, []
        self.confirmed, self.owed = self.owed, []
        self.released: list[Lane] = []
        self.written, self.unwritten = self.unwritten, []
        for device in self.touched:
            lane = self.lanes.recount(device, pending=len(self.pending[device]), now=self.now)
            if lane is not None:
                self.released.append(lane)
        self.touched.clear()

    @precondition(lambda self: self.is_committing)
    @rule()
    def commit(self) -> None:
        self.is_committing = False
        for device, number in self.written:
            self.rows[device].remove(number)
        for device in self.joining:
            self.join(device)
        for lane in self.confirmed:
            self.lanes.confirm(lane, now=self.now)
        for lane in self.released:
            self.lanes.release(lane, now=self.now)

    @rule(seconds=st.floats(0.1, 10.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts_agree(self) -> None:
        for lane in self.lanes:
            if lane.device not in self.touched and not lane.is_changed:
                assert lane.pending == len(self.pending[lane.device]) + self.recorded[lane]
        assert self.lanes.pending_count == sum(lane.pending for lane in self.lanes)
        assert self.memory.used == sum(len(lane.fresh) for lane in self.lanes)

    def teardown(self) -> None:
        """In the end everything can be claimed."""
        for lane in list(self.claims):
            self.end(lane, is_settled=True)
        for _ in range(2):
            if not self.is_committing:
                self.begin()
            self.commit()
        self.now += 100.0
        found = set()
        while (last := self.lanes.claim(now=self.now)) is not None:
            found.add(last.device)
        assert found == {device for device, numbers in self.pending.items() if numbers}


LanesAgainstModel.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestLanesAgainstModel = LanesAgainstModel.TestCase
