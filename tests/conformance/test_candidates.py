"""`min_interval` with `keep: last`: the last reading of an interval is on disk at once, and owed at the end."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import HandClock
from support.outbox import attempt, claim, flush, ids, must_claim, settle, totals, until_it_failed
from support.outbox_harness import OutboxHarness
from support.readings import STARTED_AT, new_reading

from forwarder.delivery import Bury, Done
from forwarder.outbox import (
    KeptLast,
    NewReading,
    Outbox,
    Prune,
    PruneOldest,
    Recipient,
    ReplayTo,
    Selection,
    Settlement,
    inspect,
    opened,
)
from forwarder.reading import Device

ONE, TWO = "ECC9FF5C0001", "ECC9FF5C0002"
SECONDS = 300.0
KEPT = {"acme": KeptLast(SECONDS)}


def reading(payload: str, *, at: float = 0.0, device: str = ONE, **fields: Any) -> NewReading:
    """One that came so many seconds after the start."""
    return new_reading(device, payload, received_at=STARTED_AT + at, **fields)


async def end_intervals(outbox: Outbox, clock: HandClock, *, after: float) -> int:
    """How many deliveries there are more, once so many seconds have passed."""
    clock.advance(after)
    return (
        await outbox.candidates.end_intervals("acme", outbox.candidates.kept_last["acme"])
    ).enqueued


@pytest.fixture
def thinning(outbox: Outbox) -> Outbox:
    outbox.candidates.keep_last(KEPT)
    return outbox


def states(harness: OutboxHarness) -> Counter[str]:
    return Counter(row["state"] for row in harness.engine.rows("delivery"))


async def test_only_the_last_of_an_interval_is_owed(
    thinning: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """Nothing is pending before its end; the others are counted as thinned, and are in no account."""
    for payload in "abc":
        assert await thinning.put([reading(payload)]) == ["accepted"]
    assert await claim(thinning) is None
    assert await end_intervals(thinning, clock, after=SECONDS - 1) == 0
    assert (await totals(thinning)).enqueued == 0
    assert (await totals(thinning)).candidates == 1

    assert await end_intervals(thinning, clock, after=1) == 1

    assert ids(await must_claim(thinning)) == ["c"]
    accounts = await totals(thinning)
    assert (accounts.enqueued, accounts.pending, accounts.candidates) == (1, 1, 0)
    assert (thinning.accounts.enqueued["acme"], thinning.accounts.thinned["acme"]) == (1, 2)
    assert inspect(harness.place).faults == ()


async def test_bodies_of_the_others_are_not_kept(thinning: Outbox, harness: OutboxHarness) -> None:
    """An interval takes the room of one reading, however many come."""
    await thinning.put([reading(payload) for payload in "abc"])
    assert len(harness.engine.rows("body")) == 1


async def test_endpoints_beside_it_get_every_reading(
    thinning: Outbox, harness: OutboxHarness
) -> None:
    """The interval is one endpoint's own, and so is what it is spared."""
    await thinning.put([reading(payload, to="acme home") for payload in "ab"])
    assert ids(await must_claim(thinning, "home", limit=9)) == ["a", "b"]
    assert await claim(thinning) is None
    assert len(harness.engine.rows("body")) == 2
    assert thinning.accounts.enqueued == {"home": 2, "acme": 0}


async def test_devices_have_intervals_of_their_own(thinning: Outbox, clock: HandClock) -> None:
    """One that began later ends later."""
    await thinning.put([reading("a"), reading("b", at=100, device=TWO)])
    assert await end_intervals(thinning, clock, after=SECONDS) == 1
    assert ids(await must_claim(thinning)) == ["a"]
    ended = await thinning.candidates.end_intervals("acme", KEPT["acme"])
    assert ended.next_opened_at == STARTED_AT + 100
    assert await end_intervals(thinning, clock, after=100) == 1


async def test_candidate_survives_a_crash(harness: OutboxHarness, clock: HandClock) -> None:
    """What put has returned for is owed after the process died in the next instant, at the end of its interval."""
    outbox = harness.open()
    outbox.candidates.keep_last(KEPT)
    await outbox.put([reading("a"), reading("b")])
    outbox = await harness.reopen()
    outbox.candidates.keep_last(KEPT)
    assert await outbox.put([reading("c", at=10)]) == ["accepted"]
    assert await claim(outbox) is None
    assert await end_intervals(outbox, clock, after=SECONDS) == 1
    assert ids(await must_claim(outbox)) == ["c"]


