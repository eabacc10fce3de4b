"""What is sent to an endpoint, when, and what each answer leads to."""

import asyncio
from typing import Any

import pytest
from support.desk import Desk, all_ids
from support.faults import Faults
from support.outbox import until_it_failed
from support.readings import endpoint, new_reading

from forwarder.dispatcher.endpoint import BROKEN_SECONDS
from forwarder.outbox import Pause, Recipient, Resume
from forwarder.routes import BatchLimits, Endpoint, RateLimit, RetrySchedule
from forwarder.sender.failure import NoDescriptor

ONE, TWO, THREE = "ECC9FF5C0001", "ECC9FF5C0002", "ECC9FF5C0003"
QUICK = RetrySchedule(initial_seconds=1, max_seconds=8)


async def put(desk: Desk, *payloads: str, device: str = ONE, to: str = "acme") -> None:
    await desk.outbox.put(
        [new_reading(device, payload, to=to, received_at=desk.clock.unix()) for payload in payloads]
    )
    await desk.rest()


async def test_reading_is_sent_once_it_is_put(desk: Desk) -> None:
    """An idle endpoint gets a reading at once, as its first attempt."""
    desk.open(endpoint())
    await put(desk, "a")
    assert [(one.ids, one.attempt) for one in desk.posted] == [(["a"], 1)]


async def test_next_of_a_device_follows_the_answer(desk: Desk) -> None:
    """A device's second reading is sent after the first was answered, not before."""
    desk.open(endpoint())
    await put(desk, "a", "b")
    assert all_ids(desk.posted) == ["a"]
    await desk.answer_all()
    assert all_ids(desk.posted) == ["a", "b"]


async def test_devices_go_side_by_side_up_to_the_cap(desk: Desk) -> None:
    """No more attempts are in flight than max_concurrency."""
    desk.open(endpoint(max_concurrency=2))
    for device in (ONE, TWO, THREE):
        await put(desk, device, device=device)
    assert len(desk.waiting) == 2
    desk.waiting[0].answer()
    await desk.rest()
    assert len(desk.waiting) == 2


async def test_failed_reading_is_tried_again_on_schedule(desk: Desk) -> None:
    """A failure waits initial, then twice that; body and id stay, the attempt counts."""
    desk.open(endpoint(retry=QUICK))
    await put(desk, "a")
    for wait in (1, 2, 4):
        desk.waiting[0].answer(500)
        await desk.advance(wait - 0.01)
        assert not desk.waiting
        await desk.advance(0.02)
    assert [one.attempt for one in desk.posted] == [1, 2, 3, 4]
    assert len({(one.webhook_id, one.body) for one in desk.posted}) == 1


async def test_failing_reading_holds_back_its_own_device_only(desk: Desk) -> None:
    """While one device's reading waits for its retry, others flow."""
    desk.open(endpoint(retry=QUICK))
    await put(desk, "a", "b")
    desk.waiting[0].answer(500)
    await desk.rest()
    await put(desk, "c", device=TWO)
    await desk.answer_all()
    assert all_ids(desk.posted) == ["a", "c"]


async def test_error_of_ours_puts_its_lane_off(desk: Desk) -> None:
    """A reading that we break at waits a minute, also when the watch breaks at that; nobody else does."""
    desk.watch = Faults(lambda *_: True).watch(desk.metrics)
    desk.open(endpoint(fields=("meter.id",)))
    await put(desk, 'no"json', "b")
    await put(desk, "c", device=TWO)
    await desk.answer_all()
    assert len(desk.posted) == 1
    desk.route(endpoint())
    await desk.advance(BROKEN_SECONDS - 1)
    assert not desk.waiting
    await desk.advance(1)
    await desk.answer_all()
    accounts = await desk.totals()
    assert (accounts.delivered, accounts.pending) == (3, 0)


async def test_one_endpoint_does_not_wait_for_another(desk: Desk) -> None:
    """An endpoint that hangs delays nobody else."""
    desk.open(endpoint("acme"), endpoint("home"))
    await put(desk, "a", "b", to="acme home")
    for posted in [one for one in desk.waiting if one.endpoint == "home"]:
        posted.answer()
    await desk.rest()
    assert [one.ids for one in desk.waiting if one.endpoint == "home"] == [["b"]]
    assert [one.ids for one in desk.waiting if one.endpoint == "acme"] == [["a"]]


