"""What is sent to an endpoint, when, and what each answer leads to."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from support.dispatcher_harness import DispatcherHarness, all_ids
from support.faults import Faults
from support.outbox import until_it_failed
from support.readings import endpoint, new_reading

from forwarder.body_template import compile_template
from forwarder.dispatcher.endpoint import BROKEN_SECONDS
from forwarder.event_data import write_json
from forwarder.outbox import NewReading, Pause, Recipient, Resume
from forwarder.reading import JsonValue
from forwarder.routes import BatchLimits, Endpoint, RateLimit, RetrySchedule
from forwarder.sender.failure import NoDescriptor

ONE, TWO, THREE = "ECC9FF5C0001", "ECC9FF5C0002", "ECC9FF5C0003"
QUICK = RetrySchedule(initial_seconds=1, max_seconds=8)


async def put(
    harness: DispatcherHarness, *payloads: str, device: str = ONE, to: str = "acme"
) -> None:
    await harness.outbox.put(
        [
            new_reading(device, payload, to=to, received_at=harness.clock.unix())
            for payload in payloads
        ]
    )
    await harness.rest()


async def test_reading_is_sent_once_it_is_put(harness: DispatcherHarness) -> None:
    """An idle endpoint gets a reading at once, as its first attempt."""
    harness.open(endpoint())
    await put(harness, "a")
    assert [(one.ids, one.attempt) for one in harness.posted] == [(["a"], 1)]


async def test_next_of_a_device_follows_the_answer(harness: DispatcherHarness) -> None:
    """A device's second reading is sent after the first was answered, not before."""
    harness.open(endpoint())
    await put(harness, "a", "b")
    assert all_ids(harness.posted) == ["a"]
    await harness.answer_all()
    assert all_ids(harness.posted) == ["a", "b"]


async def test_devices_go_side_by_side_up_to_the_cap(harness: DispatcherHarness) -> None:
    """No more attempts are in flight than max_concurrency."""
    harness.open(endpoint(max_concurrency=2))
    for device in (ONE, TWO, THREE):
        await put(harness, device, device=device)
    assert len(harness.waiting) == 2
    harness.waiting[0].answer()
    await harness.rest()
    assert len(harness.waiting) == 2


async def test_failed_reading_is_tried_again_on_schedule(harness: DispatcherHarness) -> None:
    """A failure waits initial, then twice that; body and id stay, the attempt counts."""
    harness.open(endpoint(retry=QUICK))
    await put(harness, "a")
    for wait in (1, 2, 4):
        harness.waiting[0].answer(500)
        await harness.advance(wait - 0.01)
        assert not harness.waiting
        await harness.advance(0.02)
    assert [one.attempt for one in harness.posted] == [1, 2, 3, 4]
    assert len({(one.webhook_id, one.body) for one in harness.posted}) == 1


async def test_failing_reading_holds_back_its_own_device_only(harness: DispatcherHarness) -> None:
    """While one device's reading waits for its retry, others flow."""
    harness.open(endpoint(retry=QUICK))
    await put(harness, "a", "b")
    harness.waiting[0].answer(500)
    await harness.rest()
    await put(harness, "c", device=TWO)
    await harness.answer_all()
    assert all_ids(harness.posted) == ["a", "c"]


async def test_error_of_ours_puts_its_lane_off(harness: DispatcherHarness) -> None:
    """A reading that we break at waits a minute, also when the watch breaks at that; nobody else does."""
    harness.watch = Faults(lambda *_: True).watch(harness.metrics)
    harness.open(endpoint(fields=("meter.id",)))
    await put(harness, 'no"json', "b")
    await put(harness, "c", device=TWO)
    await harness.answer_all()
    assert len(harness.posted) == 1
    harness.route(endpoint())
    await harness.advance(BROKEN_SECONDS - 1)
    assert not harness.waiting
    await harness.advance(1)
    await harness.answer_all()
    accounts = await harness.totals()
    assert (accounts.delivered, accounts.pending) == (3, 0)


