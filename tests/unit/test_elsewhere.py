"""Whoever leads tells the operator also of what other replicas deliver to."""

from support.clock import HandClock

from forwarder.endpoint_health import EndpointHealth
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


def overview(dead: dict[tuple[str, str], int]) -> Overview:
    names = ("here", "there", "removed")
    return Overview(
        identity="",
        endpoints=[EndpointTotals(name, health=FAILING) for name in names],
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
