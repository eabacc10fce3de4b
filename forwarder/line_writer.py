"""
A writer sends lines to a descriptor that may be closed, full, or read by nobody, from a thread of its own.

Callers hand a line over and go on. A line that finds no room or cannot be written is dropped and counted. Writing goes
on as soon as lines are taken again.
"""

import os
import select
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from threading import Condition, Thread

MOST_LINES = 10_000
"""The most lines that wait."""
MOST_BYTES = 4 << 20
"""The most bytes that wait."""
CHUNK_BYTES = 64 << 10
"""How much is written at once."""
GATHER_SECONDS = 0.005
"""How long the first line waits for company, because each wake of the thread takes Python's lock from the others."""
FLUSH_SECONDS = 1.0
"""How long a process that ends waits for unwritten lines."""


class LineWriter:
    """
    Writes lines to `descriptor`, in order, each whole; `write` neither blocks nor raises, in any thread.

    `on_resumed` hears in the writer's thread how many lines were dropped, once lines are taken again. The thread is a
    daemon, so a reader that never reads keeps no process alive.
    """

    def __init__(
        self, descriptor: int, *, on_resumed: Callable[[int], None] = lambda _count: None
    ) -> None:
        self._descriptor = descriptor
        self._on_resumed = on_resumed
        self._changed = Condition()  # reentrant: a finaliser that logs may run anywhere
        self._waiting: deque[bytes] = deque()
        self._lines = self._bytes = 0
        """Lines and bytes that wait or are being written."""
        self._is_torn = False
        """Whether the last line was written in part."""
        self._told = 0
        self.dropped = 0
        """Lines since the start that were never written whole."""
        Thread(target=self._run, name="lines", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Have a line written, its newline included; drop it when too much waits already."""
        with self._changed:
            if self._lines >= MOST_LINES or self._bytes + len(line) > MOST_BYTES:
                self.dropped += 1
                return
            self._waiting.append(line)
            self._lines += 1
            self._bytes += len(line)
            self._changed.notify_all()

    def lose(self) -> None:
        """Count a line that could not even be made."""
        with self._changed:
            self.dropped += 1

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Return once everything is written or dropped, or after so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, seconds)

    def _run(self) -> None:
        while True:
            lines = self._take()
            self._conclude(lines, lost=self._write(lines))

    def _take(self) -> list[bytes]:
        with self._changed:
            is_idle = not self._waiting
            self._changed.wait_for(lambda: self._waiting)
        if is_idle:
            # A clock that was set back can lead before the epoch, and the kernel refuses such an instant (EINVAL).
            with suppress(OSError):
                time.sleep(GATHER_SECONDS)
        with self._changed:
            lines = [self._waiting.popleft()]
            size = len(lines[0])
            while self._waiting and size + len(self._waiting[0]) <= CHUNK_BYTES:
                lines.append(self._waiting.popleft())
                size += len(lines[-1])
        return lines

    def _write(self, lines: Sequence[bytes]) -> int:
        """The number of lines that were not written whole."""
        parts = [b"\n" if self._is_torn else b"", *lines]
        written = _write_all(self._descriptor, b"".join(parts))
        ends = list(accumulate(map(len, parts)))
        whole = bisect_right(ends, written)
        self._is_torn = written > ends[whole - 1] if whole else True
        return len(parts) - max(whole, 1)

    def _conclude(self, lines: Sequence[bytes], *, lost: int) -> None:
        with self._changed:
            self.dropped += lost
            untold = self.dropped - self._told
            has_resumed = untold > 0 and lost == 0 and self._lines == len(lines)
            self._told += untold if has_resumed else 0
        if has_resumed:
            self._on_resumed(untold)
        with self._changed:  # after `on_resumed`, so that a flush waits for the line that it writes
            self._lines -= len(lines)
            self._bytes -= sum(map(len, lines))
            self._changed.notify_all()


def _write_all(descriptor: int, data: bytes) -> int:
    """The number of bytes that could be written; waits as long as the reader does."""
    written = 0
    while written < len(data):
        try:
            written += os.write(descriptor, memoryview(data)[written:])
        except BlockingIOError:
            wait_for_room(descriptor)
        except OSError:
            break
    return written


def wait_for_room(descriptor: int) -> None:
    """Wait until the descriptor takes bytes, because a program that shares it may have made it non-blocking."""
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    room.poll()
