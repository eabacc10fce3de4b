"""What every outbox engine owes to the two halves."""

import asyncio
from dataclasses import fields, replace
from typing import Any

import pytest
from support.clock import HandClock
from support.outbox import (
    attempt,
    claim,
    failing_operations,
    flush,
    ids,
    must_claim,
    settle,
    totals,
    until_it_failed,
)
from support.outbox_harness import OutboxHarness
from support.readings import STARTED_AT, new_reading

from forwarder.delivery import Attempt, Bury, Done, Expire, RetryAt, Supersede
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox import (
    BuryRemoved,
    ExpireOld,
    MarkRemoved,
    NewQuarantined,
    Outbox,
    Pause,
    Prune,
    PruneOldest,
    Recipient,
    Settlement,
)
from forwarder.outbox.sql.endings import KEPT_ATTEMPTS
from forwarder.outbox.sql.quarantine import KEPT_QUARANTINE
from forwarder.reading import Device

ONE, TWO = "ECC9FF5C0001", "ECC9FF5C0002"


def rows(harness: OutboxHarness, table: str) -> int:
    return len(harness.engine.rows(table))


def outcome(harness: OutboxHarness) -> tuple[object, ...]:
    """Of the one delivery: its attempts, and the last one's status, error and duration."""
    (row,) = harness.engine.rows("delivery")
    return row["attempts"], row["last_status"], row["last_error"], row["duration_ms"]


async def test_put_survives_a_crash(harness: OutboxHarness) -> None:
    """What put has returned for is there after the process died in the next instant."""
    await harness.open().put([new_reading(ONE, "a"), new_reading(TWO, "b")])
    outbox = await harness.reopen()
    assert {ids(await must_claim(outbox))[0], ids(await must_claim(outbox))[0]} == {"a", "b"}


async def test_same_reading_is_owed_once(outbox: Outbox) -> None:
    """The broker's second copy of a message adds nothing, whether the first is pending, delivered or dead."""
    assert await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "a")]) == [
        "accepted",
        "duplicate",
    ]
    settle(outbox, await must_claim(outbox))
    await flush(outbox)
    assert await outbox.put([new_reading(ONE, "a")]) == ["duplicate"]
    assert (await totals(outbox)).enqueued == 1


async def test_second_endpoint_gets_what_the_first_has(outbox: Outbox) -> None:
    """A reading that comes again after an edit of the routes is owed to the endpoint that is new."""
    await outbox.put([new_reading(ONE, "a", to="acme")])
    assert await outbox.put([new_reading(ONE, "a", to="acme home")]) == ["accepted"]
    assert (await totals(outbox, "acme")).pending == 1
    assert (await totals(outbox, "home")).pending == 1


async def test_a_device_is_claimed_in_order_of_arrival(outbox: Outbox) -> None:
    """Readings of one device come out in the order in which they came in, across groups and claims."""
    for payload in "abc":
        await outbox.put([new_reading(ONE, payload)])
    seen = []
    for _ in range(3):
        claimed = await must_claim(outbox)
        seen += ids(claimed)
        settle(outbox, claimed)
        await flush(outbox)
    assert seen == ["a", "b", "c"]


async def test_order_holds_beyond_what_memory_holds(harness: OutboxHarness) -> None:
    """A backlog that is read from disk piece by piece comes out in order, each reading once."""
    payloads = [f"{number:03}" for number in range(100)]
    outbox = harness.open(memory_limit=5)
    await outbox.put([new_reading(ONE, payload) for payload in payloads])
    seen: list[str] = []
    while len(seen) < 100:
        claimed = await must_claim(outbox, limit=3)
        seen += ids(claimed)
        settle(outbox, claimed)
        await flush(outbox)
    assert seen == payloads


async def test_devices_do_not_wait_for_each_other(outbox: Outbox) -> None:
    """While one device's reading is in flight, another's is claimed, but not a second of the first."""
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b"), new_reading(TWO, "c")])
    assert [ids(await must_claim(outbox)), ids(await must_claim(outbox))] == [["a"], ["c"]]
    assert await claim(outbox) is None


async def test_endpoints_do_not_wait_for_each_other(outbox: Outbox) -> None:
    """The same reading is claimed for each of its endpoints."""
    await outbox.put([new_reading(ONE, "a", to="acme home")])
    assert ids(await must_claim(outbox, "acme")) == ids(await must_claim(outbox, "home")) == ["a"]


