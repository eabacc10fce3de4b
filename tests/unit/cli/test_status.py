"""`forwarder status` while there is no service to ask."""

import time

import pytest
from support.letters import NOW, OutboxBuilder, seconds_ago
from support.shell import Operator

from forwarder.cli.status import describe
from forwarder.dead_letters.overview import judge
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.reads import EndpointTotals

TOTALS = {"enqueued", "delivered", "dead", "expired", "superseded", "pending"}


def test_without_an_outbox(operator: Operator) -> None:
    """Before the first start everything is zero, and nothing is made."""
    said = operator.json("status")

    assert said["mqtt"] == {"connected": False, "problem": "the service is not running"}
    assert said["messages"] == {"accepted": 0, "quarantined": 0, "unrouted": 0, "duplicate": 0}
    assert said["quarantine"] == 0
    assert {said["endpoints"]["acme"][total] for total in TOTALS} == {0}
    assert said["endpoints"]["acme"]["oldest_pending_seconds"] is None
    assert not (operator.folder / "data").exists()


def test_totals_of_the_outbox(operator: Operator, built: OutboxBuilder) -> None:
    """The totals are those of the whole life of the outbox; what is pending is their difference."""
    for state in ("pending", "delivered", "delivered", "dead", "expired", "superseded"):
        built.delivery("acme", state, at=seconds_ago(100))
    built.quarantine()

    said = operator.json("status")

    acme = said["endpoints"]["acme"]
    assert {total: acme[total] for total in TOTALS} == {
        "enqueued": 6, "delivered": 2, "dead": 1, "expired": 1, "superseded": 1, "pending": 1,
    }  # fmt: skip
    assert 99 <= acme["oldest_pending_seconds"] < 200
    assert acme["dead_letters"] == 1
    assert (said["quarantine"], said["quarantine_evicted"]) == (1, {})


def test_what_the_quarantine_let_go_is_told(operator: Operator, built: OutboxBuilder) -> None:
    """By reason, also when nothing is left of it."""
    for _ in range(3):
        number = built.quarantine()
    with built.store() as store:
        store.connection.execute("UPDATE quarantine_account SET evicted = 7")
    assert operator.json("status")["quarantine_evicted"] == {"not_json": 7}
    operator.run("quarantine", "discard", *map(str, range(number - 2, number + 1)))
    line = "quarantine  0; see: forwarder quarantine list; gone for newer ones: 7 not_json"
    assert line in operator.run("status").output


def _totals(health: EndpointHealth, removed_at: float | None = None) -> EndpointTotals:
    return EndpointTotals("acme", 0, 0, 0, 0, 0, None, removed_at, health)


@pytest.mark.parametrize(
    ("health", "state", "words"),
    [
        pytest.param(EndpointHealth(), "closed", "well", id="nothing against it"),
        pytest.param(EndpointHealth(failures=4), "closed", "well, 4 failures", id="not yet open"),
        pytest.param(
            EndpointHealth(failures=5, failing_since=NOW - 300), "open", "failing for 5m", id="open"
        ),
        pytest.param(
            EndpointHealth(open_until=NOW + 90), "open", "held back for 1m", id="its Retry-After"
        ),
        pytest.param(EndpointHealth(open_until=NOW - 1), "closed", "well", id="that is over"),
        pytest.param(
            EndpointHealth(failures=9, paused_by="operator"), "paused", "paused by operator",
            id="a pause hides failures",
        ),
        pytest.param(
            EndpointHealth(paused_by="gone"), "paused", "paused by its 410", id="gone"
        ),
    ],
)  # fmt: skip
def test_state_of_an_endpoint(health: EndpointHealth, state: str, words: str) -> None:
    """One word for programs, a few for people: who is well, who is not, and since when."""
    status = judge(_totals(health), None, is_known=True, dead=0, now=NOW)

    assert status.state == state
    assert describe(status, NOW) == words


def test_endpoint_that_the_routes_pause(operator: Operator, built: OutboxBuilder) -> None:
    """`paused: true` in the routing file shows, with where it comes from."""
    text = (operator.folder / "routes.yaml").read_text()
    operator.write_routes(text.replace("mode: latest", "paused: true"))

    home = operator.json("status")["endpoints"]["home"]

    assert (home["state"], home["paused_by"]) == ("paused", "routes")


def test_endpoint_that_the_routes_no_longer_name(operator: Operator, built: OutboxBuilder) -> None:
    """An endpoint with something left is shown as removed; one with nothing left only to programs."""
    built.delivery("gone", "pending")
    built.delivery("forgotten", "delivered")

    said, shown = operator.json("status"), operator.says("status")

    assert said["endpoints"]["gone"]["state"] == "removed"
    assert said["endpoints"]["forgotten"]["state"] == "removed"
    assert "gone" in shown
    assert "forgotten" not in shown


def test_broken_routes_are_told(operator: Operator, built: OutboxBuilder) -> None:
    """A routing file that cannot be used is a line of the status, not its end."""
    built.delivery("acme", "delivered")
    operator.write_routes("endpoints: [")

    said = operator.json("status")

    assert said["routes"]["endpoints"] == 0
    assert "routes.yaml" in said["routes"]["problem"]
    assert said["endpoints"]["acme"]["state"] == "closed"


def test_status_fits_a_terminal(operator: Operator, built: OutboxBuilder) -> None:
    """A hundred columns hold the longest of everything."""
    name = "an-endpoint-with-a-name-of-nearly-sixty-three-characters-1234"
    built.delivery(name, "pending")
    worst = EndpointHealth(
        failures=99, failing_since=NOW, last_error="client_certificate", last_error_at=time.time()
    )
    built.health(name, worst)
    operator.write_routes((operator.folder / "routes.yaml").read_text().replace("acme", name))

    assert max(len(line) for line in operator.says("status").splitlines()) <= 100
