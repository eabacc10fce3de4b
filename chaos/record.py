"""Keeps what a run came to, in docs/figures/chaos.json, from which the pages have their tables."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from chaos.run import Result
from figures.place import ROOT, commit, machine

FILE = ROOT / "docs" / "figures" / "chaos.json"
Run: TypeAlias = Mapping[str, Any]


def begun(*, seed: str, engine: str, form: str, folder: Path) -> Run:
    """A run that has played nothing yet: of what program it is, and where it is played."""
    return {
        "seed": seed,
        "engine": engine,
        "form": form,
        "commit": commit(),
        "machine": machine(folder),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": round(os.getloadavg()[0], 1),
        "results": [],
    }


def record(run: Run, results: Sequence[Result]) -> None:
    """Put what has been played so far into the file, so that a run which is cut short leaves it."""
    kept = json.loads(FILE.read_text())["runs"] if FILE.exists() else []
    content = {"runs": with_run(kept, {**run, "results": [asdict(one) for one in results]})}
    FILE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def with_run(kept: Sequence[Run], run: Run) -> list[Run]:
    """The runs of this one's program and form alone, of each engine: figures of two programs add up to nothing."""
    alike = [one for one in kept if one["engine"] != run["engine"] or _is_alike(one, run)]
    before = next((one for one in alike if _is_same(one, run)), run)
    others = [one for one in alike if not _is_same(one, run)]
    return [*others, {**run, "results": _merged(before["results"], run["results"])}]


def _is_alike(one: Run, other: Run) -> bool:
    return all(one[key] == other[key] for key in ("commit", "form"))


def _is_same(one: Run, other: Run) -> bool:
    return all(one[key] == other[key] for key in ("seed", "engine"))


def _merged(before: Sequence[Run], now: Sequence[Run]) -> list[Run]:
    """A scenario that is played again takes its own place; the others stay."""
    by_name = {one["scenario"]: one for one in before} | {one["scenario"]: one for one in now}
    return [*by_name.values()]
