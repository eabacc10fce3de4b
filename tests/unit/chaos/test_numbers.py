"""What the chaos suite makes of numbers that page, status and metrics tell."""

from dataclasses import replace

import pytest

from chaos.numbers import (
    LINE,
    Look,
    Numbers,
    beginnings,
    compared,
    differences,
    of_metrics,
    of_page,
    of_status,
)

ACCEPTED = (LINE, "messages accepted")
DELIVERED, PENDING, DEAD = ("acme", "delivered"), ("acme", "pending"), ("acme", "dead letters")


def status(
    accepted: int = 1200, delivered: int = 1100, pending: int = 90, dead_letters: int = 10
) -> Numbers:
    endpoint = {
        "state": "open",
        "enqueued": delivered + pending + dead_letters,
        "delivered": delivered,
        "pending": pending,
        "dead": dead_letters,
        "expired": 0,
        "superseded": 0,
        "dead_letters": dead_letters,
    }
    gone = endpoint | {"state": "removed"}
    return of_status(
        {"messages": {"accepted": accepted}, "endpoints": {"acme": endpoint, "gone": gone}}
    )


PAGE = of_page(
    '<p class="number">1,200<span>messages accepted</span></p>',
    '<tr><th scope="row"><a id="endpoint-1" href="/endpoints/acme">acme</a></th>'
    '<td data-label="State">failing</td><td data-label="Pending" class="n">90</td>'
    '<td data-label="Oldest" class="n">3s</td><td data-label="Delivered" class="n">1,100</td>'
    '<td data-label="Dead letters" class="n noted">10</td></tr>',
)
METRICS = of_metrics(
    'forwarder_messages_total{outcome="accepted"} 200.0\n'
    'forwarder_deliveries_total{endpoint="acme",outcome="delivered"} 100.0\n'
    'forwarder_deliveries_pending{endpoint="acme"} 90.0\n'
    'forwarder_dead_letters{endpoint="acme",reason="refused"} 7.0\n'
    'forwarder_dead_letters{endpoint="acme",reason="expired"} 3.0\n',
    status(),
)
"""Of a process that began when 1,000 messages had been accepted."""
STILL = Look(status(), PAGE, METRICS, status())
IDLE = Look(
    status(pending=0),
    {**PAGE, PENDING: 0},
    {**METRICS, PENDING: 0},
    status(pending=0),
)
SINCE = beginnings(IDLE)


def test_all_tell_the_same() -> None:
    """What each of them tells is read out of it, and nothing of an endpoint that is gone is compared."""
    assert set(compared(STILL)) == {ACCEPTED, DELIVERED, PENDING, DEAD}
    assert [*differences(STILL, since=SINCE)] == []


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("key", [ACCEPTED, DELIVERED, PENDING, DEAD])
def test_another_number_on_the_page_is_found(key: tuple[str, str], off: int) -> None:
    wrong = replace(STILL, page={**PAGE, key: PAGE[key] + off})
    (found,) = differences(wrong, since=SINCE)
    assert found.startswith(f"the page told {PAGE[key] + off} {key[1]}")


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("key", [ACCEPTED, DELIVERED, PENDING, DEAD])
def test_another_number_in_the_metrics_is_found(key: tuple[str, str], off: int) -> None:
    wrong = replace(IDLE, metrics={**IDLE.metrics, key: IDLE.metrics[key] + off})
    (found,) = differences(wrong, since=SINCE)
    assert found.startswith(f"/metrics told {SINCE.get(key, 0) + wrong.metrics[key]} {key[1]}")


def test_replica_tells_what_waits_of_its_own_endpoints() -> None:
    """One that has none any more, or none yet, tells nothing of them; its totals stay."""
    text = 'forwarder_deliveries_total{endpoint="acme",outcome="delivered"} 100.0\n'
    elsewhere = replace(STILL, metrics=of_metrics(text, status()))

    assert {*elsewhere.metrics} == {ACCEPTED, DELIVERED}
    assert [*differences(elsewhere, since={})] == []


def test_a_number_that_the_page_does_not_show_is_found() -> None:
    assert len([*differences(replace(STILL, page={}), since=SINCE)]) == 4


def test_totals_may_grow_between_two_looks_at_the_status() -> None:
    """Nobody says when, but not past either; what waits is then compared with nothing."""
    grown = replace(STILL, after=status(accepted=1210, delivered=1105, pending=95))
    assert set(compared(grown)) == {ACCEPTED, DELIVERED}
    ahead = {**PAGE, DELIVERED: 1105, PENDING: 7}
    assert [*differences(replace(grown, page=ahead), since=SINCE)] == []
    past = {**PAGE, DELIVERED: 1106}
    assert len([*differences(replace(grown, page=past), since=SINCE)]) == 1


def test_counters_are_compared_of_what_has_nothing_to_do() -> None:
    """A delivery is counted a moment before or after it is on disk."""
    assert set(SINCE) == {ACCEPTED, DELIVERED}
    ahead = {**METRICS, DELIVERED: METRICS[DELIVERED] + 1}
    assert [*differences(replace(STILL, metrics=ahead), since=SINCE)] == []
    assert DELIVERED not in beginnings(STILL)


def test_counters_are_compared_by_what_they_grew() -> None:
    later = status(accepted=1300, delivered=1200, pending=0)
    page = {**PAGE, ACCEPTED: 1300, DELIVERED: 1200, PENDING: 0}
    grown = {**METRICS, ACCEPTED: 300, DELIVERED: 200, PENDING: 0}
    assert [*differences(Look(later, page, grown, later), since=SINCE)] == []
    short = {**grown, DELIVERED: 199}
    assert len([*differences(Look(later, page, short, later), since=SINCE)]) == 1
