"""
The latest end of the process, whatever hangs.

A thread that waits for a disk or a database which never answers cannot be told to stop, and Python waits for the
thread. A process that ends without the thread is like a killed one, which the outbox survives.
"""

import os
from collections.abc import Callable
from threading import Event, Thread

from forwarder.logs import logger

FLUSH_SECONDS = 0.5
"""How long the last line of the log has to be written."""


class LatestEnd:
    """Ends the process `seconds` after the first call of `begin`, unless it has ended by itself."""

    def __init__(self, seconds: float, *, end: Callable[[int], object] = os._exit) -> None:
        self._seconds = seconds
        self._end = end
        self._thread: Thread | None = None

    def begin(self, *, exit_code: int) -> None:
        """Start the clock, which nothing stops any more."""
        if self._thread is None:
            self._thread = Thread(
                target=self._run, args=(exit_code,), name="latest end", daemon=True
            )
            self._thread.start()

    def _run(self, exit_code: int) -> None:
        never = Event()  # because time.sleep fails under a library that fakes the clock
        never.wait(self._seconds)
        logger("service").warning("service.cut_off", after_seconds=self._seconds)
        never.wait(FLUSH_SECONDS)
        self._end(exit_code)
