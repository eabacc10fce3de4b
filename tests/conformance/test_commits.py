"""What may happen while a commit is under way: nothing is offered twice, out of order, or never."""

import asyncio
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar
from unittest.mock import Mock

import pytest
from support.clock import HandClock
from support.engines import AnotherProcess, HeldDisk, open_under_test
from support.outbox import (
    attempt,
    claim,
    failing_operations,
    flush,
    ids,
    is_reading,
    must_claim,
    settle,
    totals,
    until_it_failed,
)
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.delivery import Bury, Done, RetryAt
from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import OutboxDamaged, OutboxError, OutboxUnavailable
from forwarder.outbox import (
    Claim,
    NewReading,
    Outbox,
    Pause,
    Recipient,
    Settlement,
    group_commit,
    open_outbox,
)
from forwarder.outbox import outbox as outbox_module
from forwarder.outbox.changes import Applied, Changes
from forwarder.outbox.engine import Look
from forwarder.settings import OutboxPlace

ONE, TWO, THREE = "ECC9FF5C0001", "ECC9FF5C0002", "ECC9FF5C0003"

T = TypeVar("T")


async def recount(outbox: Outbox, harness: OutboxHarness) -> None:
    """What a sweep and a command do to a lane: something in it may have changed."""
    harness.other.note(ONE)
    await flush(outbox)


async def committing(outbox: Outbox, what: Awaitable[T]) -> "asyncio.Future[T]":
    """Return while the disk is at it."""
    task = asyncio.ensure_future(what)
    async with asyncio.timeout(10):
        while outbox.committing_since is None:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)
    return task


def record(outbox: Outbox, claimed: Claim, *, first: int) -> None:
    """Some of a claim are delivered, and the claim goes on."""
    outbox.settle("acme", [Settlement(claimed.deliveries[:first], Done(), attempt())])


async def test_lane_that_is_counted_again_rests_meanwhile(harness: OutboxHarness) -> None:
    """What was delivered a moment ago is not read back before that is on disk."""
    outbox = harness.open(memory_limit=0)
    await outbox.put([new_reading(ONE, name) for name in "ab"])
    settle(outbox, await must_claim(outbox))
    counted = await committing(outbox, recount(outbox, harness))
    assert await claim(outbox) is None
    await counted
    assert ids(await must_claim(outbox)) == ["b"]


async def test_emptied_lane_rests_until_that_is_on_disk(harness: OutboxHarness) -> None:
    """A reading that comes in while the one before it is settled does not bring that back."""
    outbox = harness.open(memory_limit=0)
    await outbox.put([new_reading(ONE, "a")])
    claimed = await must_claim(outbox)
    put = await committing(outbox, outbox.put([new_reading(ONE, "b")]))
    settle(outbox, claimed)
    await put
    assert await claim(outbox) is None
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["b"]