async def test_reading_after_the_end_brings_the_last_one_out(
    thinning: Outbox, clock: HandClock
) -> None:
    """Without anybody looking; they come out in order."""
    await thinning.put([reading("a"), reading("b", at=10)])
    await thinning.put([reading("c", at=SECONDS), reading("d", at=2 * SECONDS)])
    assert ids(await must_claim(thinning, limit=9)) == ["b", "c"]
    assert thinning.accounts.enqueued["acme"] == 2


async def test_repetition_changes_nothing(
    thinning: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """The broker's second copy is known, whether its first is the candidate, was thinned, or is delivered."""
    await thinning.put([reading("a"), reading("b")])
    again = [reading("a", at=1), reading("b", at=1)]
    assert await thinning.put(again) == ["duplicate", "duplicate"]
    await end_intervals(thinning, clock, after=SECONDS)
    settle(thinning, await must_claim(thinning))
    await flush(thinning)
    assert await thinning.put(again) == ["duplicate", "duplicate"]
    accounts = await totals(thinning)
    assert (accounts.enqueued, accounts.delivered, accounts.candidates) == (1, 1, 0)
    assert thinning.accounts.thinned["acme"] == 1


async def test_timeless_repetition_changes_nothing(thinning: Outbox) -> None:
    """A payload that holds no time is known by its content, once the broker says that it repeats itself."""
    first = reading("a", content=b"same")
    again = reading("b", at=1, content=b"same", is_redelivery=True)
    assert await thinning.put([first, reading("c", at=1)]) == ["accepted", "accepted"]
    assert await thinning.put([again]) == ["duplicate"]


async def test_order_is_that_of_arrival(thinning: Outbox, clock: HandClock) -> None:
    """A reading that was measured earlier and came later is the last one."""
    late = reading("old", at=10)
    late.measured_at = "2020-01-01T00:00:00Z"
    await thinning.put([reading("new"), late])
    await end_intervals(thinning, clock, after=SECONDS)
    assert ids(await must_claim(thinning)) == ["old"]


async def test_endpoint_that_is_thinned_no_more_is_owed_it_at_once(thinning: Outbox) -> None:
    """Removed, or edited to every reading or to the first: before anything that comes after the edit."""
    waiting = thinning.put([reading("a")])
    thinning.candidates.keep_last({})
    direct = thinning.put([reading("b", at=1)])
    await asyncio.gather(waiting, direct)
    assert ids(await must_claim(thinning, limit=9)) == ["a", "b"]
    assert thinning.accounts.enqueued["acme"] == 2


async def test_edit_while_nothing_ran_counts_too(harness: OutboxHarness) -> None:
    """A start under routes that keep the last no more owes what waited."""
    outbox = harness.open()
    outbox.candidates.keep_last(KEPT)
    await outbox.put([reading("a")])
    outbox = await harness.reopen()
    outbox.candidates.keep_last({"home": KeptLast(1.0)})
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["a"]
    assert (await totals(outbox)).candidates == 0


async def test_interval_is_as_long_as_the_routes_say(thinning: Outbox, clock: HandClock) -> None:
    """An edit applies to intervals that are open."""
    await thinning.put([reading("a")])
    thinning.candidates.keep_last({"acme": KeptLast(60.0)})
    assert await end_intervals(thinning, clock, after=60) == 1


async def test_clock_that_is_set_back_delays_nothing(thinning: Outbox, clock: HandClock) -> None:
    """An interval that has not begun yet is over."""
    await thinning.put([reading("a", at=86_400)])
    assert await end_intervals(thinning, clock, after=1) == 1


async def test_commit_that_fails_thins_nothing_twice(
    thinning: Outbox, harness: OutboxHarness, clock: HandClock
) -> None:
    """It is done again with the same readings."""
    await thinning.put([reading("a")])
    harness.engine.refuse_writes()
    stored = thinning.put([reading("b", at=1), reading("c", at=SECONDS)])
    await until_it_failed(thinning)
    harness.engine.accept_writes()
    while not stored.done():
        clock.advance(1)
        await asyncio.sleep(0)
    assert thinning.accounts.thinned["acme"] == 1
    assert ids(await must_claim(thinning)) == ["b"]
    assert inspect(harness.place).faults == ()


async def test_latest_gives_way_only_once_the_next_is_owed(
    outbox: Outbox, clock: HandClock
) -> None:
    """With `mode: latest` what is pending is superseded at the end of an interval, and not by a candidate."""
    outbox.candidates.keep_last({"acme": KeptLast(SECONDS, only_latest=True)})
    latest = (Recipient("acme", only_latest=True),)
    await outbox.put([reading("a", recipients=latest)])
    await end_intervals(outbox, clock, after=SECONDS)
    await outbox.put([reading("b", at=SECONDS, recipients=latest)])
    assert (await totals(outbox)).pending == 1
    await end_intervals(outbox, clock, after=SECONDS)
    assert ids(await must_claim(outbox, limit=9)) == ["b"]
    accounts = await totals(outbox)
    assert (accounts.enqueued, accounts.superseded, accounts.pending) == (2, 1, 1)


async def test_latest_in_flight_is_not_superseded(outbox: Outbox, clock: HandClock) -> None:
    """It ends as its attempt does."""
    outbox.candidates.keep_last({"acme": KeptLast(SECONDS, only_latest=True)})
    latest = (Recipient("acme", only_latest=True),)
    await outbox.put([reading("a", recipients=latest)])
    await end_intervals(outbox, clock, after=SECONDS)
    claimed = await must_claim(outbox)
    await outbox.put([reading("b", at=SECONDS, recipients=latest)])
    await end_intervals(outbox, clock, after=SECONDS)
    settle(outbox, claimed)
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["b"]
    accounts = await totals(outbox)
    assert (accounts.delivered, accounts.superseded, accounts.pending) == (1, 0, 1)


async def test_purge_leaves_nothing_of_a_device(
    thinning: Outbox, harness: OutboxHarness, clock: HandClock
) -> None:
    """The candidate goes, and with it the interval; it was never enqueued, so it is not counted as dead."""
    await thinning.put([reading("a"), reading("b")])
    with opened(harness.place) as file:
        purged = file.purge(Device(ONE))
    assert (purged.deliveries, purged.pending) == (2, 0)
    assert harness.engine.rows("candidate") == harness.engine.rows("delivery") == []
    assert await thinning.put([reading("c", at=1)]) == ["accepted"]
    assert await end_intervals(thinning, clock, after=SECONDS) == 0
    assert await end_intervals(thinning, clock, after=1) == 1
    accounts = await totals(thinning)
    assert (accounts.enqueued, accounts.dead, accounts.pending) == (1, 0, 1)


async def test_thinned_ones_leave_the_log_like_others(
    thinning: Outbox, harness: OutboxHarness, clock: HandClock
) -> None:
    """By age and by number; a candidate stays."""
    await thinning.put([reading(payload) for payload in "abcd"])
    assert await thinning.accounts.log_length() == 3
    assert await thinning.operate(PruneOldest(1)) == 1
    assert await thinning.operate(Prune(clock.unix() + 1, 0.0)) == 2
    assert states(harness) == {"candidate": 1}
    assert inspect(harness.place).faults == ()


async def test_dead_letter_can_be_sent_to_an_endpoint_that_was_spared_it(
    thinning: Outbox, harness: OutboxHarness
) -> None:
    """That counts as enqueued then; one that waits there still is there already."""
    await thinning.put([reading(payload, to="acme home") for payload in "ab"])
    claimed = await must_claim(thinning, "home", limit=9)
    settle(thinning, claimed, Bury("refused"))
    await flush(thinning)
    with opened(harness.place) as file:
        (keys,) = file.choose_dead_letters(Selection()).chunks()
        (sent,) = file.operate(ReplayTo(keys, "acme", now=STARTED_AT))
    assert sent == {"replayed": 1, "already_there": 1}
    accounts = await totals(thinning)
    assert (accounts.enqueued, accounts.pending, accounts.candidates) == (1, 1, 1)
    assert inspect(harness.place).faults == ()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.sampled_from([ONE, TWO]), min_size=1, max_size=4)),
        st.tuples(st.just("again"), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 4.0, 10.0])),
        st.tuples(st.sampled_from(["look", "deliver", "kill", "edit", "remove"]), st.none()),
    ),
    max_size=25,
)


