"""What is counted by ourselves, beside what prometheus_client would have made of it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from support.properties import examples

from forwarder.metrics import Durations, Tally

BOUNDS = (0.001, 0.25, 1, 300)
disable_created_metrics()  # type: ignore[no-untyped-call] # as Metrics does
NAMES = st.sampled_from(["acme", 'quo"ted', "back\\slash"])


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(NAMES, st.sampled_from(["dead", "delivered"]), st.integers(1, 9))))
def test_tally_is_shown_like_a_counter_of_prometheus(counted: list[tuple[str, str, int]]) -> None:
    """What is counted in plain numbers makes the text that prometheus_client's own counter makes."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("it", "How many", ["endpoint", "outcome"], registry=ours)
    counter = Counter("it", "How many", ["endpoint", "outcome"], registry=theirs)
    for endpoint, outcome, by in counted:
        tally.count(endpoint, outcome, by=by)
        counter.labels(endpoint, outcome).inc(by)
    assert generate_latest(ours) == generate_latest(theirs)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(NAMES, st.floats(0, 1e6) | st.sampled_from(BOUNDS))))
def test_durations_are_shown_like_a_histogram_of_prometheus(
    observed: list[tuple[str, float]],
) -> None:
    """The bounds belong to the buckets below them, and buckets, count and sum come as in its own histogram."""
    theirs = CollectorRegistry()
    durations = Durations("it", "How long", "endpoint", bounds=BOUNDS)
    histogram = Histogram("it", "How long", ["endpoint"], buckets=BOUNDS, registry=theirs)
    for endpoint, seconds in observed:
        durations.of(endpoint).observe(seconds)
        histogram.labels(endpoint).observe(seconds)
    assert durations.text().encode() == generate_latest(theirs)