async def test_lane_counted_in_the_middle_of_a_claim_loses_nothing(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A claim that was settled in part when its lane was counted again leaves the rest of the lane as it is."""
    await outbox.put([new_reading(ONE, name) for name in "abc"])
    claimed = await must_claim(outbox, limit=2)
    record(outbox, claimed, first=1)
    await flush(outbox)
    await recount(outbox, harness)
    await outbox.put([new_reading(ONE, "d")])
    last = Settlement(claimed.deliveries[1:], Done(), attempt())
    outbox.settle("acme", [last], ends=[claimed])
    await flush(outbox)
    assert ids(await must_claim(outbox, limit=9)) == ["c", "d"]


async def test_reading_whose_commit_is_not_published_joins_with_that(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read beside the loop finds it already, once a command has ended what was before it."""
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    (before,) = (await must_claim(outbox)).deliveries
    outbox = await harness.reopen()
    harness.other.expire(before)
    apply, is_on_disk, may_be_told = harness.engine.apply, threading.Event(), threading.Event()

    def told_later(changes: Changes, *, now: float) -> Applied:
        applied = apply(changes, now=now)
        if changes.puts:
            is_on_disk.set()
            assert may_be_told.wait(10)
        return applied

    monkeypatch.setattr(harness.engine, "apply", told_later)
    put = outbox.put([new_reading(ONE, "b")])
    assert await asyncio.to_thread(is_on_disk.wait, 10)
    assert await claim(outbox) is None
    may_be_told.set()
    await put
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["b"]
    assert await claim(outbox) is None


async def test_change_at_the_end_of_a_lane_hurries_nobody(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """A reading that waits for its retry still waits after its lane was counted again."""
    await outbox.put([new_reading(ONE, "a")])
    settle(outbox, await must_claim(outbox), RetryAt(clock.unix() + 60), error="http_500")
    await recount(outbox, harness)
    assert await claim(outbox) is None
    await flush(outbox)
    clock.advance(60)
    assert ids(await must_claim(outbox)) == ["a"]


async def test_backlog_of_many_devices_stays_on_disk(harness: OutboxHarness) -> None:
    """However many lanes are worked through, what is read ahead of its turn is bounded over all of them."""
    outbox = harness.open(memory_limit=4)
    for device in (ONE, TWO, THREE):
        await outbox.put([new_reading(device, f"{device}{number}") for number in range(9)])
    for claimed in range(1, 7):
        settle(outbox, await must_claim(outbox))
        await flush(outbox)
        assert harness.engine.read <= claimed + 4


async def test_lane_that_cannot_be_read_is_tried_again(
    harness: OutboxHarness, clock: HandClock
) -> None:
    """Trouble with the disk at a claim keeps no lane from being claimed once it is over."""
    outbox = harness.open(memory_limit=0)
    await outbox.put([new_reading(ONE, "a")])
    with harness.engine.unreadable():
        assert outbox.schedule.claim("acme") is None
        while clock.next_timer_in() is None:  # noqa: ASYNC110 - it is told to nobody, only tried again
            await asyncio.sleep(0)
    clock.advance(1)
    assert ids(await must_claim(outbox)) == ["a"]


async def test_read_that_hangs_keeps_nobody_waiting(harness: OutboxHarness) -> None:
    """A disk that takes long to read stops neither what comes in nor what memory holds of other lanes."""
    outbox = harness.open(memory_limit=2)
    await outbox.put([new_reading(ONE, name) for name in "abc"])
    settle(outbox, await must_claim(outbox, limit=2))
    await flush(outbox)
    with harness.engine.held_reads() as may_read:
        assert outbox.schedule.claim("acme") is None
        assert await outbox.put([new_reading(TWO, "d")]) == ["accepted"]
        assert ids(await must_claim(outbox)) == ["d"]
        assert is_reading(outbox)
        may_read.set()
        assert ids(await must_claim(outbox)) == ["c"]


async def test_what_breaks_in_a_read_ends_the_outbox(tmp_path: Path, clock: HandClock) -> None:
    """An error of our own is not swallowed by the thread: the service fails, and starts anew."""
    outbox, engine = open_under_test(tmp_path / "outbox.db", clock=clock, memory_limit=0)
    running = asyncio.create_task(outbox.run())
    await outbox.put([new_reading(ONE, "a")])
    with engine.unreadable(ZeroDivisionError()):
        assert outbox.schedule.claim("acme") is None
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(running, timeout=10)
    outbox.release_files()


async def test_own_pause_is_on_disk_before_commands_are_looked_at(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A pause after 410 that is not committed yet is not mistaken for one that a command has ended."""
    await outbox.put([new_reading(ONE, "a")])
    told: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    outbox.on_foreign_change = lambda: told.set_result(outbox.health["acme"].paused_by)
    with HeldDisk(harness.engine) as disk:
        harness.other.change_health()
        outbox.look()
        assert await asyncio.to_thread(disk.is_reached.wait, 10)
        outbox.record_gone("acme", "digest")
        disk.let_go()
        assert await asyncio.wait_for(told, timeout=10) == "gone"


async def test_command_in_the_middle_of_a_group_is_seen_by_it(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A replay that comes in just before a commit is counted by it: lane and file agree, and nothing is put twice."""
    await outbox.put([new_reading(ONE, "a"), new_reading(TWO, "b")])
    settle(outbox, await must_claim(outbox), Bury("refused"), error="http_400")
    settle(outbox, await must_claim(outbox))
    await flush(outbox)
    harness.other.replay()
    outcomes = await outbox.put([new_reading(ONE, "c"), new_reading(TWO, "b")])
    assert outcomes == ["accepted", "duplicate"]
    assert ids(await must_claim(outbox, limit=9)) == ["a", "c"]
    assert await claim(outbox) is None
    assert (await totals(outbox)).pending == 2


async def test_lane_that_is_counted_and_superseded_at_once_goes_on(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A sweep or a command, and a newer reading where only the latest counts, in one commit: then the lane is free."""
    await outbox.put([latest(ONE, "a")])
    await asyncio.gather(recount(outbox, harness), outbox.put([latest(ONE, "b")]))
    harness.other.note(ONE)
    await outbox.put([latest(ONE, "c")])
    assert ids(await must_claim(outbox)) == ["c"]


async def test_lane_rests_until_a_commit_that_is_done_again_is_on_disk(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """What was settled in it before a command interfered is not offered again in between."""
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b"), latest(TWO, "x")])
    first = await must_claim(outbox)
    harness.other.note(TWO)
    settle(outbox, first)
    offered = offered_by(outbox)
    await outbox.put([latest(ONE, "c")])
    assert await claim(outbox) is None
    assert sorted(offered) == [["c"], ["x"]]


async def test_lane_rests_until_a_commit_whose_operation_failed_is_on_disk(
    outbox: Outbox,
) -> None:
    """Nor when the rest of the work is committed without an operation that raised."""
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b")])
    settle(outbox, await must_claim(outbox))
    offered = offered_by(outbox)
    with failing_operations(ValueError()):
        put, operation = outbox.put([latest(ONE, "c")]), outbox.operate(Pause("acme"))
        outcomes = await asyncio.gather(put, operation, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, ValueError]
    assert offered == [["c"]]


def latest(device: str, payload: str) -> NewReading:
    return new_reading(device, payload, recipients=(Recipient("acme", only_latest=True),))


def offered_by(outbox: Outbox) -> list[list[str]]:
    """What is claimed from now on, as soon as anything may be."""
    offered: list[list[str]] = []

    def claim_all(_: set[str]) -> None:
        while (claimed := outbox.schedule.claim("acme")) is not None:
            offered.append(ids(claimed))

    outbox.schedule.on_claimable = claim_all
    return offered


async def test_trouble_before_a_transaction_is_borne(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """A disk that cannot even say whether a command has changed something keeps nobody from trying again."""
    harness.engine.fail_next_look()
    outbox.look()
    put = asyncio.ensure_future(outbox.put([new_reading(ONE, "a")]))
    await until_it_failed(outbox)
    clock.advance(1)
    assert await put == ["accepted"]


async def test_foreign_change_is_seen_until_a_commit_that_holds_has_answered_it(
    place: OutboxPlace, clock: HandClock
) -> None:
    """A look may be made twice, and a commit that failed has answered nothing."""
    outbox, engine = open_under_test(place, clock=clock)
    engine.apply(Changes(puts=[[new_reading(ONE, "a")]]), now=0.0)
    assert engine.look() == Look()
    AnotherProcess(place).change_health()
    assert [engine.look().has_foreign_change for _ in range(2)] == [True, True]
    engine.refuse_writes()
    with pytest.raises(OutboxUnavailable):
        engine.apply(Changes(messages={"duplicate": 1}), now=0.0)
    engine.accept_writes()
    assert engine.look().has_foreign_change
    engine.apply(Changes(), now=0.0)
    assert engine.look() == Look()
    outbox.release_files()


@pytest.mark.parametrize(
    "trouble",
    [OutboxUnavailable("no"), OutboxDamaged("no", fault="no")],
    ids=["unavailable", "damaged"],
)
async def test_commit_that_held_is_published_though_the_accounts_cannot_be_read(
    outbox: Outbox, harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch, trouble: OutboxError
) -> None:
    """Its readings are offered at once; the next look reads the accounts, and what a command has changed is told."""
    told = asyncio.Event()
    outbox.on_foreign_change = told.set
    await outbox.put([new_reading(ONE, "a")])
    with monkeypatch.context() as accounts_away:
        accounts_away.setattr(harness.engine, "totals", Mock(side_effect=trouble))
        harness.other.change_health()
        outbox.look()
        async with asyncio.timeout(10):
            await outbox.put([new_reading(TWO, "b")])
    offered = [await must_claim(outbox), await must_claim(outbox)]
    assert [ids(one) for one in offered] == [["a"], ["b"]]
    async with asyncio.timeout(10):
        await told.wait()
    assert outbox.health["acme"].last_error == "dns"


async def test_start_and_what_was_handed_over_may_be_read_twice(
    place: OutboxPlace, clock: HandClock
) -> None:
    """Both say what the rows say at the time."""
    outbox, engine = open_under_test(place, clock=clock)
    engine.apply(Changes(puts=[[new_reading(ONE, "a")]]), now=0.0)
    lanes = [list(engine.start().lanes) for _ in range(2)]
    assert lanes[0] == lanes[1]
    assert [key for key, _ in lanes[0]] == [("acme", ONE)]
    assert engine.handed_over() == engine.handed_over()
    outbox.release_files()


async def test_what_comes_during_a_commit_is_the_next_one(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """However many groups come meanwhile, they share a transaction, in their order."""
    await outbox.put([new_reading(ONE, "a")])
    commits = outbox.accounts.commits
    with HeldDisk(harness.engine) as disk:
        puts = [await reaching(disk, outbox.put([new_reading(ONE, "b")]))]
        for name in "cde":
            puts.append(asyncio.ensure_future(outbox.put([new_reading(ONE, name)])))
            await asyncio.sleep(0)
        disk.let_go()
        await asyncio.gather(*puts)
    assert outbox.accounts.commits == commits + 2
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b", "c", "d", "e"]


async def test_later_work_never_overtakes_what_failed(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """What was handed over while a commit failed comes after it, also in the file."""
    await outbox.put([new_reading(TWO, "x")])
    with HeldDisk(harness.engine, fails=True) as disk:
        first = await reaching(disk, outbox.put([new_reading(ONE, "a")]))
        second = asyncio.ensure_future(outbox.put([new_reading(ONE, "b")]))
        await asyncio.sleep(0)
        disk.let_go()
        await until_it_failed(outbox)
    third = asyncio.ensure_future(outbox.put([new_reading(ONE, "c")]))
    await asyncio.sleep(0)
    clock.advance(1)
    await asyncio.gather(first, second, third)
    stored = [row["data"].decode().split('"')[3] for row in harness.engine.rows("body")]
    assert stored == ["x", "a", "b", "c"]
    await must_claim(outbox)
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b", "c"]


async def test_what_was_kept_back_for_want_of_room_comes_first(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """What comes once there is room again stands behind it."""
    harness.engine.is_over_limit = True
    first = outbox.put([new_reading(ONE, "a")])
    await flush(outbox)
    harness.engine.is_over_limit = False
    await asyncio.gather(first, outbox.put([new_reading(ONE, "b")]))
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]


async def test_what_was_kept_back_leaves_alone_what_is_in_flight(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A reading that waited for room supersedes when its time comes, and no more than any other."""
    await outbox.put([latest(ONE, "a")])
    claimed = await must_claim(outbox)
    harness.engine.is_over_limit = True
    newer = outbox.put([latest(ONE, "b")])
    await flush(outbox)
    harness.engine.is_over_limit = False
    await asyncio.gather(newer, flush(outbox))
    settle(outbox, claimed)
    after = await totals(outbox)
    assert (after.delivered, after.superseded) == (1, 0)
    assert ids(await must_claim(outbox, limit=9)) == ["b"]


async def test_lane_whose_readings_may_give_way_is_not_claimed(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """From the moment a commit with a newer reading is prepared until it is published."""
    await outbox.put([latest(ONE, "a")])
    with HeldDisk(harness.engine) as disk:
        newer = await reaching(disk, outbox.put([latest(ONE, "b")]))
        assert outbox.schedule.claim("acme") is None
        disk.let_go()
        await newer
    assert ids(await must_claim(outbox)) == ["b"]


async def test_commit_that_holds_lanes_knows_of_the_last_one(
    outbox: Outbox, harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits, it begins after that was published: what is claimed from it does not give way."""
    monkeypatch.setattr(group_commit, "LARGE", 1)
    claimed: list[Claim] = []

    def claim_first(_: set[str]) -> None:
        if not claimed and (one := outbox.schedule.claim("acme")) is not None:
            claimed.append(one)

    outbox.schedule.serve("acme", most_at_once=1, longest_wait_seconds=3600.0)
    outbox.schedule.on_claimable = claim_first
    with HeldDisk(harness.engine) as disk:
        first = await reaching(disk, outbox.put([latest(ONE, "a")]))
        second = outbox.put([latest(ONE, "b")])
        disk.let_go()
        await asyncio.gather(first, second)
    settle(outbox, claimed[0])
    after = await totals(outbox)
    assert (after.delivered, after.superseded) == (1, 0)


async def test_what_was_settled_is_not_read_after_a_commit_that_failed(
    harness: OutboxHarness, clock: HandClock
) -> None:
    """Nor is anything behind it, until the settlement is on disk."""
    outbox = harness.open(memory_limit=0)
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b")])
    claimed = await must_claim(outbox)
    with HeldDisk(harness.engine, fails=True) as disk:
        settle(outbox, claimed)
        assert await asyncio.to_thread(disk.is_reached.wait, 10)
        disk.let_go()
        await until_it_failed(outbox)
    assert await claim(outbox) is None
    clock.advance(1)
    await flush(outbox)
    assert ids(await must_claim(outbox)) == ["b"]


async def test_every_endpoint_is_told_once_commits_hold_again(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """While nothing could be recorded nothing was sent: afterwards all that waits is claimed, wherever it is."""
    await outbox.put([new_reading(ONE, "a", to="acme home")])
    told: set[str] = set()
    with HeldDisk(harness.engine, fails=True) as disk:
        put = await reaching(disk, outbox.put([new_reading(TWO, "b", to="home")]))
        disk.let_go()
        await until_it_failed(outbox)
    outbox.schedule.on_claimable = told.update
    clock.advance(1)
    await put
    assert told >= {"acme", "home"}


async def test_what_is_recorded_after_a_commit_that_failed_counts(
    outbox: Outbox, clock: HandClock, harness: OutboxHarness
) -> None:
    """Of an endpoint's health the last stays; messages are counted once each, those of before and of since."""
    await outbox.put([new_reading(ONE, "a")])
    with HeldDisk(harness.engine, fails=True) as disk:
        outbox.record_health("acme", EndpointHealth(failures=1))
        put = await reaching(disk, outbox.put([new_reading(ONE, "b")]))
        outbox.record_health("acme", EndpointHealth(failures=2))
        outbox.count(["unrouted"])
        disk.let_go()
        await until_it_failed(outbox)
    clock.advance(1)
    await put
    assert (await totals(outbox)).health.failures == 2
    assert outbox.accounts.overview().messages == {"accepted": 2, "unrouted": 1}


async def test_settlements_wait_for_company(outbox: Outbox) -> None:
    """Without a message to go with, a settlement is not a commit of its own at once."""
    await outbox.put([new_reading(ONE, "a"), new_reading(TWO, "b")])
    commits = outbox.accounts.commits
    settle(outbox, await must_claim(outbox))
    settle(outbox, await must_claim(outbox))
    assert outbox.committing_since is None
    async with asyncio.timeout(10):
        while outbox.accounts.commits == commits:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)
    assert outbox.accounts.commits == commits + 1
    assert (await totals(outbox)).delivered == 2


async def test_settlement_does_not_wait_for_the_next_message(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the thread rests it is on disk before anything comes that would have to wait for it."""
    monkeypatch.setattr(outbox_module, "COMPANY_SECONDS", 3600.0)
    monkeypatch.setattr(outbox_module, "LOOK_SECONDS", 3600.0)
    outbox = harness.open()
    await outbox.put([new_reading(ONE, "a")])
    commits = outbox.accounts.commits
    settle(outbox, await must_claim(outbox))
    async with asyncio.timeout(10):
        while outbox.accounts.commits == commits:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)


async def test_only_what_nobody_builds_on_does_not_wait_for_the_disk(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message waits, and so does a settlement after which the lane goes on, or that is a retry's or a burial's."""
    # Records of devices wait for no disk either, and come at any time.
    monkeypatch.setattr(Outbox, "keep_devices", lambda _: False)
    outbox = harness.open()
    waits = harness.engine.waits

    async def next_waits() -> bool:
        count = len(waits)
        async with asyncio.timeout(10):
            while len(waits) == count or outbox.committing_since is not None:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0)
        return waits[-1]

    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b"), new_reading(TWO, "c")])
    deliver(outbox, await must_claim(outbox))
    assert await next_waits()  # b comes next in this lane
    deliver(outbox, await must_claim(outbox))
    assert not await next_waits()
    settle(outbox, await must_claim(outbox), Bury("refused"))
    assert await next_waits()
    await outbox.put([new_reading(ONE, "d")])
    assert waits == [True, True, False, True, True]
    assert (await totals(outbox)).delivered == 2


async def test_lane_that_goes_on_meanwhile_waits_for_the_disk(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """Settlements wait where the lane had more to send when they were made, or has when they are written."""
    waits = harness.engine.waits
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b"), new_reading(TWO, "c")])
    other = [await must_claim(outbox)]
    other.append(await must_claim(outbox))
    with HeldDisk(harness.engine) as disk:
        put = await reaching(disk, outbox.put([new_reading(THREE, "x")]))
        deliver(outbox, other[0])
        deliver(outbox, await must_claim(outbox))  # b, behind a: both are in one commit
        disk.let_go()
        await put
    await at_rest(outbox)
    # One of devices' records alone, which waits for nothing, may come between.
    assert waits.count(True) == 3
    with HeldDisk(harness.engine) as disk:
        put = await reaching(disk, outbox.put([new_reading(TWO, "d")]))
        deliver(outbox, other[1])  # c, before d is known to its lane
        disk.let_go()
        await put
    await at_rest(outbox)
    assert waits.count(True) == 5


async def at_rest(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        while not outbox.is_at_rest:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)


def deliver(outbox: Outbox, claimed: Claim) -> None:
    outbox.settle("acme", [Settlement(claimed.deliveries, Done(), attempt(1))], ends=[claimed])


async def test_batch_settles_what_is_still_pending(outbox: Outbox, harness: OutboxHarness) -> None:
    """A POST that brought a reading which was expired meanwhile delivers the others, and each is counted once."""
    await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b"), new_reading(TWO, "c")])
    claims = [await must_claim(outbox, limit=2), await must_claim(outbox)]
    brought = [one for claimed in claims for one in claimed.deliveries]
    harness.other.expire(brought[0])
    outbox.settle("acme", [Settlement(brought, Done(), attempt(2))], ends=claims)
    after = await totals(outbox)
    assert (after.delivered, after.expired, after.pending) == (2, 1, 0)
    rows = [
        (row["state"], row["attempts"], row["last_status"], row["duration_ms"])
        for row in harness.engine.rows("delivery")
    ]
    assert rows[1:] == [("delivered", 2, 204, 1.5)] * 2
    assert harness.engine.rows("body") == []
    await outbox.put([new_reading(ONE, "d"), new_reading(TWO, "e")])
    assert [ids(await must_claim(outbox, limit=9)) for _ in range(2)] == [["d"], ["e"]]


async def test_what_breaks_after_a_commit_ends_the_outbox(tmp_path: Path, clock: HandClock) -> None:
    """An error of our own is not swallowed by a callback: the service fails, and starts anew."""

    def fail(_: set[str]) -> None:
        raise ZeroDivisionError

    outbox = open_outbox(tmp_path / "outbox.db", clock=clock)
    outbox.schedule.on_claimable = fail
    put = asyncio.ensure_future(outbox.put([new_reading(ONE, "a")]))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(outbox.run(), timeout=10)
    put.cancel()
    outbox.release_files()


async def reaching(disk: HeldDisk, what: Awaitable[T]) -> "asyncio.Future[T]":
    """Return once the thread is at it."""
    task = asyncio.ensure_future(what)
    assert await asyncio.to_thread(disk.is_reached.wait, 10)
    return task


async def test_full_outbox_does_not_keep_a_stop_waiting(harness: OutboxHarness) -> None:
    """What nobody waits for any more is not put once a stop has begun: its broker has it still."""
    outbox = harness.open(max_bytes=1)
    waiting = asyncio.ensure_future(outbox.put([new_reading(ONE, "a")]))
    await flush(outbox)
    waiting.cancel()
    await asyncio.wait([waiting])
    await outbox.close()
    await asyncio.wait_for(harness.ended(), timeout=10)


async def test_end_in_the_middle_of_a_commit(harness: OutboxHarness) -> None:
    """A process that is told to go while the disk is at it goes, and the file is sound."""
    outbox = harness.open()
    put = await committing(outbox, outbox.put([new_reading(ONE, "a")]))
    await asyncio.wait_for(harness.kill(), timeout=10)
    put.cancel()
    outbox = harness.open()
    assert await outbox.put([new_reading(ONE, "a"), new_reading(ONE, "b")])
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]


async def test_transaction_left_open_is_ended(outbox: Outbox, harness: OutboxHarness) -> None:
    """Whatever a failed commit has left behind, the next one begins anew."""
    await outbox.put([new_reading(ONE, "a")])
    harness.engine.leave_transaction_open()
    await outbox.put([new_reading(ONE, "b")])
    assert ids(await must_claim(outbox, limit=9)) == ["a", "b"]


@pytest.mark.parametrize("memory", [0, 3, 4096])
async def test_commits_one_upon_the_other_keep_every_lane_in_order(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    """Where much waits a commit begins before the loop has heard of the last; all is offered once, in turn."""
    monkeypatch.setattr(group_commit, "LARGE", 1)
    outbox = harness.open(memory_limit=memory)
    offered: dict[str, list[str]] = {ONE: [], TWO: [], THREE: []}

    def work_off(_: set[str]) -> None:
        while (claimed := outbox.schedule.claim("acme", limit=2)) is not None:
            offered[claimed.deliveries[0].device] += ids(claimed)
            settle(outbox, claimed)

    outbox.schedule.on_claimable = work_off
    puts = []
    for number in range(100):
        puts.append(outbox.put([new_reading(one, f"{number}") for one in offered]))
        await asyncio.sleep(0)
    await asyncio.gather(*puts)
    while sum(map(len, offered.values())) < 300:
        await flush(outbox)
    expected = [str(number) for number in range(100)]
    assert offered == {ONE: expected, TWO: expected, THREE: expected}
