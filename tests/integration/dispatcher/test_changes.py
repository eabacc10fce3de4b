"""What is edited, paused, removed, replayed or erased while deliveries of it wait, or are on their way."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.dispatcher_harness import DispatcherHarness, all_ids
from support.readings import endpoint, new_reading

from forwarder.operator import (
    choose_dead_letters,
    replay,
)
from forwarder.outbox import (
    Recipient,
    Selection,
    opened,
)
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.reading import Device
from forwarder.routes import BatchLimits, Endpoint, RetrySchedule

ONE, TWO, THREE = "ECC9FF5C0001", "ECC9FF5C0002", "ECC9FF5C0003"
QUICK = RetrySchedule(initial_seconds=1, max_seconds=8)
LATEST = (Recipient("acme", only_latest=True),)


def batched(**settings: Any) -> Endpoint:
    settings.setdefault("batch", BatchLimits(3, 2.0))
    return endpoint(retry=QUICK, **settings)


async def put(harness: DispatcherHarness, *payloads: str, device: str = ONE, **fields: Any) -> None:
    at = harness.clock.unix()
    await harness.outbox.put(
        [new_reading(device, one, received_at=at, **fields) for one in payloads]
    )
    await harness.rest()


async def full_batch(harness: DispatcherHarness, before: Endpoint) -> None:
    """Three readings of two devices are on their way."""
    harness.open(before)
    await put(harness, "1", "2")
    await put(harness, "3", device=TWO)


async def settled(harness: DispatcherHarness) -> tuple[int, int, int]:
    """Delivered, dead and pending, once everything in flight is accepted."""
    await harness.answer_all()
    accounts = await harness.totals()
    return accounts.delivered, accounts.dead, accounts.pending


WITHOUT_BATCH = endpoint(retry=QUICK)
PER_DEVICE = batched(url="https://acme.example/{device}")
SMALLER = batched(batch=BatchLimits(2, 2.0))


async def test_batch_of_old_and_new_readings_keeps_each_count(harness: DispatcherHarness) -> None:
    """In a batch that is delivered a reading has as many attempts as it was in, not as its first member."""
    harness.open(WITHOUT_BATCH)
    await put(harness, "1")
    harness.waiting[0].answer(503)
    await harness.rest()
    harness.route(batched(batch=BatchLimits(2, 60.0)))
    await harness.advance(20)
    await put(harness, "2", device=TWO)
    assert [sorted(one.ids) for one in harness.waiting] == [["1", "2"]]
    assert await settled(harness) == (2, 0, 0)
    assert [row["attempts"] for row in harness.outbox_harness.engine.rows("delivery")] == [2, 1]


class TestBatchAfterAnEdit:
    """What was made up as it may not be sent any more is made up anew; nothing is lost, and no order."""

    @pytest.mark.parametrize("is_answered_before", [True, False])
    @pytest.mark.parametrize("status", [500, 413, 400])
    @pytest.mark.parametrize("after", [WITHOUT_BATCH, PER_DEVICE, SMALLER])
    async def test_it_is_sent_as_the_edit_says(
        self, harness: DispatcherHarness, after: Endpoint, status: int, is_answered_before: bool
    ) -> None:
        await full_batch(harness, batched())
        if not is_answered_before:
            harness.route(after)
        harness.waiting[0].answer(status)
        await harness.rest()
        for posted in harness.waiting:
            posted.answer(500)
        harness.route(after)
        harness.posted.clear()
        await harness.advance(20)
        assert await settled(harness) == (3, 0, 0)
        most = after.batch.max_events if after.batch else 1
        assert all(len(one.ids) <= most for one in harness.posted)
        assert not [
            one
            for one in harness.posted
            if "3" in one.ids and after is PER_DEVICE and one.ids != ["3"]
        ]
        assert [one for one in all_ids(harness.posted) if one != "3"] == ["1", "2"]

    async def test_other_edits_keep_it(self, harness: DispatcherHarness) -> None:
        """A new URL gets the same batch with the same id."""
        await full_batch(harness, batched())
        harness.waiting[0].answer(500)
        await harness.rest()
        harness.route(batched(url="https://acme.example/new"))
        await harness.advance(1)
        first, second = harness.posted
        assert (first.webhook_id, first.body) == (second.webhook_id, second.body)

    async def test_its_retry_waits_as_long_as_before(self, harness: DispatcherHarness) -> None:
        """An edit does not make a reading come before its time."""
        await full_batch(harness, batched())
        harness.waiting[0].answer(500)
        await harness.rest()
        harness.route(WITHOUT_BATCH)
        await harness.advance(0.9)
        assert not harness.waiting
        await harness.advance(0.2)
        assert len(harness.waiting) == 2


class TestSplitBatch:
    """Its pieces wait in memory; they are given back when nothing may be sent."""

    async def split(self, harness: DispatcherHarness, **settings: object) -> None:
        await full_batch(harness, batched(max_concurrency=1, **settings))
        harness.waiting[0].answer(400)
        await harness.rest()

    async def test_it_is_buried_with_its_removed_endpoint(self, harness: DispatcherHarness) -> None:
        await self.split(harness)
        harness.route()
        await harness.answer_all(500)
        await harness.expiry.sweep()
        harness.clock.advance(601)
        await harness.expiry.sweep()
        assert await settled(harness) == (0, 3, 0)

    @pytest.mark.parametrize("status", [410, 503])
    async def test_it_expires_while_nothing_is_sent(
        self, harness: DispatcherHarness, status: int
    ) -> None:
        await self.split(harness, max_age_seconds=5)
        harness.waiting[0].answer(status, retry_after="600")
        await harness.rest()
        harness.clock.advance(6)
        await harness.expiry.sweep()
        assert await settled(harness) == (0, 3, 0)

    async def test_no_piece_is_sent_after_its_time(self, harness: DispatcherHarness) -> None:
        """Also one that only now has become the first is looked at before it is sent."""
        await self.split(harness, max_age_seconds=5)
        harness.clock.advance(6)
        harness.posted[-1].answer(500)
        await harness.advance(2)
        assert await settled(harness) == (0, 3, 0)
        assert len(harness.posted) == 2


async def test_erased_reading_is_not_sent_again_with_its_batch(harness: DispatcherHarness) -> None:
    """A batch that waits for its retry gives up the readings of a device that was purged."""
    await full_batch(harness, batched())
    harness.waiting[0].answer(500)
    await harness.rest()
    lock = outbox_file.DirectoryLock(harness.outbox_harness.path)
    await asyncio.to_thread(purge_one, harness.outbox_harness.path)
    lock.release()
    await harness.advance(1)
    await harness.advance(2)
    assert all_ids(harness.posted[1:]) == ["3"]
    assert await settled(harness) == (1, 2, 0)


def purge_one(path: Path) -> None:
    with opened(path) as file:
        file.purge(Device(ONE))


class TestLatest:
    async def test_batch_that_waits_gives_way_to_the_newer(
        self, harness: DispatcherHarness
    ) -> None:
        """In a batch, too, a newer reading supersedes the one that is not in flight."""
        harness.open(batched(mode="latest", batch=BatchLimits(1, 0.0)))
        await put(harness, "1", recipients=LATEST)
        harness.waiting[0].answer(500)
        await harness.rest()
        await put(harness, "2", recipients=LATEST)
        await harness.advance(1)
        assert all_ids(harness.posted) == ["1", "2"]
        assert (await harness.totals()).superseded == 1

    async def test_replay_of_an_old_one_does_not_drop_the_newest(
        self, harness: DispatcherHarness
    ) -> None:
        """Only a newer reading supersedes: one that fails while an older replay waits is tried again."""
        harness.open(endpoint(mode="latest", retry=QUICK))
        await put(harness, "1", recipients=LATEST)
        harness.waiting[0].answer(400)
        await harness.rest()
        await put(harness, "2", recipients=LATEST)
        replay_all(harness)
        await harness.rest()
        harness.waiting[0].answer(500)
        await harness.advance(2)
        await harness.answer_all()
        await harness.advance(2)
        assert await settled(harness) == (2, 0, 0)


def replay_all(harness: DispatcherHarness) -> None:
    with opened(harness.outbox_harness.path) as file:
        replay(file, choose_dead_letters(file, Selection()), now=harness.clock.unix())


async def test_batches_of_one_device_wait_each_for_their_own(harness: DispatcherHarness) -> None:
    """Where the URL names the device, the readings of others do not fill its batch."""
    harness.open(PER_DEVICE)
    for device in (ONE, TWO, THREE):
        await put(harness, device, device=device)
    assert not harness.posted
    await harness.advance(2)
    assert sorted(len(one.ids) for one in harness.posted) == [1, 1, 1]


@pytest.mark.parametrize("form", ["standard", "cloudevents"])
async def test_batch_stays_below_a_mebibyte(harness: DispatcherHarness, form: str) -> None:
    """Whatever a format puts around each reading counts."""
    asked = endpoint(batch=BatchLimits(1000, 0.0), format=form)
    harness.open(replace(asked, paused=True))
    for number in range(10):
        device = f"ECC9FF5C000{number}"
        await put(
            harness, *(f"{number}-{index}-" + "x" * 2000 for index in range(60)), device=device
        )
    harness.route(asked)
    await harness.answer_all()
    assert len(all_ids(harness.posted)) >= 600
    assert 900_000 < max(len(one.body) for one in harness.posted) <= 1 << 20


async def test_each_member_of_a_batch_counts_its_own_attempts(harness: DispatcherHarness) -> None:
    """A reading that joins an older one in a batch is not given that one's attempts."""
    harness.open(endpoint(retry=QUICK))
    await put(harness, "1")
    harness.waiting[0].answer(500)
    await harness.rest()
    harness.route(batched(batch=BatchLimits(2, 5.0)))
    await put(harness, "2", device=TWO)
    await harness.advance(1)
    await harness.answer_next(409, times=1)
    assert [row["attempts"] for row in harness.outbox_harness.engine.rows("delivery")] == [2, 1]


async def test_nothing_starts_in_a_drain(harness: DispatcherHarness) -> None:
    """An endpoint that is added to the routes while the service stops waits for the next start."""
    harness.open(endpoint("acme"))
    await put(harness, "1", to="home")
    await harness.dispatcher.drain(timeout_seconds=0)
    harness.route(endpoint("acme"), endpoint("home"))
    await harness.rest()
    assert not harness.posted
