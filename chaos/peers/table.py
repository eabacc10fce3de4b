"""The trials for people."""

from collections.abc import Sequence

from chaos.peers.trial import Trial

_HEAD = (
    "fault", "program", "seed", "owed", "kills", "503s", "delivered", "lost", "twice", "inverted",
    "settled",
)  # fmt: skip


def table(trials: Sequence[Trial]) -> str:
    """
    A line for each, those of one fault together.

    owed: acknowledged by the broker · lost: owed, and never accepted · twice: accepted again · inverted: first accepted
    after a newer reading of its device · settled: from the end of the flow to the last arrival
    """
    ordered = sorted(trials, key=lambda one: [trial.fault for trial in trials].index(one.fault))
    rows = [_HEAD, *map(_row, ordered)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _row(trial: Trial) -> tuple[str, ...]:
    figures = (
        trial.owed, trial.kills, trial.refused, trial.delivered, trial.lost, trial.duplicates,
        trial.inversions,
    )  # fmt: skip
    settled = f"{trial.settled_seconds:.0f} s"
    return (trial.fault, trial.program, trial.seed, *map(str, figures), settled)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
    figures = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
    return "  ".join(names + figures)