async def test_claim_that_nobody_settled_returns_after_a_restart(harness: OutboxHarness) -> None:
    """A delivery that was in flight when the process died is offered again, with its id."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    before = (await must_claim(outbox)).deliveries[0]
    after = (await must_claim(await harness.reopen())).deliveries[0]
    assert after == before


async def test_delivered_reading_keeps_no_body(outbox: Outbox, harness: OutboxHarness) -> None:
    """Of a delivered reading the log keeps its id and times, not its data; others still have theirs."""
    await outbox.put([new_reading(ONE, "a", to="acme home")])
    settle(outbox, await must_claim(outbox, "acme"))
    await flush(outbox)
    assert rows(harness, "body") == 1
    settle(outbox, await must_claim(outbox, "home"))
    await flush(outbox)
    assert (rows(harness, "body"), rows(harness, "delivery")) == (0, 2)


async def test_retry_waits_and_goes_first(outbox: Outbox, clock: HandClock) -> None:
    """A postponed reading holds back its own device until it is due, and then is the first."""
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b")])
    settle(outbox, await must_claim(outbox), RetryAt(clock.unix() + 5), error="timeout")
    await flush(outbox)
    assert await claim(outbox) is None
    clock.advance(5)
    again = await must_claim(outbox)
    assert (ids(again), again.deliveries[0].attempts) == (["a"], 1)


@pytest.mark.parametrize("is_in_one_commit", [False, True])
async def test_putting_off_keeps_what_the_last_attempt_came_to(
    outbox: Outbox, harness: OutboxHarness, clock: HandClock, *, is_in_one_commit: bool
) -> None:
    """A delivery that failed, and is then put off without an attempt, keeps its attempts and the last one's outcome."""
    await outbox.put([new_reading(ONE, "a")])
    claimed = await must_claim(outbox)
    failed = replace(attempt(1, error="http_500"), status=500)
    outbox.settle("acme", [Settlement(claimed.deliveries, RetryAt(clock.unix() + 5), failed)])
    if not is_in_one_commit:
        await flush(outbox)
    put_off = Settlement(claimed.deliveries, RetryAt(clock.unix() + 60), None)
    outbox.settle("acme", [put_off], ends=[claimed])
    await flush(outbox)
    assert outcome(harness) == (1, 500, "http_500", 1.5)
    assert harness.engine.rows("delivery")[0]["due_at"] == clock.unix() + 60


@pytest.mark.parametrize("decision", [RetryAt(STARTED_AT), Bury("exhausted")])
async def test_status_is_of_the_last_attempt(
    outbox: Outbox, harness: OutboxHarness, clock: HandClock, decision: RetryAt | Bury
) -> None:
    """An attempt that nobody answered has no status, whatever was answered to the one before it."""
    await outbox.put([new_reading(ONE, "a")])
    claimed = await must_claim(outbox)
    answered = replace(attempt(1, error="http_500"), status=500)
    outbox.settle("acme", [Settlement(claimed.deliveries, RetryAt(clock.unix()), answered)])
    await flush(outbox)
    unanswered = attempt(2, error="timeout")
    outbox.settle("acme", [Settlement(claimed.deliveries, decision, unanswered)], ends=[claimed])
    await flush(outbox)
    assert outcome(harness) == (2, None, "timeout", 1.5)


async def test_retry_schedule_survives_a_restart(harness: OutboxHarness) -> None:
    """What was to wait still waits after a restart, and knows its attempts."""
    outbox, clock = harness.open(), harness.clock
    await outbox.put([new_reading(ONE, "a")])
    settle(outbox, await must_claim(outbox), RetryAt(clock.unix() + 60), error="timeout")
    await flush(outbox)
    outbox = await harness.reopen()
    assert await claim(outbox) is None
    await flush(outbox)
    clock.advance(60)
    assert (await must_claim(outbox)).deliveries[0].attempts == 1


async def test_clock_that_stepped_back_freezes_nothing(harness: OutboxHarness) -> None:
    """A due time further ahead than the longest possible wait is due now."""
    outbox, clock = harness.open(), harness.clock
    await outbox.put([new_reading(ONE, "a")])
    settle(outbox, await must_claim(outbox), RetryAt(clock.unix() + 60), error="timeout")
    await flush(outbox)
    clock.step(-86400)
    assert ids(await must_claim(await harness.reopen())) == ["a"]


