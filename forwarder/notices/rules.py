"""
What is told of what is noticed: facts in, notices out. No I/O and no clock: every call says what time it is.

    circuit opens ─▶ endpoint.failing ─▶ closed, and a reading taken, for 10 s ─▶ endpoint.recovered
                            ▲                        │ opens again: the same outage
                            └────────────────────────┘
    no session for 60 s ─▶ stream.interrupted ─▶ session ─▶ stream.resumed

What lasts is remembered as told. A round of `due` has the notices together with what is remembered of them, and whoever
takes it writes both in one transaction: so after a crash at any instant the rules go on where the operator stands.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from forwarder.endpoint_health import EndpointHealth
from forwarder.notice import (
    DeliveriesDead,
    EndpointFailing,
    EndpointPaused,
    EndpointRecovered,
    Notice,
    OutboxFellBack,
    OutboxNearlyFull,
    QuarantineGrowing,
    RoutesRejected,
    StreamInterrupted,
    StreamResumed,
)
from forwarder.notices.silence import Silences, Transition
from forwarder.notices.told import Kept
from forwarder.reading import Device

RECOVERED_SECONDS = 10.0
"""How long an endpoint has to be well before it has recovered."""
INTERRUPTED_SECONDS = 60.0
"""How long there has to be no session before the stream is interrupted."""
REMEMBERED_SECONDS = 5.0
"""How long until an absence of the session is remembered across restarts."""
GATHERING_SECONDS = 1.0
"""How long dead letters are gathered before they are told."""
DEAD_SECONDS = 60.0
"""How long until more of the same endpoint are told."""
REJECTED_SECONDS = 60.0
"""How long after a rejected edit the next is told."""
NEARLY_FULL, ROOMY = 0.9, 0.8
"""The outbox is told as nearly full from the first part on, and again once it was below the second."""
QUARANTINE_SECONDS = 3600.0
FEWEST_QUARANTINED = 10
"""Messages that came into quarantine since the last notice, for another one; and how long after it."""
MOST_TRANSITIONS = 10_000
"""Notices of others that wait here."""


class Moment(NamedTuple):
    """Now, by both clocks: what lasts is measured by the one that never steps."""

    unix: float
    monotonic: float


class Session(NamedTuple):
    """How the session with the broker stands."""

    is_subscribed: bool
    problem: str | None
    gaps: int
    """How often the broker had lost it, in this process."""


@dataclass(slots=True)
class Round:
    """What is to be told now, and what is remembered of it: None forgets a subject."""

    notices: list[Notice] = field(default_factory=list)
    told: dict[str, Kept | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.notices or self.told)


@dataclass(slots=True)
class _Outage:
    since: float
    taken_at: float | None
    """When it last took something before; another time says that it takes again, whatever clocks were set to."""
    well_since: float | None = None
    """Monotonic; None while it still fails."""
    well_at: float = 0.0
    """The same in UNIX seconds."""


@dataclass(slots=True)
class _Deaths:
    since: float
    due_at: float
    """Monotonic."""
    reasons: Counter[str] = field(default_factory=Counter)


class Rules:
    """What the operator knows, and what is to be told next. `told` is what the outbox remembers."""

    def __init__(self, told: Mapping[str, Kept], *, now: Moment) -> None:
        self._round = Round()
        self._outages: dict[str, _Outage] = {}
        self._paused: dict[str, str] = {}
        self._deaths: dict[str, _Deaths] = {}
        self._stream = _Stream(self._round, told.get("stream"), now)
        self._rejection = _Rejection(now)
        self._missing = 0
        self._nearly_full_since: float | None = _number(told.get("outbox"), "since")
        self._quarantine = _Quarantine(told.get("quarantine"))
        self._silences = Silences(told)
        for subject, kept in told.items():
            self._restore(subject, kept, now)

    def _restore(self, subject: str, kept: Kept, now: Moment) -> None:
        what, _, name = subject.partition(":")
        since = _number(kept, "since") or now.unix
        if what == "failing":
            self._outages[name] = _Outage(since, _number(kept, "taken_at"))
        elif what == "paused":
            self._paused[name] = str(kept.get("by"))
        elif what == "dead":
            reasons = _reasons(kept)
            wait = min(max((_number(kept, "due_at") or 0.0) - now.unix, 0.0), DEAD_SECONDS)
            self._deaths[name] = _Deaths(since, now.monotonic + wait, reasons)

    # Facts.

    @property
    def outages(self) -> Collection[str]:
        """The endpoints whose recovery is waited for: they are to be looked at now and then."""
        return tuple(self._outages)

    @property
    def silences(self) -> Mapping[Device, float]:
        """The devices whose return is waited for, and since when they are silent, in UNIX seconds."""
        return self._silences.told_singly

    def look(self, endpoint: str, health: EndpointHealth, *, now: Moment) -> None:
        """How an endpoint stands; to be called whenever its circuit or its pause has changed."""
        self._look_at_circuit(endpoint, health, now)
        self._look_at_pause(endpoint, health, now)

    def _look_at_circuit(self, endpoint: str, health: EndpointHealth, now: Moment) -> None:
        outage = self._outages.get(endpoint)
        if health.is_open and outage is None:
            since = health.failing_since or now.unix
            self._outages[endpoint] = _Outage(since, health.last_success_at)
            reason = health.last_error or "unknown"
            self._round.notices.append(EndpointFailing(endpoint, since, reason, health.failures))
            taken_at = health.last_success_at
            self._round.told[f"failing:{endpoint}"] = {"since": since, "taken_at": taken_at}
        elif health.is_open and outage is not None:
            outage.well_since, outage.taken_at = None, health.last_success_at
        # Closed by a resume alone is not yet well: a reading has to be taken.
        elif outage and outage.well_since is None and health.last_success_at != outage.taken_at:
            outage.well_since, outage.well_at = now.monotonic, now.unix

    def _look_at_pause(self, endpoint: str, health: EndpointHealth, now: Moment) -> None:
        by = health.paused_by
        if by == self._paused.get(endpoint):
            return
        if by is None:
            del self._paused[endpoint]
            self._round.told[f"paused:{endpoint}"] = None
            return
        self._paused[endpoint] = by
        self._round.notices.append(EndpointPaused(endpoint, now.unix, by))
        self._round.told[f"paused:{endpoint}"] = {"since": now.unix, "by": by}

    def died(self, endpoint: str, reason: str, count: int, *, now: Moment) -> bool:
        """Deliveries became dead letters; whether the first of those that are to be told."""
        deaths = self._deaths.get(endpoint)
        is_first = deaths is None or not deaths.reasons
        if deaths is None:
            deaths = self._deaths[endpoint] = _Deaths(now.unix, now.monotonic + GATHERING_SECONDS)
        elif not deaths.reasons:
            deaths.since = now.unix
            deaths.due_at = max(deaths.due_at, now.monotonic + GATHERING_SECONDS)
        deaths.reasons[reason] += count
        self._remember_deaths(endpoint, deaths, now)
        return is_first

    def _remember_deaths(self, endpoint: str, deaths: _Deaths, now: Moment) -> None:
        self._round.told[f"dead:{endpoint}"] = {
            "since": deaths.since,
            "due_at": now.unix + deaths.due_at - now.monotonic,
            "unsaid": dict(deaths.reasons),
        }

    def session(self, session: Session, *, now: Moment) -> None:
        """How the session with the broker stands; to be called about once a second."""
        self._stream.look(session, now)

    def rejected(self, count: int, place: str) -> None:
        """An edit of routes.yaml was rejected: how many mistakes it has, and where the first is."""
        self._rejection.news = (count, place)

    def accepted(self) -> None:
        """routes.yaml is in force as it stands."""
        self._rejection.news = None

    def room(self, used_bytes: int, limit_bytes: int, *, now: Moment) -> None:
        """What the outbox takes, of what it may take."""
        is_known = self._nearly_full_since is not None
        if not is_known and used_bytes >= NEARLY_FULL * limit_bytes:
            self._nearly_full_since = now.unix
            self._round.notices.append(OutboxNearlyFull(now.unix, used_bytes, limit_bytes))
            self._round.told["outbox"] = {"since": now.unix}
        elif is_known and used_bytes < ROOMY * limit_bytes:
            self._nearly_full_since = None
            self._round.told["outbox"] = None

    def missing(self, count: int, *, now: Moment) -> None:
        """How many readings, at most, failovers of the outbox's database have lost since the start."""
        if count > self._missing:
            self._round.notices.append(OutboxFellBack(now.unix, count - self._missing))
            self._missing = count

    def quarantined(self, total: int, kept: Mapping[str, int], *, now: Moment) -> None:
        """How many messages ever came into quarantine, and what is in it, by reason."""
        self._quarantine.look(self._round, total, kept, now)

    def devices(self, transitions: Sequence[Transition], *, now: Moment) -> None:
        """Devices that fell silent, and that report again; one that was told may come again."""
        told = self._silences.take(transitions, self._round.told, unix=now.unix, now=now.monotonic)
        self.pass_on([*told])

    def pass_on(self, notices: Sequence[Notice]) -> None:
        """What others have decided to tell, and remember themselves; more than can wait is let go."""
        room = MOST_TRANSITIONS - len(self._round.notices)
        self._round.notices += notices[: max(room, 0)]

    # Notices.

    def due(self, *, now: Moment) -> Round:
        """What is to be told now; empty most of the time. It is not told twice, so it has to be taken."""
        for endpoint, outage in [*self._recovered(now)]:
            del self._outages[endpoint]
            self._round.notices.append(EndpointRecovered(endpoint, outage.since, outage.well_at))
            self._round.told[f"failing:{endpoint}"] = None
        self._round.notices += self._rejection.due(now)
        self._round.notices += self._silences.due(self._round.told, now=now.monotonic)
        for endpoint, deaths in [*self._deaths.items()]:
            if now.monotonic >= deaths.due_at:
                self._tell_deaths(endpoint, deaths, now)
        return self._take()

    def _recovered(self, now: Moment) -> Iterator[tuple[str, _Outage]]:
        for endpoint, outage in self._outages.items():
            since = outage.well_since
            if since is not None and now.monotonic - since >= RECOVERED_SECONDS:
                yield endpoint, outage

    def _tell_deaths(self, endpoint: str, deaths: _Deaths, now: Moment) -> None:
        if not deaths.reasons:
            # A minute without any: the next is told at once again.
            del self._deaths[endpoint]
            self._round.told[f"dead:{endpoint}"] = None
            return
        count = deaths.reasons.total()
        self._round.notices.append(
            DeliveriesDead(endpoint, deaths.since, count, dict(deaths.reasons))
        )
        deaths.reasons.clear()
        deaths.due_at = now.monotonic + DEAD_SECONDS
        self._remember_deaths(endpoint, deaths, now)

    def _take(self) -> Round:
        taken = Round(self._round.notices, self._round.told)
        self._round.notices, self._round.told = [], {}
        return taken


