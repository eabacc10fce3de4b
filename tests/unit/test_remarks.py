"""What is said of a database follows its settings while the service runs."""

import asyncio
from collections.abc import Sequence

from structlog.testing import capture_logs
from support.clock import HandClock

from forwarder.errors import OutboxUnavailable
from forwarder.service.remarks import LOOK_SECONDS, Remarks

ALONE = "it waits for no standby"


async def _looked(remarks: Remarks, clock: HandClock) -> Sequence[str]:
    await asyncio.sleep(0)
    clock.advance(LOOK_SECONDS)
    await asyncio.sleep(0.05)  # another thread asks
    return list(remarks.found)


async def test_remark_comes_and_goes_with_its_reason() -> None:
    """It is logged each time that it comes; one that stays is not said again."""
    clock, answers = HandClock(), [[], [ALONE], [ALONE], [], [ALONE]]
    remarks = Remarks(lambda: answers.pop(0), clock=clock)
    with capture_logs() as logs:
        remarks.look()
        running = asyncio.create_task(remarks.run())
        found = [await _looked(remarks, clock) for _ in range(4)]
    running.cancel()
    assert found == [[ALONE], [ALONE], [], [ALONE]]
    assert [one["problem"] for one in logs] == [ALONE, ALONE]


async def test_database_out_of_reach_changes_nothing() -> None:
    clock, is_there = HandClock(), [True]

    def ask() -> Sequence[str]:
        if not is_there[0]:
            raise OutboxUnavailable("it cannot be reached")
        return [ALONE]

    remarks = Remarks(ask, clock=clock)
    remarks.look()
    running = asyncio.create_task(remarks.run())
    is_there[0] = False
    assert await _looked(remarks, clock) == [ALONE]
    assert not running.done()
    running.cancel()
