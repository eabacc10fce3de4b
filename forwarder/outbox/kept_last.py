"""
`min_interval` with `keep: last`: an endpoint is owed a device's last reading of each interval at its end. Pure.

    a reading ─▶ is an interval of its lane open? ── no ──▶ it opens one, and is the candidate
                        │ yes
                        ▼
                the later of the two is the candidate, the other is thinned: never enqueued

    the interval is over, by the clock or by a reading that comes after it ─▶ its candidate is enqueued

Intervals go by `received_at`. Numbers order the readings and follow arrival, so a reading that the broker sends again
replaces no later one. Every candidate is in the tables, so a crash changes nothing. Today's routes say how long an
interval is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from forwarder.delivery import ReadingNumber


@dataclass(frozen=True, slots=True)
class KeptLast:
    """How an endpoint is thinned: one reading of each device in so many seconds."""

    seconds: float
    only_latest: bool = False
    """Whether an enqueued reading supersedes what is pending in its lane and not in flight."""


class Arrival(NamedTuple):
    """A reading that a lane did not have yet."""

    reading: ReadingNumber
    received_at: float


class Candidate(NamedTuple):
    """The last reading so far of a lane's open interval."""

    reading: ReadingNumber
    opened_at: float

    def is_open(self, at: float, seconds: float) -> bool:
        """Whether the instant is in the interval; a clock that is set back ends the interval."""
        return 0 <= at - self.opened_at < seconds


@dataclass(slots=True)
class Sifted:
    """What a lane's candidate and its new readings came to."""

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
