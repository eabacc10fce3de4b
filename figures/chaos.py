"""The tables of docs/reliability.md and the list docs/chaos.csv, from docs/figures/chaos.json. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from figures.marks import by_machine, item, listed, table

Run: TypeAlias = Mapping[str, Any]
Result: TypeAlias = Mapping[str, Any]
_ENGINES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_VERDICT = ("delivered", "duplicates", "lost", "inversions")


def runs_table(runs: Sequence[Run]) -> str:
    """Each run in sum, its controls left out."""
    figures = ("faults", "owed", "delivered", "twice", "lost", "not in order", "wrong")
    head = ("seed", "outbox", "form", "scenarios", *figures)
    return table(head, map(_run_row, runs))


def _run_row(run: Run) -> Sequence[str]:
    played = [one for one in run["results"] if one["skipped"] is None and not one["is_control"]]
    wrong = sum(len(one["findings"]) for one in run["results"])
    return (
        run["seed"],
        _ENGINES[run["engine"]],
        run["form"],
        str(sum(one["skipped"] is None for one in run["results"])),
        f"{sum(one['hit'] for one in played):,}",
        f"{sum(one['owed'] for one in played):,}",
        *(f"{sum(one['verdict'][figure] for one in played):,}" for figure in _VERDICT),
        str(wrong) if wrong else "nothing",
    )


def scenarios_list(runs: Sequence[Run]) -> str:
    """A CSV file with a row for each scenario of each run."""
    figures = ("faults", "owed", "delivered", "twice", "lost", "not in order")
    head = ("scenario", "what is done", "outbox", "seed", *figures, "note")
    return listed(head, (_scenario_row(one, run) for run in runs for one in run["results"]))


def _scenario_row(one: Result, run: Run) -> Sequence[str]:
    told = (one["scenario"], one["what"], _ENGINES[run["engine"]], run["seed"])
    if one["skipped"] is not None:
        return *told, *[""] * 6, f"skipped: {one['skipped']}"
    verdict = (one["verdict"][figure] for figure in _VERDICT)
    return *told, str(one["hit"]), str(one["owed"]), *map(str, verdict), _note(one)


def _note(one: Result) -> str:
    if one["is_control"]:
        return "must lose" if one["verdict"]["lost"] else "must lose, and lost nothing"
    excused = [f"{one['excused']} excused"] if one["excused"] else []
    return "; ".join([*excused, *map(str.strip, one["findings"])])


def findings_list(runs: Sequence[Run]) -> str:
    """What was wrong, in the suite's own words."""
    said = [*_findings(runs)]
    return "".join(said) or "Nothing was wrong.\n"


def _findings(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        for one in run["results"]:
            for finding in one["findings"]:
                yield item(f"seed {run['seed']}, `{one['scenario']}`: {finding}")


def places_list(runs: Sequence[Run]) -> str:
    return by_machine((run["machine"], _told_of(run)) for run in runs)


def _told_of(run: Run) -> str:
    when = f"{run['measured_at'][:10]}, commit {run['commit']}"
    return f"seed {run['seed']}: {when}, load average {run['load_before']}"