@pytest.mark.parametrize("status", [400, 405, 413, 414, 415, 422, 501])
async def test_refusal_is_final(desk: Desk, status: int) -> None:
    """A refused reading is a dead letter at once; the device's next one follows."""
    desk.open(endpoint())
    await put(desk, "a", "b")
    desk.waiting[0].answer(status)
    await desk.rest()
    assert all_ids(desk.waiting) == ["b"]
    assert (await desk.totals()).dead == 1


@pytest.mark.parametrize("batch", [None, BatchLimits(10, 0.0)])
async def test_what_has_no_url_is_a_dead_letter(desk: Desk, batch: BatchLimits | None) -> None:
    """A device named '..' would lead out of the path: nothing is sent, an operator decides, and others go on."""
    outbox = desk.open(endpoint(url="https://acme.example/{device}/in", batch=batch))
    await put(desk, "a", "b", device="..")
    await put(desk, "c")
    await desk.answer_all()
    assert all_ids(desk.posted) == ["c"]
    totals = await desk.totals()
    assert (totals.dead, totals.delivered, totals.pending) == (2, 1, 0)
    assert outbox.overview().dead_letters == {("acme", "unrenderable"): 2}


async def test_attempts_can_be_exhausted(desk: Desk) -> None:
    """With max_attempts the last failure makes a dead letter."""
    retry = RetrySchedule(initial_seconds=1, max_seconds=8, max_attempts=2)
    desk.open(endpoint(retry=retry))
    await put(desk, "a")
    desk.waiting[0].answer(500)
    await desk.advance(1)
    desk.waiting[0].answer(500)
    assert (await desk.totals()).dead == 1


async def test_too_old_reading_is_not_sent(desk: Desk) -> None:
    """max_age is looked at before each attempt."""
    desk.open(endpoint(max_age_seconds=5, retry=RetrySchedule(10, 10)))
    await put(desk, "a")
    desk.waiting[0].answer(500)
    await desk.advance(10)
    assert not desk.waiting
    accounts = await desk.totals()
    assert (accounts.dead, accounts.pending) == (1, 0)


class TestCircuit:
    async def open_circuit(self, desk: Desk) -> None:
        desk.open(endpoint(retry=QUICK, max_concurrency=8))
        for number in range(8):
            await put(desk, str(number), device=f"ECC9FF5C000{number}")
        for posted in desk.waiting:
            posted.answer(503)
        await desk.rest()

    async def test_failures_in_a_row_open_it(self, desk: Desk) -> None:
        """After five failures only one attempt at a time is made, however many devices wait."""
        await self.open_circuit(desk)
        await desk.advance(60)
        assert len(desk.waiting) == 1

    async def test_success_of_the_probe_lets_the_backlog_flow(self, desk: Desk) -> None:
        """When the probe succeeds, nothing waits for its own retry any more."""
        await self.open_circuit(desk)
        await desk.advance(60)
        desk.waiting[0].answer(204)
        await desk.rest()
        assert len(desk.waiting) == 7

    async def test_failed_probe_waits_for_the_next(self, desk: Desk) -> None:
        """Probes follow the retry schedule."""
        await self.open_circuit(desk)
        await desk.advance(60)
        desk.waiting[0].answer(503)
        await desk.advance(1)
        assert not desk.waiting
        await desk.advance(60)
        assert len(desk.waiting) == 1

    async def test_refusals_do_not_open_it(self, desk: Desk) -> None:
        """A receiver that refuses readings is well."""
        desk.open(endpoint())
        await put(desk, *"abcdefgh")
        for _ in range(8):
            desk.waiting[0].answer(400)
            await desk.rest()
        await put(desk, "i")
        assert all_ids(desk.waiting) == ["i"]

    async def test_it_survives_a_restart(self, desk: Desk) -> None:
        """A dead endpoint is not hit with everything at once after a restart."""
        await self.open_circuit(desk)
        await desk.dispatcher.drain(timeout_seconds=1)
        await desk.workshop.kill()
        desk.open(endpoint(retry=QUICK))
        await desk.advance(60)
        assert len(desk.waiting) == 1

    async def test_attempts_from_before_do_not_lengthen_it(self, desk: Desk) -> None:
        """However many fail together, the first probe comes after the first wait of the schedule."""
        await self.open_circuit(desk)
        await desk.advance(0.9)
        assert not desk.waiting
        await desk.advance(0.2)
        assert len(desk.waiting) == 1

    @pytest.mark.parametrize("status", [400, 409])
    async def test_refused_probe_is_followed_at_the_same_pace(
        self, desk: Desk, status: int
    ) -> None:
        """An answer that speaks of its reading alone neither closes the circuit nor hurries the next probe."""
        await self.open_circuit(desk)
        await desk.advance(1)
        desk.waiting[0].answer(status)
        await desk.advance(0.9)
        assert not desk.waiting
        await desk.advance(0.2)
        assert len(desk.waiting) == 1

    async def test_clock_that_is_set_back_moves_no_probe(self, desk: Desk) -> None:
        """What a failed probe waits for is measured by the clock that cannot be set."""
        await self.open_circuit(desk)
        desk.clock.step(-86400)
        await desk.advance(1)
        desk.waiting[0].answer(503)
        await desk.advance(2)
        assert len(desk.waiting) == 1

    async def test_backlog_flows_when_it_recovers_after_a_restart(self, desk: Desk) -> None:
        """Waits from before a restart end with the recovery as those from after it do."""
        slow = endpoint(retry=RetrySchedule(600, 600))
        desk.open(slow)
        for number in range(8):
            await put(desk, str(number), device=f"ECC9FF5C000{number}")
        await desk.answer_next(503, times=8)
        await desk.dispatcher.drain(timeout_seconds=1)
        await desk.workshop.kill()
        desk.open(slow)
        await desk.advance(60)
        desk.waiting[0].answer()
        await desk.rest()
        assert len(desk.waiting) == 7


