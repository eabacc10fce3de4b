from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from forwarder.demo.house import House
from forwarder.demo.template import Value

ZURICH = ZoneInfo("Europe/Zurich")
START = datetime(2025, 6, 18, 0, 0, tzinfo=ZURICH)

indexes = st.integers(0, 60)
minutes = st.lists(st.integers(0, 400), min_size=2, max_size=12)


def life_of(index: int, steps: list[int]) -> list[dict[str, Value]]:
    house, now, readings = House(index), START, []
    for step in steps:
        now += timedelta(minutes=step)
        house.advance(now)
        readings.append(house.readings())
    return readings


def number(value: Value) -> float:
    return float(value)


@given(index=indexes, steps=minutes)
def test_registers_only_grow(index: int, steps: list[int]) -> None:
    """An energy register never falls, whatever flows."""
    life = life_of(index, steps)
    for register in ("1_8_0", "1_8_1", "1_8_2", "2_8_0", "3_8_0"):
        read = [number(readings[register]) for readings in life]
        assert read == sorted(read)


@given(index=indexes, steps=minutes)
def test_phases_add_up(index: int, steps: list[int]) -> None:
    """The total is the sum of the phases, and a house never draws and feeds in at once."""
    for readings in life_of(index, steps):
        for total, phases in (("1_7_0", "21_7_0 41_7_0 61_7_0"), ("2_7_0", "22_7_0 42_7_0 62_7_0")):
            parts = sum(round(1000 * number(readings[phase])) for phase in phases.split())
            assert parts == round(1000 * number(readings[total]))
        assert 0 in (readings["1_7_0"], readings["2_7_0"])


@given(index=indexes, steps=minutes)
def test_single_phase_meter_sends_zeros(index: int, steps: list[int]) -> None:
    """A single-phase meter reads 0 on L2 and L3; voltages elsewhere are near 230."""
    house = House(index)
    for readings in life_of(index, steps):
        volts = [number(readings[name]) for name in ("32_7_0", "52_7_0", "72_7_0")]
        measured = volts if house.has_three_phases else volts[:1]
        assert all(220 < volt < 242 for volt in measured)
        assert house.has_three_phases or volts[1:] == [0, 0]


def test_house_with_sun_feeds_in_at_noon() -> None:
    """Number 0 has the sun on its roof, number 1 has not."""
    noon = [12 * 60]
    assert number(life_of(0, noon)[0]["2_7_0"]) > 0
    assert life_of(1, noon)[0]["2_7_0"] == 0


def test_house_is_the_same_at_each_run() -> None:
    """A demo that is shown twice shows the same houses."""
    assert life_of(3, [5, 10, 600]) == life_of(3, [5, 10, 600])
