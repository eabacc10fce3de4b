"""A point at which the chaos suite kills the process is a place that the program still has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
IMPORT = "from chaos.launcher import POINTS, lay_trap, take_fences_out; "
LAY_ALL = "[lay_trap(point) for point in POINTS]"


@pytest.mark.parametrize("change", [LAY_ALL, "take_fences_out()"])
def test_what_the_suite_changes_is_there(change: str) -> None:
    """In a process of its own, because a trap changes the program that it is laid in."""
    command = [sys.executable, "-c", IMPORT + change]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_every_point_that_is_played_has_a_trap() -> None:
    """A point that nobody passes would have a scenario wait for nothing."""
    code = (
        "from chaos.launcher import POINTS as traps; from chaos.scenarios import process, takeover;"
        "points = (*process.POINTS, *process.EARLY_POINTS, *takeover.POINTS);"
        "assert {one.partition(':')[0] for one in points} <= traps.keys()"
    )
    search = {"PYTHONPATH": str(ROOT / "tests")}

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **search},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
