"""Other programs in the forwarder's place, between the same broker and the same receiver; see ../programs.py."""

import subprocess
import sys
from pathlib import Path

from parts import Part, wait_until
from run import Line

sys.path.append(str(Path(__file__).parents[1]))  # what is shared with the chaos suite

from programs import PROGRAMS, Job, Program


class Peer(Part):
    """Another program, set up for speed; subscribed when this returns."""

    def __init__(self, program: Program, line: Line) -> None:
        folder = line.folder / program.name
        folder.mkdir()
        url = f"http://127.0.0.1:{line.receiver.port}/ok"
        command = program.set_up(Job(folder, line.broker.port, url))
        super().__init__(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: line.broker.has_subscriber, what=f"the subscription of {program.name}")


def installed() -> list[Program]:
    return [program for program in PROGRAMS if program.version() is not None]


def missing() -> list[str]:
    return [program.name for program in PROGRAMS if program.version() is None]
