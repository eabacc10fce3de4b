"""
The usual interval of a device: the median of its last nine intervals.

Four gaps or set clocks among the nine leave the median alone; five intervals of another length move it. Engines keep
the nine as they stand, four bytes each. An estimator of constant size (P², or one that takes steps) would need less
room, and some thirty intervals instead of five to follow a change.
"""

from struct import Struct, unpack

KEPT_INTERVALS = 9
_ONE = Struct("<f")
_MOST_BYTES = KEPT_INTERVALS * _ONE.size


def with_interval(intervals: bytes, seconds: float) -> bytes:
    """Append an interval; the oldest of nine leaves."""
    return (intervals + _ONE.pack(seconds))[-_MOST_BYTES:]


def usual_interval(intervals: bytes) -> float | None:
    """The median in seconds, the larger of two in the middle; None without an interval."""
    count = len(intervals) // _ONE.size
    if not count:
        return None
    seconds: list[float] = sorted(unpack(f"<{count}f", intervals[: count * _ONE.size]))
    return round(seconds[count // 2], 3)
