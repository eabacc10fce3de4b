"""
`min_interval` with `keep: last`: of a device's readings in an interval the last is owed, once that is over. Pure.

    a reading ─▶ is an interval of its lane open? ── no ──▶ it opens one, and is the candidate
                        │ yes
                        ▼
                the later of the two is the candidate, the other is thinned: never enqueued

    the interval is over, by the clock or by a reading that comes after it ─▶ its candidate is enqueued

The time is `received_at`. The order is that of arrival, which the numbers of readings hold: one that the broker sends
again takes no later one's place. All of it is in the tables, so that a crash changes nothing. An interval is as long as
the routes say today.
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
    """What is enqueued supersedes what is pending in its lane and not in flight."""


class Arrival(NamedTuple):
    """A reading that a lane did not have yet."""

    reading: ReadingNumber
    received_at: float


class Candidate(NamedTuple):
    """The last reading so far of a lane's open interval."""

    reading: ReadingNumber
    opened_at: float

    def is_open(self, at: float, seconds: float) -> bool:
        """Whether the interval holds this instant; a clock that was set back has ended it."""
        return 0 <= at - self.opened_at < seconds


@dataclass(slots=True)
class Sifted:
    """What became of a lane's candidate and of the readings that came."""

    candidate: Candidate | None
    enqueued: list[ReadingNumber] = field(default_factory=list)
    thinned: list[ReadingNumber] = field(default_factory=list)


def sift(candidate: Candidate | None, arrivals: Iterable[Arrival], seconds: float) -> Sifted:
    """Of each interval the last, in the order of arrival; the last interval stays open."""
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
