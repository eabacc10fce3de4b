"""`forwarder status` while there is no service to ask."""

import io
import re
import time
from dataclasses import replace

import pytest
from rich.console import Console
from support.outbox_builder import NOW, OutboxBuilder, seconds_ago
from support.shell import Operator

from forwarder.cli.running import Readiness
from forwarder.cli.status_view import View, frame
from forwarder.endpoint_health import EndpointHealth
from forwarder.operator import read_status
from forwarder.operator.status import judge
from forwarder.operator.wording import describe
from forwarder.outbox import EndpointTotals, Replica
from forwarder.outbox.sql.bringing_in import count_messages

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
            EndpointHealth(last_success_at=NOW - 60, last_error="http_400", last_error_at=NOW), "closed", "refusing",
            id="it answers, and takes nothing",
        ),
        pytest.param(
            EndpointHealth(last_error="http_422", last_error_at=NOW), "closed", "refusing", id="it never took one",
        ),
        pytest.param(
            EndpointHealth(last_success_at=NOW, last_error="http_400", last_error_at=NOW + 0.5), "closed", "well",
            id="some are refused, and others taken",
        ),
        pytest.param(
            EndpointHealth(failures=5, failing_since=NOW - 300), "open", "failing for 5m", id="open"
        ),
        pytest.param(
            EndpointHealth(open_until=NOW + 90), "open", "held back for 2m", id="its Retry-After"
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
    status = judge(_totals(health), is_paused=None, is_known=True, dead=0, now=NOW)

    assert status.state == state
    assert describe(status, NOW) == words


def test_endpoint_that_refuses_by_statuses_of_its_own(
    operator: Operator, built: OutboxBuilder
) -> None:
    """`refused:` of the routing file decides what refuses for good, and what is tried again."""
    health = EndpointHealth(last_error="http_409", last_error_at=seconds_ago(5))
    with built.store() as store:
        store.endpoints.record_health(store.endpoint_id("home"), health)
    assert " refusing " not in operator.run("status").output
    text = (operator.folder / "routes.yaml").read_text()
    operator.write_routes(text.replace("mode: latest", "refused: [409]"))
    assert " refusing " in operator.run("status").output
    health = EndpointHealth(last_error="http_400", last_error_at=seconds_ago(5))
    with built.store() as store:
        store.endpoints.record_health(store.endpoint_id("home"), health)
    assert " refusing " not in operator.run("status").output


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


def test_dead_letters_are_hinted_at(operator: Operator, built: OutboxBuilder) -> None:
    """How many there are, and the command that lists them."""
    built.dead_letters(7, "acme")
    assert "\n7 dead letters; see forwarder dead-letters list\n" in operator.says("status")


def test_failing_endpoints_are_hinted_at(operator: Operator, built: OutboxBuilder) -> None:
    """The command that tells what to look for at one of them."""
    for name in ("acme", "home", "removed"):
        built.health(name, EndpointHealth(failures=5, failing_since=NOW))
    assert "acme and home are failing; see forwarder send-test acme" in operator.says("status")


def test_folder_without_an_outbox_is_told(operator: Operator) -> None:
    """All zeros have a reason."""
    assert "outbox      there is none at data/outbox.db yet" in operator.says("status")


def test_watching_is_for_terminals(operator: Operator) -> None:
    """A pipe that fills with redrawn screens serves nobody; exit 2."""
    error = operator.run("status", "--watch").exception
    assert "for a terminal" in str(error)
    assert getattr(error, "exit_code", None) == 2


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", ["acme", "a-partner-with-a-long-name.example.com", "n" * 63])
def test_names_are_never_cut(built: OutboxBuilder, width: int, name: str) -> None:
    """A narrow terminal goes without columns; who is meant can be copied from it."""
    built.delivery(name, "pending", at=seconds_ago(100))
    worst = EndpointHealth(
        failures=99, failing_since=NOW, last_error="client_certificate", last_error_at=NOW
    )
    built.health(name, worst)
    shown = pictured(built, width=width, now=time.time())
    assert max(map(len, shown)) <= width
    assert name in "".join(line.split(" ")[0] for line in shown)


REPLICAS = (
    Replica("forwarder-6d4cf56db6-x7k2p", "0.2.0", True, 8_640_000, "1a2b3c4d", ("a", "b")),
    Replica("forwarder-6d4cf56db6-q9w8e", "0.3.0", False, 7, "5e6f7a8b", ()),
)


def test_replicas_are_told_apart(built: OutboxBuilder) -> None:
    """Who leads, how many endpoints each has, by which routes, in which version, and whether it is heard of."""
    shown = pictured(built, width=80, now=NOW, replicas=REPLICAS)
    assert max(map(len, shown)) <= 80
    first, second = (line.split() for line in shown if line.startswith("forwarder-6d4"))
    assert first[1:] == ["leads", "2", "1a2b3c4d", "0.2.0", "8,640,000"]
    assert second[1:] == ["0", "5e6f7a8b", "0.3.0", "7"]


def test_replicas_take_no_endpoint_off_a_low_screen(built: OutboxBuilder) -> None:
    in_force = dict.fromkeys([f"e{number:03}" for number in range(100)], False)
    shown = pictured(built, width=80, now=NOW, height=24, in_force=in_force, replicas=REPLICAS)
    assert len(shown) <= 24


def test_screen_that_is_too_low_shows_who_is_not_well(built: OutboxBuilder) -> None:
    """Of a hundred endpoints those that fail stay in sight, and how many are left out."""
    names = [f"e{number:03}" for number in range(100)]
    built.health("e077", EndpointHealth(failures=5, failing_since=NOW))
    shown = pictured(built, width=80, now=NOW, height=24, in_force=dict.fromkeys(names, False))
    assert len(shown) <= 24
    assert "e077" in "".join(shown)
    left_out = re.search(r"and (\d+) endpoints more", "\n".join(shown))
    assert left_out is not None
    assert sum("well" in line for line in shown) + int(left_out[1]) == 99


def pictured(
    built: OutboxBuilder,
    *,
    width: int,
    now: float,
    height: int | None = None,
    in_force: dict[str, bool] | None = None,
    replicas: tuple[Replica, ...] = (),
) -> list[str]:
    """The lines that a terminal of that size shows of this outbox, while no service runs."""
    screen = Console(
        file=io.StringIO(), width=width, height=height or 24, force_terminal=True, color_system=None
    )
    view = View(
        overview=replace(read_status(built.path, in_force=in_force, now=now), replicas=replicas),
        readiness=Readiness(),
        mqtt={"problem": "the service is not running"},
        routes={"endpoints": 1},
        not_in_force=(),
        outbox_place=built.path,
        now=now,
    )
    screen.print(frame(view, screen, most_rows=0 if height else None))
    assert isinstance(screen.file, io.StringIO)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


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


def test_last_answers_are_told_in_the_words_of_people(
    operator: Operator, built: OutboxBuilder
) -> None:
    """An answer by its number, a failure without one by its word; programs get one word for both."""
    now = time.time()
    healths = {
        "acme": EndpointHealth(last_error="http_400", last_error_at=now),
        "home": EndpointHealth(last_error="timeout", last_error_at=now),
        "well": EndpointHealth(last_success_at=now),
    }
    for name, health in healths.items():
        built.delivery(name, "pending")
        built.health(name, health)

    lines = {
        line.split()[0]: line.rstrip() for line in operator.says("status").splitlines() if line
    }

    assert re.search(r"  400 \ds ago$", lines["acme"])
    assert re.search(r"  timeout \ds ago$", lines["home"])
    assert re.search(r"  delivered \ds ago$", lines["well"])
    assert operator.json("status")["endpoints"]["acme"]["last_error"] == "http_400"


@pytest.mark.parametrize(
    ("payloads", "line"),
    [(0, "messages    0 accepted"), (3, "messages    0 accepted, 3 quarantined")],
)
def test_messages_are_told_as_far_as_they_occurred(
    operator: Operator, built: OutboxBuilder, payloads: int, line: str
) -> None:
    """Four figures, most of them 0, would not fit a line of 60 columns."""
    with built.store() as store:
        count_messages(store, {"quarantined": payloads})

    assert line in map(str.rstrip, operator.says("status").splitlines())
