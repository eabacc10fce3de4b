"""
`min_interval` with `keep: last`: an endpoint is owed a device's last reading of each interval, once that is over. Pure.

    a reading ─▶ is an interval of its lane open? ── no ──▶ it opens one, and is the candidate
                        │ yes
                        ▼
                the later of the two is the candidate, the other is thinned: never enqueued

    the interval is over, by the clock or by a reading that comes after it ─▶ its candidate is enqueued

Intervals go by `received_at`. Readings are ordered by their numbers, which follow arrival: a reading that the broker
sends again replaces no later one. The tables hold all of it, so a crash changes nothing. The routes of today say how
long an interval is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from forwarder.delivery import ReadingNumber


@dataclass(frozen=True, slots=True)
class KeptLast:
    """How an endpoint is thinned."""

    seconds: float
    only_latest: bool = False
    """An enqueued reading supersedes those in its lane that are pending and not in flight."""


class Arrival(NamedTuple):
    """A reading that a lane did not have yet."""

    reading: ReadingNumber
    received_at: float


class Candidate(NamedTuple):
    """The last reading so far of a lane's open interval."""

    reading: ReadingNumber
    opened_at: float

    def is_open(self, at: float, seconds: float) -> bool:
        """Whether the interval holds this instant; setting the clock back ends it."""
        return 0 <= at - self.opened_at < seconds


@dataclass(slots=True)
class Sifted:
    """What became of a lane's candidate and of the readings that came."""

    candidate: Candidate | None
    enqueued: list[ReadingNumber] = field(default_factory=list)
    thinned: list[ReadingNumber] = field(default_factory=list)


def sift(candidate: Candidate | None, arrivals: Iterable[Arrival], seconds: float) -> Sifted:
    """Keep the last arrival of each interval; the last interval stays open."""
    sifted = Sifted(candidate)
    for reading, received_at in arrivals:
        before = sifted.candidate
        if before is not None and before.is_open(received_at, seconds):
            earlier, later = sorted((before.reading, reading))
            sifted.thinned.append(earlier)
            sifted.candidate = Candidate(later, before.opened_at)
            continue
        if before is not None:
            sifted.enqueued.append(before.reading)
        sifted.candidate = Candidate(reading, received_at)
    return sifted
