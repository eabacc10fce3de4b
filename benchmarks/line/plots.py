"""
Draws the forwarder beside the other programs from the recorded figures of `make bench ARGS=peers`.

    build/plots/bin/python benchmarks/line/plots.py [--results docs/figures/bench.json] [--to docs/images]

Each bar or mark is the median over the runs, each small dot a run. Needs matplotlib, and nothing of this project.
"""

import argparse
import json
import statistics
import textwrap
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

ROOT = Path(__file__).parents[2]
INK, PALE, GRID = "#2b2f36", "#6b7280", "#e5e7eb"
OURS, BATCHED, OTHERS = "#2563a8", "#7fb0de", "#a8adb5"
BASE = "forwarder"
DPI = 160
LETTERS_PER_INCH = 14
"""Of the note below a drawing."""
FAR_MS = 50.0
QUANTILES = {"p50": "p50_ms", "p99": "p99_ms", "p99.9": "p99.9_ms"}

Run = dict[str, Any]
Groups = dict[int, dict[str, list[Run]]]


def groups(told: dict[str, Any], key: str) -> Groups:
    """Raw runs by what was varied and by program, both in the order in which they were measured."""
    found: defaultdict[int, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for row in told["rows"]:
        for run in row["runs"]:
            found[run[key]][run["program"]].append(run)
    named = {
        varied: {told_name(name, runs): runs for name, runs in programs.items()}
        for varied, programs in found.items()
    }
    if not all(BASE in programs for programs in named.values()):
        raise SystemExit(
            "a run of the forwarder itself has lost readings: there is nothing to draw"
        )
    return named


def told_name(program: str, runs: list[Run]) -> str:
    """Figures of a run that has lost readings tell nothing, and must not look as if they did."""
    return (
        program if all(run["is_complete"] for run in runs) else f"{program} (void: readings lost)"
    )


def median(runs: list[Run], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


def colour(program: str) -> str:
    if program == BASE:
        return OURS
    return BATCHED if program.startswith(BASE) else OTHERS


def calm(axes: Axes) -> None:
    """Nothing on the axes that does not help to read them."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(which="both", length=0, colors=PALE, labelsize=9)
    axes.set_axisbelow(True)


def bars(
    axes: Axes, programs: dict[str, list[Run]], figure: str, say: Callable[[float], str]
) -> None:
    """A bar for each program; beside it the median, and how many times the forwarder's it is."""
    names = list(programs)
    medians = {name: median(programs[name], figure) for name in names}
    widest = max(run[figure] for runs in programs.values() for run in runs)
    for place, name in enumerate(names):
        axes.barh(place, medians[name], height=0.58, color=colour(name))
        values = [run[figure] for run in programs[name]]
        axes.plot(values, [place] * len(values), "o", color=INK, markersize=2.5, alpha=0.6)
        ratio = "" if name == BASE else f"   {times(medians[name] / medians[BASE])}"
        edge = max([medians[name], *values])
        text = f"{say(medians[name])}{ratio}"
        axes.text(edge + widest * 0.015, place, text, va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=9.5, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, widest * 1.32)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    calm(axes)


def times(ratio: float) -> str:
    return f"{ratio:.{0 if ratio >= 10 else 1 if ratio >= 1 else 2}f}×"


def throughput(told: dict[str, Any]) -> Figure:
    return panels(
        told,
        [("rate", lambda value: f"{value:,.0f}/s")],
        title="Readings per second, as fast as it can",
        note="× is the rate over that of the forwarder with one reading per POST: more is better.",
    )


def cost(told: dict[str, Any]) -> Figure:
    return panels(
        told,
        [
            ("cpu_us", lambda value: f"{value:,.0f} µs"),
            ("peak_mb", lambda value: f"{value:,.0f} MB"),
        ],
        title="CPU per reading, and peak memory, at that rate",
        note="× is the cost over that of the forwarder with one reading per POST: less is better.",
    )


NAMES = {"rate": "", "cpu_us": "CPU a reading, ", "peak_mb": "peak memory, "}


def panels(
    told: dict[str, Any],
    figures: list[tuple[str, Callable[[float], str]]],
    *,
    title: str,
    note: str,
) -> Figure:
    """A row for each number of unacknowledged messages that the broker allows, a column for each figure."""
    found = groups(told, "max_inflight")
    drawing, every = plt.subplots(
        len(found), len(figures), figsize=(5.2 + 4.6 * (len(figures) - 1) + 2.4, 2.5 * len(found) + 1.1),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for row, (inflight, programs) in zip(every, found.items(), strict=True):
        for axes, (figure, say) in zip(row, figures, strict=True):
            bars(axes, programs, figure, say)
            name = f"{NAMES[figure]}max_inflight_messages {inflight:,}"
            axes.set_title(name, loc="left", fontsize=9.5, color=PALE)
    for axes in every[:, 1:].flat:
        axes.set_yticklabels([])
    frame(drawing, told, title, note)
    return drawing


def latency(told: dict[str, Any]) -> Figure:
    """A panel for each pace: the quantiles of each program on one line, on a logarithmic scale."""
    found = groups(told, "rate_asked")
    drawing, every = plt.subplots(
        1, len(found), figsize=(4.1 * len(found) + 1, 3.9), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for place, (axes, (rate, programs)) in enumerate(zip(every[0], found.items(), strict=True)):
        shown = [name for name in QUANTILES if rate >= 200 or name != "p99.9"]
        ladder(axes, programs, shown)
        axes.set_title(f"{rate:,} readings/s", loc="left", fontsize=9.5, color=PALE)
        if place:
            axes.set_yticklabels([])
    note = (
        "Above each line p50 · p99 and, from 200/s on, · p99.9; below it p50 and p99 over those of the"
        " forwarder: less is better."
    )
    frame(drawing, told, "Milliseconds from publish to 2xx", note)
    return drawing


def ladder(axes: Axes, programs: dict[str, list[Run]], shown: list[str]) -> None:
    base = {name: median(programs[BASE], QUANTILES[name]) for name in shown}
    for place, (program, runs) in enumerate(programs.items()):
        values = {name: median(runs, QUANTILES[name]) for name in shown}
        hue = OURS if program == BASE else PALE
        axes.plot(
            list(values.values()), [place] * len(values), "-", color=hue, linewidth=2, alpha=0.5
        )
        for name, size in zip(shown, (8, 6, 4), strict=False):
            axes.plot(values[name], place, "o", color=hue, markersize=size)
        beside(axes, values, place, " · ".join(map(number, values.values())), above=True)
        if program != BASE:
            ratios = [f"{name} {times(values[name] / base[name])}" for name in ("p50", "p99")]
            beside(axes, values, place, ", ".join(ratios), above=False)
    axes.set_xscale("log")
    axes.set_yticks(range(len(programs)), list(programs), fontsize=9.5, color=INK)
    axes.set_ylim(len(programs) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    calm(axes)


def beside(axes: Axes, values: dict[str, float], place: int, text: str, *, above: bool) -> None:
    """Text along the marks: from the first on, or where those lie far to the right up to the last."""
    is_far = values["p50"] > FAR_MS
    axes.annotate(
        text, (max(values.values()) if is_far else values["p50"], place), (0, 8 if above else -15),
        textcoords="offset points", fontsize=8, color=INK if above else PALE,
        ha="right" if is_far else "left",
    )  # fmt: skip


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def frame(drawing: Figure, told: dict[str, Any], title: str, note: str) -> None:
    extent = told["extent"]
    many = f"median of {extent['rounds']} runs" if extent["rounds"] > 1 else "one run"
    when = told["measured_at"][:10]
    seconds = extent["seconds"]  # several, where the record was put together from parts
    lengths = " and ".join(
        f"{one:.0f}" for one in (seconds if isinstance(seconds, list) else [seconds])
    )
    width = int(drawing.get_figwidth() * LETTERS_PER_INCH)
    source = textwrap.fill(f"{many} of {lengths} s in turn, {when}; {told['machine']}", width)
    drawing.suptitle(title, x=0.01, ha="left", fontsize=13, color=INK, fontweight="bold")
    drawing.supxlabel(f"{note}\n{source}", x=0.01, ha="left", fontsize=8, color=PALE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    kept = ROOT / "docs" / "figures" / "bench.json"
    parser.add_argument("--results", type=Path, default=kept)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    scenarios = json.loads(options.results.read_text())["scenarios"]
    options.to.mkdir(parents=True, exist_ok=True)
    for name, (scenario, draw) in PLOTS.items():
        if scenario not in scenarios:
            print(f"{name}: {options.results} holds no {scenario}")
            continue
        draw(scenarios[scenario]).savefig(options.to / name, dpi=DPI, facecolor="white")
        print(options.to / name)


PLOTS = {
    "throughput.png": ("peers-throughput", throughput),
    "cost.png": ("peers-throughput", cost),
    "latency.png": ("peers-latency", latency),
}

if __name__ == "__main__":
    main()