async def test_one_endpoint_does_not_wait_for_another(harness: DispatcherHarness) -> None:
    """An endpoint that hangs delays nobody else."""
    harness.open(endpoint("acme"), endpoint("home"))
    await put(harness, "a", "b", to="acme home")
    for posted in [one for one in harness.waiting if one.endpoint == "home"]:
        posted.answer()
    await harness.rest()
    assert [one.ids for one in harness.waiting if one.endpoint == "home"] == [["b"]]
    assert [one.ids for one in harness.waiting if one.endpoint == "acme"] == [["a"]]


@pytest.mark.parametrize("status", [400, 405, 413, 414, 415, 422, 501])
async def test_refusal_is_final(harness: DispatcherHarness, status: int) -> None:
    """A refused reading is a dead letter at once; the device's next one follows."""
    harness.open(endpoint())
    await put(harness, "a", "b")
    harness.waiting[0].answer(status)
    await harness.rest()
    assert all_ids(harness.waiting) == ["b"]
    assert (await harness.totals()).dead == 1


@pytest.mark.parametrize("batch", [None, BatchLimits(10, 0.0)])
async def test_what_has_no_url_is_a_dead_letter(
    harness: DispatcherHarness, batch: BatchLimits | None
) -> None:
    """A device named '..' would lead out of the path: nothing is sent, an operator decides, and others go on."""
    outbox = harness.open(endpoint(url="https://acme.example/{device}/in", batch=batch))
    await put(harness, "a", "b", device="..")
    await put(harness, "c")
    await harness.answer_all()
    assert all_ids(harness.posted) == ["c"]
    totals = await harness.totals()
    assert (totals.dead, totals.delivered, totals.pending) == (2, 1, 0)
    assert outbox.accounts.overview().dead_letters == {("acme", "unrenderable"): 2}


@pytest.mark.parametrize("batch", [None, BatchLimits(10, 0.0)])
async def test_what_a_template_makes_nothing_of_is_a_dead_letter(
    harness: DispatcherHarness, batch: BatchLimits | None
) -> None:
    """The rest of its batch is sent without it, and later readings of the device follow."""
    template = compile_template("${extra.said}", is_batched=batch is not None)
    outbox = harness.open(endpoint(format="template", template=template, batch=batch))
    await harness.outbox.put(
        [reading_with("a", {"said": "x"}), reading_with("b", {}), reading_with("c", {"said": "y"})]
    )
    await harness.rest()
    await harness.answer_all()
    assert b"".join(one.body for one in harness.posted).replace(b"\n", b"") == b"xy"
    totals = await harness.totals()
    assert (totals.dead, totals.delivered, totals.pending) == (1, 2, 0)
    assert outbox.accounts.overview().dead_letters == {("acme", "unrenderable"): 1}


def reading_with(number: str, extra: dict[str, JsonValue]) -> NewReading:
    data = write_json({"id": number, "extra": extra})
    return replace(new_reading(ONE, number), data=data)


async def test_attempts_can_be_exhausted(harness: DispatcherHarness) -> None:
    """With max_attempts the last failure makes a dead letter."""
    retry = RetrySchedule(initial_seconds=1, max_seconds=8, max_attempts=2)
    harness.open(endpoint(retry=retry))
    await put(harness, "a")
    harness.waiting[0].answer(500)
    await harness.advance(1)
    harness.waiting[0].answer(500)
    assert (await harness.totals()).dead == 1


async def test_too_old_reading_is_not_sent(harness: DispatcherHarness) -> None:
    """max_age is looked at before each attempt."""
    harness.open(endpoint(max_age_seconds=5, retry=RetrySchedule(10, 10)))
    await put(harness, "a")
    harness.waiting[0].answer(500)
    await harness.advance(10)
    assert not harness.waiting
    accounts = await harness.totals()
    assert (accounts.dead, accounts.pending) == (1, 0)


