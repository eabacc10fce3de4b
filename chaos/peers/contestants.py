"""What is tried: the forwarder as it comes, and the programs of `benchmarks.programs`, set up carefully."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml
from support.ports import free_port

import forwarder
from benchmarks.programs import PROGRAMS, Command, Job, Program
from chaos.process import Forwarder

USERNAME = "whatwatt.integration.client.partner"
SECRET = "whsec_" + 32 * "A"
PATIENCE_SECONDS = 60.0


class Contestant(Protocol):
    """A program that carries readings from a broker to a receiver."""

    async def start(self) -> None:
        """Start a process; it need not be subscribed yet."""

    async def kill(self) -> None:
        """End it as a crash does."""

    async def close(self) -> None:
        """End it, if it runs."""


@dataclass(frozen=True)
class Entry:
    """Who takes part, and how to set it up."""

    name: str
    version: Callable[[], str | None]
    set_up: Callable[[Job], Contestant]


class Peer:
    """A process of another program, in a group of its own; what it says goes to peer.log, over all its processes."""

    def __init__(self, folder: Path, command: Command) -> None:
        self._folder = folder
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with (self._folder / "peer.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )

    async def kill(self) -> None:
        if self._process is None or self._process.returncode is not None:
            log = (self._folder / "peer.log").read_text()[-500:]
            raise AssertionError(f"it has ended by itself, where it was to be killed: {log}")
        self._process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._process.wait()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()


def _forwarder(job: Job) -> Forwarder:
    """With every default of its own: retries, circuit, one reading per POST."""
    endpoint: Mapping[str, object] = {
        "url": job.url,
        "secret": SECRET,
        "devices": "*",
        "allow_private": True,
    }
    routes = {"endpoints": {"receiver": endpoint}}
    (job.folder / "routes.yaml").write_text(yaml.safe_dump(routes))
    settings = {
        "FORWARDER_MQTT_URI": f"mqtt://127.0.0.1:{job.broker_port}",
        "FORWARDER_MQTT_USERNAME": USERNAME,
    }
    return Forwarder(job.folder, port=free_port(), settings=settings)


def _entry(program: Program) -> Entry:
    return Entry(program.name, program.version, lambda job: Peer(job.folder, program.set_up(job)))


ENTRIES = (
    Entry("forwarder", lambda: forwarder.__version__, _forwarder),
    *map(_entry, PROGRAMS),
)
