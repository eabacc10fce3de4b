"""What could not be understood has a share of the outbox, and never more: names and payloads are strangers'."""

import asyncio
import random
from itertools import count

import pytest
from support.outbox import flush
from support.outbox_harness import OutboxHarness
from support.readings import STARTED_AT, new_reading

from forwarder.operator import (
    choose_quarantined,
    discard_quarantined,
)
from forwarder.outbox import (
    NewQuarantined,
    Outbox,
    PruneQuarantine,
    Selection,
    inspect,
    opened,
)
from forwarder.outbox.capacity import MOST_QUARANTINE_BYTES, quarantine_share
from forwarder.reading import Device, QuarantineReason

KIB, MIB = 1 << 10, 1 << 20


def junk(
    number: int, *, size: int = KIB, reason: QuarantineReason = "not_json", device: str = ""
) -> NewQuarantined:
    name = device or f"name-{number}"
    payload = f"{number}:".encode().ljust(size, b"x")
    topic = f"ext/example/{name}"
    return NewQuarantined(Device(name), topic, STARTED_AT, reason, "not JSON", size, payload)


def kept(harness: OutboxHarness) -> list[int]:
    """The numbers of what is kept, in order of arrival."""
    return [int(row["payload"].partition(b":")[0]) for row in harness.engine.rows("quarantine")]


def held(harness: OutboxHarness) -> int:
    """Bytes that all of it takes, as the outbox accounts for it."""
    return sum(row["kept_bytes"] for row in harness.engine.rows("quarantine_account"))


async def test_oldest_go_first(harness: OutboxHarness) -> None:
    """All together they stay within QUARANTINE_MAX_BYTES, whoever they are of."""
    outbox = harness.open(quarantine_max_bytes=20 * KIB)
    for number in range(100):
        assert await outbox.put([junk(number)]) == ["quarantined"]
    numbers = kept(harness)
    assert numbers == [*range(numbers[0], 100)]
    assert len(numbers) in (14, 15)
    assert 18 * KIB < held(harness) <= 20 * KIB


async def test_what_is_gone_is_counted_by_its_reason(harness: OutboxHarness) -> None:
    """Of a device beyond its newest 1,000, and of all beyond the share; over the whole life of the outbox."""
    outbox = harness.open(quarantine_max_bytes=2 * MIB)
    await outbox.put([junk(number, size=10, device="one") for number in range(1003)])
    assert outbox.accounts.overview().quarantine_evicted == {"not_json": 3}
    await harness.kill()
    outbox = harness.open(quarantine_max_bytes=2 * MIB)
    await outbox.put([junk(number, size=60 * KIB, reason="too_large") for number in range(600)])
    evicted = outbox.accounts.overview().quarantine_evicted
    assert evicted["not_json"] == 1003
    assert outbox.accounts.overview().quarantined == {"too_large": 600 - evicted["too_large"]}


async def test_one_that_is_larger_than_the_share_is_only_counted(harness: OutboxHarness) -> None:
    outbox = harness.open(quarantine_max_bytes=10 * KIB)
    assert await outbox.put([junk(1, size=60 * KIB)]) == ["quarantined"]
    assert (kept(harness), outbox.accounts.overview().quarantine_evicted) == ([], {"not_json": 1})


async def how_many_fit(outbox: Outbox) -> int:
    """Readings that are taken until the outbox is full."""
    for number in count():
        stored = outbox.put([new_reading(payload=f"{number}".ljust(2000))])
        await flush(outbox)
        if not stored.done():
            stored.cancel()
            return number
    raise AssertionError


async def test_junk_takes_no_room_from_readings(
    harness: OutboxHarness, another_harness: OutboxHarness
) -> None:
    """As many readings are taken beside a flood of it as without."""
    alone = await how_many_fit(harness.open(max_bytes=MIB))
    await harness.kill()
    outbox = another_harness.open(max_bytes=MIB)
    for number in range(300):
        await outbox.put([junk(number, size=5000)])
    beside = await how_many_fit(outbox)
    assert abs(alone - beside) <= alone // 40
    assert outbox.accounts.used_bytes <= 1.02 * MIB


