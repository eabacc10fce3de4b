"""What the schedule of lanes owes, with a model beside it."""

import pytest
from support.readings import delivery

from forwarder.outbox import Claim
from forwarder.outbox.lane import Lane, Memory
from forwarder.outbox.lanes import EndpointLanes
from forwarder.outbox.queues import ENOUGH_READY, GONE_IN_QUEUE, READ_LEAST
from forwarder.reading import Device

ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")


class Schedule(EndpointLanes):
    """Lanes, and what a commit will say to them of settlements."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory(limit=100)
        super().__init__("acme", self.memory)
        self.unsaved: list[tuple[Lane, int]] = []

    def finish(
        self, lane: Lane, *, settled: int = 0, due_at: float | None = None, now: float = 0.0
    ) -> bool:
        """End a claim of which the first so many are settled, and the next one is to be tried again at `due_at`."""
        if not lane.claimed:
            self.take(lane, limit=1)
        if settled:
            self.unsaved += self.settle(lane.claimed[:settled])
        if due_at is not None:
            self.unsaved += self.settle(lane.claimed[settled : settled + 1], is_final=False)
        return self.end(lane, due_at=due_at, now=now)

    def put(self, device: Device, *numbers: int, now: float = 0.0) -> Lane:
        """So many readings of a device have come in."""
        self.extend([delivery(number, device) for number in numbers], now=now)
        lane = self.find(device)
        assert lane is not None
        return lane

    def read(self, *numbers: int, is_probe: bool = False, now: float = 0.0) -> list[Device]:
        """Read what is to be read, find these numbers in each lane, and return whose lanes they were."""
        wanted = self.unread.begin(is_probe=is_probe)
        self.unread.end()
        for lane in wanted:
            self.remember(lane, [delivery(one, lane.device) for one in numbers], now=now)
        return [lane.device for lane in wanted]

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
    lanes.put(ONE, 1, 2, 3)
    claimed(lanes)
    assert lanes.claim(now=0.0) is None


def test_lanes_are_served_in_turn(lanes: Schedule) -> None:
    """A lane with a backlog goes behind those that became ready before it is done."""
    lanes.put(ONE, 1, 2)
    lanes.put(TWO, 3)
    first = claimed(lanes)
    lanes.take(first, limit=1)
    lanes.finish(first, settled=1, now=0.0)
    assert [claimed(lanes).device, claimed(lanes).device] == [TWO, ONE]


def test_postponed_lane_waits_until_it_is_due(lanes: Schedule) -> None:
    """A lane whose head is tried again later gives nothing before, and then does."""
    lanes.put(ONE, 1)
    lane = claimed(lanes)
    lanes.finish(lane, due_at=10.0, now=0.0)
    lanes.save(now=0.0)
    assert lanes.claim(now=9.9) is None
    assert lanes.readiness(0.0).next_due_at == 10.0
    lanes.wake_due(10.0)
    lanes.read(1, now=10.0)
    assert lanes.claim(now=10.0) is lane


def test_postponed_lane_waits_for_its_settlement_even_when_due(lanes: Schedule) -> None:
    """What is not on disk yet is not read back: a due lane rests until its settlement is released."""
    lanes.put(ONE, 1)
    lane = claimed(lanes)
    lanes.finish(lane, due_at=1.0, now=0.0)
    assert lanes.claim(now=5.0) is None
    assert lanes.read() == []
    lanes.save(now=5.0)
    assert lanes.read(1) == [ONE]
    assert lanes.claim(now=5.0) is lane


def test_next_in_memory_needs_no_release(lanes: Schedule) -> None:
    """While memory holds what comes next, a settled lane goes on at once."""
    lanes.put(ONE, 1, 2)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    assert not lanes.finish(lane, settled=1, now=0.0)
    assert [one.reading for one in lanes.take(claimed(lanes), limit=9)] == [2]


def test_unsettled_delivery_is_read_again_before_later_ones(lanes: Schedule) -> None:
    """A claim that ends unsettled empties the lane's memory, which holds only what comes after it."""
    lanes.put(ONE, 1, 2)
    lane = claimed(lanes)
    lanes.take(lane, limit=1)
    lanes.finish(lane, settled=0, now=0.0)
    assert not lane.fresh
    assert lanes.read(1, 2) == [ONE]
    assert [one.reading for one in claimed(lanes).fresh] == [1, 2]


def test_held_lane_is_not_claimed(lanes: Schedule) -> None:
    """While a transaction changes what is pending, nothing is claimed from the lane."""
    lane = lanes.put(ONE, 1)
    lanes.hold(lane)
    assert (lanes.claim(now=0.0), lanes.read()) == (None, [])
    lanes.release(lane, now=0.0)
    assert lanes.claim(now=0.0) is lane


