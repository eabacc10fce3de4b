"""Whether an endpoint takes attempts as a whole, by a clock that is set by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.clock import HandClock
from support.readings import endpoint

from forwarder.delivery import Accepted, AttemptResult, Failed, Refused, classify
from forwarder.dispatcher.circuit import Circuit
from forwarder.endpoint_health import EndpointHealth
from forwarder.routes import RetrySchedule

ACME = endpoint(max_concurrency=8, retry=RetrySchedule(initial_seconds=1, max_seconds=8))
DOWN = Failed("connect_refused")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def circuit(clock: HandClock) -> Circuit:
    return Circuit(ACME, EndpointHealth(), clock=clock, spread=lambda: 0.0)


def heed(circuit: Circuit, clock: HandClock, *results: AttemptResult) -> None:
    for result in results:
        circuit.heed(result, now=clock.unix())


def test_fifth_failure_in_a_row_opens_it(circuit: Circuit, clock: HandClock) -> None:
    """From then on one probe at a time is sent, after the first wait of the schedule."""
    heed(circuit, clock, *[DOWN] * 4)
    assert (circuit.is_open, circuit.places) == (False, 8)
    heed(circuit, clock, DOWN)
    assert (circuit.is_open, circuit.places) == (True, 1)
    assert circuit.held_until == clock.monotonic() + 1


def test_success_in_between_begins_the_count_anew(circuit: Circuit, clock: HandClock) -> None:
    heed(circuit, clock, *[DOWN] * 4, Accepted(204), *[DOWN] * 4)
    assert not circuit.is_open


def test_refusals_neither_count_nor_reset(circuit: Circuit, clock: HandClock) -> None:
    heed(circuit, clock, *[DOWN] * 4, Refused(400), DOWN)
    assert circuit.is_open


def test_successful_probe_closes_it(circuit: Circuit, clock: HandClock) -> None:
    """All places are free again, and nothing is held back."""
    heed(circuit, clock, *[DOWN] * 5)
    clock.advance(1)
    heed(circuit, clock, Accepted(204))
    assert (circuit.is_open, circuit.places, circuit.held_until) == (False, 8, float("-inf"))


def test_outage_is_remembered_when_it_is_over(circuit: Circuit, clock: HandClock) -> None:
    """It began with its first failure; failures that open nothing are none, and a resume changes no past."""
    began = clock.unix()
    heed(circuit, clock, DOWN)
    clock.advance(1)
    heed(circuit, clock, *[DOWN] * 3)
    assert circuit.health.outage_since is None
    heed(circuit, clock, DOWN)
    clock.advance(1)
    heed(circuit, clock, Accepted(204), DOWN)
    circuit.resume()
    assert circuit.health.outage_since == began


def test_retry_after_holds_a_closed_circuit(circuit: Circuit, clock: HandClock) -> None:
    heed(circuit, clock, classify(429, retry_after="30"))
    assert (circuit.is_open, circuit.held_until) == (False, clock.monotonic() + 30)


def test_health_is_another_object_only_when_it_changed(circuit: Circuit, clock: HandClock) -> None:
    """Whoever records it need not compare: successes in a row are noted once a second."""
    heed(circuit, clock, Accepted(204))
    noted = circuit.health
    heed(circuit, clock, Accepted(204))
    assert circuit.health is noted
    clock.advance(1)
    heed(circuit, clock, Accepted(204))
    assert circuit.health is not noted


@pytest.mark.parametrize(
    "bar",
    [
        pytest.param(lambda circuit: circuit.stop(), id="stopped"),
        pytest.param(lambda circuit: circuit.remove(), id="removed"),
        pytest.param(lambda circuit: circuit.pause_gone("digest"), id="gone"),
        pytest.param(lambda circuit: circuit.configure(replace(ACME, paused=True)), id="paused"),
    ],
)
def test_barred_endpoint_has_no_places(circuit: Circuit, bar: Callable[[Circuit], None]) -> None:

    bar(circuit)
    assert (circuit.is_barred, circuit.places) == (True, 0)
