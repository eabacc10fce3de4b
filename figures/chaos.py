"""The tables of docs/reliability.md, from docs/figures/chaos.json. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from figures.marks import item, table

Run: TypeAlias = Mapping[str, Any]
_FORMS = {"full": "full", "short": "short form"}
_ENGINES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


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
        _FORMS[run["form"]],
        str(sum(one["skipped"] is None for one in run["results"])),
        f"{sum(one['hit'] for one in played):,}",
        f"{sum(one['owed'] for one in played):,}",
        *(
            f"{sum(one['verdict'][figure] for one in played):,}"
            for figure in ("delivered", "duplicates", "lost", "inversions")
        ),
        str(wrong) if wrong else "nothing",
    )


def scenarios_table(runs: Sequence[Run]) -> str:
    """Each scenario, summed over the runs."""
    head = ("scenario", "what is done", "owed", "lost")
    names = dict.fromkeys(one["scenario"] for run in runs for one in run["results"])
    return table(head, (_scenario_row(name, runs) for name in names))


def _scenario_row(name: str, runs: Sequence[Run]) -> Sequence[str]:
    every = [one for run in runs for one in run["results"] if one["scenario"] == name]
    played = [one for one in every if one["skipped"] is None]
    if not played:
        return f"`{name}`", every[0]["what"], "", f"skipped: {every[0]['skipped']}"
    return (
        f"`{name}`",
        every[0]["what"],
        f"{sum(one['owed'] for one in played):,}",
        _lost(played),
    )


def _lost(played: Sequence[Run]) -> str:
    lost = f"{sum(one['verdict']['lost'] for one in played):,}"
    excused = sum(one["excused"] for one in played)
    if played[0]["is_control"]:
        return f"{lost}, as it must" if lost != "0" else "0, and it must lose some"
    return f"{lost}; {excused:,} excused" if excused else lost


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
    return "".join(
        item(
            f"seed {run['seed']}: {run['measured_at'][:10]}, commit {run['commit']}: {run['machine']},"
            f" load average {run['load_before']} before it"
        )
        for run in runs
    )
