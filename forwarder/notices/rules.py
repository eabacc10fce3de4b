"""
The rules decide what is told: facts in, notices out. They have no I/O and no clock: every call brings the time.

    circuit opens ─▶ endpoint.failing ─▶ closed, and a reading taken, for 10 s ─▶ endpoint.recovered
                            ▲                        │ opens again: the same outage
                            └────────────────────────┘
    no session for 60 s ─▶ stream.interrupted ─▶ session ─▶ stream.resumed

A state that lasts is remembered as told. A round of `due` holds notices together with the memory of them, and its taker
writes both in one transaction. After a crash at any instant the rules therefore go on where the operator stands.
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
"""The time for which an endpoint has to be well before it has recovered."""
INTERRUPTED_SECONDS = 60.0
"""The time without a session before the stream is interrupted."""
REMEMBERED_SECONDS = 5.0
"""The time after which an absence of the session is remembered across restarts."""
GATHERING_SECONDS = 1.0
"""The time for which dead letters are gathered before they are told."""
DEAD_SECONDS = 60.0
"""The time until further dead letters of the same endpoint are told."""
REJECTED_SECONDS = 60.0
"""The time from a rejected edit until the next is told."""
NEARLY_FULL, ROOMY = 0.9, 0.8
"""The outbox is told as nearly full from the first part on. It is told again only after it was below the second."""
QUARANTINE_SECONDS = 3600.0
FEWEST_QUARANTINED = 10
"""Another notice of quarantine needs so many new messages, and so many seconds since the last."""
MOST_TRANSITIONS = 10_000
"""Most notices of other parts that wait here."""


class Moment(NamedTuple):
    """The present by both clocks. The monotonic one measures what lasts, because it never steps."""

    unix: float
    monotonic: float


class Session(NamedTuple):
    """The state of the session with the broker."""

    is_subscribed: bool
    problem: str | None
    gaps: int
    """How often the broker had lost the session, in this process."""


@dataclass(slots=True)
class Round:
    """The notices that are due now, and the memory of them. None forgets a subject."""

    notices: list[Notice] = field(default_factory=list)
    told: dict[str, Kept | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.notices or self.told)


@dataclass(slots=True)
class _Outage:
    since: float
    taken_at: float | None
    """UNIX seconds of its last success before. Any other time means that it takes again, whatever clocks say."""
    well_since: float | None = None
    """Monotonic seconds of its first success; None while it still fails."""
    well_at: float = 0.0
    """The same instant in UNIX seconds."""


@dataclass(slots=True)
class _Deaths:
    since: float
    due_at: float
    """Monotonic seconds."""
    reasons: Counter[str] = field(default_factory=Counter)


class Rules:
    """The operator's knowledge, and the next notices. `told` is the outbox's memory of earlier ones."""

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

    @property
    def outages(self) -> Collection[str]:
        """The endpoints whose recovery is awaited. The caller looks at them now and then."""
        return tuple(self._outages)

    @property
    def silences(self) -> Mapping[Device, float]:
        """The devices whose return is awaited, each with the UNIX seconds since which it is silent."""
        return self._silences.told_singly

    def look(self, endpoint: str, health: EndpointHealth, *, now: Moment) -> None:
        """Take an endpoint's state. Call it whenever its circuit or its pause has changed."""
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
        # A circuit that a resume alone has closed is not well yet: the endpoint has to take a reading.
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
        """Take deliveries that became dead letters. Returns whether they are the first that wait to be told."""
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
        """Take the session's state. Call it about once a second."""
        self._stream.look(session, now)

    def rejected(self, count: int, place: str) -> None:
        """Take the rejection of an edit of routes.yaml, with the number of mistakes and the place of the first."""
        self._rejection.news = (count, place)

    def accepted(self) -> None:
        """Take that routes.yaml is in force as it stands."""
        self._rejection.news = None

    def room(self, used_bytes: int, limit_bytes: int, *, now: Moment) -> None:
        """Take the size of the outbox, and its limit."""
        is_known = self._nearly_full_since is not None
        if not is_known and used_bytes >= NEARLY_FULL * limit_bytes:
            self._nearly_full_since = now.unix
            self._round.notices.append(OutboxNearlyFull(now.unix, used_bytes, limit_bytes))
            self._round.told["outbox"] = {"since": now.unix}
        elif is_known and used_bytes < ROOMY * limit_bytes:
            self._nearly_full_since = None
            self._round.told["outbox"] = None

    def missing(self, count: int, *, now: Moment) -> None:
        """Take how many readings, at most, failovers of the database have lost since the start."""
        if count > self._missing:
            self._round.notices.append(OutboxFellBack(now.unix, count - self._missing))
            self._missing = count

    def quarantined(self, total: int, kept: Mapping[str, int], *, now: Moment) -> None:
        """Take how many messages ever came into quarantine, and how many are kept, by reason."""
        self._quarantine.look(self._round, total, kept, now)

    def devices(self, transitions: Sequence[Transition], *, now: Moment) -> None:
        """Take devices that fell silent or report again. A device that was told may come again."""
        told = self._silences.take(transitions, self._round.told, unix=now.unix, now=now.monotonic)
        self.pass_on([*told])

    def pass_on(self, notices: Sequence[Notice]) -> None:
        """Take notices that other parts have decided on and remember. Notices that find no room are dropped."""
        room = MOST_TRANSITIONS - len(self._round.notices)
        self._round.notices += notices[: max(room, 0)]

    def due(self, *, now: Moment) -> Round:
        """The round that is due now, most often empty. It is given once, so the caller has to write it."""
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
            # A minute without dead letters has passed, so the next is told at once again.
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
        """UNIX seconds of its end; None while there is a session."""
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
    """The last rejected edit that was not told yet. At most one a minute is told."""

    def __init__(self, now: Moment) -> None:
        self.news: tuple[int, str] | None = None
        self._due_at = now.monotonic

    def due(self, now: Moment) -> Iterator[Notice]:
        if self.news is not None and now.monotonic >= self._due_at:
            count, place = self.news
            self.news, self._due_at = None, now.monotonic + REJECTED_SECONDS
            yield RoutesRejected(now.unix, count, place)


class _Quarantine:
    """The part of the quarantine that was told."""

    def __init__(self, kept: Kept | None) -> None:
        self._total = _number(kept, "total")
        """Messages at the last notice; None before the first look, because what is there already is no news."""
        self._since = _number(kept, "since") or 0.0
        self._next_at = _number(kept, "next_at") or 0.0
        """In UNIX seconds, because it is kept across restarts."""

    def look(self, round_: Round, total: int, kept: Mapping[str, int], now: Moment) -> None:
        if self._total is None or total < self._total:
            self._remember(round_, total, now, next_at=now.unix)
        elif total - self._total >= FEWEST_QUARANTINED and self._is_due(now):
            count = total - round(self._total)
            round_.notices.append(QuarantineGrowing(self._since, count, dict(kept)))
            self._remember(round_, total, now, next_at=now.unix + QUARANTINE_SECONDS)

    def _is_due(self, now: Moment) -> bool:
        # A longer wait than QUARANTINE_SECONDS comes from a clock that was set.
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
