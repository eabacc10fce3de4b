"""How much is measured, and what a scenario says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WARM_UP_SECONDS = 2.0


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    seconds: float
    rounds: int
    pending: int
    backlog: int
    fleet_devices: int
    fleet_endpoints: int
    fleet_seconds: float
    inflights: tuple[int, ...] = (1000, 20)
    """What the broker is told of `max_inflight_messages`, each in turn."""
    programs: tuple[str, ...] = ()
    """The other programs that take part; all that are installed, unless some are named."""


FULL = Extent(60, 5, 1_000_000, 100_000, 100_000, 5_000, 600)
SHORT = Extent(6, 3, 1_000_000, 100_000, 100_000, 5_000, 60)
QUICK = Extent(4, 1, 100_000, 10_000, 10_000, 500, 8)


@dataclass(frozen=True)
class Row:
    """A line of a scenario's table."""

    figure: str
    value: str
    is_void: bool = False
    """Not everything that was published arrived."""
    runs: Sequence[Mapping[str, Any]] = ()
    """The raw figures of each run that it comes from."""
