"""
The whole line measured on one machine: mosquitto, a publisher, the forwarder as its own process, a receiver.

    python benchmarks/line [--extent full|short|quick] [SCENARIO …]

Every run ends with a count, and a figure whose run lost a reading is void. Nothing is judged here: docs/performance.md
says what the figures should be.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

from parts import ROOT
from rich.console import Console
from rich.table import Table
from scenarios import FULL, QUICK, SCENARIOS, SHORT, Row

EXTENTS = {"full": FULL, "short": SHORT, "quick": QUICK}


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line for line in lines if line.startswith("model name")).partition(": ")[2]
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--extent", choices=EXTENTS, default="full")
    parser.add_argument("--rounds", type=int, help="runs of each, of which the median counts")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    options = parser.parse_args()
    extent = EXTENTS[options.extent]
    extent = replace(extent, rounds=options.rounds or extent.rounds)
    console = Console(width=170)
    console.print(machine())
    rows: dict[str, list[Row]] = {}
    for name in options.scenarios or SCENARIOS:
        load = os.getloadavg()[0]
        started = time.monotonic()
        rows[name] = list(SCENARIOS[name](extent))
        show(console, name, rows[name])
        console.print(f"load average before: {load:.1f}; took {time.monotonic() - started:.0f} s")
    plain = {name: [vars(row) for row in found] for name, found in rows.items()}
    results = ROOT / "build" / "bench" / f"results-{options.extent}.json"
    results.write_text(
        json.dumps({"machine": machine(), "rows": plain}, indent=1, ensure_ascii=False)
    )


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
