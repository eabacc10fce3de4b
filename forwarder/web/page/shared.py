"""
Open pages share answers. Answers are made one after the other, beside the loop.

Threads change places every TURN_SECONDS meanwhile, because Python's own 5 ms would delay every step of a delivery.
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
"""The greatest age of an answer to an open page that asks by itself."""
TURN_SECONDS = 0.0001
REQUEST_SECONDS = 0.002
"""The cost of a request for the loop, about, whatever it asks for."""


class Shared(Generic[T]):
    """Makes one answer at a time, and keeps it for as long as it is fresh."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.spent_seconds = 0.0
        """CPU that has gone into answers that may be shared."""
        self.round = 0
        """How often readers have been told that something has changed. Answers of an earlier round are stale."""
        self._monotonic = monotonic
        self._kept: dict[Hashable, tuple[int, float, T]] = {}
        self._turn = asyncio.Lock()

    def begin_round(self) -> None:
        """Let no earlier answer count as fresh."""
        self.round += 1

    async def get(self, key: Hashable, make: Callable[[], T], *, is_shared: bool) -> T:
        """The answer of `make`, called in a thread, or a fresh one for this key if that may be shared."""
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
    """Lets a thread that wants the interpreter have it within TURN_SECONDS. One thread at a time may use this."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
