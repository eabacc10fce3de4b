"""When each reading was published and when it first arrived, in two mapped files that three processes share."""

import mmap
from pathlib import Path

WORDS_BEFORE = 8
FIRST_SERIAL = 100_000_000
"""Serials have nine digits from the first on, so every payload has the same length; ledgers count from 0."""


class Ledger:
    """Nanoseconds of CLOCK_MONOTONIC by serial, 0 for none; the words before them are counters."""

    def __init__(self, path: Path, *, capacity: int | None = None) -> None:
        self.path = path
        if capacity is not None:
            with path.open("wb") as file:
                file.truncate(8 * (WORDS_BEFORE + capacity))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self._map).cast("Q")
        self.times = self.words[WORDS_BEFORE:]

    @property
    def count(self) -> int:
        """Serials that were entered: published and acknowledged, or arrived."""
        return self.words[0]

    @property
    def repeats(self) -> int:
        return self.words[1]

    @property
    def requests(self) -> int:
        return self.words[2]

    @property
    def superseded(self) -> int:
        """Serials that need not arrive any more; counted where a scenario has `mode: latest`."""
        return self.words[3]

    @property
    def settled(self) -> int:
        return self.count + self.superseded


def latencies_ms(published: Ledger, arrived: Ledger, *, start: int, end: int) -> list[float]:
    """Milliseconds from publish to the 2xx of serials from `start` to before `end`, sorted."""
    pairs = zip(published.times[start:end], arrived.times[start:end], strict=True)
    return sorted((came - sent) / 1e6 for sent, came in pairs if sent and came)


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")
