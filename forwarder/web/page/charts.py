"""Charts draw numbers as SVG paths; pure. Nothing here is markup: a template puts the text into an attribute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forwarder.outbox import Minute

WIDTH = 240.0
HEIGHT = 48.0
MINUTES = 60
"""Minutes that are drawn."""
MINUTE_SECONDS = 60
SETTLING_SECONDS = 15
"""The time after its end in which a minute may not be kept yet. The minute before it is drawn last then."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The last hour of an amount, a value a minute, with the last whole minute at the right."""

    values: Sequence[float]
    top: float
    """The value at the upper edge."""

    @property
    def line(self) -> str:
        """The `d` of a path in a box of WIDTH and HEIGHT."""
        return line_path(self.values, top=self.top)

    @property
    def area(self) -> str:
        return area_path(self.values, top=self.top)

    @property
    def last(self) -> float:
        return self.values[-1]

    @property
    def most(self) -> float:
        return max(self.values)

    @property
    def total(self) -> float:
        return sum(self.values)


def curves_of(
    minutes: Sequence[Minute], *amounts: Callable[[Minute], float], now: float
) -> list[Curve]:
    """A curve for each amount, all to one scale. A minute that is not kept counts as zero."""
    kept = {one.at: one for one in minutes}
    last = int(now) // MINUTE_SECONDS * MINUTE_SECONDS - MINUTE_SECONDS
    if last not in kept and now - last - MINUTE_SECONDS < SETTLING_SECONDS:
        last -= MINUTE_SECONDS
    drawn = [kept.get(last - back * MINUTE_SECONDS) for back in reversed(range(MINUTES))]
    every = [[amount(one) if one else 0.0 for one in drawn] for amount in amounts]
    top = nice_top([value for values in every for value in values])
    return [Curve(values, top) for values in every]


def line_path(values: Sequence[float], *, top: float) -> str:
    """The `d` of a line through the values, left to right; `top` is the value at the upper edge. Empty for none."""
    points = _points(values, top)
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points) if points else ""


def area_path(values: Sequence[float], *, top: float) -> str:
    """The `d` of such a line, closed along the lower edge."""
    line = line_path(values, top=top)
    return f"{line}L{WIDTH:g},{HEIGHT:g}L0,{HEIGHT:g}Z" if line else ""


def nice_top(values: Sequence[float]) -> float:
    """A round number that no value exceeds: 1, 2 or 5 times a power of ten."""
    most = max(values, default=0.0)
    power = 1.0
    while power * 10 <= most:
        power *= 10
    while most and power > most:
        power /= 10
    return (
        next((power * factor for factor in (1, 2, 5, 10) if power * factor >= most), power) or 1.0
    )


def share(part: float, whole: float) -> float:
    """A share from 0 to 100, for the width of a bar."""
    return 0.0 if whole <= 0 else round(min(max(part / whole, 0.0), 1.0) * 100, 1)


def _points(values: Sequence[float], top: float) -> list[tuple[float, float]]:
    if not values or top <= 0:
        return []
    step = WIDTH / max(len(values) - 1, 1)
    inner = HEIGHT - 2  # the line is two wide, and stays within its box
    return [
        (round(index * step, 1), round(1 + inner * (1 - min(value / top, 1.0)), 1))
        for index, value in enumerate(values)
    ]
