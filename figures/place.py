"""Where a run was made, and of what: the machine, its programs, its disk, and the commit."""

import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def machine(folder: Path) -> str:
    """Cores, programs, and what an fsync takes in that folder, in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line for line in lines if line.startswith("model name")), "").partition(": ")[2]
    return (
        f"{os.cpu_count()} × {model or platform.machine()}, Linux {platform.release()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {_broker()},"
        f" fsync {fsync_ms(folder):.2f} ms"
    )


def _broker() -> str:
    told = subprocess.run([_MOSQUITTO or "mosquitto", "-h"], capture_output=True, text=True)
    return told.stdout.partition("\n")[0].replace(" version", "")


def fsync_ms(folder: Path) -> float:
    """The median of a hundred, each after 4 KiB were written."""
    folder.mkdir(parents=True, exist_ok=True)
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - started)
    return statistics.median(took) * 1000


def commit(checkout: Path = ROOT) -> str:
    """The last commit that changed the program; `-dirty` behind it where the checkout differs from it."""
    told = _git(checkout, "log", "-1", "--format=%h", "--", "forwarder")
    changed = _git(checkout, "status", "--porcelain", "forwarder")
    return f"{told or 'unknown'}{'-dirty' if changed else ''}"


def _git(checkout: Path, *words: str) -> str:
    told = subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True)
    return told.stdout.strip()