async def test_retry_after_holds_the_whole_endpoint(desk: Desk) -> None:
    """No device's reading is sent before the time that a 429 asked for."""
    desk.open(endpoint(retry=QUICK))
    await put(desk, "a")
    desk.waiting[0].answer(429, retry_after="30")
    await put(desk, "b", device=TWO)
    await desk.advance(29)
    assert all_ids(desk.posted) == ["a"]
    await desk.advance(2)
    assert sorted(all_ids(desk.waiting)) == ["a", "b"]


@pytest.mark.parametrize("looks_before_the_end", range(12))
async def test_hold_that_ends_while_we_look_is_over(desk: Desk, looks_before_the_end: int) -> None:
    """At whichever look at the clock the time is up, the reading is sent, though nothing else happens any more."""
    desk.open(endpoint(retry=QUICK))
    await put(desk, "a")
    desk.waiting[0].answer(503, retry_after="30")
    await desk.advance(30 - 0.001 * looks_before_the_end)
    desk.clock.tick = 0.001
    await put(desk, "b", device=TWO)
    await desk.advance(60)
    assert sorted(all_ids(desk.waiting)) == ["a", "b"]


async def test_retry_after_does_not_shorten_the_schedule(desk: Desk) -> None:
    """An endpoint that asks for less patience than the schedule has gets the schedule."""
    desk.open(endpoint(retry=RetrySchedule(60, 60)))
    await put(desk, "a")
    desk.waiting[0].answer(503, retry_after="1")
    await desk.advance(59)
    assert not desk.waiting
    await desk.advance(2)
    assert len(desk.waiting) == 1


class TestGone:
    async def test_410_pauses_and_keeps(self, desk: Desk) -> None:
        """After a 410 nothing is sent and nothing is lost, also after a restart."""
        desk.open(endpoint())
        await put(desk, "a")
        desk.waiting[0].answer(410)
        await put(desk, "b", device=TWO)
        assert all_ids(desk.posted) == ["a"]
        await desk.workshop.kill()
        desk.open(endpoint())
        await desk.advance(3600)
        assert not desk.waiting
        assert (await desk.totals()).pending == 2

    async def test_new_url_resumes(self, desk: Desk) -> None:
        """An edit of the URL ends the pause, and what was kept is sent there."""
        desk.open(endpoint())
        await put(desk, "a")
        desk.waiting[0].answer(410)
        await desk.rest()
        desk.route(endpoint(url="https://acme.example/new"))
        await desk.rest()
        assert all_ids(desk.waiting) == ["a"]

    async def test_other_edits_do_not_resume(self, desk: Desk) -> None:
        desk.open(endpoint())
        await put(desk, "a")
        desk.waiting[0].answer(410)
        await desk.rest()
        desk.route(endpoint(timeout_seconds=3))
        await desk.rest()
        assert not desk.waiting


