"""Pictures of numbers: paths that stay in their box."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.web.page.charts import HEIGHT, WIDTH, area_path, line_path, nice_top, share

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
