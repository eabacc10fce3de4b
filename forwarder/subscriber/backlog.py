"""The backlog counts what was handed over and not acknowledged. At its limit nothing is read from the broker."""

from collections import deque

from forwarder.clock import Clock
from forwarder.logs import Log

MOST_BYTES = 16 << 20
"""The limit: about 18,000 messages of 400 bytes, far more than two transactions take."""
BYTES_PER_MESSAGE = 512
"""The memory of a message beside its own bytes, generously."""
TOLD_AFTER_SECONDS = 10.0
"""A backlog is logged once it has been full for so long, because a disk that is slow for a moment is no news."""
_HINT = (
    "the outbox takes nothing, or less than comes in: see /readyz. The broker keeps what comes at QoS 1, as far as its "
    "queue reaches; at QoS 0 it may drop it"
)


class Backlog:
    """
    The bytes that wait, over all connections, because the messages of an earlier connection are still in memory.

    Bytes are counted by read, not by message. A read's bytes leave once as many messages are acknowledged as had come
    by then, whichever they were.
    """

    def __init__(self, log: Log, clock: Clock, *, most_bytes: int = MOST_BYTES) -> None:
        self.is_full = False
        """Set at the limit, and cleared at half of it, so that reading goes on in large steps."""
        self._log = log
        self._clock = clock
        self._most_bytes = most_bytes
        self._bytes = 0
        self._reads: deque[tuple[int, int]] = deque()
        self._acknowledged = 0
        """Acknowledged messages whose read still counts, because other messages of that read wait."""
        self._full_since = 0.0
        self._is_told = False

    def add(self, count: int, size: int) -> None:
        """Count messages that are about to be handed over, of `size` bytes together."""
        size += count * BYTES_PER_MESSAGE
        self._reads.append((count, size))
        self._bytes += size
        if self._bytes >= self._most_bytes and not self.is_full:
            self.is_full = True
            self._full_since = self._clock.monotonic()

    def remove(self, count: int) -> None:
        """Count `count` messages as acknowledged."""
        self._acknowledged += count
        reads = self._reads
        while reads and reads[0][0] <= self._acknowledged:
            count, size = reads.popleft()
            self._acknowledged -= count
            self._bytes -= size
        if self.is_full and self._bytes <= self._most_bytes // 2:
            self.is_full = False
            self._tell_end()

    def tell(self) -> None:
        """Log once that the backlog has been full for long, if it has."""
        if self._is_told or self._clock.monotonic() - self._full_since < TOLD_AFTER_SECONDS:
            return
        self._is_told = True
        self._log.warning("mqtt.held_back", waiting_bytes=self._bytes, hint=_HINT)

    def _tell_end(self) -> None:
        if self._is_told:
            self._is_told = False
            seconds = self._clock.monotonic() - self._full_since
            self._log.info("mqtt.reading_again", held_back_seconds=round(seconds, 1))
