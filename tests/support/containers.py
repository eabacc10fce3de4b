"""A harness for a container engine, by its command line, and for a compose project on it."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
DEMO_IMAGE = "whatwatt-forwarder:demo"
IMPATIENT = "timeout:1 attempts:2"
"""Options of resolv.conf(5), so that a lookup does not wait half a minute for a name server."""
_LOOK_EVERY_SECONDS = 0.2
_ASK_FOR_NAMES = (
    "import socket; socket.getaddrinfo('broker', 1883); socket.getaddrinfo('receiver', 9000)"
)


class EngineError(AssertionError):
    """A command of the engine failed; the text is its output."""


@dataclass(frozen=True)
class Engine:
    """docker, podman, or another engine with the same commands."""

    command: str

    def __call__(self, *arguments: str, cwd: Path | None = None) -> str:
        """The command's stdout. Raises EngineError."""
        done = self.run(*arguments, cwd=cwd)
        if done.returncode:
            raise EngineError(f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            timeout=2 * PATIENCE_SECONDS,
        )

    def inspect(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self("inspect", name))[0]
        return document


class Container:
    """One container, by its id."""

    def __init__(self, engine: Engine, identity: str) -> None:
        self.engine = engine
        self.id = identity

    def start(self) -> None:
        self.engine("start", self.id)

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code; the engine kills a container that takes too long."""
        self.engine("stop", "-t", "30", self.id)
        code: int = self.engine.inspect(self.id)["State"]["ExitCode"]
        return code

    @property
    def is_running(self) -> bool:
        running: bool = self.engine.inspect(self.id)["State"]["Running"]
        return running

    def kill(self, signal: str) -> None:
        self.engine("kill", "-s", signal, self.id)

    def python(self, program: str) -> str:
        """The output of a Python program inside the container."""
        return self.engine("exec", self.id, "python", "-c", program).strip()

    def text(self) -> str:
        """The container's stdout so far."""
        return self.engine("logs", self.id)

    def last_words(self) -> str:
        """The end of the container's stdout and stderr, for a failure's message."""
        done = self.engine.run("logs", self.id)
        return (done.stdout + done.stderr)[-3000:]

    def log(self) -> list[dict[str, Any]]:
        """Every line on stdout, which has to be JSON."""
        return [json.loads(line) for line in self.text().splitlines()]

    def address(self) -> str:
        networks = self.engine.inspect(self.id)["NetworkSettings"]["Networks"]
        address: str = next(iter(networks.values()))["IPAddress"]
        return address

    def health(self) -> str:
        """starting, healthy or unhealthy."""
        # podman needs this command if systemd runs no health checks; docker runs them itself, and has no such command.
        self.engine.run("healthcheck", "run", self.id)
        health: str = self.engine.inspect(self.id)["State"]["Health"]["Status"]
        return health

    def remove(self) -> None:
        self.engine("rm", "-f", self.id)


class Project:
    """A compose project in a folder of its own."""

    def __init__(self, engine: Engine, folder: Path, *, name: str) -> None:
        self.engine = engine
        self.folder = folder
        self.name = name

    def compose(self, *arguments: str) -> str:
        files = [argument for path in self._files() for argument in ("-f", path)]
        return self.engine("compose", *files, "-p", self.name, *arguments, cwd=self.folder)

    def container(self, service: str) -> Container:
        labels = {"project": self.name, "service": service}
        filters = [f"label=com.docker.compose.{key}={value}" for key, value in labels.items()]
        found = self.engine("ps", "-aq", "--filter", filters[0], "--filter", filters[1])
        return Container(self.engine, found.split()[0])

    def have_names_answered(self) -> None:
        """
        Return once the network's name server answers; a test calls it when containers have come or gone.

        podman 4's name server (aardvark-dns) then falls silent at times until another container comes, so one is run.
        """
        asker = self.container("receiver")
        ask = ("-e", f"RES_OPTIONS={IMPATIENT}", asker.id, "python", "-c", _ASK_FOR_NAMES)
        while self.engine.run("exec", *ask).returncode:
            self.engine(
                "run", "--rm", "--network", self.network, "--entrypoint", "true", DEMO_IMAGE
            )

    def run(self, *arguments: str) -> Container:
        """One more container on the project's network; the caller removes it."""
        words = ("--network", self.network, "-e", f"RES_OPTIONS={IMPATIENT}", *arguments)
        return Container(self.engine, self.engine("run", "-d", *words).split()[-1])

    @property
    def network(self) -> str:
        settings = self.engine.inspect(self.container("receiver").id)["NetworkSettings"]
        return str(next(iter(settings["Networks"])))

    def _files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("compose*.yaml"))


def until(claim: Callable[[], bool], *, otherwise: Callable[[], object] = str) -> None:
    """Return once `claim` holds; fail with the text of `otherwise` when it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(_LOOK_EVERY_SECONDS)