async def test_paused_endpoint_keeps_its_readings(desk: Desk) -> None:
    """`paused: true` sends nothing; taking it away sends what was kept."""
    desk.open(endpoint(paused=True))
    await put(desk, "a")
    assert not desk.posted
    desk.route(endpoint())
    await desk.rest()
    assert all_ids(desk.waiting) == ["a"]


async def test_operators_pause_and_resume_are_noticed(desk: Desk) -> None:
    """What `endpoints pause` and `resume` write takes effect while the service runs."""
    desk.open(endpoint())
    await put(desk, "a")
    await desk.answer_all()
    changes: list[tuple[Pause | Resume, list[str]]] = [(Pause("acme"), []), (Resume("acme"), ["b"])]
    for change, expected in changes:
        await desk.outbox.operate(change)
        desk.dispatcher.look_for_pauses()
        if isinstance(change, Pause):
            await put(desk, "b")
        await desk.rest()
        assert all_ids(desk.waiting) == expected


async def test_removed_endpoint_waits_for_its_return(desk: Desk) -> None:
    """Deliveries of an endpoint that is gone wait; when it comes back they are sent."""
    desk.open(endpoint())
    desk.route()
    await put(desk, "a")
    assert not desk.posted
    desk.route(endpoint())
    await desk.rest()
    assert all_ids(desk.waiting) == ["a"]


async def test_endpoint_that_stays_away_leaves_dead_letters(desk: Desk) -> None:
    """After ten minutes they become dead letters, and not before."""
    desk.open(endpoint())
    desk.route()
    await put(desk, "a")
    await desk.dispatcher.sweep()
    desk.clock.advance(599)
    await desk.dispatcher.sweep()
    assert (await desk.totals()).pending == 1
    desk.clock.advance(2)
    await desk.dispatcher.sweep()
    assert (await desk.totals()).dead == 1


async def test_sweep_expires_what_a_paused_endpoint_keeps(desk: Desk) -> None:
    """max_age counts also while nothing is sent."""
    desk.open(endpoint(paused=True, max_age_seconds=60))
    await put(desk, "a")
    desk.clock.advance(60)
    await desk.dispatcher.sweep()
    assert (await desk.totals()).dead == 1


async def test_rate_limit_spaces_attempts(desk: Desk) -> None:
    """Two a second are sent half a second apart."""
    desk.open(endpoint(rate_limit=RateLimit(2, 1.0)))
    for device in (ONE, TWO, THREE):
        await put(desk, device, device=device)
    counts = [len(desk.posted)]
    for _ in range(2):
        await desk.advance(0.5)
        counts.append(len(desk.posted))
    assert counts == [1, 2, 3]


class TestLatest:
    async def put_latest(self, desk: Desk, *payloads: str) -> None:
        for payload in payloads:
            reading = new_reading(
                ONE, payload, received_at=desk.clock.unix(),
                recipients=(Recipient("acme", only_latest=True),),
            )  # fmt: skip
            await desk.outbox.put([reading])
        await desk.rest()

    async def test_newer_reading_replaces_one_that_could_not_be_sent(self, desk: Desk) -> None:
        """At `mode: latest` a lane that was put off for want of descriptors sends what is newest then."""
        desk.open(endpoint(mode="latest"))
        await self.put_latest(desk, "a")
        await refuse_descriptors(desk, times=2)
        await self.put_latest(desk, "b")
        await desk.advance(1.01)
        await desk.answer_all()
        assert all_ids(desk.posted)[-1] == "b"
        totals = await desk.totals()
        assert (totals.delivered, totals.superseded) == (1, 1)

    async def test_newer_reading_replaces_the_waiting_one(self, desk: Desk) -> None:
        """Only the one in flight and the newest are sent."""
        desk.open(endpoint(mode="latest"))
        await self.put_latest(desk, "a", "b", "c")
        await desk.answer_all()
        assert all_ids(desk.posted) == ["a", "c"]
        assert (await desk.totals()).superseded == 1

    async def test_failed_attempt_gives_way_to_the_newer(self, desk: Desk) -> None:
        """What failed after a newer reading came is not tried again."""
        desk.open(endpoint(mode="latest"))
        await self.put_latest(desk, "a", "b")
        desk.waiting[0].answer(500)
        await desk.rest()
        assert all_ids(desk.waiting) == ["b"]

    async def test_too_old_one_is_dropped(self, desk: Desk) -> None:
        """It is counted as expired and leaves no dead letter."""
        desk.open(endpoint(mode="latest", max_age_seconds=90, paused=True))
        await self.put_latest(desk, "a")
        desk.clock.advance(90)
        await desk.dispatcher.sweep()
        accounts = await desk.totals()
        assert (accounts.expired, accounts.dead) == (1, 0)


