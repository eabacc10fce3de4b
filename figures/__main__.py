"""`python -m figures`: writes the tables of the pages anew from the results files."""

import json
from collections.abc import Sequence
from pathlib import Path

from figures import bench, chaos, replicas
from figures.marks import with_text
from figures.place import ROOT

DOCS = ROOT / "docs"
PAGES = (
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in ("performance", "scaling", "reliability")),
)
BENCH, CHAOS = "make bench", "make chaos"


def chaos_runs() -> Sequence[chaos.Run]:
    runs: Sequence[chaos.Run] = json.loads((DOCS / "figures/chaos.json").read_text())["runs"]
    return runs


def texts() -> dict[Path, dict[tuple[str, str], str]]:
    """What stands between the marks of each page, by the mark's name and command."""
    measured = bench.read(json.loads((DOCS / "figures/bench.json").read_text()))
    runs = chaos_runs()
    readme, performance, scaling, reliability = PAGES
    return {
        readme: {("figures", BENCH): bench.three_figures(measured)},
        performance: {
            ("devices", BENCH): bench.devices_table(measured),
            ("figures", BENCH): bench.figures_table(measured),
            ("places", BENCH): bench.places_list(measured),
        },
        scaling: {
            ("figures", BENCH): replicas.figures_table(measured),
            ("costs", BENCH): replicas.costs_table(measured),
            ("devices", BENCH): replicas.devices_table(measured),
            ("places", BENCH): bench.places_list(measured, are_replicas=True),
        },
        reliability: {
            ("runs", CHAOS): chaos.runs_table(runs),
            ("findings", CHAOS): chaos.findings_list(runs),
            ("places", CHAOS): chaos.places_list(runs),
        },
    }


def made() -> dict[Path, str]:
    """What every page and list is to hold. Raises ValueError for a page that has no place for a table."""
    files = {DOCS / "chaos.csv": chaos.scenarios_list(chaos_runs())}
    for path, own in texts().items():
        page = path.read_text()
        for (name, command), text in own.items():
            page = with_text(page, name, command, text)
        files[path] = page
    return files


if __name__ == "__main__":
    for path, content in made().items():
        path.write_text(content)
