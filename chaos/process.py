"""One forwarder installation: a folder, its settings, `forwarder run` in a process of its own, and its commands."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE_SECONDS = 180.0
_LOOK_SECONDS = 0.05


class Impatient(AssertionError):
    """What had to happen did not, within the suite's patience."""


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str


class Forwarder:
    """
    One process at a time, started by the suite's launcher.

    Its log lines go to forwarder.log, what it says on stderr to forwarder.err, both over all its processes.
    """

    def __init__(self, folder: Path, *, port: int, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{port}"
        self.outbox = folder / "data" / "outbox.db"
        self.settings = {
            "FORWARDER_HTTP_LISTEN": self.address,
            "FORWARDER_LOG_FORMAT": "json",
            "FORWARDER_DRAIN_TIMEOUT": "2s",
            "CHAOS_HITS": str(folder / "hits"),
            **settings,
        }
        self._log = folder / "forwarder.log"
        self._errors = folder / "forwarder.err"
        self._hits = folder / "hits"
        self._process: Process | None = None
        self.wrapped_in: Sequence[str] = ()
        """What starts its processes, where they are on a machine of their own."""
        self.starts = 0
        """How many processes there have been."""
        self._hits_before = 0
        for file in (self._log, self._errors, self._hits):
            file.touch()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def process_id(self) -> int:
        if self._process is None:
            raise Impatient("the forwarder was never started")
        return self._process.pid

    @property
    def complaints(self) -> str:
        """Everything that its processes have said on stderr."""
        return self._errors.read_text()

    @property
    def points_hit(self) -> list[str]:
        """The named points at which its processes have died, or stood still."""
        return self._hits.read_text().split()

    @property
    def has_sprung(self) -> bool:
        """Whether its last process has passed the named point that it was started for."""
        return len(self.points_hit) > self._hits_before

    async def start(self, *, wrapped_in: Sequence[str] = (), **environment: str) -> None:
        """Start a process; it need not be ready yet."""
        self.starts += 1
        self._hits_before = len(self.points_hit)
        with self._log.open("ab") as log, self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self.wrapped_in,
                *wrapped_in,
                *_program("run"),
                cwd=self.folder,
                env=self._environment(environment),
                stdout=log,
                stderr=errors,
                # A group of its own, so that a kill reaches what it is wrapped in too.
                start_new_session=True,
            )

    async def start_ready(self, *, wrapped_in: Sequence[str] = (), **environment: str) -> None:
        await self.start(wrapped_in=wrapped_in, **environment)
        await self.ready()

    async def ready(self) -> dict[str, Any]:
        """What /readyz says, once that is 200."""
        return await self.readiness(lambda said: said["ready"], what="readiness")

    async def readiness(self, condition: Any, *, what: str) -> dict[str, Any]:
        """What /readyz says, once `condition` holds of it."""
        said: dict[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS), httpx.AsyncClient(trust_env=False) as web:
                while self.is_running:
                    with suppress(httpx.TransportError):
                        said = (await web.get(f"http://{self.address}/readyz")).json()
                        if condition(said):
                            return said
                    await asyncio.sleep(_LOOK_SECONDS)
        tail = self.complaints[-500:]
        raise Impatient(f"no {what}: running {self.is_running}, /readyz {said}, stderr {tail!r}")

    async def logged(self, event: str, *, times: int = 1) -> None:
        """Return once an event has been logged so many times."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self.count_logged(event) < times:
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise Impatient(f"{event} was not logged {times} times") from None

    def count_logged(self, event: str) -> int:
        return self._log.read_text().count(f'"event": "{event}"')

    def log_lines(self) -> Iterator[dict[str, Any]]:
        """What it has logged, over all its processes; not the line that a kill has cut off."""
        for line in self._log.read_text().splitlines():
            with suppress(ValueError):
                yield json.loads(line)

    def listen_on(self, host: str) -> None:
        """Answer at another address from the next start on."""
        _, _, port = self.address.rpartition(":")
        self.address = self.settings["FORWARDER_HTTP_LISTEN"] = f"{host}:{port}"

    def send(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            raise Impatient("the forwarder has ended, where it was to get a signal")
        os.killpg(self._process.pid, number)

    async def kill(self) -> None:
        """End it as a crash does."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> int:
        """End it as a service manager does; its exit code."""
        self.send(signal.SIGTERM)
        return await self.ended()

    async def ended(self, patience_seconds: float = PATIENCE_SECONDS) -> int:
        """Its exit code, once it has ended."""
        if self._process is None:
            raise Impatient("the forwarder was never started")
        try:
            async with asyncio.timeout(patience_seconds):
                return await self._process.wait()
        except TimeoutError:
            raise Impatient(f"the forwarder did not end in {patience_seconds:.0f} s") from None

    async def command(self, *arguments: str, **environment: str) -> Finished:
        """Run another command of the program beside it, with the same settings."""
        process = await asyncio.create_subprocess_exec(
            *_program(*arguments),
            cwd=self.folder,
            env=self._environment(environment),
            stdout=PIPE,
            stderr=PIPE,
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            stdout, stderr = await process.communicate()
        code = process.returncode if process.returncode is not None else 1
        return Finished(code, stdout.decode(), stderr.decode())

    async def status(self) -> dict[str, Any]:
        """What `forwarder status --json` says."""
        finished = await self.command("status", "--json")
        if finished.exit_code:
            raise Impatient(f"status failed: {finished.stderr}")
        said: dict[str, Any] = json.loads(finished.stdout)
        return said

    async def dead_letters(self) -> list[dict[str, Any]]:
        """What `forwarder dead-letters export` says, with the event data of each."""
        finished = await self.command("dead-letters", "export", "--all")
        return [json.loads(line) for line in finished.stdout.splitlines()]

    async def close(self) -> None:
        if self.is_running:
            await self.kill()

    def _environment(self, own: Mapping[str, str]) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FORWARDER_")}
        return inherited | self.settings | dict(own)


def _program(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("launcher.py")), *arguments]
