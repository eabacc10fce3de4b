"""What sweeps go through."""

import asyncio
from typing import Any, cast

import pytest
from support.clock import HandClock

from forwarder.outbox import MOST_ROWS, PruneOldest
from forwarder.service.upkeep import SWEEP_SECONDS, Upkeep


class Broken:
    """An expiry with a fault that nobody has foreseen."""

    sweeps = 0

    async def sweep(self) -> None:
        self.sweeps += 1
        raise ZeroDivisionError


async def test_sweep_that_breaks_is_tried_again() -> None:
    """An error of ours costs a sweep, not the service."""
    clock, broken = HandClock(), Broken()
    upkeep = Upkeep(
        outbox=cast("Any", None),
        expiry=cast("Any", broken),
        clock=clock,
        minutes=lambda _: (),
        keep_delivered_seconds=1,
        keep_dead_seconds=1,
        max_bytes=1,
    )
    sweeping = asyncio.create_task(upkeep.run())
    for sweeps in (0, 1, 2):
        for _ in range(3):
            await asyncio.sleep(0)
        assert (broken.sweeps, sweeping.done()) == (sweeps, False)
        clock.advance(SWEEP_SECONDS)
    sweeping.cancel()


class Log:
    """An outbox in which there is nothing but a delivery log."""

    used_bytes = 0
    quarantine_max_bytes = 0
    leads = True

    def __init__(self, length: int) -> None:
        self.length = length
        self.counts = 0

    @property
    def accounts(self) -> "Log":
        return self

    async def log_length(self) -> int:
        self.counts += 1
        return self.length

    async def operate(self, operation: object) -> int:
        if not isinstance(operation, PruneOldest):
            return 0
        gone = min(operation.count, self.length, MOST_ROWS)
        self.length -= gone
        return gone

    async def shrink(self) -> None:
        pass


class Expiring:
    async def sweep(self) -> None:
        pass


@pytest.mark.parametrize(
    ("length", "left"),
    [
        pytest.param(0, 0, id="nothing"),
        pytest.param(7_000, 7_000, id="room for an eighth of it more"),
        pytest.param(7_500, 7_000, id="less room than that"),
        pytest.param(100_000, 7_000, id="a limit that was lowered"),
    ],
)
async def test_delivery_log_keeps_within_a_tenth_of_the_outbox(length: int, left: int) -> None:
    """A delivery takes 256 bytes, so an outbox of 20,480,000 bytes has room for a log of 8,000."""
    log, clock = Log(length), HandClock()
    upkeep = Upkeep(
        outbox=cast("Any", log),
        expiry=cast("Any", Expiring()),
        clock=clock,
        minutes=lambda _: (),
        keep_delivered_seconds=86400,
        keep_dead_seconds=86400,
        max_bytes=8_000 * 256 * 10,
    )

    await upkeep.sweep()

    assert log.length == left


async def test_delivery_log_is_not_counted_while_it_cannot_be_too_long() -> None:
    """Counting a log of millions takes a fifth of a second; at 25,000 deliveries a second this one lasts for 80 s."""
    log, clock = Log(2_000_000), HandClock()
    upkeep = Upkeep(
        outbox=cast("Any", log),
        expiry=cast("Any", Expiring()),
        clock=clock,
        minutes=lambda _: (),
        keep_delivered_seconds=86400,
        keep_dead_seconds=86400,
        max_bytes=4_000_000 * 256 * 10,
    )

    for _ in range(17):
        await upkeep.sweep()
        clock.advance(SWEEP_SECONDS)

    assert log.counts == 3