def test_lane_held_in_flight_rests_after_its_claim(lanes: Schedule) -> None:
    """A hold that began in flight outlives the claim."""
    lane = lanes.put(ONE, 1, 2)
    lanes.take(claimed(lanes), limit=1)
    lanes.hold(lane)
    lanes.finish(lane, settled=1, now=0.0)
    lanes.save(now=0.0)
    assert (lanes.claim(now=0.0), lanes.read()) == (None, [])
    lanes.release(lane, now=0.0)
    assert lanes.claim(now=0.0) is lane


def test_recovered_endpoint_wakes_every_lane(lanes: Schedule) -> None:
    """When the endpoint takes readings again, no lane waits for its own retry any more."""
    for device in (ONE, TWO):
        lanes.put(device, 1)
        lane = claimed(lanes)
        lanes.finish(lane, due_at=900.0, now=0.0)
        lanes.save(now=0.0)
    lanes.wake_all(1.0)
    lanes.read(1)
    assert {claimed(lanes).device, claimed(lanes).device} == {ONE, TWO}


def test_probe_takes_what_is_due_first(lanes: Schedule) -> None:
    """When nothing is ready, a probe takes the lane whose time is nearest, once that is read."""
    for device, due_at in ((ONE, 900.0), (TWO, 60.0)):
        lanes.put(device, 1)
        lane = claimed(lanes)
        lanes.finish(lane, due_at=due_at, now=0.0)
        lanes.save(now=0.0)
        assert lanes.claim_for_probe(now=1.0) is None
    assert lanes.read(1, is_probe=True) == [TWO]
    assert lanes.claim(now=1.0) is None
    probe = lanes.claim_for_probe(now=1.0)
    assert probe is not None
    assert probe.device == TWO


def test_probe_does_not_read_what_is_not_on_disk(lanes: Schedule) -> None:
    """The rows know of its last attempt only then."""
    lanes.put(ONE, 1)
    lanes.finish(claimed(lanes), due_at=60.0)
    assert lanes.read(is_probe=True) == []
    lanes.save()
    assert lanes.read(1, is_probe=True) == [ONE]


@pytest.mark.parametrize(("is_settled", "held"), [(True, [2]), (False, [])])
def test_newest_reading_is_in_memory_where_nothing_is_before_it(
    lanes: Schedule, *, is_settled: bool, held: list[int]
) -> None:
    """Where only the latest counts the newest need not be read, unless one that was in flight is tried again first."""
    lane = lanes.put(ONE, 1)
    lanes.take(claimed(lanes), limit=1)
    lanes.hold(lane)
    lanes.finish(lane, settled=int(is_settled))
    lanes.add(ONE, newest=2)
    lanes.supersede(delivery(2, ONE), gone=0, now=0.0)
    lanes.release(lane, now=0.0)
    assert [one.reading for one in lane.fresh] == held


def test_emptied_lane_rests_until_that_is_on_disk(lanes: Schedule) -> None:
    """What comes next to a lane whose last settlement is not on disk is not read from there: it would come twice."""
    lane = lanes.put(ONE, 1)
    lanes.take(claimed(lanes), limit=1)
    lanes.memory.limit = 0
    lanes.finish(lane, settled=1, now=0.0)
    lanes.put(ONE, 2)
    assert (lanes.claim(now=0.0), lanes.read()) == (None, [])
    lanes.save(now=0.0)
    assert lanes.read(2) == [ONE]
    assert lanes.claim(now=0.0) is lane


@pytest.mark.parametrize(
    ("claimed_before", "is_ready"), [(1, True), (2, False)], ids=["nothing before it", "one before"]
)
def test_what_is_put_while_a_lane_rests(
    lanes: Schedule, claimed_before: int, is_ready: bool
) -> None:
    """A reading that comes in while the last one is settled is claimed from memory, unless another is before it."""
    lanes.put(ONE, *(1, 2)[:claimed_before])
    lane = claimed(lanes)
    lanes.take(lane, limit=2)
    lanes.finish(lane, settled=1, now=0.0)
    lanes.put(ONE, 3)
    assert (lanes.claim(now=0.0) is lane) == is_ready


def test_recovery_ends_the_wait_from_before_a_restart_too(lanes: Schedule) -> None:
    """A lane that was not claimed since the start does not wait for its head's time after its endpoint recovered."""
    lanes.restore(ONE, pending=1, newest=1, now=0.0)
    lane = lanes.find(ONE)
    lanes.wake_all(1.0)
    assert lane
    assert not lane.is_restored


def test_recount_to_nothing_forgets_the_lane(lanes: Schedule) -> None:
    """A lane that a command has emptied is gone, and is not read."""
    lanes.restore(ONE, pending=1, newest=1, now=0.0)
    lanes.recount(ONE, pending=0, newest=0, now=0.0)
    assert lanes.read() == []
    assert (len(lanes._lanes), lanes.claim(now=0.0)) == (0, None)


def test_recount_brings_a_lane_back(lanes: Schedule) -> None:
    """A replayed dead letter makes a lane that was empty."""
    lanes.recount(ONE, pending=1, newest=1, now=0.0)
    assert lanes.read(1) == [ONE]
    assert claimed(lanes).device == ONE


