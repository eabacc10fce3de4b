"""The console that nobody waits for, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

SHOWS = """
from forwarder.demo.screen import screen
from forwarder.errors import OperationError
try:
    with screen() as console:
        for number in range(200):
            console.print("→", "x" * 400)
except OperationError:
    raise SystemExit(3)
"""


@pytest.mark.parametrize(("stdout", "code"), [("/dev/null", 0), ("/dev/full", 3)])
def test_what_nobody_takes_is_said_at_the_end(stdout: str, code: int) -> None:
    """What is shown breaks nothing while it goes on; that something was missed is an error afterwards."""
    with Path(stdout).open("w") as file:
        done = subprocess.run([sys.executable, "-c", SHOWS], stdout=file, timeout=20)
    assert done.returncode == code


def test_terminal_that_is_not_read_holds_nothing_up() -> None:
    """A pipe that is full costs a second at the end; what it holds is read later."""
    started = subprocess.Popen(
        [sys.executable, "-c", SHOWS], stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "latin-1"}
    )
    with started as running:
        assert running.wait(timeout=20) == 0
        assert running.stdout is not None
        assert running.stdout.readline().startswith(b"\\u2192")
