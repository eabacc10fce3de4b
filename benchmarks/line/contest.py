"""The forwarder and the other programs that are installed, in turn, on the same broker and receiver."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from extent import WARM_UP_SECONDS, Extent, Row
from parts import Part, endpoint
from peers import Peer, Program, installed, missing
from run import Figures, Line, a_line

RATES = (20, 200, 1000)
BATCH = {"batch": {"max_events": 100, "max_wait": "1s"}}
AHEAD = 2_000
AHEAD_OF_BATCHES = 10_000


@dataclass(frozen=True)
class Contender:
    """A program in one of its forms, and how it joins a line."""

    name: str
    join: Callable[[Line], Part]
    is_ours: bool = False
    ahead: int = AHEAD


Runs: TypeAlias = dict[tuple[str, int], list[Figures]]
"""By contender, and by what was varied."""


def _forwarder(line: Line, settings: dict[str, Any]) -> Part:
    forwarder = line.forwarder({"all": endpoint(line.receiver.port, **settings)})
    forwarder.wait_subscribed()
    return forwarder


def _peer(program: Program, line: Line) -> Part:
    return line.peer(Peer(program, line))


ALONE = Contender("forwarder", partial(_forwarder, settings={}), is_ours=True)
BATCHED = Contender(
    "forwarder, 100 per POST", partial(_forwarder, settings=BATCH), is_ours=True,
    ahead=AHEAD_OF_BATCHES,
)  # fmt: skip


def _others(extent: Extent) -> list[Contender]:
    return [
        Contender(program.name, partial(_peer, program))
        for program in installed()
        if not extent.programs or program.name in extent.programs
    ]


def peers_throughput(extent: Extent) -> Iterator[Row]:
    """As fast as each can, with 1,000 unacknowledged messages and with mosquitto's own 20."""
    contenders = [ALONE, BATCHED, *_others(extent)]
    runs: Runs = defaultdict(list)
    for _ in range(extent.rounds):
        for max_inflight in extent.inflights:
            for one in contenders:
                with a_line(max_inflight=max_inflight) as line:
                    figures = line.load(
                        one.join(line),
                        warm_up=WARM_UP_SECONDS,
                        ahead=one.ahead,
                        seconds=extent.seconds,
                    )
                runs[one.name, max_inflight].append(figures)
    yield from _missing()
    for max_inflight in extent.inflights:
        for one in contenders:
            found = runs[one.name, max_inflight]
            yield _row(
                f"{one.name}, inflight {max_inflight}",
                f"{_rate(found):,.0f}/s, {_cpu(found):.0f} µs a reading, peak {_peak(found):.0f} MB"
                + _typical(found).said_of_commits,
                found,
                program=one.name,
                max_inflight=max_inflight,
            )
        yield from _throughput_ratios(contenders, runs, max_inflight)


def _throughput_ratios(contenders: list[Contender], runs: Runs, max_inflight: int) -> Iterator[Row]:
    for ours, other in _pairs(contenders):
        mine, its = runs[ours.name, max_inflight], runs[other.name, max_inflight]
        yield Row(
            f"{ours.name} to {other.name}, inflight {max_inflight}",
            f"rate {_rate(mine) / _rate(its):.2f}, CPU {_cpu(mine) / _cpu(its):.2f},"
            f" memory {_peak(mine) / _peak(its):.2f}",
        )


def peers_latency(extent: Extent) -> Iterator[Row]:
    """From publish to 2xx, at three paces."""
    contenders = [ALONE, *_others(extent)]
    runs: Runs = defaultdict(list)
    for _ in range(extent.rounds):
        for rate in RATES:
            for one in contenders:
                with a_line() as line:
                    part = one.join(line)
                    line.load(part, rate=rate, seconds=1)
                    runs[one.name, rate].append(line.load(part, rate=rate, seconds=extent.seconds))
    yield from _missing()
    for rate in RATES:
        for one in contenders:
            found = runs[one.name, rate]
            yield _row(
                f"{one.name} at {rate}/s",
                _latencies(found, rate),
                found,
                program=one.name,
                rate_asked=rate,
            )
        for ours, other in _pairs(contenders):
            mine, its = runs[ours.name, rate], runs[other.name, rate]
            ratios = ", ".join(
                f"{name} {middle(mine, part) / middle(its, part):.2f}"
                for name, part in _quantiles(rate)
            )
            yield Row(f"{ours.name} to {other.name} at {rate}/s", ratios)


def _latencies(found: list[Figures], rate: int) -> str:
    parts = [f"{name} {middle(found, part):.2f}" for name, part in _quantiles(rate)]
    return f"{', '.join(parts)} ms, {_cpu(found):.0f} µs a reading"


def _quantiles(rate: int) -> list[tuple[str, float]]:
    """At 20/s a run is too short for a thousandth of it."""
    return [("p50", 0.5), ("p99", 0.99), *([("p99.9", 0.999)] if rate >= 200 else [])]


def _pairs(contenders: list[Contender]) -> list[tuple[Contender, Contender]]:
    ours = [one for one in contenders if one.is_ours]
    return [(one, other) for one in ours for other in contenders if not other.is_ours]


def _missing() -> Iterator[Row]:
    for name in missing():
        yield Row(name, "not installed: make peers-setup")


def _row(figure: str, value: str, found: list[Figures], **what: str | int) -> Row:
    return Row(
        figure,
        value,
        is_void=not all(run.is_complete for run in found),
        runs=[what | run.raw() for run in found],
    )


def middle(runs: list[Figures], part: float) -> float:
    """The median over the runs of this quantile, in milliseconds."""
    return statistics.median(run.ms(part) for run in runs)


def _typical(runs: list[Figures]) -> Figures:
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


def _rate(runs: list[Figures]) -> float:
    return statistics.median(run.rate for run in runs)


def _cpu(runs: list[Figures]) -> float:
    return statistics.median(run.cpu_us for run in runs)


def _peak(runs: list[Figures]) -> float:
    return statistics.median(run.peak_mb for run in runs)
