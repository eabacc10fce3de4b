"""What the judge of the chaos suite makes of what the operator was told."""

from dataclasses import replace

import pytest

from chaos.told import Change, Event, Happened, judge_told, outages


def failing(endpoint: str = "acme", since: int = 1) -> Event:
    return {"type": "endpoint.failing", "data": {"endpoint": endpoint, "since": since}}


def recovered(endpoint: str = "acme", since: int = 1) -> Event:
    return {"type": "endpoint.recovered", "data": {"endpoint": endpoint, "since": since}}


def other(kind: str, **data: object) -> Event:
    return {"type": kind, "data": data}


def changes(*times: float, endpoint: str = "acme") -> list[Change]:
    """It opened, closed, opened … at these times."""
    return [Change(at, endpoint, index % 2 == 0) for index, at in enumerate(times)]


ONE = Happened(changes(0, 30))


def test_one_outage_is_one_pair() -> None:
    assert [*judge_told([failing(), recovered()], ONE)] == []


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([failing()], id="never recovered"),
        pytest.param([recovered()], id="never failed"),
        pytest.param([failing(), failing(since=2), recovered()], id="failed twice"),
        pytest.param([failing(), recovered(since=2)], id="of another outage"),
        pytest.param([], id="not told"),
        pytest.param([failing(), recovered()] * 2, id="told twice"),
        pytest.param([failing(), recovered(), failing(since=2), recovered(since=2)], id="one more"),
        pytest.param([failing("home"), recovered("home")], id="of another endpoint"),
        pytest.param([failing(), recovered(), other("routes.rejected")], id="something else"),
        pytest.param(
            [failing(), recovered(), other("deliveries.dead", endpoint="acme")],
            id="dead letters that are none",
        ),
        pytest.param(
            [failing(), recovered(), other("stream.interrupted")], id="a stream that was well"
        ),
        pytest.param(
            [failing(), recovered(), other("stream.resumed")], id="a session that was kept"
        ),
        pytest.param([failing("operator"), recovered("operator")], id="of itself"),
    ],
)
@pytest.mark.parametrize("is_declared", [False, True])
def test_anything_else_is_found(told: list[Event], is_declared: bool) -> None:
    happened = replace(ONE, outages={"acme": 1}) if is_declared else ONE
    assert [*judge_told(told, happened)] != []


def test_outages_that_touch_are_one() -> None:
    """Well for less than ten seconds is the same outage, well for longer another; close to it, either."""
    assert outages("acme", changes(0, 10, 18, 30)) == (1, 1)
    assert outages("acme", changes(0, 10, 25, 30)) == (2, 2)
    assert outages("acme", changes(0, 10, 21, 30)) == (1, 2)
    assert outages("home", changes(0, 10)) == (0, 0)


def test_a_kill_leaves_the_log_short_and_pairs_whole() -> None:
    """What it had noticed a moment before may be in neither; what is told is told in pairs all the same."""
    happened = replace(ONE, kills=1)
    assert [*judge_told([], happened)] == []
    assert [
        *judge_told([failing(), recovered(), failing(since=2), recovered(since=2)], happened)
    ] == []
    assert [*judge_told([failing()], happened)] != []
    three = replace(happened, changes=changes(0, 30, 60, 90, 120, 150))
    assert [*judge_told([failing(), recovered()], three)] != []


def test_what_a_scenario_brings_about_may_be_told() -> None:
    told = [
        other("outbox.nearly_full"),
        other("deliveries.dead", endpoint="acme"),
        other("stream.interrupted"),
        other("stream.resumed"),
        other("stream.resumed"),
    ]
    happened = Happened(
        dead={"acme": 3}, sessions_lost=1, interruptions=1, also={"outbox.nearly_full"}
    )
    assert [*judge_told(told, happened)] == []


def silent(device: str = "A", since: int = 1) -> Event:
    return other("device.silent", device=device, since=since)


def resumed(device: str = "A", since: int = 1) -> Event:
    return other("device.resumed", device=device, since=since)


def together(*devices: str, count: int) -> Event:
    return other("devices.silent", devices=devices, count=count)


SILENCES = Happened(silences={"A": 1, "B": 1, "C": 1})


@pytest.mark.parametrize(
    "told",
    [
        [silent("A"), silent("B"), silent("C"), resumed("B"), resumed("A"), resumed("C")],
        [silent("A"), together("B", count=2), resumed("A")],
    ],
)
def test_each_silence_is_told_singly_or_among_many(told: list[Event]) -> None:
    assert [*judge_told(told, SILENCES)] == []


def test_a_device_may_fall_silent_again() -> None:
    told = [silent(), resumed(), silent(since=9), resumed(since=9)]
    assert [*judge_told(told, Happened(silences={"A": 2}))] == []


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([], id="nobody"),
        pytest.param([silent(), resumed()], id="some missed"),
        pytest.param([silent(), together("B", count=2)], id="never resumed"),
        pytest.param([resumed(), together("B", count=3)], id="never silent"),
        pytest.param([silent(), resumed(since=2), together(count=2)], id="of another silence"),
        pytest.param([silent(), resumed(), together("A", count=2)], id="one of them twice"),
        pytest.param([silent(), resumed(), together("X", count=2)], id="another among many"),
        pytest.param([silent("X"), resumed("X"), together("A", count=2)], id="another singly"),
        pytest.param([silent(), resumed(), together(count=3)], id="one more"),
        pytest.param([*[silent(), resumed()] * 2, together(count=1)], id="the same twice"),
    ],
)
def test_any_other_silence_is_found(told: list[Event]) -> None:
    assert [*judge_told(told, SILENCES)] != []