@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True)
@given(steps=steps)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_every_reading_is_owed_spared_or_waits(new_place: Any, steps: list[Any]) -> None:
    """Whatever happens: accepted = enqueued + thinned + waiting; of each interval the last comes out, once."""
    harness = OutboxHarness(new_place(), HandClock())
    line = _Line(harness)
    try:
        for step, value in steps:
            await getattr(line, step)(value)
            await line.must_hold()
        await line.remove(None)
        await line.deliver(None)
        await line.must_hold()
        assert inspect(harness.place).faults == ()
        assert line.offered == line.expected
    finally:
        await harness.kill()


class _Line:
    """An outbox beside a model of intervals, which is a dictionary."""

    def __init__(self, harness: OutboxHarness) -> None:
        self.harness, self.clock = harness, harness.clock
        self.seconds = 5.0
        self.sent: list[NewReading] = []
        self.waiting: dict[str, tuple[float, str]] = {}
        """By device, when its interval was opened, and the last payload in it."""
        self.expected: dict[str, list[str]] = {ONE: [], TWO: []}
        self.offered: dict[str, list[str]] = {ONE: [], TWO: []}
        self.accepted = self.thinned = 0
        self.open()

    def open(self) -> None:
        self.outbox = self.harness.open()
        self.outbox.candidates.keep_last({"acme": KeptLast(self.seconds)})

    async def put(self, devices: list[str]) -> None:
        some = []
        for device in devices:
            payload = str(len(self.sent))
            some.append(new_reading(device, payload, received_at=self.clock.unix()))
            self.sent.append(some[-1])
            self.accepted += 1
            self._expect(device, payload)
        assert set(await self.outbox.put(some)) == {"accepted"}

    def _expect(self, device: str, payload: str) -> None:
        now = self.clock.unix()
        opened_at, before = self.waiting.get(device, (now, ""))
        if now - opened_at >= self.seconds:
            self.expected[device].append(before)
            opened_at = now
        elif before:
            self.thinned += 1
        self.waiting[device] = (opened_at, payload)

    async def again(self, count: int) -> None:
        if some := self.sent[-count:]:
            assert set(await self.outbox.put(some)) == {"duplicate"}

    async def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def look(self, _: None) -> None:
        await self.outbox.candidates.end_intervals("acme", self.outbox.candidates.kept_last["acme"])
        self._end(self.seconds)

    def _end(self, seconds: float) -> None:
        for device, (opened_at, payload) in list(self.waiting.items()):
            if self.clock.unix() - opened_at >= seconds:
                self.expected[device].append(payload)
                del self.waiting[device]

    async def deliver(self, _: None) -> None:
        await flush(self.outbox)
        while (claimed := await claim(self.outbox, limit=9)) is not None:
            self.offered[claimed.device] += ids(claimed)
            done = Settlement(claimed.deliveries, Done(), attempt())
            self.outbox.settle("acme", [done], ends=[claimed])
            await flush(self.outbox)

    async def kill(self, _: None) -> None:
        await self.harness.kill()
        self.open()

    async def edit(self, _: None) -> None:
        self.seconds = 8.0 if self.seconds == 5.0 else 5.0
        self.outbox.candidates.keep_last({"acme": KeptLast(self.seconds)})

    async def remove(self, _: None) -> None:
        self.outbox.candidates.keep_last({})
        await flush(self.outbox)
        self._end(0.0)
        self.outbox.candidates.keep_last({"acme": KeptLast(self.seconds)})

    async def must_hold(self) -> None:
        await flush(self.outbox)
        found = [one for one in self.outbox.accounts.overview().endpoints if one.name == "acme"]
        enqueued = sum(one.enqueued for one in found)
        candidates = sum(one.candidates for one in found)
        assert self.accepted == enqueued + self.thinned + candidates
        assert candidates == len(self.waiting)
        assert enqueued == sum(map(len, self.expected.values()))
