"""Hypothesis strategies for any reading that a device could send."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from forwarder.reading import Device, Reading

instants = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants it naive
any_text = st.text(st.characters(codec=None))
numbers = st.integers() | st.floats() | st.decimals()
json_values = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner) | st.tuples(inner),
    max_leaves=10,
)
sections = st.dictionaries(any_text, json_values, max_size=4)
readings: st.SearchStrategy[Reading] = st.builds(
    Reading,
    device=any_text.map(Device),
    measured_at=instants,
    time_source=st.sampled_from(["timestamp", "utc", "offset", "local", "received"]),
    received_at=instants,
    measurements=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), numbers),
    tariff=st.none() | st.integers(),
    conversion_factor=st.none() | numbers,
    meter=sections,
    system=sections,
    network=sections,
    volumes=st.lists(sections, max_size=2).map(tuple),
    report=sections,
    extra=sections,
)
