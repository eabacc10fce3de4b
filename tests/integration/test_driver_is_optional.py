"""What an outbox on a file does not need."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_psycopg_is_not_loaded_for_an_outbox_that_is_a_file(tmp_path: Path) -> None:
    """Nobody pays for a driver that he does not use, nor has to install it."""
    program = """
import sys
from pathlib import Path
sys.modules["psycopg"] = None
import forwarder.__main__, forwarder.service
from forwarder.clock import SystemClock
from forwarder.outbox import inspect, open_outbox
open_outbox(Path(sys.argv[1]), clock=SystemClock()).release_files()
assert inspect(Path(sys.argv[1])).is_sound
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "outbox.db"], check=True, cwd=ROOT)