class TestBatch:
    def batched(self, **settings: Any) -> Endpoint:
        return endpoint(batch=BatchLimits(4, 2.0), retry=QUICK, **settings)

    async def full_batch(self, desk: Desk, *devices: str) -> None:
        desk.open(self.batched())
        for number, device in enumerate(devices):
            await put(desk, str(number), device=device)

    async def test_full_batch_goes_at_once(self, desk: Desk) -> None:
        """max_events readings wait for no more."""
        await self.full_batch(desk, ONE, TWO, ONE, THREE)
        assert [sorted(one.ids) for one in desk.posted] == [["0", "1", "2", "3"]]

    async def test_few_readings_wait_for_more(self, desk: Desk) -> None:
        """Fewer go after max_wait."""
        await self.full_batch(desk, ONE, TWO)
        assert not desk.posted
        await desk.advance(2)
        assert [one.ids for one in desk.posted] == [["0", "1"]]

    async def test_order_of_a_device_holds_inside(self, desk: Desk) -> None:
        """Readings of one device stand in a batch as they came."""
        await self.full_batch(desk, ONE, ONE, TWO, ONE)
        (posted,) = desk.posted
        assert [one for one in posted.ids if one != "2"] == ["0", "1", "3"]

    async def test_batches_that_wait_are_sent_though_others_are_ready(self, desk: Desk) -> None:
        """When no more batches may wait, and nothing else happens, those that do are sent at their time."""
        desk.open(endpoint(batch=BatchLimits(1, 0.0), retry=QUICK, max_concurrency=1))
        for number in range(5):
            await put(desk, str(number), device=f"ECC9FF5C000{number}")
        await desk.answer_next(409, times=4)
        await desk.advance(1)
        assert [(one.ids, one.attempt) for one in desk.waiting] == [(["0"], 2)]

    async def test_batch_keeps_its_id_over_attempts(self, desk: Desk) -> None:
        """A batch that failed is the same batch in its next attempt, whatever has come meanwhile."""
        await self.full_batch(desk, ONE, TWO, THREE, ONE)
        desk.waiting[0].answer(503)
        await put(desk, "late", device=TWO)
        await desk.advance(1)
        first, second = desk.posted
        assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
        assert second.attempt == 2

    @pytest.mark.parametrize("status", [400, 422])
    async def test_refused_batch_is_sent_one_by_one(self, desk: Desk, status: int) -> None:
        """Only the reading that is refused alone becomes a dead letter."""
        await self.full_batch(desk, ONE, TWO, ONE, THREE)
        desk.waiting[0].answer(status)
        await desk.rest()
        for _ in range(4):
            for posted in desk.waiting:
                posted.answer(status if posted.ids == ["2"] else 204)
            await desk.rest()
        assert sorted(all_ids(desk.posted[1:])) == ["0", "1", "2", "3"]
        accounts = await desk.totals()
        assert (accounts.delivered, accounts.dead) == (3, 1)

    async def test_too_large_batch_is_halved(self, desk: Desk) -> None:
        """A 413 halves it, until what is left fits."""
        await self.full_batch(desk, ONE, TWO, THREE, "ECC9FF5C0004")
        desk.waiting[0].answer(413)
        await desk.rest()
        assert [len(one.ids) for one in desk.waiting] == [2, 2]
        await desk.answer_all()
        assert (await desk.totals()).delivered == 4

    async def test_single_reading_too_large_dies(self, desk: Desk) -> None:
        await self.full_batch(desk, ONE, ONE, ONE, ONE)
        for _ in range(10):
            for posted in desk.waiting:
                posted.answer(413)
            await desk.rest()
        assert (await desk.totals()).dead == 4

    async def test_batch_that_fails_three_times_is_halved(self, desk: Desk) -> None:
        """Whatever the reason: a receiver may choke on one reading, or on their number."""
        await self.full_batch(desk, ONE, TWO, THREE, "ECC9FF5C0004")
        for wait in (1, 2, 4):
            desk.waiting[0].answer(500)
            await desk.advance(wait)
        assert [len(one.ids) for one in desk.waiting] == [2, 2]

    async def test_batch_in_waiting_expires_too(self, desk: Desk) -> None:
        """max_age is swept also for readings that wait in a batch."""
        desk.open(self.batched(max_age_seconds=10))
        for number in range(4):
            await put(desk, str(number))
        desk.waiting[0].answer(410)
        await desk.rest()
        desk.clock.advance(11)
        await desk.dispatcher.sweep()
        assert (await desk.totals()).dead == 4