async def test_nothing_is_taken_once_readings_have_filled_it(harness: OutboxHarness) -> None:
    """Junk neither: it stays with the broker, and evicts nothing meanwhile."""
    outbox = harness.open(max_bytes=MIB)
    await outbox.put([junk(1)])
    await how_many_fit(outbox)
    waiting = outbox.put([junk(2)])
    await flush(outbox)
    assert not waiting.done()
    assert kept(harness) == [1]
    waiting.cancel()


async def test_small_ones_under_thousands_of_names_stay_within_the_share(
    harness: OutboxHarness,
) -> None:
    """A row counts with what it takes beside its payload."""
    outbox = harness.open(quarantine_max_bytes=MIB)
    before = outbox.accounts.used_bytes
    chance = random.Random(1)
    for _ in range(100):
        some = [junk(chance.randrange(10**9), size=10) for _ in range(100)]
        await outbox.put([*some, *(junk(7, size=10, device="loud") for _ in range(100))])
    assert held(harness) <= MIB
    assert outbox.accounts.used_bytes - before <= 1.5 * MIB


async def test_a_lowered_share_is_reached_in_steps(harness: OutboxHarness) -> None:
    """No transaction is long for it: what comes lets twice as much go, and the sweep does the rest."""
    outbox = harness.open(quarantine_max_bytes=8 * MIB)
    await outbox.put([junk(number, size=10 * KIB) for number in range(600)])
    await harness.kill()
    outbox = harness.open(quarantine_max_bytes=MIB)
    await outbox.put([junk(600, size=10 * KIB)])
    assert len(kept(harness)) in (598, 599)
    steps = 0
    while await outbox.operate(PruneQuarantine(received_before=0, max_bytes=MIB)):
        steps += 1
    assert 3 <= steps <= 6
    assert held(harness) <= MIB
    assert kept(harness)[-1] == 600


async def test_commands_keep_the_account_too(harness: OutboxHarness) -> None:
    """What an operator discards makes room, and is no eviction."""
    outbox = harness.open(quarantine_max_bytes=MIB)
    await outbox.put([junk(number) for number in range(10)])
    with opened(harness.place) as file:
        assert discard_quarantined(file, choose_quarantined(file, Selection(limit=4))) == 4
    assert outbox.accounts.overview().quarantined == {"not_json": 6}
    assert outbox.accounts.overview().quarantine_evicted == {}
    assert inspect(harness.place).faults == ()


async def test_an_account_that_is_wrong_is_found(harness: OutboxHarness) -> None:
    outbox = harness.open()
    await outbox.put([junk(1)])
    await harness.kill()
    harness.other.execute("UPDATE quarantine_account SET kept = 2")
    (fault,) = inspect(harness.place).faults
    assert fault.startswith("quarantine counts 2 messages")


@pytest.mark.parametrize(
    ("max_bytes", "share"), [(2 * MIB, 104_857), (1 << 30, 53_687_091), (1 << 40, 256 * MIB)]
)
def test_share_is_a_twentieth(max_bytes: int, share: int) -> None:
    """And never more than 256 MiB."""
    assert quarantine_share(max_bytes) == share
    assert share <= MOST_QUARANTINE_BYTES


async def test_failed_commit_evicts_nothing_twice(harness: OutboxHarness) -> None:
    """What is tried again comes to the same: rows, account and what is counted as gone."""
    outbox = harness.open(quarantine_max_bytes=20 * KIB)
    await outbox.put([junk(number) for number in range(20)])
    evicted = outbox.accounts.overview().quarantine_evicted["not_json"]
    harness.engine.refuse_writes()
    stored = outbox.put([junk(20)])
    async with asyncio.timeout(10):
        while outbox.capacity.is_writable:  # noqa: ASYNC110 - it is told to nobody, only shown
            await asyncio.sleep(0)
    harness.engine.accept_writes()
    async with asyncio.timeout(10):
        while not stored.done():
            harness.clock.advance(1)
            await asyncio.sleep(0)
    assert outbox.accounts.overview().quarantine_evicted["not_json"] == evicted + 1
    assert inspect(harness.place).faults == ()
