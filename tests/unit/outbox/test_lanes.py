"""What the schedule of lanes owes, with a model beside it."""

import pytest
from support.readings import delivery

from forwarder.outbox.lanes import GONE_IN_QUEUE, EndpointLanes, Lane, Memory
from forwarder.reading import Device

ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")


class Schedule(EndpointLanes):
    """Lanes, and what a commit will say to them of settlements."""

    def __init__(self, memory: Memory | None = None) -> None:
        super().__init__("acme", memory or Memory(limit=100))
        self.unsaved: list[tuple[Lane, int]] = []

    def finish(
        self, lane: Lane, *, settled: int = 0, due_at: float | None = None, now: float = 0.0
    ) -> bool:
        """End a claim of which the first so many are settled, and the next one is to be tried again at `due_at`."""
        if not lane.claimed:
            self.remember(lane, [delivery(0, lane.device)])
            self.take(lane, limit=1)
        if settled:
            self.unsaved += self.settle(lane.claimed[:settled])
        if due_at is not None:
            self.unsaved += self.settle(lane.claimed[settled : settled + 1], is_final=False)
        return self.end(lane, due_at=due_at, now=now)

    def save(self, *, now: float = 0.0) -> None:
        """What was settled is on disk."""
        for lane, count in self.unsaved:
            self.written(lane, count, now=now)
        self.unsaved.clear()


@pytest.fixture
def lanes() -> Schedule:
    return Schedule()


def claimed(lanes: EndpointLanes, *, now: float = 0.0) -> Lane:
    lane = lanes.claim(now=now)
    assert lane is not None
    return lane


def test_lane_in_flight_is_not_claimed_again(lanes: Schedule) -> None:
    """Of one device one claim is out at a time, however much is pending."""
    lanes.add(ONE, count=3, now=0.0)
    claimed(lanes)
    assert lanes.claim(now=0.0) is None


def test_lanes_are_served_in_turn(lanes: Schedule) -> None:
    """A lane with a backlog goes behind those that became ready before it is done."""
    lanes.extend([delivery(1, ONE)], now=0.0)
    lanes.extend([delivery(2, ONE)], now=0.0)
    lanes.add(TWO, now=0.0)
    first = claimed(lanes)
    lanes.take(first, limit=1)
    lanes.finish(first, settled=1, now=0.0)
    assert [claimed(lanes).device, claimed(lanes).device] == [TWO, ONE]


def test_postponed_lane_waits_until_it_is_due(lanes: Schedule) -> None:
    """A lane whose head is tried again later gives nothing before, and then does."""
    lanes.add(ONE, now=0.0)
    lane = claimed(lanes)
    lanes.finish(lane, due_at=10.0, now=0.0)
    lanes.save(now=0.0)
    assert lanes.claim(now=9.9) is None
    assert lanes.next_due() == 10.0
    assert lanes.claim(now=10.0) is lane


def test_postponed_lane_waits_for_its_settlement_even_when_due(lanes: Schedule) -> None:
    """What is not on disk yet is not read back: a due lane rests until its settlement is released."""
    lanes.add(ONE, now=0.0)
    lane = claimed(lanes)
    lanes.finish(lane, due_at=1.0, now=0.0)
    assert lanes.claim(now=5.0) is None
    lanes.save(now=5.0)
    assert lanes.claim(now=5.0) is lane


