"""Whether a quantity grows: a slope that single peaks do not move, against what is allowed. Pure."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from chaos.endurance.entries import Sample

WARM_UP = 1 / 3
"""This part of a run is left out: caches fill, retention begins, each kind of fault comes for the first time."""
TEN_MINUTES = 600.0


@dataclass(frozen=True)
class Bound:
    """What a quantity may do after the warm-up."""

    quantity: str
    """A field of Sample."""
    rise: float
    """At most so much more every ten minutes, by the slope."""
    most: float = float("inf")
    """Never more than that, not in a single sample."""


@dataclass(frozen=True)
class Finding:
    """One quantity against its bound."""

    bound: Bound
    rise: float
    """In ten minutes, by the slope; less than zero when it falls."""
    median: float
    most: float

    @property
    def is_flat(self) -> bool:
        return self.rise <= self.bound.rise and self.most <= self.bound.most

    def __str__(self) -> str:
        bound = self.bound
        is_bytes = bound.quantity.endswith("_bytes")
        rise, allowed, median, most = (
            _for_people(each, is_bytes=is_bytes)
            for each in (self.rise, bound.rise, self.median, self.most)
        )
        name = bound.quantity.removesuffix("_bytes")
        said = f"{name}: {rise} in 10 minutes ({allowed} allowed); median {median}, most {most}"
        if bound.most == float("inf"):
            return said
        return f"{said} ({_for_people(bound.most, is_bytes=is_bytes)} allowed)"


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """What is left of a run without its warm-up."""
    if not samples:
        return []
    begins = samples[0].at + WARM_UP * (samples[-1].at - samples[0].at)
    return [sample for sample in samples if sample.at >= begins]


def examine(samples: Sequence[Sample], bounds: Sequence[Bound]) -> Iterator[Finding]:
    """Each bound, with what the run after its warm-up says of it; raises ValueError below ten samples."""
    rest = settled(samples)
    if len(rest) < 10:
        raise ValueError(f"{len(rest)} samples after the warm-up are too few to tell a slope")
    moments = [sample.at for sample in rest]
    for bound in bounds:
        values = [float(getattr(sample, bound.quantity)) for sample in rest]
        slope = theil_sen(moments, values)
        yield Finding(bound, slope * TEN_MINUTES, statistics.median(values), max(values))


def theil_sen(moments: Sequence[float], values: Sequence[float]) -> float:
    """
    The median of the slopes between all pairs of points, per unit of `moments`.

    Up to 29 % of the points may be anything without moving it far (Sen 1968), which a line of least squares cannot say.
    """
    points = zip(moments, values, strict=True)
    slopes = (
        (later - earlier) / (end - start)
        for (start, earlier), (end, later) in combinations(points, 2)
        if end != start
    )
    return statistics.median(slopes)


def _for_people(value: float, *, is_bytes: bool) -> str:
    return f"{value / (1 << 20):.2f} MiB" if is_bytes else f"{value:.0f}"
