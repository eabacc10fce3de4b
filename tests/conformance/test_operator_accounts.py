"""Whatever operators do in whatever order, the accounts agree with the rows."""

from collections.abc import Callable
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.outbox_builder import BERN, DECISIONS, NOW, ZURICH, OutboxBuilder

from forwarder.operator import (
    choose_dead_letters,
    discard,
    replay,
    replay_to,
)
from forwarder.outbox import (
    Selection,
    inspect,
    opened,
)
from forwarder.reading import Device
from forwarder.settings import OutboxPlace

ENDPOINTS = ("acme", "home", "archive")

Operation = Callable[[OutboxBuilder], object]


def take_in(device: Device, states: dict[str, str], built: OutboxBuilder) -> None:
    number = built.reading(*states, device=device)
    for endpoint, state in states.items():
        if state != "pending":
            built.settle(number, endpoint, DECISIONS[state], device=device)


def replay_some(selection: Selection, built: OutboxBuilder) -> None:
    with opened(built.place) as file:
        replay(file, choose_dead_letters(file, selection), now=NOW)


def replay_elsewhere(selection: Selection, to: str, built: OutboxBuilder) -> None:
    with opened(built.place) as file:
        replay_to(file, choose_dead_letters(file, selection), endpoint=to, now=NOW)


def discard_some(selection: Selection, built: OutboxBuilder) -> None:
    with opened(built.place) as file:
        discard(file, choose_dead_letters(file, selection))


def purge_one(device: Device, built: OutboxBuilder) -> None:
    with opened(built.place) as file:
        file.purge(device)


devices = st.sampled_from([ZURICH, BERN])
endpoints = st.sampled_from(ENDPOINTS)
states = st.dictionaries(endpoints, st.sampled_from(["pending", *DECISIONS]), min_size=1)
selections = st.builds(
    Selection,
    endpoint=st.none() | endpoints,
    device=st.none() | devices,
    limit=st.none() | st.integers(1, 3),
)
readings: st.SearchStrategy[Operation] = st.builds(partial, st.just(take_in), devices, states)
commands: st.SearchStrategy[Operation] = st.one_of(
    st.builds(partial, st.just(replay_some), selections),
    st.builds(partial, st.just(discard_some), selections),
    st.builds(partial, st.just(replay_elsewhere), selections, endpoints),
    st.builds(partial, st.just(purge_one), devices),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(readings, min_size=1, max_size=6),
    st.lists(st.one_of(commands, readings), max_size=8),
)
def test_accounts_agree_whatever_is_done(
    new_place: Callable[[], OutboxPlace], first: list[Operation], then: list[Operation]
) -> None:
    """After every command, enqueued = delivered + dead + expired + superseded + what is pending in the rows."""
    built = OutboxBuilder(new_place())
    for operation in [*first, *then]:
        operation(built)
        assert inspect(built.place).faults == ()