class TestCircuit:
    async def open_circuit(self, harness: DispatcherHarness) -> None:
        harness.open(endpoint(retry=QUICK, max_concurrency=8))
        for number in range(8):
            await put(harness, str(number), device=f"ECC9FF5C000{number}")
        for posted in harness.waiting:
            posted.answer(503)
        await harness.rest()

    async def test_failures_in_a_row_open_it(self, harness: DispatcherHarness) -> None:
        """After five failures only one attempt at a time is made, however many devices wait."""
        await self.open_circuit(harness)
        await harness.advance(60)
        assert len(harness.waiting) == 1

    async def test_success_of_the_probe_lets_the_backlog_flow(
        self, harness: DispatcherHarness
    ) -> None:
        """When the probe succeeds, nothing waits for its own retry any more."""
        await self.open_circuit(harness)
        await harness.advance(60)
        harness.waiting[0].answer(204)
        await harness.rest()
        assert len(harness.waiting) == 7

    async def test_failed_probe_waits_for_the_next(self, harness: DispatcherHarness) -> None:
        """Probes follow the retry schedule."""
        await self.open_circuit(harness)
        await harness.advance(60)
        harness.waiting[0].answer(503)
        await harness.advance(1)
        assert not harness.waiting
        await harness.advance(60)
        assert len(harness.waiting) == 1

    async def test_refusals_do_not_open_it(self, harness: DispatcherHarness) -> None:
        """A receiver that refuses readings is well."""
        harness.open(endpoint())
        await put(harness, *"abcdefgh")
        for _ in range(8):
            harness.waiting[0].answer(400)
            await harness.rest()
        await put(harness, "i")
        assert all_ids(harness.waiting) == ["i"]

    async def test_it_survives_a_restart(self, harness: DispatcherHarness) -> None:
        """A dead endpoint is not hit with everything at once after a restart."""
        await self.open_circuit(harness)
        await harness.dispatcher.drain(timeout_seconds=1)
        await harness.outbox_harness.kill()
        harness.open(endpoint(retry=QUICK))
        await harness.advance(60)
        assert len(harness.waiting) == 1

    async def test_attempts_from_before_do_not_lengthen_it(
        self, harness: DispatcherHarness
    ) -> None:
        """However many fail together, the first probe comes after the first wait of the schedule."""
        await self.open_circuit(harness)
        await harness.advance(0.9)
        assert not harness.waiting
        await harness.advance(0.2)
        assert len(harness.waiting) == 1

    @pytest.mark.parametrize("status", [400, 409])
    async def test_refused_probe_is_followed_at_the_same_pace(
        self, harness: DispatcherHarness, status: int
    ) -> None:
        """An answer that speaks of its reading alone neither closes the circuit nor hurries the next probe."""
        await self.open_circuit(harness)
        await harness.advance(1)
        harness.waiting[0].answer(status)
        await harness.advance(0.9)
        assert not harness.waiting
        await harness.advance(0.2)
        assert len(harness.waiting) == 1

    async def test_clock_that_is_set_back_moves_no_probe(self, harness: DispatcherHarness) -> None:
        """What a failed probe waits for is measured by the clock that cannot be set."""
        await self.open_circuit(harness)
        harness.clock.step(-86400)
        await harness.advance(1)
        harness.waiting[0].answer(503)
        await harness.advance(2)
        assert len(harness.waiting) == 1

    async def test_backlog_flows_when_it_recovers_after_a_restart(
        self, harness: DispatcherHarness
    ) -> None:
        """Waits from before a restart end with the recovery as those from after it do."""
        slow = endpoint(retry=RetrySchedule(600, 600))
        harness.open(slow)
        for number in range(8):
            await put(harness, str(number), device=f"ECC9FF5C000{number}")
        await harness.answer_next(503, times=8)
        await harness.dispatcher.drain(timeout_seconds=1)
        await harness.outbox_harness.kill()
        harness.open(slow)
        await harness.advance(60)
        harness.waiting[0].answer()
        await harness.rest()
        assert len(harness.waiting) == 7