def test_next_in_memory_needs_no_release(lanes: Schedule) -> None:
    """While memory holds what comes next, a settled lane goes on at once."""
    for number in (1, 2):
        lanes.extend([delivery(number, ONE)], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    assert not lanes.finish(lane, settled=1, now=0.0)
    assert [one.reading for one in lanes.take(claimed(lanes), limit=9)] == [2]


def test_unsettled_delivery_is_read_again_before_later_ones(lanes: Schedule) -> None:
    """A claim that ends unsettled empties the lane's memory, which holds only what comes after it."""
    for number in (1, 2):
        lanes.extend([delivery(number, ONE)], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    lanes.finish(lane, settled=0, now=0.0)
    assert not lane.fresh


def test_held_lane_is_not_claimed(lanes: Schedule) -> None:
    """While a transaction changes what is pending, nothing is claimed from the lane."""
    lane = lanes.add(ONE, now=0.0)
    lanes.hold(lane)
    assert lanes.claim(now=0.0) is None
    lanes.release(lane, now=0.0)
    assert lanes.claim(now=0.0) is lane


def test_lane_held_in_flight_rests_after_its_claim(lanes: Schedule) -> None:
    """A hold that began in flight outlives the claim."""
    lane = lanes.add(ONE, count=2, now=0.0)
    claimed(lanes)
    lanes.hold(lane)
    lanes.finish(lane, settled=1, now=0.0)
    lanes.save(now=0.0)
    assert lanes.claim(now=0.0) is None
    lanes.release(lane, now=0.0)
    assert lanes.claim(now=0.0) is lane


def test_recovered_endpoint_wakes_every_lane(lanes: Schedule) -> None:
    """When the endpoint takes readings again, no lane waits for its own retry any more."""
    for device in (ONE, TWO):
        lanes.add(device, now=0.0)
        lane = claimed(lanes)
        lanes.finish(lane, due_at=900.0, now=0.0)
        lanes.save(now=0.0)
    lanes.wake_all(1.0)
    assert {claimed(lanes).device, claimed(lanes).device} == {ONE, TWO}


def test_probe_takes_what_is_due_first(lanes: Schedule) -> None:
    """When nothing is ready, a probe takes the lane whose time is nearest."""
    for device, due_at in ((ONE, 900.0), (TWO, 60.0)):
        lanes.add(device, now=0.0)
        lane = claimed(lanes)
        lanes.finish(lane, due_at=due_at, now=0.0)
        lanes.save(now=0.0)
    probe = lanes.claim_for_probe(now=1.0)
    assert probe is not None
    assert probe.device == TWO


def test_emptied_lane_rests_until_that_is_on_disk(lanes: Schedule) -> None:
    """What comes next to a lane whose last settlement is not on disk is not read from there: it would come twice."""
    lanes.extend([delivery(1, ONE)], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    lanes.finish(lane, settled=1, now=0.0)
    lanes.add(ONE, now=0.0)
    assert lanes.claim(now=0.0) is None
    lanes.save(now=0.0)
    assert lanes.claim(now=0.0) is lane


@pytest.mark.parametrize(
    ("claimed_before", "held"), [(1, [3]), (2, [])], ids=["nothing before it", "one before it"]
)
def test_what_is_put_while_a_lane_rests(
    lanes: Schedule, claimed_before: int, held: list[int]
) -> None:
    """A reading that comes in while the last one is settled need not be read back, unless another is before it."""
    lanes.extend([delivery(number, ONE) for number in (1, 2)[:claimed_before]], now=0.0)
    lane = claimed(lanes)
    lanes.take(lane, limit=2)
    lanes.finish(lane, settled=1, now=0.0)
    lanes.extend([delivery(3, ONE)], now=0.0)
    assert lanes.claim(now=0.0) is None
    lanes.save(now=0.0)
    assert [one.reading for one in claimed(lanes).fresh] == held


def test_recovery_ends_the_wait_from_before_a_restart_too(lanes: Schedule) -> None:
    """A lane that was not claimed since the start does not wait for its head's time after its endpoint recovered."""
    lanes.restore(ONE, pending=1, newest=1, now=0.0)
    lanes.wake_all(1.0)
    assert not claimed(lanes).is_restored


def test_recount_to_nothing_forgets_the_lane(lanes: Schedule) -> None:
    """A lane that a command has emptied is gone."""
    lanes.add(ONE, count=2, now=0.0)
    lanes.recount(ONE, pending=0, newest=0, now=0.0)
    assert (len(lanes._lanes), lanes.claim(now=0.0), lanes.pending_count) == (0, None, 0)


def test_recount_brings_a_lane_back(lanes: Schedule) -> None:
    """A replayed dead letter makes a lane that was empty."""
    lanes.recount(ONE, pending=1, newest=1, now=0.0)
    assert claimed(lanes).device == ONE


def test_recounted_lane_reads_anew_what_its_head_waits_for(lanes: Schedule) -> None:
    """A replay at the head is not held up by what waited there, nor is what waits there hurried by a replay behind."""
    lanes.add(ONE, now=0.0)
    lanes.finish(claimed(lanes), due_at=900.0, now=0.0)
    lanes.save(now=0.0)
    lanes.recount(ONE, pending=2, newest=2, now=0.0)
    assert claimed(lanes).is_restored


def test_lane_recounted_in_flight_asks_for_another_count(lanes: Schedule) -> None:
    """Nothing is remembered of it meanwhile: what memory holds might not be what comes next."""
    lanes.add(ONE, count=2, now=0.0)
    lane = claimed(lanes)
    lanes.recount(ONE, pending=0, newest=0, now=0.0)
    lanes.extend([delivery(3, ONE)], now=0.0)
    assert lane.is_changed
    assert not lane.fresh


def test_memory_is_bounded_over_all_lanes() -> None:
    """Beyond the limit a delivery is counted, and read when its turn comes."""
    memory = Memory(limit=2)
    lanes = Schedule(memory)
    for number in range(5):
        lanes.extend([delivery(number, ONE)], now=0.0)
    lane = claimed(lanes)
    assert (memory.used, lane.pending, len(lane.fresh)) == (2, 5, 2)


def test_queue_does_not_grow_while_nothing_is_claimed(lanes: Schedule) -> None:
    """A lane that is held and released for months, at an endpoint that takes nothing, is queued once."""
    lane = lanes.add(ONE, now=0.0)
    for _ in range(100):
        lanes.hold(lane)
        lanes.release(lane, now=0.0)
    assert len(lanes._ready) == 1


def test_queue_forgets_lanes_that_are_gone(lanes: Schedule) -> None:
    """Nor does it grow where readings expire for months before anything is claimed."""
    for _ in range(3 * GONE_IN_QUEUE):
        lanes.add(ONE, now=0.0)
        lanes.recount(ONE, pending=0, newest=0, now=0.0)
    assert len(lanes._ready) <= GONE_IN_QUEUE + 1