async def test_clock_step_while_running_moves_no_retry(outbox: Outbox, clock: HandClock) -> None:
    """Waits are measured by the clock that cannot be set."""
    await outbox.put([new_reading(ONE, "a")])
    settle(outbox, await must_claim(outbox), RetryAt(clock.unix() + 60), error="timeout")
    await flush(outbox)
    clock.step(-3600)
    clock.advance(60)
    assert ids(await must_claim(outbox)) == ["a"]


async def test_clock_step_between_decision_and_settlement_freezes_nothing(
    outbox: Outbox, clock: HandClock
) -> None:
    """A retry that was decided by a wall clock that was a day ahead waits for no day."""
    outbox.schedule.serve("acme", longest_wait_seconds=3600.0)
    await outbox.put([new_reading(ONE, "a")])
    claimed, decision = await must_claim(outbox), RetryAt(clock.unix() + 5)
    clock.step(-86400)
    settle(outbox, claimed, decision, error="timeout")
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["a"]


async def test_dead_letter_leaves_its_lane(outbox: Outbox, harness: OutboxHarness) -> None:
    """A refused reading goes dead at once and holds nobody back; its body stays for the operator."""
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b")])
    settle(outbox, await must_claim(outbox), Bury("refused"), error="http_400")
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["b"]
    assert (await totals(outbox)).dead == 1
    assert rows(harness, "body") == 2


async def test_unsettled_part_of_a_claim_comes_again_in_order(outbox: Outbox) -> None:
    """Deliveries of a claim that get no decision are as if never claimed."""
    await outbox.put([new_reading(ONE, payload) for payload in "abc"])
    claimed = await must_claim(outbox, limit=3)
    outbox.settle("acme", [Settlement(claimed.deliveries[:1], Done(), attempt())], ends=[claimed])
    await flush(outbox)
    assert ids(await must_claim(outbox, limit=3)) == ["b", "c"]


async def test_recorded_part_of_a_claim_is_settled_once(outbox: Outbox) -> None:
    """What was recorded while the claim went on is not settled again with it."""
    await outbox.put([new_reading(ONE, payload) for payload in "ab"])
    claimed = await must_claim(outbox, limit=2)
    outbox.settle("acme", [Settlement(claimed.deliveries[:1], Done(), attempt())])
    outbox.settle("acme", ends=[claimed])
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["b"]
    assert (await totals(outbox)).delivered == 1


class TestOnlyLatest:
    """`mode: latest`: what is pending and not in flight gives way to what is newer."""

    @staticmethod
    def latest(payload: str, device: str = ONE) -> Any:
        return new_reading(device, payload, recipients=(Recipient("acme", only_latest=True),))

    async def test_newer_reading_supersedes_the_pending_one(self, outbox: Outbox) -> None:
        """Only the newest is offered; the others are counted."""
        for payload in "abc":
            await outbox.put([self.latest(payload)])
        assert ids(await must_claim(outbox, limit=9)) == ["c"]
        assert (await totals(outbox)).superseded == 2

    async def test_newest_of_one_group_wins(self, outbox: Outbox) -> None:
        """Readings that are committed together supersede each other in their order."""
        await outbox.put([self.latest(payload) for payload in "abc"])
        assert ids(await must_claim(outbox, limit=9)) == ["c"]

    async def test_edit_to_latest_within_a_group(self, outbox: Outbox) -> None:
        """What came in just before the endpoint's mode was edited gives way as well, and is not sent from memory."""
        await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b"), self.latest("c")])
        assert ids(await must_claim(outbox, limit=9)) == ["c"]
        assert (await totals(outbox)).superseded == 2

    async def test_reading_in_flight_is_not_superseded(self, outbox: Outbox) -> None:
        """What is on its way is settled by its own outcome; the newer one comes after it."""
        await outbox.put([self.latest("a")])
        claimed = await must_claim(outbox)
        await outbox.put([self.latest("b")])
        settle(outbox, claimed)
        await flush(outbox)
        assert ids(await must_claim(outbox)) == ["b"]
        accounts = await totals(outbox)
        assert (accounts.delivered, accounts.superseded) == (1, 0)

    async def test_failed_one_in_flight_gives_way(self, outbox: Outbox) -> None:
        """An attempt that failed after a newer reading came is settled as superseded."""
        await outbox.put([self.latest("a")])
        claimed = await must_claim(outbox)
        await outbox.put([self.latest("b")])
        settle(outbox, claimed, Supersede(), error="timeout")
        await flush(outbox)
        assert ids(await must_claim(outbox)) == ["b"]
        assert (await totals(outbox)).superseded == 1

    async def test_waiting_retry_gives_way_at_once(self, outbox: Outbox, clock: HandClock) -> None:
        """A newer reading does not wait for the retry of the one it supersedes."""
        await outbox.put([self.latest("a")])
        settle(outbox, await must_claim(outbox), RetryAt(clock.unix() + 900), error="timeout")
        await flush(outbox)
        await outbox.put([self.latest("b")])
        assert ids(await must_claim(outbox)) == ["b"]

    async def test_other_devices_stay(self, outbox: Outbox) -> None:
        """One device's reading supersedes nothing of another's."""
        await outbox.put([self.latest("a"), self.latest("b", TWO)])
        assert (await totals(outbox)).superseded == 0


