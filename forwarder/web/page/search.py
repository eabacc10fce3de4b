"""
The one search box takes words in any order, such as `acme ECC9FF5C7AD4 10:17`; pure.

    endpoint:acme   device:ECC9FF5C7AD4   state:dead   since:2h   until:10:30   msg_846ae5

An id, a MAC, a state, an endpoint and a time of day need no name, because they can be told apart.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forwarder.operator.choosing import DeliveryState
from forwarder.reading import Device, parse_mac
from forwarder.units import parse_duration

STATES: frozenset[str] = frozenset(get_args(DeliveryState))
_WORD = re.compile(r'(?:(?P<name>[a-z]+):)?(?P<value>"[^"]*"|\S+)')
_CLOCK = re.compile(
    r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?", re.ASCII
)
_NAMES = ("endpoint", "device", "state", "since", "until", "id")


@dataclass(frozen=True, slots=True)
class Search:
    """The meaning of a search. Instants are UNIX seconds."""

    endpoint: str | None = None
    device: Device | None = None
    state: str | None = None
    since: float | None = None
    until: float | None = None
    id: str | None = None
    problems: tuple[str, ...] = ()
    """A sentence for each word without a meaning."""


def zone_of(name: str | None) -> ZoneInfo:
    """The reader's zone by its IANA name; UTC for any other text."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def parse_search(text: str, *, endpoints: Collection[str], zone: ZoneInfo, now: float) -> Search:
    """The meaning of the words. `endpoints` are all that exist, and times of day are in `zone`."""
    search = Search()
    for match in _WORD.finditer(text):
        name, value = match["name"], match["value"].strip('"')
        if name in _NAMES and value:
            search = _named(search, name, value, zone, now)
        else:
            search = _bare(search, match[0].strip('"'), endpoints, zone, now)
    return search


def _named(search: Search, name: str, value: str, zone: ZoneInfo, now: float) -> Search:
    match name:
        case "endpoint":
            return replace(search, endpoint=value)
        case "device":
            return replace(search, device=parse_mac(value) or Device(value))
        case "id":
            return replace(search, id=value)
        case "state" if value in STATES:
            return replace(search, state=value)
        case "state":
            return _complain(
                search, f"“{value}” is no state; there are {', '.join(sorted(STATES))}"
            )
    span = _span(value, zone, now)
    if span is None:
        return _complain(search, f"“{value}” is no time; write 10:17, 2h or 2025-11-18T10:17")
    return replace(search, since=span[0]) if name == "since" else replace(search, until=span[0])


def _bare(
    search: Search, word: str, endpoints: Collection[str], zone: ZoneInfo, now: float
) -> Search:
    if word.startswith("msg_"):
        return replace(search, id=word)
    if word in endpoints:
        return replace(search, endpoint=word)
    if word in STATES:
        return replace(search, state=word)
    if device := parse_mac(word):
        return replace(search, device=device)
    if span := _span(word, zone, now):
        return replace(search, since=span[0], until=span[1])
    return _complain(
        search,
        f"“{word}” is no endpoint, device, id, state or time; a device with another name is device:{word}",
    )


def _complain(search: Search, problem: str) -> Search:
    return replace(search, problems=(*search.problems, problem))


def _span(text: str, zone: ZoneInfo, now: float) -> tuple[float, float | None] | None:
    """Beginning and end: a minute for `10:17`, and the time since then for `2h`; None for a word that is no time."""
    try:
        return now - parse_duration(text), None
    except ValueError:
        pass
    for instant, length in _instants(text, zone, now):
        return instant.timestamp(), (instant + length).timestamp()
    return None


def _instants(text: str, zone: ZoneInfo, now: float) -> Iterator[tuple[datetime, timedelta]]:
    if clock := _CLOCK.fullmatch(text):
        today = datetime.fromtimestamp(now, zone)
        second = int(clock["second"] or 0)
        at = today.replace(
            hour=int(clock["hour"]), minute=int(clock["minute"]), second=second, microsecond=0
        )
        # The last instant at which the clock showed this time.
        yield (
            at if at.timestamp() <= now else at - timedelta(days=1),
            timedelta(seconds=1 if clock["second"] else 60),
        )
        return
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return
    length = timedelta(days=1) if len(text) == len("2025-11-18") else timedelta(seconds=60)
    aware = instant if instant.tzinfo else instant.replace(tzinfo=zone)
    # The conversion to UTC may lead beyond the first or the last year that there is.
    if 2 <= aware.year <= 9998:
        yield aware.astimezone(UTC), length
