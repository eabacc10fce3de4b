"""Notices and what is remembered as told reach the disk together, once, and within bounds."""

import asyncio

from support.notices import NOTICES
from support.outbox import claim, flush, ids, must_claim, settle, totals, until_it_failed
from support.outbox_harness import OutboxHarness
from support.readings import STARTED_AT, new_reading

from forwarder.notices.wording import new_notice
from forwarder.outbox import NewReading, Outbox, Tell

MIB = 1 << 20


def rows(count: int = 3) -> list[NewReading]:
    return [new_notice(one, at=STARTED_AT, endpoint="operator") for one in NOTICES[:count]]


async def test_notices_are_owed_like_readings(outbox: Outbox) -> None:
    """They are claimed at the operator's endpoint, each subject in its order, and are no messages."""
    told = await outbox.tell("operator", rows(), {"failing:acme": "{}"})

    assert told == {"enqueued": 3, "no_room": 0}
    assert (await must_claim(outbox, "operator", limit=10)).device == "acme"
    accounts = await totals(outbox, "operator")
    assert (accounts.enqueued, accounts.pending) == (3, 3)
    assert outbox.accounts.enqueued["operator"] == 3
    assert outbox.accounts.overview().messages == {}
    assert outbox.told() == {"failing:acme": "{}"}


async def test_notice_that_comes_again_is_not_owed_again(outbox: Outbox) -> None:
    """Neither while it waits nor after it was delivered."""
    await outbox.tell("operator", rows(1), {})
    assert (await outbox.tell("operator", rows(1), {}))["repeated"] == 1
    settle(outbox, await must_claim(outbox, "operator"))
    assert (await outbox.tell("operator", rows(1), {}))["repeated"] == 1

    accounts = await totals(outbox, "operator")
    assert (accounts.enqueued, accounts.delivered) == (1, 1)


async def test_what_was_told_and_the_notice_survive_together(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """A crash leaves both or neither."""
    await outbox.tell("operator", rows(1), {"failing:acme": '{"since": 1}', "stream": "{}"})
    await outbox.tell("operator", [], {"stream": None})
    harness.engine.refuse_writes()
    unwritten = outbox.tell("operator", rows(2), {"outbox": "{}"})
    await until_it_failed(outbox)
    outbox = await harness.reopen()
    unwritten.cancel()

    assert outbox.told() == {"failing:acme": '{"since": 1}'}
    assert (await totals(outbox, "operator")).pending == 1


async def test_full_outbox_takes_notices(harness: OutboxHarness) -> None:
    """That it is full is worth one; readings wait meanwhile."""
    outbox = harness.open(max_bytes=MIB)
    reading = new_reading(payload="x" * 4096)
    while not harness.engine.standing.is_full:
        reading = new_reading(payload=f"{outbox.accounts.commits} " + "x" * 4096)
        await outbox.put([reading])
    kept_back = outbox.put([new_reading(payload="one more")])

    await asyncio.wait_for(outbox.tell("operator", rows(), {}), timeout=10)

    assert not kept_back.done()
    assert await claim(outbox, "operator") is not None
    kept_back.cancel()


async def test_more_than_may_wait_is_left_out(outbox: Outbox) -> None:
    """The bound is on what waits, so those delivered make room."""
    wanted = Tell(rows(3), {}, "operator", most_pending=2, now=STARTED_AT)
    assert await outbox.operate(wanted) == {"enqueued": 2, "no_room": 1}
    assert await outbox.operate(wanted) == {"no_room": 3}
    while (claimed := await claim(outbox, "operator")) is not None:
        settle(outbox, claimed)
    await flush(outbox)
    assert await outbox.operate(wanted) == {"repeated": 2, "no_room": 1}


async def test_notices_wait_for_a_disk_that_takes_nothing(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """They are there once it does, and each once."""
    await flush(outbox)
    harness.engine.refuse_writes()
    told = outbox.tell("operator", rows(), {"outbox": "{}"})
    await until_it_failed(outbox)
    harness.engine.accept_writes()
    harness.clock.advance(1)

    assert (await told)["enqueued"] == 3
    assert len(ids(await must_claim(outbox, "operator", limit=10))) == 3
