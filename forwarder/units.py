"""Durations (`10s`), sizes (`10GiB`), rates (`20/s`) and counts (`2 readings`) as people write them."""

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d{1,18})\s?(B|KiB|MiB|GiB|TiB)?", re.ASCII)
_RATE = re.compile(r"(\d{1,9})/(s|m|h)", re.ASCII)


def parse_duration(text: str) -> float:
    """
    Seconds in `500ms`, `10s`, `5m`, `24h` or `7d`.

    Raises ValueError with a sentence for the one who wrote it.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a duration such as 500ms, 10s, 5m, 24h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: str) -> int:
    """
    Bytes in `65536`, `64KiB` or `10GiB`.

    Raises ValueError with a sentence for the one who wrote it.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a size such as 65536, 64KiB, 512MiB or 10GiB")
    return int(match[1]) * _BYTES[match[2] or ""]


def parse_rate(text: str) -> tuple[int, float]:
    """
    Count and period in seconds of `20/s`, `600/m` or `1000/h`; the count is at least 1.

    Raises ValueError with a sentence for the one who wrote it.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError("expected a rate such as 20/s or 600/m")
    return int(match[1]), _SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest form that is exact enough for a person: `2h`, `90s`, `250ms`."""
    if seconds < 0.9995:
        return f"{round(seconds * 1000)}ms"
    for unit in ("d", "h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{round(seconds / _SECONDS[unit])}{unit}"
    return f"{seconds:.3g}s" if seconds < 10 else f"{round(seconds)}s"


def format_size(size: int) -> str:
    """The size for people, to two or three digits: `9.2GiB`, `512MiB`, `800B`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= _BYTES[unit]:
            return f"{float(f'{size / _BYTES[unit]:.3g}'):g}{unit}"
    return f"{size}B"


def count_of(count: int, what: str, plural: str = "") -> str:
    """`1 dead letter`, `2 dead letters`; `plural` is for words that take no s."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


_GLANCE = (("d", 86400.0), ("h", 3600.0), ("m", 60.0))


def age(seconds: float) -> str:
    """The time since, at a glance, in whole units that have passed: `12s`, `5m`, `3h`, `4d`."""
    for unit, length in _GLANCE:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(max(seconds, 0.0))}s"


def time_left(seconds: float) -> str:
    """The time until, at a glance, to the nearest unit: `7d` is still `7d` a moment later."""
    for unit, length in _GLANCE:
        if seconds >= 0.95 * length:
            return f"{round(seconds / length)}{unit}"
    return f"{round(max(seconds, 0.0))}s"