async def test_retry_after_holds_the_whole_endpoint(harness: DispatcherHarness) -> None:
    """No device's reading is sent before the time that a 429 asked for."""
    harness.open(endpoint(retry=QUICK))
    await put(harness, "a")
    harness.waiting[0].answer(429, retry_after="30")
    await put(harness, "b", device=TWO)
    await harness.advance(29)
    assert all_ids(harness.posted) == ["a"]
    await harness.advance(2)
    assert sorted(all_ids(harness.waiting)) == ["a", "b"]


@pytest.mark.parametrize("looks_before_the_end", range(12))
async def test_hold_that_ends_while_we_look_is_over(
    harness: DispatcherHarness, looks_before_the_end: int
) -> None:
    """At whichever look at the clock the time is up, the reading is sent, though nothing else happens any more."""
    harness.open(endpoint(retry=QUICK))
    await put(harness, "a")
    harness.waiting[0].answer(503, retry_after="30")
    await harness.advance(30 - 0.001 * looks_before_the_end)
    harness.clock.tick = 0.001
    await put(harness, "b", device=TWO)
    await harness.advance(60)
    assert sorted(all_ids(harness.waiting)) == ["a", "b"]


async def test_retry_after_does_not_shorten_the_schedule(harness: DispatcherHarness) -> None:
    """An endpoint that asks for less patience than the schedule has gets the schedule."""
    harness.open(endpoint(retry=RetrySchedule(60, 60)))
    await put(harness, "a")
    harness.waiting[0].answer(503, retry_after="1")
    await harness.advance(59)
    assert not harness.waiting
    await harness.advance(2)
    assert len(harness.waiting) == 1


class TestGone:
    async def test_410_pauses_and_keeps(self, harness: DispatcherHarness) -> None:
        """After a 410 nothing is sent and nothing is lost, also after a restart."""
        harness.open(endpoint())
        await put(harness, "a")
        harness.waiting[0].answer(410)
        await put(harness, "b", device=TWO)
        assert all_ids(harness.posted) == ["a"]
        await harness.outbox_harness.kill()
        harness.open(endpoint())
        await harness.advance(3600)
        assert not harness.waiting
        assert (await harness.totals()).pending == 2

    async def test_new_url_resumes(self, harness: DispatcherHarness) -> None:
        """An edit of the URL ends the pause, and what was kept is sent there."""
        harness.open(endpoint())
        await put(harness, "a")
        harness.waiting[0].answer(410)
        await harness.rest()
        harness.route(endpoint(url="https://acme.example/new"))
        await harness.rest()
        assert all_ids(harness.waiting) == ["a"]

    async def test_other_edits_do_not_resume(self, harness: DispatcherHarness) -> None:
        harness.open(endpoint())
        await put(harness, "a")
        harness.waiting[0].answer(410)
        await harness.rest()
        harness.route(endpoint(timeout_seconds=3))
        await harness.rest()
        assert not harness.waiting


async def test_paused_endpoint_keeps_its_readings(harness: DispatcherHarness) -> None:
    """`paused: true` sends nothing; taking it away sends what was kept."""
    harness.open(endpoint(paused=True))
    await put(harness, "a")
    assert not harness.posted
    harness.route(endpoint())
    await harness.rest()
    assert all_ids(harness.waiting) == ["a"]


async def test_operators_pause_and_resume_are_noticed(harness: DispatcherHarness) -> None:
    """What `endpoints pause` and `resume` write takes effect while the service runs."""
    harness.open(endpoint())
    await put(harness, "a")
    await harness.answer_all()
    changes: list[tuple[Pause | Resume, list[str]]] = [(Pause("acme"), []), (Resume("acme"), ["b"])]
    for change, expected in changes:
        harness.outbox_harness.other.operate(change)
        harness.outbox.look()
        await harness.rest()
        if isinstance(change, Pause):
            await put(harness, "b")
        await harness.rest()
        assert all_ids(harness.waiting) == expected


