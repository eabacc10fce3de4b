"""
The whole line measured on one machine: mosquitto, a publisher, the forwarder as its own process, a receiver.

    python benchmarks/line [--extent full|short|quick] [--checkout PATH] [SCENARIO …]

Every run ends with a count, and a figure whose run lost a reading is void. Nothing is judged here: docs/performance.md
says what the figures should be. The raw figures of every run go to build/bench/results-<extent>.json, where those of
other scenarios stay as they are; plots.py draws from there. With --pages they go to docs/figures/bench.json as well,
and from there into the tables of docs/performance.md, docs/scaling.md and the README.

With --checkout the forwarder is that of another checkout, where `make setup` was run: call it in turn with and without
to compare two states of the program. Broker, publisher and receiver stay the same. Scenarios that begin with a backlog
need a checkout of the same schema.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from extent import FULL, QUICK, SHORT, Extent, Row
from parts import ROOT, Forwarder
from rich.console import Console
from rich.table import Table
from scenarios import REPLICAS, SCENARIOS

sys.path.append(str(ROOT))

from figures.place import commit, machine

EXTENTS = {"full": FULL, "short": SHORT, "quick": QUICK}
GROUPS = {"peers": ["peers-throughput", "peers-latency"], "replicas": [*REPLICAS]}
"""Names for several scenarios."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--extent", choices=EXTENTS, default="full")
    parser.add_argument("--rounds", type=int, help="runs of each, of which the median counts")
    parser.add_argument("--seconds", type=float, help="of each run")
    parser.add_argument(
        "--inflight",
        type=int,
        action="append",
        help="max_inflight_messages; 1000 and 20 unless told",
    )
    parser.add_argument(
        "--programs",
        default="",
        help="the other programs that take part, with commas; all of them unless told",
    )
    parser.add_argument(
        "--checkout",
        type=Path,
        help="whose forwarder is measured; this one's unless told",
    )
    parser.add_argument(
        "--pages", action="store_true", help="into docs/figures/bench.json and the pages, too"
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=", ".join([*SCENARIOS, *GROUPS])
    )
    options = parser.parse_args()
    if options.checkout:
        Forwarder.checkout = options.checkout.resolve()
        if options.pages:
            parser.error("--pages tells of this checkout alone")
    extent = EXTENTS[options.extent]
    extent = replace(
        extent,
        rounds=options.rounds or extent.rounds,
        seconds=options.seconds or extent.seconds,
        inflights=tuple(options.inflight or extent.inflights),
        programs=tuple(name for name in options.programs.split(",") if name),
    )
    console = Console(width=170)
    described = machine(ROOT / "build" / "bench")
    console.print(described)
    for name in _chosen(options.scenarios, parser):
        load = os.getloadavg()[0]
        started = time.monotonic()
        rows = list(SCENARIOS[name](extent))
        show(console, name, rows)
        console.print(f"load average before: {load:.1f}; took {time.monotonic() - started:.0f} s")
        told = _told(rows, extent, load, described)
        record(ROOT / "build" / "bench" / f"results-{options.extent}.json", name, told)
        if options.pages:
            record(ROOT / "docs" / "figures" / "bench.json", name, told)
    if options.pages:
        subprocess.run([sys.executable, "-m", "figures"], cwd=ROOT, check=True)


def _chosen(names: list[str], parser: argparse.ArgumentParser) -> list[str]:
    chosen = [one for name in names for one in GROUPS.get(name, [name])]
    if unknown := [name for name in chosen if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    return chosen or [*SCENARIOS]


def _told(rows: list[Row], extent: Extent, load: float, described: str) -> dict[str, Any]:
    """What is kept of one scenario."""
    return {
        "machine": described,
        "commit": commit(Forwarder.checkout),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": round(load, 1),
        "extent": asdict(extent),
        "rows": [asdict(row) for row in rows],
    }


def record(path: Path, scenario: str, told: dict[str, Any]) -> None:
    """Put one scenario's figures in the place of those that it had; the others stay."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    scenarios = kept.get("scenarios", {}) | {scenario: told}
    path.write_text(json.dumps({"scenarios": scenarios}, indent=1, ensure_ascii=False) + "\n")


def show(console: Console, name: str, rows: list[Row]) -> None:
    table = Table(title=name, title_justify="left")
    table.add_column("figure")
    table.add_column("measured")
    for row in rows:
        table.add_row(
            row.figure, f"void: readings are missing ({row.value})" if row.is_void else row.value
        )
    console.print(table)


if __name__ == "__main__":
    main()