class _Stream:
    """The session with the broker: away, told as interrupted, back."""

    def __init__(self, round_: Round, kept: Kept | None, now: Moment) -> None:
        self._round = round_
        self._away_since: float | None = _number(kept, "since")
        """UNIX seconds; None while there is a session."""
        self._is_told = bool(kept and kept.get("is_told"))
        self._is_remembered = kept is not None
        lasted = now.unix - self._away_since if self._away_since is not None else 0.0
        self._away_from = now.monotonic - max(lasted, 0.0)
        self._gaps = 0
        self._last_resumed_from = float("-inf")

    def look(self, session: Session, now: Moment) -> None:
        if session.is_subscribed:
            self._back(session, now)
        else:
            self._away(session, now)

    def _away(self, session: Session, now: Moment) -> None:
        if self._away_since is None:
            self._away_since, self._away_from = now.unix, now.monotonic
        away = now.monotonic - self._away_from
        if away >= INTERRUPTED_SECONDS and not self._is_told:
            self._is_told = True
            reason = session.problem or "not subscribed to the broker"
            self._round.notices.append(StreamInterrupted(self._away_since, reason))
            self._remember()
        elif away >= REMEMBERED_SECONDS and not self._is_remembered:
            self._remember()

    def _remember(self) -> None:
        self._is_remembered = True
        self._round.told["stream"] = {"since": self._away_since, "is_told": self._is_told}

    def _back(self, session: Session, now: Moment) -> None:
        is_lost = session.gaps > self._gaps
        is_alone_due = is_lost and now.monotonic - self._last_resumed_from >= INTERRUPTED_SECONDS
        if self._is_told or is_alone_due:
            since = self._away_since if self._away_since is not None else now.unix
            self._round.notices.append(StreamResumed(since, now.unix, is_lost))
            self._last_resumed_from, self._gaps = now.monotonic, session.gaps
        if self._is_remembered:
            self._round.told["stream"] = None
        self._away_since, self._is_told, self._is_remembered = None, False, False


