"""
What open pages ask for at the same time is made once, one thing after the other, beside the loop.

Threads change places every TURN_SECONDS meanwhile, where Python's own 5 ms would delay every step of a delivery.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")
FRESH_SECONDS = 1.0
"""So old may be what an open page gets when it asks by itself."""
TURN_SECONDS = 0.0001
REQUEST_SECONDS = 0.002
"""What a request costs the loop, whatever it asks for; about."""


class Shared(Generic[T]):
    """Makes one thing at a time, and keeps it for as long as it is fresh."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.spent_seconds = 0.0
        """CPU that has gone into what may be shared."""
        self.round = 0
        """How often readers have been told that something has changed; what was made before shows less."""
        self._monotonic = monotonic
        self._kept: dict[Hashable, tuple[int, float, T]] = {}
        self._turn = asyncio.Lock()

    def begin_round(self) -> None:
        """Nothing of before is fresh."""
        self.round += 1

    async def get(self, key: Hashable, make: Callable[[], T], *, is_shared: bool) -> T:
        """What `make` returns, in a thread; or, where that may be shared, what it has just returned for this key."""
        self.spent_seconds += REQUEST_SECONDS if is_shared else 0.0
        async with self._turn:
            begun, of_round = self._monotonic(), self.round
            self._kept = {one: kept for one, kept in self._kept.items() if self._is_fresh(kept)}
            if is_shared and key in self._kept:
                return self._kept[key][2]
            made, spent = await run_in_threadpool(_timed, make)
            self.spent_seconds += spent if is_shared else 0.0
            self._kept[key] = of_round, begun, made
            return made

    def _is_fresh(self, kept: tuple[int, float, T]) -> bool:
        of_round, begun, _ = kept
        return of_round == self.round and self._monotonic() - begun < FRESH_SECONDS


def _timed(make: Callable[[], T]) -> tuple[T, float]:
    began = time.thread_time()
    with short_turns():
        made = make()
    return made, time.thread_time() - began


@contextmanager
def short_turns() -> Iterator[None]:
    """Inside, a thread that wants the interpreter gets it within TURN_SECONDS; for one thread at a time."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
