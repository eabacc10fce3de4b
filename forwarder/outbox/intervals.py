"""
The usual interval of a device: the median of its last nine.

Four of nine may be gaps, or a clock that was set, without moving it; five tell that the interval has changed. That is
exact, and small: a ring of nine numbers of four bytes, which engines keep as they stand. An estimator of constant size
(P², or one that takes steps) would need less room, and after a change some thirty intervals instead of five.
"""

from struct import Struct, unpack

KEPT_INTERVALS = 9
_ONE = Struct("<f")
_MOST_BYTES = KEPT_INTERVALS * _ONE.size


def with_interval(intervals: bytes, seconds: float) -> bytes:
    """The ring with one more; the oldest leaves for it."""
    return (intervals + _ONE.pack(seconds))[-_MOST_BYTES:]


def usual_interval(intervals: bytes) -> float | None:
    """Their median in seconds, of an even number the larger of two; None when there is none."""
    count = len(intervals) // _ONE.size
    if not count:
        return None
    seconds: list[float] = sorted(unpack(f"<{count}f", intervals[: count * _ONE.size]))
    return round(seconds[count // 2], 3)
