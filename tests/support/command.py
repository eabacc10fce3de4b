"""A command of the program in a process of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path


async def start(*arguments: str, folder: Path, **settings: str) -> Process:
    """Start a command of the program in an empty folder, with these settings alone."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FORWARDER_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "forwarder",
        *arguments,
        cwd=folder,
        env=inherited | {"TMPDIR": str(folder)} | settings,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


async def finish(process: Process) -> tuple[int | None, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, output.decode(), errors.decode()


async def line_with(process: Process, words: str) -> str:
    """The next line of output that holds these words."""
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), 30):
        if words in line.decode():
            return line.decode()
    raise AssertionError(f"{words!r} was never printed")


def command_line_of(process: Process) -> bytes:
    """The command line of the process, which everybody on the machine can see."""
    return Path(f"/proc/{process.pid}/cmdline").read_bytes()
