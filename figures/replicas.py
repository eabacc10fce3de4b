"""The tables of docs/scaling.md, from the scenarios of docs/figures/bench.json that ran on PostgreSQL. Pure."""

import operator
from collections.abc import Iterator, Sequence

from figures.bench import (
    FORMS,
    FULL_AT,
    INFLIGHT,
    PERIOD_SECONDS,
    Row,
    Run,
    Scenario,
    Scenarios,
    middle,
    table_of,
)
from figures.marks import table

COUNTS = (1, 2, 4)
DATABASE_CORES = 4
BEYOND_ONE, BEYOND_TWO = 2.0, 1.3
"""How much more a reading may cost with four replicas than with one, or with two."""
PAID_BY = ("replicas", "database")
PARTS_OF_COST = ("replicas", "leader", "database")


def figures_table(scenarios: Scenarios) -> str:
    """Every figure beside its aim."""
    return table_of(row for name in PARTS for row in PARTS[name](scenarios[name]))


def _ingest(told: Scenario) -> Iterator[Row]:
    runs = told.only(max_inflight=INFLIGHT)
    yield _rate("stored and acknowledged by a leader, its endpoint paused", runs)


def _full(told: Scenario) -> Iterator[Row]:
    for form in FORMS:
        row = _rate(f"one replica, {form}", told.only(form=form))
        yield row if form == FORMS[1] else Row(row.figure, row.said, row.runs)


def _rate(figure: str, runs: Sequence[Run]) -> Row:
    rate = middle(runs, "rate")
    costs = " + ".join(f"{middle(runs, f'{part}_us'):.0f}" for part in PAID_BY)
    said = f"{rate:,.0f}/s, {costs} µs"
    return Row(figure, said, runs, "10,000/s", rate, 10_000.0, operator.ge)


def _costs(told: Scenario) -> Iterator[Row]:
    """The worse growth of the two parts counts, in the worse of the two forms."""
    for few, bound in ((1, BEYOND_ONE), (2, BEYOND_TWO)):
        said, worst = [], 0.0
        for form in FORMS:
            less, more = (told.only(form=form, replicas=count) for count in (few, 4))
            ratios = [middle(more, f"{part}_us") / middle(less, f"{part}_us") for part in PAID_BY]
            said.append(f"{ratios[0]:.2f} + {ratios[1]:.2f} {form}")
            worst = max(worst, *ratios)
        name = f"CPU a reading, four replicas to {few}"
        yield Row(name, ", ".join(said), told.runs, f"{bound:.2f}", worst, bound)


def _latency(told: Scenario) -> Iterator[Row]:
    for count in sorted({run["replicas"] for run in told.runs}):
        runs = told.only(replicas=count)
        p99 = middle(runs, "p99_ms")
        said = f"p50 {middle(runs, 'p50_ms'):.1f}, p99 {p99:.1f} ms"
        name = f"publish to 2xx at 200/s, replicas: {count}"
        yield Row(name, said, runs, "20 ms", p99, 20.0)


def _takeover(told: Scenario) -> Iterator[Row]:
    seconds, pending = middle(told.runs, "takeover_seconds"), told.runs[0]["pending"]
    name = f"a home's release to its first attempt elsewhere, {pending:,} pending"
    yield Row(name, f"{seconds:.2f} s", told.runs, "2 s", seconds, 2.0)


PARTS = {
    "replicas-ingest": _ingest,
    "replicas-full": _full,
    "replicas-costs": _costs,
    "replicas-latency": _latency,
    "replicas-takeover": _takeover,
}


def costs_table(scenarios: Scenarios) -> str:
    """What a reading costs at the same total rate, by how many replicas there are."""
    told = scenarios["replicas-costs"]
    rows = []
    for form in FORMS:
        by_count = [told.only(form=form, replicas=count) for count in COUNTS]
        rate = by_count[0][0]["rate_asked"]
        rows.append((f"{form}, {rate:,.0f}/s", *map(_cost, by_count)))
    heads = [f"replicas: {count}" for count in COUNTS]
    return table(("µs a reading", *heads), rows)


def _cost(runs: Sequence[Run]) -> str:
    own, leader, database = (middle(runs, f"{part}_us") for part in PARTS_OF_COST)
    return f"{own:.0f} ({leader:.0f}) + {database:.0f}"


def devices_table(scenarios: Scenarios) -> str:
    """How many devices n machines carry, computed."""
    full, paced = scenarios["replicas-full"], scenarios["replicas-costs"]
    rows = [
        (
            str(count),
            *(
                f"{devices_of(full.only(form=form), *(paced.only(form=form, replicas=one) for one in (1, count))):,}"
                for form in FORMS
            ),
        )
        for count in COUNTS
    ]
    return table(("replicas", *(f"{form}, computed" for form in FORMS)), rows)


def devices_of(full: Sequence[Run], one: Sequence[Run], some: Sequence[Run]) -> int:
    """
    Devices that so many replicas carry as `some` ran with, rounded down to 1,000.

    What a reading costs one replica and its database at full load grows as it does at the same rate from `one` replica
    to `some`. A replica fills one core, the database `DATABASE_CORES`, each to `FULL_AT`; whichever is full first is
    the end.
    """
    of_replicas = 1e6 / (middle(full, "replicas_us") * busiest_us(some) / busiest_us(one))
    growth = middle(some, "database_us") / middle(one, "database_us")
    of_database = DATABASE_CORES * 1e6 / (middle(full, "database_us") * growth)
    return int(min(of_replicas, of_database) * FULL_AT * PERIOD_SECONDS / 1000) * 1000


def busiest_us(runs: Sequence[Run]) -> float:
    """What a reading costs the busiest replica: the leader, unless the others have more to do."""
    leader, others = middle(runs, "leader_us"), int(runs[0]["replicas"]) - 1
    return max(leader, (middle(runs, "replicas_us") - leader) / max(1, others))