class _Rejection:
    """The last rejected edit that was not told yet; at most one a minute."""

    def __init__(self, now: Moment) -> None:
        self.news: tuple[int, str] | None = None
        self._due_at = now.monotonic

    def due(self, now: Moment) -> Iterator[Notice]:
        if self.news is not None and now.monotonic >= self._due_at:
            count, place = self.news
            self.news, self._due_at = None, now.monotonic + REJECTED_SECONDS
            yield RoutesRejected(now.unix, count, place)


class _Quarantine:
    """How much of the quarantine was told."""

    def __init__(self, kept: Kept | None) -> None:
        self._total = _number(kept, "total")
        """None before the first look: what is there already is no news."""
        self._since = _number(kept, "since") or 0.0
        self._next_at = _number(kept, "next_at") or 0.0
        """UNIX seconds, because it is kept across restarts."""

    def look(self, round_: Round, total: int, kept: Mapping[str, int], now: Moment) -> None:
        if self._total is None or total < self._total:
            self._remember(round_, total, now, next_at=now.unix)
        elif total - self._total >= FEWEST_QUARANTINED and self._is_due(now):
            count = total - round(self._total)
            round_.notices.append(QuarantineGrowing(self._since, count, dict(kept)))
            self._remember(round_, total, now, next_at=now.unix + QUARANTINE_SECONDS)

    def _is_due(self, now: Moment) -> bool:
        # A wait that is longer than there can be comes from a clock that was set.
        return not 0.0 < self._next_at - now.unix <= QUARANTINE_SECONDS

    def _remember(self, round_: Round, total: int, now: Moment, *, next_at: float) -> None:
        self._total, self._since, self._next_at = float(total), now.unix, next_at
        round_.told["quarantine"] = {"total": total, "since": now.unix, "next_at": next_at}


def _reasons(kept: Kept) -> Counter[str]:
    unsaid = kept.get("unsaid")
    counts = unsaid.items() if isinstance(unsaid, dict) else ()
    return Counter({str(why): count for why, count in counts if isinstance(count, int)})


def _number(kept: Kept | None, name: str) -> float | None:
    value: Any = kept.get(name) if kept else None
    return float(value) if isinstance(value, int | float) else None
