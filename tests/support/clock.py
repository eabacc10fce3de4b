"""A clock that stands still until a test moves it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush


@dataclass(eq=False)
class HandTimer:
    """A call that waits for the clock to be advanced."""

    callback: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class HandClock:
    """Wall clock and monotonic clock, moved together by `advance`, or the wall clock alone by `step`."""

    started_at: datetime = datetime(2025, 11, 18, 10, 17, 40, tzinfo=UTC)
    elapsed: float = 0.0
    stepped: float = 0.0
    tick: float = 0.0
    """Seconds that pass at each look at the monotonic clock, as on a real machine."""
    _timers: list[tuple[float, int, HandTimer]] = field(default_factory=list)
    _pushes: int = 0

    def unix(self) -> float:
        return self.started_at.timestamp() + self.elapsed + self.stepped

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=self.elapsed + self.stepped)

    def monotonic(self) -> float:
        self.elapsed += self.tick
        return 1000.0 + self.elapsed

    async def sleep(self, seconds: float) -> None:
        slept = asyncio.Event()
        self.call_later(seconds, slept.set)
        await slept.wait()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> HandTimer:
        timer = HandTimer(callback)
        self._pushes += 1
        heappush(self._timers, (self.elapsed + seconds, self._pushes, timer))
        return timer

    def next_timer_in(self) -> float | None:
        """Seconds until the next call that is not cancelled."""
        while self._timers and self._timers[0][2].is_cancelled:
            heappop(self._timers)
        return self._timers[0][0] - self.elapsed if self._timers else None

    def advance(self, seconds: float) -> None:
        """Let time pass; each timer that falls due is called at its own time."""
        until = self.elapsed + seconds
        while (wait := self.next_timer_in()) is not None and self.elapsed + wait <= until:
            due_at, _, timer = heappop(self._timers)
            self.elapsed = max(self.elapsed, due_at)
            timer.callback()
        self.elapsed = max(self.elapsed, until)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP does."""
        self.stepped += seconds