def test_recounted_lane_reads_anew_what_its_head_waits_for(lanes: Schedule) -> None:
    """A replay at the head is not held up by what waited there, nor is what waits there hurried by a replay behind."""
    lane = lanes.put(ONE, 1)
    lanes.finish(claimed(lanes), due_at=900.0, now=0.0)
    lanes.save(now=0.0)
    lanes.recount(ONE, pending=2, newest=2, now=0.0)
    assert lane.is_restored
    assert lanes.read(1, 2) == [ONE]


def test_lane_recounted_in_flight_asks_for_another_count(lanes: Schedule) -> None:
    """Nothing is offered from memory then, because that might not be what comes next."""
    lanes.put(ONE, 1, 2)
    lane = claimed(lanes)
    lanes.recount(ONE, pending=0, newest=0, now=0.0)
    lanes.put(ONE, 3)
    assert lane.is_changed
    lanes.finish(lane)
    assert not lane.fresh


def test_memory_is_bounded_over_all_lanes() -> None:
    """Beyond the limit a delivery is counted, and read when its turn comes."""
    memory = Memory(limit=2)
    lanes = Schedule(memory)
    lanes.put(ONE, *range(5))
    lane = claimed(lanes)
    assert (memory.used, lane.pending, len(lane.fresh)) == (2, 5, 2)


def test_queue_does_not_grow_while_nothing_is_claimed(lanes: Schedule) -> None:
    """A lane that is held and released for months, at an endpoint that takes nothing, is queued once."""
    lane = lanes.put(ONE, 1)
    for _ in range(100):
        lanes.hold(lane)
        lanes.release(lane, now=0.0)
    assert len(lanes._ready) == 1


def test_queue_forgets_lanes_that_are_gone(lanes: Schedule) -> None:
    """Nor does it grow where readings expire for months before anything is claimed."""
    for _ in range(3 * GONE_IN_QUEUE):
        lanes.put(ONE, 1)
        lanes.recount(ONE, pending=0, newest=0, now=0.0)
    assert len(lanes._ready) <= GONE_IN_QUEUE + 1


def test_lane_that_changed_while_it_was_read_is_read_anew(lanes: Schedule) -> None:
    """What was found before the change is of no use."""
    lanes.restore(ONE, pending=1, newest=1, now=0.0)
    (lane,) = lanes.unread.begin()
    lanes.recount(ONE, pending=2, newest=2, now=0.0)
    lanes.unread.end()
    lanes.remember(lane, [delivery(1, ONE)], now=0.0)
    assert lanes.claim(now=0.0) is None
    assert lanes.read(1, 2) == [ONE]


def test_backlog_is_read_in_the_order_in_which_it_waits(lanes: Schedule) -> None:
    """Of many lanes so many are read as memory has room for, those that have waited longest."""
    lanes.memory.limit = 3
    for device in (TWO, ONE):
        lanes.restore(device, pending=2, newest=2, now=0.0)
    assert {lane.device: count for lane, count in lanes.unread.begin().items()} == {TWO: 2, ONE: 1}
    assert lanes.unread.begin() == {}


def test_endpoint_goes_on_where_others_fill_the_memory(lanes: Schedule) -> None:
    """A paused endpoint's backlog takes no turn away from another's."""
    lanes.memory.used = lanes.memory.limit
    lanes.restore(ONE, pending=90, newest=90, now=0.0)
    assert [*lanes.unread.begin().values()] == [READ_LEAST]


def test_backlog_is_not_starved_by_what_comes_in(lanes: Schedule) -> None:
    """A lane that waits longer than those that are ready is read, however many those are."""
    for number in range(ENOUGH_READY + 2):
        lanes.put(Device(f"ECC9FF5D{number:04}"), 1, now=number)
    lanes.restore(ONE, pending=1, newest=1, now=1.0)
    assert lanes.read() == []
    for _ in range(2):
        lanes.finish(claimed(lanes), settled=1)
    assert lanes.read(1) == [ONE]


@pytest.mark.parametrize("is_counted", [False, True], ids=["at start", "by a commit"])
def test_rows_tell_of_newer_readings(lanes: Schedule, *, is_counted: bool) -> None:
    """Whether something newer waits behind a claim is known without having read it."""
    count = lanes.recount if is_counted else lanes.restore
    count(ONE, pending=2, newest=5, now=0.0)
    lanes.read(4)
    lane = claimed(lanes)
    claim = Claim(lanes.take(lane, limit=1), lane)
    assert claim.has_newer(claim.deliveries[0])
    assert not claim.has_newer(delivery(5, ONE))


def test_reading_that_is_not_in_memory_is_known_as_newer(lanes: Schedule) -> None:
    """Also where only the latest counts, and another is in flight."""
    lane = lanes.put(ONE, 1)
    claim = Claim(lanes.take(claimed(lanes), limit=1), lane)
    lanes.add(ONE, newest=2)
    assert claim.has_newer(claim.deliveries[0])