async def test_removed_endpoint_waits_for_its_return(harness: DispatcherHarness) -> None:
    """Deliveries of an endpoint that is gone wait; when it comes back they are sent."""
    harness.open(endpoint())
    harness.route()
    await put(harness, "a")
    assert not harness.posted
    harness.route(endpoint())
    await harness.rest()
    assert all_ids(harness.waiting) == ["a"]


async def test_endpoint_that_stays_away_leaves_dead_letters(harness: DispatcherHarness) -> None:
    """After ten minutes they become dead letters, and not before."""
    harness.open(endpoint())
    harness.route()
    await put(harness, "a")
    await harness.expiry.sweep()
    harness.clock.advance(599)
    await harness.expiry.sweep()
    assert (await harness.totals()).pending == 1
    harness.clock.advance(2)
    await harness.expiry.sweep()
    assert (await harness.totals()).dead == 1


async def test_sweep_expires_what_a_paused_endpoint_keeps(harness: DispatcherHarness) -> None:
    """max_age counts also while nothing is sent."""
    harness.open(endpoint(paused=True, max_age_seconds=60))
    await put(harness, "a")
    harness.clock.advance(60)
    await harness.expiry.sweep()
    assert (await harness.totals()).dead == 1


async def test_rate_limit_spaces_attempts(harness: DispatcherHarness) -> None:
    """Two a second are sent half a second apart."""
    harness.open(endpoint(rate_limit=RateLimit(2, 1.0)))
    for device in (ONE, TWO, THREE):
        await put(harness, device, device=device)
    counts = [len(harness.posted)]
    for _ in range(2):
        await harness.advance(0.5)
        counts.append(len(harness.posted))
    assert counts == [1, 2, 3]


class TestLatest:
    async def put_latest(self, harness: DispatcherHarness, *payloads: str) -> None:
        for payload in payloads:
            reading = new_reading(
                ONE, payload, received_at=harness.clock.unix(),
                recipients=(Recipient("acme", only_latest=True),),
            )  # fmt: skip
            await harness.outbox.put([reading])
        await harness.rest()

    async def test_newer_reading_replaces_one_that_could_not_be_sent(
        self, harness: DispatcherHarness
    ) -> None:
        """At `mode: latest` a lane that was put off for want of descriptors sends what is newest then."""
        harness.open(endpoint(mode="latest"))
        await self.put_latest(harness, "a")
        await refuse_descriptors(harness, times=2)
        await self.put_latest(harness, "b")
        await harness.advance(1.01)
        await harness.answer_all()
        assert all_ids(harness.posted)[-1] == "b"
        totals = await harness.totals()
        assert (totals.delivered, totals.superseded) == (1, 1)

    async def test_newer_reading_replaces_the_waiting_one(self, harness: DispatcherHarness) -> None:
        """Only the one in flight and the newest are sent."""
        harness.open(endpoint(mode="latest"))
        await self.put_latest(harness, "a", "b", "c")
        await harness.answer_all()
        assert all_ids(harness.posted) == ["a", "c"]
        assert (await harness.totals()).superseded == 1

    async def test_failed_attempt_gives_way_to_the_newer(self, harness: DispatcherHarness) -> None:
        """What failed after a newer reading came is not tried again."""
        harness.open(endpoint(mode="latest"))
        await self.put_latest(harness, "a", "b")
        harness.waiting[0].answer(500)
        await harness.rest()
        assert all_ids(harness.waiting) == ["b"]

    async def test_too_old_one_is_dropped(self, harness: DispatcherHarness) -> None:
        """It is counted as expired and leaves no dead letter."""
        harness.open(endpoint(mode="latest", max_age_seconds=90, paused=True))
        await self.put_latest(harness, "a")
        harness.clock.advance(90)
        await harness.expiry.sweep()
        accounts = await harness.totals()
        assert (accounts.expired, accounts.dead) == (1, 0)


