"""A point at which the chaos suite kills the process is a place that the program still has."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LAY_ALL = "from chaos.launcher import POINTS, lay_trap; [lay_trap(point) for point in POINTS]"


def test_every_trap_can_be_laid() -> None:
    """In a process of its own, because a trap changes the program that it is laid in."""
    done = subprocess.run([sys.executable, "-c", LAY_ALL], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
