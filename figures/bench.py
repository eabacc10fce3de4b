"""The tables of docs/performance.md and the README's figures, from docs/figures/bench.json. Pure."""

import operator
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from figures.marks import by_machine, table

Run: TypeAlias = Mapping[str, Any]
OURS, BATCHED = "forwarder", "forwarder, 100 per POST"
FORMS = ("singly", "100 per POST")
INFLIGHT = 20
"""mosquitto's own window; the plots show the larger one as well."""
FULL_AT = 0.7
"""How far a computed machine is filled: what a run keeps up with in time is less than what it sustains."""
PERIOD_SECONDS = 30
REPLICAS = "replicas-"
"""How the scenarios on PostgreSQL begin."""
LATEST_MS = 1000.0
"""When 99 of 100 readings have to have arrived."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of the file: where, when and how long it ran, and the raw figures of its runs."""

    name: str
    machine: str
    place: str
    """When, of which commit, and how long its runs took."""
    load: float
    """The load average before it: what else kept the cores busy."""
    rows: Sequence[Sequence[Run]]

    @property
    def runs(self) -> list[Run]:
        return [run for row in self.rows for run in row]

    def only(self, **what: object) -> list[Run]:
        return [one for one in self.runs if all(one.get(key) == what[key] for key in what)]


Scenarios: TypeAlias = Mapping[str, Scenario]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure, what it came to, and what it should be."""

    figure: str
    said: str
    runs: Sequence[Run]
    aim: str = ""
    value: float = 0.0
    bound: float = 0.0
    holds: Callable[[float, float], bool] = operator.le

    @property
    def is_sound(self) -> bool:
        """Whether no run has lost a reading; a start publishes none."""
        return all(run.get("is_complete", True) for run in self.runs)

    @property
    def measured(self) -> str:
        return self.said if self.is_sound else "void: readings are missing"

    @property
    def verdict(self) -> str:
        if not (self.aim and self.is_sound):
            return ""
        return "met" if self.holds(self.value, self.bound) else "**missed**"


def read(file: Mapping[str, Any]) -> Scenarios:
    return {
        name: Scenario(
            name,
            told["machine"],
            _place(name, told),
            told["load_before"],
            [row["runs"] for row in told["rows"]],
        )
        for name, told in file["scenarios"].items()
    }


def _place(name: str, told: Mapping[str, Any]) -> str:
    extent = told["extent"]
    when = f"{told['measured_at'][:10]}, commit {told['commit']}"
    if name.startswith(REPLICAS):
        return when
    runs = "1 run" if extent["rounds"] == 1 else f"{extent['rounds']} runs"
    return f"{when}, {runs} of {extent['seconds']:.0f} s"


def figures_table(scenarios: Scenarios) -> str:
    """Every figure beside its aim; a run that has lost a reading counts for nothing."""
    return table_of(
        row for one in SCENARIOS if one in scenarios for row in SCENARIOS[one](scenarios[one])
    )


def table_of(rows: Iterable[Row]) -> str:
    return table(
        ("figure", "measured", "aim", "verdict"),
        ((row.figure, row.measured, row.aim, row.verdict) for row in rows),
    )


def _peers_throughput(told: Scenario) -> Iterator[Row]:
    rival = told.only(program="mq-bridge", max_inflight=INFLIGHT)
    for program, form, aim in ((OURS, "one reading per POST", 0.4), (BATCHED, "100 per POST", 0.6)):
        runs = told.only(program=program, max_inflight=INFLIGHT)
        if not runs:
            continue
        said = f"{middle(runs, 'rate'):,.0f}/s, {_costs(runs)}"
        if not rival:
            yield Row(f"{form}, as fast as it can", said, runs)
            continue
        ratio = middle(runs, "rate") / middle(rival, "rate")
        yield Row(
            f"{form}, as fast as it can",
            f"{said}; {ratio:.2f} of mq-bridge's rate", [*runs, *rival],
            f"{aim:.2f}", ratio, aim, operator.ge,
        )  # fmt: skip


def _peers_latency(told: Scenario) -> Iterator[Row]:
    for rate in sorted({run["rate_asked"] for run in told.runs}):
        ours, other = (told.only(program=one, rate_asked=rate) for one in (OURS, "mqttwarn"))
        said = f"p50 {middle(ours, 'p50_ms'):.2f}, p99 {middle(ours, 'p99_ms'):.2f} ms"
        name = f"publish to 2xx at {rate:,}/s"
        if not other:
            yield Row(name, said, ours)
            continue
        ratio = middle(ours, "p99_ms") / middle(other, "p99_ms")
        half = middle(ours, "p50_ms") / middle(other, "p50_ms")
        said += f"; {half:.2f} and {ratio:.2f} of mqttwarn's"
        is_judged = rate == 200
        yield Row(name, said, [*ours, *other], "1.00" if is_judged else "", max(half, ratio), 1.0)


def _start(told: Scenario) -> Iterator[Row]:
    start, rest = middle(told.runs, "start_seconds"), middle(told.runs, "rest_mb")
    yield Row("start to subscribed, empty outbox", f"{start:.2f} s", told.runs, "2 s", start, 2.0)
    yield Row("resident memory at rest", f"{rest:.0f} MB", told.runs, "80 MB", rest, 80.0)


def _pending(told: Scenario) -> Iterator[Row]:
    start = middle([run for run in told.runs if "start_seconds" in run], "start_seconds")
    yield Row(
        "start to subscribed beside the backlog", f"{start:.2f} s", told.runs, "1 s", start, 1.0
    )
    yield _compared("cost of a reading beside the backlog, to without", told)


def _routing(told: Scenario) -> Iterator[Row]:
    yield _compared("cost of a reading with the fleet's devices and endpoints, to 10 and 1", told)


def _compared(figure: str, told: Scenario) -> Row:
    plain, more = (told.only(is_plain=one) for one in (True, False))
    ratio = middle(more, "cpu_us") / middle(plain, "cpu_us")
    said = f"{ratio:.2f} ({middle(more, 'cpu_us'):.0f} to {middle(plain, 'cpu_us'):.0f} µs)"
    return Row(figure, said, [*plain, *more], "1.20", ratio, 1.2)


def _drain(told: Scenario) -> Iterator[Row]:
    (run,) = told.runs
    said = f"{run['drain_rate']:,.0f}/s; fresh readings meanwhile p99 {run['fresh_p99_ms']:.0f} ms"
    yield Row("drain of a backlog", said, told.runs)


def _isolation(told: Scenario) -> Iterator[Row]:
    alone, beside = (told.only(is_alone=one) for one in (True, False))
    ratio = middle(beside, "p99_ms") / middle(alone, "p99_ms")
    said = f"{ratio:.2f} ({middle(beside, 'p99_ms'):.1f} to {middle(alone, 'p99_ms'):.1f} ms)"
    name = "p99 beside a dead, a mute, a busy and a slow endpoint, to alone"
    yield Row(name, said, told.runs, "1.50", ratio, 1.5)


def _fleet(told: Scenario) -> Iterator[Row]:
    (run,) = told.runs
    said = f"p99 {run['p99_ms']:.0f} ms, {_costs([run])}"
    name = f"{run['arrived']:,} readings of the fleet, every device once in {PERIOD_SECONDS} s"
    yield Row(name, said, [run], "p99 1 s", run["p99_ms"], LATEST_MS)


def _pages(told: Scenario) -> Iterator[Row]:
    plain, more = (told.only(load="full", has_pages=one) for one in (False, True))
    kept = middle(more, "rate") / middle(plain, "rate")
    cost = middle(more, "cpu_us") / middle(plain, "cpu_us")
    said = f"{kept:.3f}; {cost:.3f} of the CPU a reading"
    name = "rate with 20 open pages, 5,000 endpoints and 20,000 devices, to without"
    yield Row(name, said, [*plain, *more], "0.98", kept, 0.98, operator.ge)
    paced = {one: told.only(load="paced", has_pages=one) for one in (False, True)}
    before, after = (middle(paced[one], "p99_ms") for one in (False, True))
    said = f"{after - before:+.2f} ms ({before:.2f} to {after:.2f})"
    runs = [*paced[False], *paced[True]]
    yield Row("the same, p99 at 200/s", said, runs, "1 ms", after - before, 1.0)


def _latest(told: Scenario) -> Iterator[Row]:
    for runs, load in zip(told.rows, ("at full load", "at 1,000/s"), strict=True):
        yield _to_plain(f"`latest` {load}, to `every`", runs)


def _edits(told: Scenario) -> Iterator[Row]:
    yield _to_plain("an edit a second, to none", told.runs)


def _to_plain(figure: str, runs: Sequence[Run]) -> Row:
    plain, other = ([run for run in runs if run["is_plain"] is one] for one in (True, False))
    rate, cpu = (middle(other, key) / middle(plain, key) for key in ("rate", "cpu_us"))
    return Row(figure, f"{rate:.2f} of the rate, {cpu:.2f} of the CPU", runs)


def _account(told: Scenario) -> Iterator[Row]:
    """The whole, and in the last row of the scenario its parts, each run alone."""
    whole = middle(told.rows[0], "cpu_us")
    alone = told.rows[-1]
    parts = {name: middle(alone, name) for name in alone[0]}
    dearest_first = sorted(parts, key=lambda name: -parts[name])
    said = ", ".join(f"{name} {parts[name]:.0f}" for name in dearest_first)
    ratio = whole / sum(parts.values())
    name = "CPU of a reading singly, to the sum of its parts, each alone"
    yield Row(name, f"{ratio:.2f} ({whole:.0f} µs; {said})", told.runs)


SCENARIOS: Mapping[str, Callable[[Scenario], Iterator[Row]]] = {
    "peers-throughput": _peers_throughput,
    "peers-latency": _peers_latency,
    "start": _start,
    "pending": _pending,
    "routing": _routing,
    "fleet": _fleet,
    "isolation": _isolation,
    "drain": _drain,
    "pages": _pages,
    "latest": _latest,
    "edits": _edits,
    "account": _account,
}


def devices_table(scenarios: Scenarios) -> str:
    """How many devices one machine takes, for a buyer."""
    return table(("where", *FORMS), _devices_run(scenarios))


def _devices_run(scenarios: Scenarios) -> Iterator[Sequence[str]]:
    if told := scenarios.get("devices"):
        cells = (_served(told.only(form=form)[0]) for form in FORMS)
        yield "one machine of 2 cores", *cells


def _served(run: Run) -> str:
    said = f"p99 {run['p99_ms']:,.0f} ms"
    is_in_time = run["is_complete"] and run["p99_ms"] < LATEST_MS
    return (
        f"**{run['devices']:,}**, {said}"
        if is_in_time
        else f"fewer than {run['devices']:,}, {said}"
    )


def places_list(scenarios: Scenarios, *, are_replicas: bool = False) -> str:
    """Where and when what was measured, on PostgreSQL or else; scenarios that share all that share an entry."""
    places: dict[tuple[str, str], list[Scenario]] = {}
    for one in scenarios.values():
        if one.name.startswith(REPLICAS) == are_replicas:
            places.setdefault((one.machine, one.place), []).append(one)
    return by_machine(
        (machine, f"{_told_of(group)}: {place}, load average {_loads(group)}")
        for (machine, place), group in places.items()
    )


def _told_of(group: Sequence[Scenario]) -> str:
    return ", ".join(f"`{one.name}`" for one in group)


def _loads(group: Sequence[Scenario]) -> str:
    loads = [one.load for one in group]
    return " to ".join(f"{load}" for load in sorted({min(loads), max(loads)}))


def three_figures(scenarios: Scenarios) -> str:
    """What the README begins with."""
    served = scenarios["devices"].only(form="singly")[0]
    latency = scenarios["peers-latency"].only(program=OURS, rate_asked=200)
    rest = scenarios["start"].runs
    return table(
        ("devices at 30 s, one machine of 2 cores", "publish to 2xx at 200/s", "memory at rest"),
        [
            (
                _served(served),
                f"**p50 {middle(latency, 'p50_ms'):.1f} ms**, p99 {middle(latency, 'p99_ms'):.1f}",
                f"**{middle(rest, 'rest_mb'):.0f} MB**",
            )
        ],
    )


def middle(runs: Sequence[Run], figure: str) -> float:
    return float(statistics.median(run[figure] for run in runs))


def _costs(runs: Sequence[Run]) -> str:
    return f"{middle(runs, 'cpu_us'):.0f} µs a reading, {middle(runs, 'peak_mb'):.0f} MB"