class TestBatch:
    def batched(self, **settings: Any) -> Endpoint:
        return endpoint(batch=BatchLimits(4, 2.0), retry=QUICK, **settings)

    async def full_batch(self, harness: DispatcherHarness, *devices: str) -> None:
        harness.open(self.batched())
        for number, device in enumerate(devices):
            await put(harness, str(number), device=device)

    async def test_full_batch_goes_at_once(self, harness: DispatcherHarness) -> None:
        """max_events readings wait for no more."""
        await self.full_batch(harness, ONE, TWO, ONE, THREE)
        assert [sorted(one.ids) for one in harness.posted] == [["0", "1", "2", "3"]]

    async def test_few_readings_wait_for_more(self, harness: DispatcherHarness) -> None:
        """Fewer go after max_wait."""
        await self.full_batch(harness, ONE, TWO)
        assert not harness.posted
        await harness.advance(2)
        assert [one.ids for one in harness.posted] == [["0", "1"]]

    async def test_order_of_a_device_holds_inside(self, harness: DispatcherHarness) -> None:
        """Readings of one device stand in a batch as they came."""
        await self.full_batch(harness, ONE, ONE, TWO, ONE)
        (posted,) = harness.posted
        assert [one for one in posted.ids if one != "2"] == ["0", "1", "3"]

    async def test_batches_that_wait_are_sent_though_others_are_ready(
        self, harness: DispatcherHarness
    ) -> None:
        """When no more batches may wait, and nothing else happens, those that do are sent at their time."""
        harness.open(endpoint(batch=BatchLimits(1, 0.0), retry=QUICK, max_concurrency=1))
        for number in range(5):
            await put(harness, str(number), device=f"ECC9FF5C000{number}")
        await harness.answer_next(409, times=4)
        await harness.advance(1)
        assert [(one.ids, one.attempt) for one in harness.waiting] == [(["0"], 2)]

    async def test_batch_keeps_its_id_over_attempts(self, harness: DispatcherHarness) -> None:
        """A batch that failed is the same batch in its next attempt, whatever has come meanwhile."""
        await self.full_batch(harness, ONE, TWO, THREE, ONE)
        harness.waiting[0].answer(503)
        await put(harness, "late", device=TWO)
        await harness.advance(1)
        first, second = harness.posted
        assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
        assert second.attempt == 2

    @pytest.mark.parametrize("status", [400, 422])
    async def test_refused_batch_is_sent_one_by_one(
        self, harness: DispatcherHarness, status: int
    ) -> None:
        """Only the reading that is refused alone becomes a dead letter."""
        await self.full_batch(harness, ONE, TWO, ONE, THREE)
        harness.waiting[0].answer(status)
        await harness.rest()
        for _ in range(4):
            for posted in harness.waiting:
                posted.answer(status if posted.ids == ["2"] else 204)
            await harness.rest()
        assert sorted(all_ids(harness.posted[1:])) == ["0", "1", "2", "3"]
        accounts = await harness.totals()
        assert (accounts.delivered, accounts.dead) == (3, 1)

    async def test_too_large_batch_is_halved(self, harness: DispatcherHarness) -> None:
        """A 413 halves it, until what is left fits."""
        await self.full_batch(harness, ONE, TWO, THREE, "ECC9FF5C0004")
        harness.waiting[0].answer(413)
        await harness.rest()
        assert [len(one.ids) for one in harness.waiting] == [2, 2]
        await harness.answer_all()
        assert (await harness.totals()).delivered == 4

    async def test_single_reading_too_large_dies(self, harness: DispatcherHarness) -> None:
        await self.full_batch(harness, ONE, ONE, ONE, ONE)
        for _ in range(10):
            for posted in harness.waiting:
                posted.answer(413)
            await harness.rest()
        assert (await harness.totals()).dead == 4

    async def test_batch_that_fails_three_times_is_halved(self, harness: DispatcherHarness) -> None:
        """Whatever the reason: a receiver may choke on one reading, or on their number."""
        await self.full_batch(harness, ONE, TWO, THREE, "ECC9FF5C0004")
        for wait in (1, 2, 4):
            harness.waiting[0].answer(500)
            await harness.advance(wait)
        assert [len(one.ids) for one in harness.waiting] == [2, 2]

    async def test_batch_in_waiting_expires_too(self, harness: DispatcherHarness) -> None:
        """max_age is swept also for readings that wait in a batch."""
        harness.open(self.batched(max_age_seconds=10))
        for number in range(4):
            await put(harness, str(number))
        harness.waiting[0].answer(410)
        await harness.rest()
        harness.clock.advance(11)
        await harness.expiry.sweep()
        assert (await harness.totals()).dead == 4