class TestTimelessReadings:
    """A payload that holds no time is a new reading at each arrival, unless the broker says that it repeats itself."""

    @staticmethod
    def timeless(arrival: str, *, is_redelivery: bool = False, at: float = STARTED_AT) -> Any:
        return new_reading(
            ONE, arrival, content=b"same bytes", is_redelivery=is_redelivery, received_at=at
        )

    async def test_equal_bytes_are_new_readings(self, outbox: Outbox) -> None:
        assert await outbox.put([self.timeless("a"), self.timeless("b")]) == ["accepted"] * 2

    async def test_redelivery_of_equal_bytes_is_the_same_reading(self, outbox: Outbox) -> None:
        await outbox.put([self.timeless("a")])
        assert await outbox.put([self.timeless("b", is_redelivery=True)]) == ["duplicate"]

    async def test_redelivery_after_the_log_was_kept_is_new(
        self, outbox: Outbox, clock: HandClock
    ) -> None:
        await outbox.put([self.timeless("a")])
        clock.advance(3601)
        late = self.timeless("b", is_redelivery=True, at=clock.unix())
        assert await outbox.put([late]) == ["accepted"]


async def test_quarantine_keeps_the_newest_of_a_device(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A flood of bad messages of one device does not fill the disk, nor push out another's."""

    def bad(device: str, number: int) -> NewQuarantined:
        payload = str(number).encode()
        return NewQuarantined(
            Device(device), "t", STARTED_AT, "not_json", "", len(payload), payload
        )

    await outbox.put([bad(TWO, 0), *(bad(ONE, number) for number in range(KEPT_QUARANTINE + 5))])
    kept = [row["payload"] for row in harness.engine.rows("quarantine") if row["device"] == ONE]
    assert rows(harness, "quarantine") == KEPT_QUARANTINE + 1
    assert kept[0] == b"5"
    assert outbox.accounts.overview().messages == {"quarantined": KEPT_QUARANTINE + 6}


async def test_last_failed_attempts_stay_on_record(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """Of a delivery that fails for days the last attempts are kept."""
    await outbox.put([new_reading(ONE, "a")])
    for _ in range(KEPT_ATTEMPTS + 3):
        settle(outbox, await must_claim(outbox), RetryAt(clock.unix() + 1), error="timeout")
        await flush(outbox)
        clock.advance(1)
    numbers = [row["number"] for row in harness.engine.rows("attempt")]
    assert numbers == list(range(4, KEPT_ATTEMPTS + 4))


async def test_failed_attempts_are_kept_whole(
    outbox: Outbox, harness: OutboxHarness, clock: HandClock
) -> None:
    """What an attempt came to is on record as it was: bytes that are no text, and what there was none of."""
    await outbox.put([new_reading(ONE, "a")])
    claimed = await must_claim(outbox)
    refused = Attempt(1, STARTED_AT, 2.0, 500, "http_500", "it said so", b"\xff\0", "203.0.113.7")
    unheard = Attempt(2, STARTED_AT + 1, 3.0, None, "timeout")
    for failed in (refused, unheard):
        outbox.settle("acme", [Settlement(claimed.deliveries, RetryAt(clock.unix()), failed)])
    await flush(outbox)
    kept = [
        Attempt(**{field.name: row[field.name] for field in fields(Attempt)})
        for row in harness.engine.rows("attempt")
    ]
    assert kept == [refused, unheard]


async def test_circuit_and_pause_survive_a_restart(harness: OutboxHarness) -> None:
    """What is known of an endpoint as a whole is there after a restart."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    instants: dict[str, Any] = {
        field.name: STARTED_AT + number
        for number, field in enumerate(fields(EndpointHealth))
        if field.name.endswith(("_at", "_since", "_until"))
    }
    health = EndpointHealth(failures=7, last_error="dns", **instants)
    outbox.record_health("acme", health)
    outbox.record_gone("acme", "digest")
    await flush(outbox)
    kept = (await totals(await harness.reopen())).health
    assert kept == replace(health, paused_by="gone", gone_url="digest")


async def test_operators_pause_outlives_a_410(outbox: Outbox) -> None:
    """A pause that an operator set is not ended by anything but the operator."""
    await outbox.put([new_reading(ONE, "a")])
    await outbox.operate(Pause("acme"))
    outbox.record_gone("acme", None)
    assert (await totals(outbox)).health.paused_by == "operator"


class TestExpiry:
    async def expire(self, outbox: Outbox, clock: HandClock, *, only_latest: bool = False) -> int:
        return await outbox.operate(
            ExpireOld("acme", clock.unix() - 60, only_latest, now=clock.unix())
        )

    async def test_old_reading_becomes_a_dead_letter(
        self, outbox: Outbox, clock: HandClock
    ) -> None:
        """What is older than max_age is not offered any more; what is younger is."""
        await outbox.put([new_reading(ONE, "a")])
        clock.advance(60)
        await outbox.put([new_reading(ONE, "b", received_at=clock.unix())])
        assert await self.expire(outbox, clock) == 1
        assert ids(await must_claim(outbox)) == ["b"]
        assert (await totals(outbox)).dead == 1

    async def test_latest_drops_it(
        self, outbox: Outbox, clock: HandClock, harness: OutboxHarness
    ) -> None:
        """Where only the latest counts, nothing is kept of an old one but the count."""
        await outbox.put([new_reading(ONE, "a")])
        clock.advance(60)
        await self.expire(outbox, clock, only_latest=True)
        assert (await totals(outbox)).expired == 1
        assert rows(harness, "body") == 0

    async def test_reading_in_flight_is_left_alone(self, outbox: Outbox, clock: HandClock) -> None:
        """An attempt that is under way decides for itself."""
        await outbox.put([new_reading(ONE, "a")])
        claimed = await must_claim(outbox)
        clock.advance(60)
        assert await self.expire(outbox, clock) == 0
        settle(outbox, claimed)
        assert (await totals(outbox)).delivered == 1


async def test_removed_endpoint_is_remembered_until_it_returns(
    outbox: Outbox, clock: HandClock
) -> None:
    """Since when an endpoint is gone is kept; one that comes back is as if never gone."""
    await outbox.put([new_reading(ONE, "a")])
    for known, expected in (
        ((), {"acme": STARTED_AT}),
        (("acme",), {}),
        ((), {"acme": STARTED_AT + 10}),
    ):
        assert await outbox.operate(MarkRemoved(known, clock.unix())) == expected
        clock.advance(5)


async def test_prune_forgets_settled_deliveries_only(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """After its time a delivered reading leaves no row; pending ones stay, and the totals know of all."""
    await outbox.put([new_reading(ONE, "a"), new_reading(TWO, "b")])
    settle(outbox, await must_claim(outbox))
    await flush(outbox)
    clock.advance(10)
    now = clock.unix()
    await outbox.operate(Prune(delivered_before=now, dead_before=now - 60))
    accounts = await totals(outbox)
    assert (rows(harness, "reading"), rows(harness, "delivery")) == (1, 1)
    assert (accounts.enqueued, accounts.delivered, accounts.pending) == (2, 1, 1)


async def test_the_delivery_log_loses_its_oldest_first(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """What was settled first goes first, whatever became of it; dead letters and pending ones are no part of it."""
    decisions = (Done(), Expire(), Bury("refused"), Supersede(), Done())
    await outbox.put([new_reading(ONE, str(number)) for number in range(len(decisions) + 1)])
    for decision in decisions:
        settle(outbox, await must_claim(outbox), decision)
        await flush(outbox)
        clock.advance(1)

    lengths = [await outbox.accounts.log_length()]
    for count in (0, 2, 100, 100):
        assert await outbox.operate(PruneOldest(count)) == min(count, lengths[-1])
        lengths.append(await outbox.accounts.log_length())

    accounts = await totals(outbox)
    assert lengths == [4, 4, 2, 0, 0]
    assert rows(harness, "delivery") == 2
    assert (accounts.delivered, accounts.dead, accounts.pending) == (2, 1, 1)


class TestWhenTheDiskTakesNothing:
    """A commit that fails is tried again with everything in it; meanwhile nothing is promised."""

    async def test_put_waits_and_is_done_once_there_is_room(
        self, outbox: Outbox, clock: HandClock, harness: OutboxHarness
    ) -> None:
        harness.engine.fill()
        waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "a", to="acme" * 3000)]))
        await until_it_failed(outbox)
        assert not waiting.done()
        assert outbox.capacity.problem is not None
        harness.engine.make_room()
        clock.advance(1)
        assert await waiting == ["accepted"]
        assert outbox.capacity.problem is None

    async def test_settlement_is_not_lost(
        self, outbox: Outbox, clock: HandClock, harness: OutboxHarness
    ) -> None:
        await outbox.put([new_reading(ONE, "a")])
        settle(outbox, await must_claim(outbox))
        harness.engine.fill()
        waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "b" * 20000)]))
        await until_it_failed(outbox)
        harness.engine.make_room()
        clock.advance(1)
        await waiting
        accounts = await totals(outbox)
        assert (accounts.delivered, accounts.pending) == (1, 1)


async def test_limit_of_size_holds_back_messages_not_settlements(harness: OutboxHarness) -> None:
    """At OUTBOX_MAX_BYTES no message is taken, but deliveries go on; with room again the message is taken."""
    outbox = harness.open(max_bytes=150_000)
    await outbox.put([new_reading(ONE, "a" * 200_000)])
    waiting = asyncio.ensure_future(outbox.put([new_reading(TWO, "b")]))
    await flush(outbox)
    assert not waiting.done()
    settle(outbox, await must_claim(outbox))
    await flush(outbox)
    assert await asyncio.wait_for(waiting, timeout=10) == ["accepted"]
    assert (await totals(outbox)).delivered == 1


async def test_limit_of_size_is_found_from_afar(harness: OutboxHarness) -> None:
    """However fast it grows past the limit, the next look finds it."""
    outbox = harness.open(max_bytes=500_000)
    await outbox.put([new_reading(ONE, f"{number}" * 1000) for number in range(1000, 1200)])
    outbox.look()
    waiting = asyncio.ensure_future(outbox.put([new_reading(TWO, "b")]))
    await flush(outbox)
    assert outbox.capacity.problem is not None
    assert not waiting.done()
    waiting.cancel()


async def test_error_of_an_operation_reaches_its_caller_and_changes_nothing(
    outbox: Outbox,
) -> None:
    """What an operation did before it failed is rolled back; what was committed with it is not lost."""
    await outbox.put([new_reading(ONE, "a")])
    with failing_operations(LookupError("no such thing")), pytest.raises(LookupError):
        await outbox.operate(BuryRemoved("acme", now=STARTED_AT))
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["a"]
    assert (await totals(outbox)).pending == 1


async def test_endpoint_of_a_transaction_that_failed_is_made_anew(
    outbox: Outbox,
) -> None:
    """What a rollback has undone is not taken for known."""
    with failing_operations(LookupError("no such thing")), pytest.raises(LookupError):
        await outbox.operate(Pause("home"))
    await outbox.put([new_reading(ONE, "a", to="home")])
    assert (await totals(outbox, "home")).pending == 1


async def test_lane_that_a_command_changed_is_counted_again(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """What another process changes in the outbox is noticed by itself."""
    await outbox.put([new_reading(ONE, "a")])
    settle(outbox, await must_claim(outbox), Bury("refused"), error="http_400")
    await flush(outbox)
    changed = asyncio.Event()
    outbox.schedule.on_claimable = lambda _: changed.set()
    harness.other.replay()
    await asyncio.wait_for(changed.wait(), timeout=10)
    assert ids(await must_claim(outbox)) == ["a"]