async def test_drain_waits_for_attempts_in_flight(desk: Desk) -> None:
    """A stop lets the attempts end that are under way, and starts no new ones."""
    desk.open(endpoint())
    await put(desk, "a", "b")
    drained = asyncio.create_task(desk.dispatcher.drain(timeout_seconds=60))
    await asyncio.sleep(0)
    desk.waiting[0].answer()
    await drained
    accounts = await desk.totals()
    assert (accounts.delivered, accounts.pending) == (1, 1)


async def test_nothing_is_sent_while_nothing_can_be_recorded(desk: Desk) -> None:
    """While a settlement cannot be written, no new attempt starts: the same reading would be sent for ever."""
    desk.open(endpoint())
    await put(desk, "a", "b", "c")
    desk.workshop.engine.fill()
    desk.waiting[0].answer()
    waiting = asyncio.create_task(put(desk, "d" * 20000))
    await until_it_failed(desk.outbox)
    desk.waiting[0].answer()  # it was under way before the failure was known
    await asyncio.sleep(0)
    assert "c" not in all_ids(desk.posted)
    desk.workshop.engine.make_room()
    desk.clock.advance(1)
    await waiting
    assert all_ids(desk.waiting) == ["c"]


async def refuse_descriptors(desk: Desk, *, times: int) -> None:
    """Have the next attempts end for want of a file descriptor."""
    for _ in range(times):
        desk.waiting[0].fail(NoDescriptor())
        await desk.rest()


async def test_want_of_descriptors_is_no_attempt(desk: Desk) -> None:
    """Nothing was sent: the number of the attempt stays, none is on record, and the endpoint is not blamed."""
    desk.open(endpoint())
    await put(desk, "a")
    for _ in range(6):
        await refuse_descriptors(desk, times=2)
        assert not desk.waiting
        await desk.advance(1.01)
    totals = await desk.totals()
    assert (totals.health.failures, totals.health.last_error) == (0, None)
    assert {one.attempt for one in desk.posted} == {1}
    assert not desk.metrics.attempts._counts
    await desk.answer_all()
    assert (await desk.totals()).delivered == 1


async def test_want_of_descriptors_keeps_the_order_and_the_batch(desk: Desk) -> None:
    """A batch that could not be sent stays as it is, with its id; what came meanwhile comes after it."""
    desk.open(endpoint(batch=BatchLimits(max_events=10, max_wait_seconds=0)))
    await put(desk, "a")
    await refuse_descriptors(desk, times=2)
    await put(desk, "b", device=TWO)
    await desk.advance(1.01)
    await desk.answer_all()
    assert len({one.webhook_id for one in desk.posted if "a" in one.ids}) == 1
    assert {one.attempt for one in desk.posted} == {1}
    assert (await desk.totals()).delivered == 2


async def test_stop_without_descriptors_leaves_the_reading_pending(desk: Desk) -> None:
    """What could not be sent when the service stops is as if never claimed."""
    desk.open(endpoint())
    await put(desk, "a")
    stopping = asyncio.ensure_future(desk.dispatcher.drain(timeout_seconds=5))
    await asyncio.sleep(0)
    await refuse_descriptors(desk, times=1)
    await stopping
    totals = await desk.totals()
    assert (totals.pending, totals.delivered) == (1, 0)
    assert len(desk.posted) == 1
