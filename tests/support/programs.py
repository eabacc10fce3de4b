"""Programs of others, fetched once from their registries and kept in build/."""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

BUILD = Path(__file__).parents[2] / "build" / "programs"
PATIENCE_SECONDS = 60.0


def of_debian(package: str) -> Path:
    """A folder with the files of a Debian package, which is unpacked and not installed."""

    def fetch(folder: Path) -> None:
        _run("apt-get", "-o", "APT::Sandbox::User=root", "download", package, folder=folder)
        (archive,) = folder.glob("*.deb")
        _run("dpkg-deb", "-x", str(archive), ".", folder=folder)

    return _fetched(package, fetch)


def of_npm(package: str, version: str) -> Path:
    """A folder whose node_modules holds an npm package and its dependencies."""

    def fetch(folder: Path) -> None:
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
        _run("npm", "install", *options, f"{package}@{version}", folder=folder)

    return _fetched(f"{package}-{version}", fetch)


def _fetched(name: str, fetch: Callable[[Path], None]) -> Path:
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / ".fetched"
    with (BUILD / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # tests may run in several processes
        if not done.exists():
            fetch(folder)
            done.touch()
    return folder


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=300, capture_output=True)


@contextmanager
def running(command: list[str], *, alive: str, **settings: str) -> Iterator[None]:
    """Run a program while the block runs, which begins once the URL `alive` answers."""
    environment: Mapping[str, str] = {**os.environ, **settings}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_answer(alive, process)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _await_answer(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no answer from {url}; exit code {process.poll()}")