async def test_drain_waits_for_attempts_in_flight(harness: DispatcherHarness) -> None:
    """A stop lets the attempts end that are under way, and starts no new ones."""
    harness.open(endpoint())
    await put(harness, "a", "b")
    drained = asyncio.create_task(harness.dispatcher.drain(timeout_seconds=60))
    await asyncio.sleep(0)
    harness.waiting[0].answer()
    await drained
    accounts = await harness.totals()
    assert (accounts.delivered, accounts.pending) == (1, 1)


async def test_nothing_is_sent_while_nothing_can_be_recorded(harness: DispatcherHarness) -> None:
    """While a settlement cannot be written, no new attempt starts: the same reading would be sent for ever."""
    harness.open(endpoint())
    await put(harness, "a", "b", "c")
    harness.outbox_harness.engine.fill()
    harness.waiting[0].answer()
    waiting = asyncio.create_task(put(harness, "d" * 20000))
    await until_it_failed(harness.outbox)
    harness.waiting[0].answer()  # it was under way before the failure was known
    await asyncio.sleep(0)
    assert "c" not in all_ids(harness.posted)
    harness.outbox_harness.engine.make_room()
    harness.clock.advance(1)
    await waiting
    assert all_ids(harness.waiting) == ["c"]


async def refuse_descriptors(harness: DispatcherHarness, *, times: int) -> None:
    """Have the next attempts end for want of a file descriptor."""
    for _ in range(times):
        harness.waiting[0].fail(NoDescriptor())
        await harness.rest()


async def test_want_of_descriptors_is_no_attempt(harness: DispatcherHarness) -> None:
    """Nothing was sent: the number of the attempt stays, none is on record, and the endpoint is not blamed."""
    harness.open(endpoint())
    await put(harness, "a")
    for _ in range(6):
        await refuse_descriptors(harness, times=2)
        assert not harness.waiting
        await harness.advance(1.01)
    totals = await harness.totals()
    assert (totals.health.failures, totals.health.last_error) == (0, None)
    assert {one.attempt for one in harness.posted} == {1}
    assert not harness.metrics.attempts._counts
    await harness.answer_all()
    assert (await harness.totals()).delivered == 1


async def test_want_of_descriptors_keeps_the_order_and_the_batch(
    harness: DispatcherHarness,
) -> None:
    """A batch that could not be sent stays as it is, with its id; what came meanwhile comes after it."""
    harness.open(endpoint(batch=BatchLimits(max_events=10, max_wait_seconds=0)))
    await put(harness, "a")
    await refuse_descriptors(harness, times=2)
    await put(harness, "b", device=TWO)
    await harness.advance(1.01)
    await harness.answer_all()
    assert len({one.webhook_id for one in harness.posted if "a" in one.ids}) == 1
    assert {one.attempt for one in harness.posted} == {1}
    assert (await harness.totals()).delivered == 2


async def test_stop_without_descriptors_leaves_the_reading_pending(
    harness: DispatcherHarness,
) -> None:
    """What could not be sent when the service stops is as if never claimed."""
    harness.open(endpoint())
    await put(harness, "a")
    stopping = asyncio.ensure_future(harness.dispatcher.drain(timeout_seconds=5))
    await asyncio.sleep(0)
    await refuse_descriptors(harness, times=1)
    await stopping
    totals = await harness.totals()
    assert (totals.pending, totals.delivered) == (1, 0)
    assert len(harness.posted) == 1
