"""Whoever leads tells the operator also of what other replicas deliver to."""

import pytest
from support.clock import HandClock

from forwarder.endpoint_health import EndpointHealth
from forwarder.notice import EndpointFailing, EndpointRecovered, Notice
from forwarder.notices.rules import RECOVERED_SECONDS, Moment, Rules
from forwarder.outbox import EndpointTotals, Overview
from forwarder.service.elsewhere import Elsewhere

FAILING = EndpointHealth(failures=5, last_error="http_500")


class Told:
    def __init__(self) -> None:
        self.changed: list[tuple[str, EndpointHealth]] = []
        self.died: list[tuple[str, str, int]] = []

    def endpoint_changed(self, endpoint: str, health: EndpointHealth) -> None:
        self.changed.append((endpoint, health))

    def deliveries_died(self, endpoint: str, reason: str, count: int) -> None:
        self.died.append((endpoint, reason, count))


class Ruled(Told):
    """Has the rules decide."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = rules

    def endpoint_changed(self, endpoint: str, health: EndpointHealth) -> None:
        self._rules.look(endpoint, health, now=Moment(50.0, 0.0))


def overview(dead: dict[tuple[str, str], int], health: EndpointHealth = FAILING) -> Overview:
    names = ("here", "there", "removed")
    return Overview(
        identity="",
        endpoints=[EndpointTotals(name, health=health) for name in names],
        messages={},
        dead_letters=dead,
        quarantined={},
        quarantine_evicted={},
    )


def elsewhere(told: Told) -> Elsewhere:
    return Elsewhere(
        overview=lambda: overview({}),
        routed=lambda: ["here", "there"],
        here=lambda: ["here"],
        listener=told,
        clock=HandClock(),
    )


def test_only_what_another_replica_delivers_to_is_told() -> None:
    """Of its own endpoints it hears by itself, and one that the routes do not name is nobody's."""
    told = Told()
    elsewhere(told).see(overview({("there", "refused"): 3}))
    assert told.changed == [("there", FAILING)]
    assert told.died == []


def test_dead_letters_are_told_as_they_come() -> None:
    """Those that were replayed or discarded meanwhile are none that came."""
    told = Told()
    looker = elsewhere(told)
    for count in (3, 5, 1, 2):
        looker.see(overview({("there", "refused"): count, ("here", "refused"): 10 * count}))
    assert told.died == [("there", "refused", 2), ("there", "refused", 1)]


def test_outage_that_began_and_ended_between_two_looks_is_told_once() -> None:
    """One of before the first look was told by whoever led then."""
    told = Told()
    looker = elsewhere(told)
    for since in (None, 10.0, 10.0, 20.0):
        looker.see(overview({}, EndpointHealth(outage_since=since)))
    assert [(one.is_open, one.failing_since) for _, one in told.changed] == [
        (False, None),
        (True, 10.0), (False, None),
        (False, None),
        (True, 20.0), (False, None),
    ]  # fmt: skip


def test_outage_of_before_the_first_look_is_told_where_nobody_else_led() -> None:
    """An endpoint is unknown until its first reading, and the outbox may not be readable."""
    told = Told()
    since = HandClock().unix() + 1
    elsewhere(told).see(overview({}, EndpointHealth(outage_since=since)))
    assert [one.failing_since for _, one in told.changed] == [since, None]


def test_outage_that_lasts_is_told_as_it_is() -> None:
    told = Told()
    looker = elsewhere(told)
    looker.see(overview({}, EndpointHealth()))
    failing = EndpointHealth(failures=5, failing_since=10.0, outage_since=10.0)
    for health in (failing, EndpointHealth(outage_since=10.0)):
        looker.see(overview({}, health))
    assert [one.is_open for _, one in told.changed] == [False, True, False]


@pytest.mark.parametrize(
    ("taken_at", "told"),
    [
        pytest.param(40.0, [EndpointFailing, EndpointRecovered], id="a reading was taken"),
        pytest.param(20.0, [EndpointFailing], id="an operator has resumed it"),
    ],
)
def test_outage_between_two_looks_ends_as_any_other(
    taken_at: float, told: list[type[Notice]]
) -> None:
    """Nothing more is taken from there after the look: devices may report seldom."""
    rules = Rules({}, now=Moment(0.0, 0.0))
    looker = elsewhere(Ruled(rules))
    looker.see(overview({}, EndpointHealth(last_success_at=20.0)))
    looker.see(overview({}, EndpointHealth(last_success_at=taken_at, outage_since=30.0)))
    noticed = [
        one for at in (0.0, RECOVERED_SECONDS) for one in rules.due(now=Moment(50.0, at)).notices
    ]
    assert [type(one) for one in noticed] == told
