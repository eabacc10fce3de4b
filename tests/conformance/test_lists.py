"""Lists of deliveries that are looked through in parts, on every engine."""

from dataclasses import replace

import pytest
from support.outbox_builder import BERN, NOW, ZURICH, OutboxBuilder

from forwarder.operator import choose_dead_letters, replay_to
from forwarder.outbox import DeliveryId, OutboxAccess, Selection, opened
from forwarder.settings import OutboxPlace

DAY = 86400.0


@pytest.fixture
def built(place: OutboxPlace) -> OutboxBuilder:
    """Ten readings, three hours apart, each owed to two endpoints; every third is of Bern."""
    built = OutboxBuilder(place)
    for number in range(10):
        device = BERN if number % 3 == 0 else ZURICH
        built.reading("acme", "home", device=device, received_at=NOW + number * 3 * 3600)
    return built


def whole(outbox: OutboxAccess, selection: Selection) -> list[DeliveryId]:
    return [key for keys in outbox.choose_deliveries(selection).chunks() for key in keys]


def in_parts(outbox: OutboxAccess, selection: Selection, *, most: int) -> list[DeliveryId]:
    """As the API gives it to a client that goes on until the end."""
    found: list[DeliveryId] = []
    for _ in range(100):
        within = outbox.outlook(selection, most=most)
        part = replace(selection, readings=(within.lowest, within.highest))
        found += whole(outbox, part)
        if within.is_whole:
            return found
        selection = replace(selection, after=(within.lowest - 1, -1))
    raise AssertionError("it has no end")


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(device=BERN),
        Selection(endpoint="home"),
        Selection(state="dead"),
        Selection(since=NOW + 10 * 3600),
        Selection(until=NOW + 10 * 3600),
        Selection(since=NOW + 3 * 3600, until=NOW + 6 * 3600, endpoint="acme"),
        Selection(since=NOW + 40 * DAY),
        Selection(until=NOW - 40 * DAY),
    ],
)
@pytest.mark.parametrize("most", [1, 2, 3, 7, 100])
def test_the_parts_are_the_list(built: OutboxBuilder, selection: Selection, most: int) -> None:
    """Each delivery is given once, in the list's order, however few are looked through at once."""
    with opened(built.place) as outbox:
        assert in_parts(outbox, selection, most=most) == whole(outbox, selection)


def test_a_time_bounds_what_is_looked_through(built: OutboxBuilder) -> None:
    """What came in long before or after is not looked at, so that one day of a year is found at once."""
    with opened(built.place) as outbox:
        (first, *_, last) = sorted({key.reading for key in whole(outbox, Selection())})
        within = outbox.outlook(Selection(since=NOW + 12 * 3600, until=NOW + 13 * 3600), most=100)
        assert (within.lowest, within.highest) == (first + 4, first + 4)
        assert outbox.outlook(Selection(since=NOW), most=100).lowest == first
        assert outbox.outlook(Selection(until=NOW + DAY), most=100).highest < last


def test_an_outbox_without_deliveries_has_an_empty_list(place: OutboxPlace) -> None:
    """There is nothing to bound."""
    built = OutboxBuilder(place)
    with opened(built.place) as outbox:
        assert in_parts(outbox, Selection(since=NOW, until=NOW + 1), most=10) == []


def test_a_reading_sent_elsewhere_keeps_when_it_came_in(built: OutboxBuilder) -> None:
    """A dead letter that another endpoint gets is found by the time of its reading."""
    built.delivery("acme", "dead", at=NOW + 20 * DAY)
    with opened(built.place) as outbox:
        chosen = choose_dead_letters(outbox, Selection())
        replay_to(outbox, chosen, endpoint="third", now=NOW + 25 * DAY)
        wanted = Selection(endpoint="third", until=NOW + 21 * DAY, since=NOW + 19 * DAY)
        assert len(in_parts(outbox, wanted, most=100)) == 1
