from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.units import (
    age,
    count_of,
    format_duration,
    parse_duration,
    parse_rate,
    parse_size,
    time_left,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10.0),
        ("5m", 300.0),
        ("24h", 86400.0),
        ("7d", 604800.0),
        pytest.param("1.5h", 5400.0, id="a fraction"),
        pytest.param(" 10s ", 10.0, id="surrounded by spaces"),
        pytest.param("0s", 0.0, id="none at all"),
    ],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("65536", 65536),
        ("64KiB", 65536),
        ("512MiB", 512 * 1024**2),
        ("10GiB", 10 * 1024**3),
        ("1TiB", 1024**4),
        pytest.param("10 GiB", 10 * 1024**3, id="a space before the unit"),
        pytest.param("12B", 12, id="bytes by name"),
    ],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"), [("20/s", (20, 1.0)), ("600/m", (600, 60.0)), ("1000/h", (1000, 3600.0))]
)
def test_rates_are_a_count_and_a_period(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param(parse_duration, "10", id="a duration without a unit"),
        pytest.param(parse_duration, "-1s", id="a negative duration"),
        pytest.param(parse_duration, "1e3s", id="an exponent"),
        pytest.param(parse_duration, "10 s", id="a space inside a duration"),
        pytest.param(parse_duration, "1h30m", id="two units"),
        pytest.param(parse_duration, "10S", id="a unit in another case"),
        pytest.param(parse_duration, ".5s", id="a fraction without its zero"),
        pytest.param(parse_duration, "9999999999999s", id="longer than anyone lives"),
        pytest.param(parse_duration, "١٠s", id="digits of another script"),
        pytest.param(parse_size, "10GB", id="a decimal unit, which is another size"),
        pytest.param(parse_size, "1.5GiB", id="a fraction of a unit"),
        pytest.param(parse_size, "", id="no size"),
        pytest.param(parse_size, "٥KiB", id="a size in another script"),
        pytest.param(parse_rate, "0/s", id="a rate of nothing"),
        pytest.param(parse_rate, "20", id="a rate without its period"),
        pytest.param(parse_rate, "20/d", id="a period that is not offered"),
        pytest.param(parse_rate, "2.5/s", id="half an attempt"),
        pytest.param(parse_rate, "٢/s", id="a rate in another script"),
    ],
)
def test_anything_else_is_refused_with_an_example(
    parse: Callable[[str], object], text: str
) -> None:
    """The sentence tells the one who wrote it what was expected."""
    with pytest.raises(ValueError, match=r"expected a (duration|size|rate) such as "):
        parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.25, "250ms"),
        pytest.param(0.9999, "1s", id="never 1000ms"),
        (1.0, "1s"),
        (2.5, "2.5s"),
        (90.0, "90s"),
        (300.0, "5m"),
        (7200.0, "2h"),
        (86400.0, "1d"),
        pytest.param(86400.0 * 1.5, "36h", id="the largest unit that divides it"),
    ],
)
def test_durations_are_shown_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_what_is_shown_can_be_written_again(count: int, unit: str) -> None:
    """A shown duration is a duration of the settings, and off by no more than its last digit."""
    seconds = parse_duration(f"{count}{unit}")
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.05)


@pytest.mark.parametrize(
    ("count", "plural", "said"),
    [
        (0, "deliveries", "0 deliveries"),
        (1, "deliveries", "1 delivery"),
        (2, "deliveries", "2 deliveries"),
        (1203, "deliveries", "1,203 deliveries"),
    ],
)
def test_one_is_no_several(count: int, plural: str, said: str) -> None:
    """Thousands are set apart; an s makes a plural where none is given."""
    assert count_of(count, "delivery", plural) == said
    assert (count_of(1, "byte"), count_of(2, "byte")) == ("1 byte", "2 bytes")


@pytest.mark.parametrize(
    ("seconds", "past", "left"),
    [
        (-1.0, "0s", "0s"),
        (59.6, "59s", "1m"),
        (90.0, "1m", "2m"),
        (3600.0, "1h", "1h"),
        pytest.param(7 * 86400.0 - 1, "6d", "7d", id="a link for 7d, a second old"),
        pytest.param(12 * 3600.0, "12h", "12h", id="half a day is hours"),
    ],
)
def test_time_that_is_left_is_rounded_where_an_age_is_not(
    seconds: float, past: str, left: str
) -> None:
    assert (age(seconds), time_left(seconds)) == (past, left)
