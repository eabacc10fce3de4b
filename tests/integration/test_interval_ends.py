"""When the last readings of intervals are owed, by a clock that is set by hand."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from support.clock import HandClock
from support.outbox import ids, must_claim
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.errors import OutboxUnavailable
from forwarder.outbox import Ended, KeptLast, Outbox
from forwarder.service.interval_ends import LOOK_SECONDS, IntervalEnds

SECONDS = 300.0


class Counting:
    """An outbox that keeps the times at which it was asked."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.kept_last = {"acme": KeptLast(SECONDS)}
        self.asked: list[float] = []
        self.next_opened_at: float | None = None
        self.problem: Exception | None = None

    async def end_intervals(self, endpoint: str, kept: KeptLast) -> Ended:
        self.asked.append(self.clock.elapsed)
        if self.problem is not None:
            raise self.problem
        return Ended(0, self.next_opened_at)


def ends(outbox: Counting) -> IntervalEnds:
    return IntervalEnds(cast("Any", outbox), clock=outbox.clock)


async def look_each_second(looking: IntervalEnds, clock: HandClock, seconds: int) -> None:
    for _ in range(seconds):
        await looking.look()
        clock.advance(1)


async def test_reading_is_owed_when_its_interval_ends(tmp_path: Path) -> None:
    """Within a second of it, and not before."""
    harness = OutboxHarness(tmp_path / "outbox.db", HandClock())
    outbox: Outbox = harness.open()
    outbox.candidates.keep_last({"acme": KeptLast(5.0)})
    looking = IntervalEnds(outbox.candidates, clock=harness.clock)
    await looking.look()
    harness.clock.advance(2)
    await outbox.put([new_reading(payload="a", received_at=harness.clock.unix())])
    await look_each_second(looking, harness.clock, 5)
    assert outbox.accounts.enqueued["acme"] == 0
    await looking.look()
    assert ids(await must_claim(outbox)) == ["a"]
    await harness.kill()


async def test_nobody_looks_while_no_interval_can_end() -> None:
    """One that is opened after a look ends an interval after it at the earliest."""
    outbox = Counting(HandClock())
    await look_each_second(ends(outbox), outbox.clock, 601)
    assert outbox.asked == [0, 300, 600]


async def test_interval_that_is_open_is_looked_at_when_it_ends() -> None:
    outbox = Counting(HandClock())
    outbox.next_opened_at = outbox.clock.unix() - 290
    await look_each_second(ends(outbox), outbox.clock, 11)
    assert outbox.asked == [0, 10]


async def test_edit_is_looked_at_at_once() -> None:
    """A shorter interval may be over already; an endpoint that left is not asked about any more."""
    outbox = Counting(HandClock())
    looking = ends(outbox)
    await look_each_second(looking, outbox.clock, 3)
    outbox.kept_last = {"acme": KeptLast(1.0)}
    await look_each_second(looking, outbox.clock, 2)
    outbox.kept_last = {}
    await look_each_second(looking, outbox.clock, 2)
    assert outbox.asked == [0, 3, 4]


@pytest.mark.parametrize("problem", [OutboxUnavailable("no"), ZeroDivisionError()])
async def test_look_that_fails_is_tried_again(problem: Exception) -> None:
    """An error costs a look, not the service."""
    outbox = Counting(HandClock())
    outbox.problem = problem
    running = asyncio.create_task(ends(outbox).run())
    for looks in range(3):
        for _ in range(5):
            await asyncio.sleep(0)
        assert (len(outbox.asked), running.done()) == (looks, False)
        outbox.clock.advance(LOOK_SECONDS)
    running.cancel()
