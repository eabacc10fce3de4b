"""What the operator is told of what happens, with a clock set by hand and restarts at any moment."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import HandClock

from forwarder.endpoint_health import FAILURES_TO_OPEN, EndpointHealth
from forwarder.notice import (
    DeliveriesDead,
    DeviceSilent,
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
from forwarder.notices.rules import MOST_TRANSITIONS, Moment, Rules, Session
from forwarder.notices.told import read_told, write_told

THERE = Session(is_subscribed=True, problem=None, gaps=0)
AWAY = Session(is_subscribed=False, problem="connection refused", gaps=0)


@dataclass
class Desk:
    """Rules, what the operator got from them, and what the outbox remembers."""

    clock: HandClock = field(default_factory=HandClock)
    told: dict[str, str] = field(default_factory=dict)
    got: list[Notice] = field(default_factory=list)
    health: EndpointHealth = field(default_factory=EndpointHealth)

    def __post_init__(self) -> None:
        self.rules = self._rules()

    def _rules(self) -> Rules:
        return Rules(read_told(self.told), now=self.now)

    @property
    def now(self) -> Moment:
        return Moment(self.clock.unix(), self.clock.monotonic())

    def commit(self) -> list[Notice]:
        """Take what is due; notices and what is remembered reach the disk together."""
        due = self.rules.due(now=self.now)
        for subject, what in write_told(due.told).items():
            if what is None:
                self.told.pop(subject, None)
            else:
                self.told[subject] = what
        self.got += due.notices
        return due.notices

    def restart(self) -> None:
        """A kill -9: what was not committed is gone; the outbox still knows how the endpoint stood."""
        self.rules = self._rules()
        self.look()

    def look(self) -> None:
        self.rules.look("acme", self.health, now=self.now)

    def fail(self) -> None:
        since = self.health.failing_since or self.clock.unix()
        self.health = EndpointHealth(
            FAILURES_TO_OPEN,
            failing_since=since,
            last_error="http_503",
            last_success_at=self.health.last_success_at,
        )
        self.look()

    def take(self) -> None:
        self.health = EndpointHealth(last_success_at=self.clock.unix())
        self.look()

    def wait(self, seconds: float, *, session: Session | None = None) -> list[Notice]:
        """Let time pass, asked each second as the teller does."""
        before = len(self.got)
        for _ in range(round(seconds)):
            self.clock.advance(1)
            self.look()
            if session is not None:
                self.rules.session(session, now=self.now)
            self.commit()
        return self.got[before:]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def kinds(notices: Sequence[Notice]) -> list[str]:
    return [one.TYPE for one in notices]


# Endpoints.


def test_an_outage_is_told_when_the_circuit_opens_and_when_it_is_over(desk: Desk) -> None:
    """Failing at once, recovered after ten seconds of being well, each once, with the same beginning."""
    began = desk.clock.unix()
    desk.fail()
    desk.wait(300)
    desk.take()
    well = desk.clock.unix()

    assert desk.wait(9) == []
    assert desk.wait(2) == [EndpointRecovered("acme", began, well)]
    assert desk.got[0] == EndpointFailing("acme", began, "http_503", FAILURES_TO_OPEN)
    assert desk.wait(600) == []
    assert desk.told == {}


def test_failing_again_within_ten_seconds_is_the_same_outage(desk: Desk) -> None:
    for _ in range(5):
        desk.fail()
        desk.wait(30)
        desk.take()
        desk.wait(8)
    desk.wait(10)

    assert kinds(desk.got) == ["endpoint.failing", "endpoint.recovered"]


def test_a_circuit_that_opened_and_closed_between_two_looks_was_an_outage(desk: Desk) -> None:
    """The facts come when they happen, not with the looks."""
    desk.fail()
    desk.clock.advance(0.2)
    desk.take()
    desk.wait(15)

    assert kinds(desk.got) == ["endpoint.failing", "endpoint.recovered"]


def test_a_resume_alone_is_no_recovery(desk: Desk) -> None:
    """An operator has closed the circuit; the endpoint has yet to take something."""
    desk.fail()
    desk.commit()
    desk.health = EndpointHealth(last_success_at=desk.health.last_success_at)
    desk.look()

    assert desk.wait(120) == []
    desk.take()
    assert kinds(desk.wait(12)) == ["endpoint.recovered"]


def test_a_restart_in_the_middle_of_an_outage_tells_nothing_again(desk: Desk) -> None:
    desk.fail()
    desk.commit()
    desk.restart()
    assert desk.wait(100) == []
    desk.take()
    desk.restart()
    assert kinds(desk.wait(12)) == ["endpoint.recovered"]
    desk.restart()
    assert desk.wait(100) == []


def test_what_was_not_committed_is_told_after_the_restart(desk: Desk) -> None:
    desk.fail()
    desk.restart()

    assert kinds(desk.commit()) == ["endpoint.failing"]


def test_an_outage_during_which_the_service_was_down_ends_by_a_look(desk: Desk) -> None:
    """It was told as failing, and recovered through another process while nobody was to be told."""
    desk.fail()
    desk.commit()
    desk.health = EndpointHealth(last_success_at=desk.clock.unix() + 5)
    desk.clock.advance(1000)
    desk.restart()

    assert kinds(desk.wait(12)) == ["endpoint.recovered"]


STEPS: dict[str, Callable[[Desk], object]] = {
    "fail": Desk.fail,
    "take": Desk.take,
    "commit": Desk.commit,
    "kill": Desk.restart,
    "second": lambda desk: desk.wait(1),
    "minute": lambda desk: desk.wait(60),
    "clock back": lambda desk: desk.clock.step(-3),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=40))
def test_failing_and_recovered_alternate_whatever_happens(steps: list[str]) -> None:
    """One each per outage, with restarts at any moment; and once all is well, nothing is left open."""
    desk = Desk()
    for step in steps:
        desk.clock.advance(0.1)
        STEPS[step](desk)
    desk.clock.advance(10)
    desk.take()
    desk.wait(15)

    told = kinds(desk.got)
    assert told == ["endpoint.failing", "endpoint.recovered"] * (len(told) // 2)
    began = [one.since for one in desk.got if isinstance(one, EndpointFailing)]
    assert began == [one.since for one in desk.got if isinstance(one, EndpointRecovered)]


@pytest.mark.parametrize("by", ["gone", "operator"])
def test_a_pause_is_told_once(desk: Desk, by: str) -> None:
    desk.health = EndpointHealth(paused_by="gone" if by == "gone" else "operator")
    desk.look()
    desk.wait(10)
    desk.restart()
    desk.wait(10)
    assert [(one.TYPE, one.reason) for one in desk.got if isinstance(one, EndpointPaused)] == [
        ("endpoint.paused", by)
    ]

    desk.health = EndpointHealth()
    desk.wait(1)
    desk.health = EndpointHealth(paused_by="operator")
    assert kinds(desk.wait(1)) == ["endpoint.paused"]


# Dead letters.


def test_dead_letters_are_gathered_and_told_once_a_minute(desk: Desk) -> None:
    """The first after a second, with its company; all others of a minute together, with counts and reasons."""
    began = desk.clock.unix()
    desk.rules.died("acme", "refused", 2, now=desk.now)
    desk.rules.died("acme", "expired", 1, now=desk.now)
    assert desk.commit() == []
    assert desk.wait(1) == [DeliveriesDead("acme", began, 3, {"refused": 2, "expired": 1})]

    for _ in range(119):
        desk.rules.died("acme", "refused", 1, now=desk.now)
        desk.wait(1)
    counts = [one.count for one in desk.got if isinstance(one, DeliveriesDead)]
    assert counts == [3, 60]
    assert [one.count for one in desk.wait(60) if isinstance(one, DeliveriesDead)] == [59]


def test_after_a_quiet_minute_dead_letters_are_told_at_once_again(desk: Desk) -> None:
    desk.rules.died("acme", "refused", 1, now=desk.now)
    desk.wait(70)
    assert desk.told == {}
    desk.rules.died("acme", "refused", 1, now=desk.now)

    assert kinds(desk.wait(2)) == ["deliveries.dead"]


def test_endpoints_have_a_minute_each(desk: Desk) -> None:
    for name in ("acme", "home"):
        desk.rules.died(name, "refused", 1, now=desk.now)

    assert {one.subject for one in desk.wait(1)} == {"acme", "home"}


def test_a_restart_tells_the_dead_letters_that_were_not_told(desk: Desk) -> None:
    """Those that had been noted; and keeps the minute that had begun."""
    desk.rules.died("acme", "refused", 1, now=desk.now)
    desk.wait(1)
    desk.rules.died("acme", "exhausted", 4, now=desk.now)
    desk.commit()
    desk.restart()

    assert desk.wait(30) == []
    (later,) = desk.wait(30)
    assert isinstance(later, DeliveriesDead)
    assert later.reasons == {"exhausted": 4}


# The stream.


def test_the_stream_is_interrupted_after_a_minute_and_resumed_once(desk: Desk) -> None:
    desk.wait(10, session=THERE)
    away_from = desk.clock.unix() + 1
    assert desk.wait(60, session=AWAY) == []
    assert desk.wait(1, session=AWAY) == [StreamInterrupted(away_from, "connection refused")]
    assert desk.wait(600, session=AWAY) == []

    (resumed,) = desk.wait(10, session=THERE)
    assert isinstance(resumed, StreamResumed)
    assert (resumed.since, resumed.session_lost) == (away_from, False)
    assert desk.told == {}


def test_a_short_absence_is_not_told(desk: Desk) -> None:
    desk.wait(59, session=AWAY)

    assert desk.wait(60, session=THERE) == []
    assert desk.told == {}


def test_a_lost_session_is_told_however_short_the_absence(desk: Desk) -> None:
    """With what may be missing; and a broker that forgets again and again is told once a minute."""
    desk.wait(3, session=THERE)
    desk.wait(3, session=AWAY)
    (resumed,) = desk.wait(1, session=THERE._replace(gaps=1))
    assert isinstance(resumed, StreamResumed)
    assert resumed.session_lost

    for gaps in range(2, 63):
        desk.wait(1, session=THERE._replace(gaps=gaps))
    assert kinds(desk.got) == ["stream.resumed", "stream.resumed"]


def test_an_interruption_lasts_over_restarts(desk: Desk) -> None:
    """Every process is there for half a minute; the minute counts all the same, and is told once."""
    for _ in range(5):
        desk.wait(30, session=AWAY)
        desk.restart()
    desk.wait(5, session=THERE)

    assert kinds(desk.got) == ["stream.interrupted", "stream.resumed"]


def test_a_clock_that_is_set_interrupts_nothing(desk: Desk) -> None:
    desk.wait(10, session=AWAY)
    desk.clock.step(3600)

    assert desk.wait(10, session=AWAY) == []


# The rest.


def test_a_rejected_edit_is_told_at_once_and_the_next_after_a_minute(desk: Desk) -> None:
    """Whoever saves while they type is told of the last of it."""
    desk.rules.rejected(1, "routes.yaml:3:1")
    assert desk.commit() == [RoutesRejected(desk.clock.unix(), 1, "routes.yaml:3:1")]
    for line in range(10):
        desk.rules.rejected(2, f"routes.yaml:{line}:1")
        desk.wait(2)

    assert [one.place for one in desk.wait(60) if isinstance(one, RoutesRejected)] == [
        "routes.yaml:9:1"
    ]


def test_an_edit_that_was_mended_in_time_is_not_told(desk: Desk) -> None:
    desk.rules.rejected(1, "routes.yaml:3:1")
    desk.commit()
    desk.rules.rejected(1, "routes.yaml:4:1")
    desk.rules.accepted()

    assert desk.wait(120) == []


def test_a_nearly_full_outbox_is_told_once_until_there_was_room(desk: Desk) -> None:
    for used in (89, 91, 88, 95, 81, 92):
        desk.rules.room(used, 100, now=desk.now)
        desk.commit()
        desk.restart()
    assert desk.got == [OutboxNearlyFull(desk.clock.unix(), 91, 100)]

    desk.rules.room(79, 100, now=desk.now)
    desk.rules.room(90, 100, now=desk.now)
    assert kinds(desk.commit()) == ["outbox.nearly_full"]


def test_what_a_failover_lost_is_told_once(desk: Desk) -> None:
    """A second failover is told by itself, with what it lost."""
    for count in (0, 3, 3, 5):
        desk.rules.missing(count, now=desk.now)
    desk.commit()
    now = desk.clock.unix()
    assert desk.got == [OutboxFellBack(now, 3), OutboxFellBack(now, 2)]


def test_a_growing_quarantine_is_told_from_ten_messages_on_and_once_an_hour(desk: Desk) -> None:
    """What was there before the operator was, is no news."""
    counts = []
    for minute in range(180):
        desk.rules.quarantined(500 + minute, {"not_json": 500 + minute}, now=desk.now)
        desk.commit()
        if minute % 7 == 0:
            desk.restart()
        desk.clock.advance(60)
    counts = [one.count for one in desk.got if isinstance(one, QuarantineGrowing)]

    assert counts == [10, 60, 60]


def test_a_quarantine_that_began_anew_counts_from_there(desk: Desk) -> None:
    """The outbox was moved aside."""
    for total in (500, 0, 10):
        desk.rules.quarantined(total, {"not_json": total}, now=desk.now)

    assert [one.count for one in desk.commit() if isinstance(one, QuarantineGrowing)] == [10]


def test_what_others_tell_is_bounded(desk: Desk) -> None:
    silent = [DeviceSilent(f"{n:012X}", 0.0, 90.0) for n in range(MOST_TRANSITIONS + 5)]
    desk.rules.pass_on(silent)

    assert desk.commit() == silent[:MOST_TRANSITIONS]


@pytest.mark.parametrize("row", ["", "[]", "{", "null", '{"since": "x"}', '{"unsaid": 3}'])
@pytest.mark.parametrize(
    "subject", ["failing:acme", "dead:acme", "paused:acme", "stream", "outbox", "quarantine"]
)
def test_what_cannot_be_read_is_as_if_never_told(row: str, subject: str) -> None:
    """Whatever stands there, the rules begin."""
    desk = Desk(told={subject: row})
    desk.wait(5, session=THERE)

    assert all(isinstance(json.loads(one), dict) for one in desk.told.values() if one != row)
