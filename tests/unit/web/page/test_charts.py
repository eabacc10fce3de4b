"""Pictures of numbers: paths that stay in their box."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.outbox import Minute
from forwarder.web.page.charts import (
    HEIGHT,
    MINUTES,
    WIDTH,
    area_path,
    curves_of,
    line_path,
    nice_top,
    share,
)

AMOUNTS = st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=90)


@given(AMOUNTS)
def test_a_line_stays_in_its_box(values: list[float]) -> None:
    """A point for each value, none outside."""
    path = line_path(values, top=nice_top(values))
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.e+-]+),([\d.e+-]+)", path)]
    assert len(points) == len(values)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


@given(AMOUNTS)
def test_the_top_is_round_and_high_enough(values: list[float]) -> None:
    """1, 2 or 5 times a power of ten, at most ten times the largest value."""
    top = nice_top(values)
    assert top >= max(values) * (1 - 1e-9)
    assert re.fullmatch(r"[125]\.0*e[+-]\d+", f"{top:.4e}")


def test_nothing_is_no_path() -> None:
    assert line_path([], top=1) == area_path([], top=1) == ""


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [(0, 0, 0), (1, 4, 25), (9, 4, 100), (-1, 4, 0)]
)
def test_a_share_is_between_nothing_and_all(part: float, whole: float, percent: float) -> None:
    assert share(part, whole) == percent


def test_an_hour_has_a_place_for_each_minute() -> None:
    """The last whole minute at the right; nothing kept is nothing; curves of one picture share a scale."""
    now = 1_763_460_030.0
    last = 1_763_460_000 - 60
    kept = [Minute("acme", last, {"a": 4}), Minute("acme", last - 120, {"a": 2, "b": 30})]
    first, second = curves_of(
        kept, lambda one: one.counts.get("a", 0), lambda one: one.counts.get("b", 0), now=now
    )
    assert len(first.values) == MINUTES
    assert list(first.values[-3:]) == [2, 0, 4]
    assert (first.last, first.most, first.total) == (4, 4, 6)
    assert second.most == 30
    assert first.top == second.top == 50


def test_minutes_that_are_not_drawn_are_left_out() -> None:
    """Neither the one that goes on nor what is older than an hour."""
    now = 1_763_460_030.0
    kept = [Minute("", int(at), {"a": 1}) for at in (now - 30, now - 30 - 61 * 60)]
    (curve,) = curves_of(kept, lambda one: one.counts["a"], now=now)
    assert curve.total == 0


def test_a_minute_that_is_not_kept_yet_is_no_drop() -> None:
    """Shortly after its end the one before is the last; later it is one in which nothing happened."""
    begun = 1_763_460_000
    kept = [Minute("", begun - 60, {"a": 7})]
    for seconds, last in ((61, 7), (100, 0)):
        (curve,) = curves_of(kept, lambda one: one.counts["a"], now=begun + seconds)
        assert curve.last == last
