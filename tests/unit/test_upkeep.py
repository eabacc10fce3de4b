"""What sweeps go through."""

import asyncio
from typing import Any, cast

from support.clock import HandClock

from forwarder.service.upkeep import SWEEP_SECONDS, Upkeep


class Broken:
    """A dispatcher with a fault that nobody has foreseen."""

    sweeps = 0

    async def sweep(self) -> None:
        self.sweeps += 1
        raise ZeroDivisionError


async def test_sweep_that_breaks_is_tried_again() -> None:
    """An error of ours costs a sweep, not the service."""
    clock, broken = HandClock(), Broken()
    upkeep = Upkeep(
        outbox=cast("Any", None),
        dispatcher=cast("Any", broken),
        clock=clock,
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
