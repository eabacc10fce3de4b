"""
Draws a record: `build/plots/bin/python -m chaos.endurance.plot docs/figures/endurance.jsonl docs/images/endurance.png`.

`make endurance` and `make plots` do so. Needs matplotlib, which is none of the project's requirements, and no other.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt  # type: ignore[import-not-found] # in an environment of its own

from chaos.endurance.entries import Sample, Span, read
from chaos.endurance.slopes import WARM_UP

INK, FAINT, GRID, LINE = "#2b2f36", "#6b7280", "#e5e7eb", "#2563a8"
MIB = 1 << 20
MINUTE = 12
"""Samples of the long form in a minute."""
PANELS = (
    ("rss_bytes", "memory (RSS), MiB", MIB),
    ("descriptors", "open file descriptors", 1),
    ("log_bytes", "write-ahead log, MiB", MIB),
    ("file_bytes", "outbox file, MiB", MIB),
    ("pending", "deliveries pending", 1),
)
FAULTS = (
    ("receivers fail", "#c1666b"),
    ("broker cut off", "#d4a373"),
    ("routes.yaml edited", "#7a9e7e"),
    ("operator replays, discards", "#8e7dbe"),
)


def main(record: Path, picture: Path) -> None:
    entries = list(read(record))
    samples = [entry for entry in entries if isinstance(entry, Sample)]
    spans = [entry for entry in entries if isinstance(entry, Span)]
    plt.rcParams |= {"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}
    figure, axes = plt.subplots(
        len(PANELS) + 2,
        figsize=(9, 10.5),
        sharex=True,
        layout="constrained",
        gridspec_kw={"height_ratios": [1] * (len(PANELS) + 1) + [0.8]},
    )
    moments = [sample.at / 60 for sample in samples]
    for axis, (quantity, title, unit) in zip(axes, PANELS, strict=False):
        _draw(axis, moments, [getattr(sample, quantity) / unit for sample in samples], title)
    _draw(axes[-2], moments[MINUTE:], _rates(samples), "deliveries a second, over the last minute")
    for axis in axes[:-1]:
        axis.axvspan(0, moments[-1] * WARM_UP, color="#f5f6f7", linewidth=0)
    _mark(axes[-1], spans)
    axes[-1].set_xlabel("minutes", color=INK)
    figure.savefig(picture, dpi=110)


def _rates(samples: Sequence[Sample]) -> list[float]:
    """Deliveries a second over the minute before each sample, from the first that has one."""
    return [
        (after.delivered - before.delivered) / (after.at - before.at)
        for before, after in zip(samples, samples[MINUTE:], strict=False)
    ]


def _draw(axis: Any, moments: Sequence[float], values: Sequence[float], title: str) -> None:
    axis.plot(moments, values, color=LINE, linewidth=1.1)
    axis.set_ylim(0, max(values) * 1.25)
    axis.set_title(title, loc="left", fontsize=9, color=INK)
    _calm(axis)
    axis.grid(axis="y", color=GRID, linewidth=0.6)


def _mark(axis: Any, spans: Sequence[Span]) -> None:
    """One row for each kind of fault, a bar for each time that it was on."""
    for row, (kind, colour) in enumerate(FAULTS):
        for span in spans:
            if _kind(span) == kind:
                begun, ended = span.begun / 60, span.ended / 60
                axis.barh(-row, max(ended - begun, 0.03), left=begun, height=0.55, color=colour)
    axis.set_yticks([-row for row in range(len(FAULTS))], [kind for kind, _ in FAULTS])
    axis.set_title("what was done meanwhile", loc="left", fontsize=9, color=INK)
    _calm(axis)


def _kind(span: Span) -> str:
    words = {"network": "broker cut off", "edit": "routes.yaml edited"}
    words["dead"] = "operator replays, discards"
    return words.get(span.what.split()[0], "receivers fail")


def _calm(axis: Any) -> None:
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(GRID)
    axis.tick_params(length=0, colors=FAINT, labelcolor=INK)
    axis.margins(x=0)
    axis.set_axisbelow(True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
