"""The instant of a reading, from whatwatt's timestamps and time texts."""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

from forwarder.reading import Number, TimeSource

FIRST_YEAR, LAST_YEAR = 2000, 2099
"""Meters write years with two digits (DSMR P1 §6.4)."""

_FIRST = datetime(FIRST_YEAR + 1, 1, 1, tzinfo=UTC)
"""The first instant that a set clock may show. A clock that nobody has set begins in 2000, or in 1970."""
_END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _END_SECOND = _FIRST.timestamp(), _END.timestamp()
_TOLERANCE = timedelta(minutes=30)
_SHORTEST, _LONGEST = len("2025-10-07T14:26"), 40

TextKind = Literal["utc", "offset", "local"]


REMEMBERED = 4096
"""Most times whose meaning is remembered, because many devices report within the same second."""


@lru_cache(maxsize=REMEMBERED)
def instant_of_timestamp(seconds: Number) -> datetime | None:
    """The instant of a UNIX timestamp; None when no set clock could show it."""
    if not _FIRST_SECOND <= seconds < _END_SECOND:
        return None
    return datetime.fromtimestamp(float(seconds), UTC)


def instant_of_text(
    text: str, kind: TextKind, *, zone: tzinfo, received_at: datetime
) -> tuple[datetime, TimeSource] | None:
    """
    The instant of a date with a time, and how sure it is; None for a bare date, an impossible time or an unset clock.

    A Z is believed only in `utc` fields, because devices end their local times in Z too. An offset in digits is
    believed everywhere. A local time that comes twice, or never, means the instant nearest to its arrival.
    """
    text = text.strip()
    told = _told(text, kind, zone) if len(text) <= _LONGEST else None
    if told is None:
        return None
    instants, source = told
    if len(instants) == 1:
        return instants[0], source
    return min(instants, key=lambda instant: abs(instant - received_at)), source


@lru_cache(maxsize=REMEMBERED)
def _told(
    text: str, kind: TextKind, zone: tzinfo
) -> tuple[tuple[datetime, ...], TimeSource] | None:
    """The instants that a text of a set clock can mean. A local time that comes twice, or never, has two."""
    parsed = _parse(text)
    if parsed is None:
        return None
    instants, source = _meant(parsed, text, kind, zone)
    return (instants, source) if all(_FIRST <= one < _END for one in instants) else None


def _meant(
    parsed: datetime, text: str, kind: TextKind, zone: tzinfo
) -> tuple[tuple[datetime, ...], TimeSource]:
    if parsed.tzinfo is None or text[-1] in "zZ":
        if kind == "utc":
            return (_in_zone(parsed, UTC),), "utc"
        return _instants(parsed, zone), "local"
    return (parsed.astimezone(UTC),), "utc" if kind == "utc" else "offset"


def is_instant(text: str) -> bool:
    """Whether a text could be a device's date with a time."""
    return _parse(text) is not None


def _parse(text: str) -> datetime | None:
    text = text.strip()
    if not _SHORTEST <= len(text) <= _LONGEST or text[4] != "-" or text[10] not in "T ":
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if FIRST_YEAR <= parsed.year <= LAST_YEAR else None


def _instants(local: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    first = _in_zone(local, zone)
    # Not `replace`, which takes four times as long.
    second = datetime(
        local.year, local.month, local.day, local.hour, local.minute, local.second, local.microsecond, zone, fold=1
    )  # fmt: skip
    offset = zone.utcoffset(first)
    if offset is not None and offset == zone.utcoffset(second):
        return (_in_zone(local, UTC) - offset,)
    return first.astimezone(UTC), second.astimezone(UTC)


def _in_zone(instant: datetime, zone: tzinfo) -> datetime:
    return datetime.combine(instant, instant.time(), zone)


def is_far_ahead(measured_at: datetime, *, received_at: datetime) -> bool:
    """Whether a clock or its time zone is wrong, because no reading is half an hour younger than its arrival."""
    return measured_at - received_at > _TOLERANCE
