"""A house behind a meter: load and sun over the day, and registers that only grow."""

import math
import random
from dataclasses import dataclass
from datetime import datetime

from forwarder.demo.template import Value

_POWER_FACTOR = 0.97
_REACTIVE_SHARE = math.tan(math.acos(_POWER_FACTOR))
_LONGEST_STEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Phase:
    """The meter's values of one phase. Watts are negative while the house feeds in."""

    watts: int
    volts: float

    @property
    def amperes(self) -> float:
        return round(abs(self.watts) / (self.volts * _POWER_FACTOR), 2) if self.volts else 0.0


class House:
    """
    One household, the same at each run for the same `index`. Every second has three phases, every third has the sun.

    `advance` moves it to an instant. `readings` are then the variables that its meter reports.
    """

    def __init__(self, index: int) -> None:
        self._random = random.Random(index)  # noqa: S311 - a load curve, not a secret
        self.has_three_phases = index % 2 == 0
        self.has_sun = index % 3 == 0
        self._base_kw = self._random.uniform(0.12, 0.45)
        self._peak_kw = self._random.uniform(1.2, 3.8)
        self._sun_kw = self._random.uniform(4.0, 9.5) if self.has_sun else 0.0
        self._imported_kwh = [self._random.uniform(800, 9000), self._random.uniform(500, 6000)]
        self._exported_kwh = self._random.uniform(300, 9000) if self.has_sun else 0.0
        self._reactive_kvarh = self._random.uniform(50, 900)
        self._reached_at: datetime | None = None
        self._tariff = 1
        self.phases = (Phase(0, 230.0), Phase(0, 0.0), Phase(0, 0.0))

    def advance(self, local: datetime) -> None:
        """Live until `local`, an aware time in the house's zone: the registers take what flowed since the last call."""
        self._count(self._seconds_since(local))
        self._reached_at = local
        self._tariff = 1 if local.weekday() < 5 and 7 <= local.hour < 21 else 2
        self.phases = self._measure(self._net_watts(local.hour + local.minute / 60))

    def readings(self) -> dict[str, Value]:
        """The meter's variables by their names, without those that this meter does not measure."""
        return self._totals() | self._per_phase()

    @property
    def flow(self) -> str:
        """The flow at the meter now, in words."""
        return f"{'feeds in' if self._watts < 0 else 'draws'} {abs(self._watts) / 1000:.3f} kW"

    def _seconds_since(self, local: datetime) -> float:
        if self._reached_at is None:
            return 0.0
        return min(max((local - self._reached_at).total_seconds(), 0.0), _LONGEST_STEP_SECONDS)

    def _count(self, seconds: float) -> None:
        hours = seconds / 3600
        net_kw = self._watts / 1000
        self._imported_kwh[self._tariff - 1] += max(net_kw, 0.0) * hours
        self._exported_kwh += max(-net_kw, 0.0) * hours
        self._reactive_kvarh += max(net_kw, 0.0) * _REACTIVE_SHARE * hours

    @property
    def _watts(self) -> int:
        return sum(phase.watts for phase in self.phases)

    def _net_watts(self, hour: float) -> int:
        morning = math.exp(-(((hour - 7.5) / 1.3) ** 2))
        evening = math.exp(-(((hour - 19.0) / 2.2) ** 2))
        load_kw = self._base_kw + self._peak_kw * max(0.6 * morning, evening)
        sun_kw = self._sun_kw * math.pow(max(0.0, math.sin(math.pi * (hour - 6.5) / 13)), 1.5)
        flicker = self._random.uniform(0.85, 1.15)
        return round(1000 * (load_kw * flicker - sun_kw * self._random.uniform(0.9, 1.0)))

    def _measure(self, watts: int) -> tuple[Phase, Phase, Phase]:
        if not self.has_three_phases:
            return Phase(watts, self._volts()), Phase(0, 0.0), Phase(0, 0.0)
        first, second = round(watts * 0.45), round(watts * 0.3)
        rest = watts - first - second
        return Phase(first, self._volts()), Phase(second, self._volts()), Phase(rest, self._volts())

    def _volts(self) -> float:
        return round(self._random.gauss(230.5, 0.9), 1)

    def _totals(self) -> dict[str, Value]:
        peak_tariff, off_peak = (round(register, 3) for register in self._imported_kwh)
        exported = round(self._exported_kwh, 3) or 0
        return {
            "1_8_0": round(peak_tariff + off_peak, 3),
            "1_8_1": peak_tariff,
            "1_8_2": off_peak,
            "2_8_0": exported,
            "energy.in": round(peak_tariff + off_peak, 3),
            "energy.out": exported,
            "1_7_0": _kilo(max(self._watts, 0)),
            "2_7_0": _kilo(max(-self._watts, 0)),
            "power.in": _kilo(max(self._watts, 0)),
            "power.out": _kilo(max(-self._watts, 0)),
            "3_8_0": round(self._reactive_kvarh, 3),
            "4_8_0": 0,
            "tariff": self._tariff,
            "conv_factor": 1,
        }

    def _per_phase(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for phase, place in zip(self.phases, (20, 40, 60), strict=True):
            imported, exported = max(phase.watts, 0), max(-phase.watts, 0)
            values[f"{place + 1}_7_0"] = _kilo(imported)
            values[f"{place + 2}_7_0"] = _kilo(exported)
            values[f"{place + 3}_7_0"] = _kilo(round(imported * _REACTIVE_SHARE))
            values[f"{place + 4}_7_0"] = 0
            values[f"{place + 11}_7_0"] = phase.amperes or 0
            values[f"{place + 12}_7_0"] = phase.volts or 0
        return values


def _kilo(watts: int) -> float | int:
    return watts / 1000 if watts else 0
