"""The clock is a seam: the real one is here, and tests bring a hand-set one."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The clock that every part of the program asks."""

    def unix(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z by the wall clock, which may step either way."""

    def now(self) -> datetime:
        """The instant of `unix` as an aware UTC datetime."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, for durations."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` by the monotonic clock."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back on the event loop after `seconds` by the monotonic clock."""


class _MachineTime:
    """The part of a clock that does not depend on the wall clock."""

    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


class SystemClock(_MachineTime):
    """The machine's own clock."""

    # The function is used as it is, because each reading asks a dozen times.
    unix = staticmethod(time.time)

    def now(self) -> datetime:
        return datetime.now(UTC)


class SharedClock(_MachineTime):
    """
    The clock that several machines share: monotonic seconds, and the `epoch` that makes UNIX seconds of them.

    A step of the machine's own wall clock never shows, even while the epoch is not corrected.
    """

    def __init__(self, epoch: Callable[[], float]) -> None:
        self._epoch = epoch

    def unix(self) -> float:
        return time.monotonic() + self._epoch()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.unix(), UTC)
