"""The receivers of docs/examples as real processes, each with a clock that a test sets."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from support.ports import free_port

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PATIENCE_SECONDS = 30.0
_KEPT = re.compile(r"^(msg_\w+) ", re.MULTILINE)

_CLOCKS = {
    "sitecustomize.py": """\
import datetime, os, time
time.time = lambda: float(open(os.environ["CLOCK"]).read())
class Set(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
try:
    import standardwebhooks.webhooks
    standardwebhooks.webhooks.datetime = Set
except ImportError:
    pass
""",
    "clock.mjs": """\
import { readFileSync } from "node:fs";
Date.now = () => Number(readFileSync(process.env.CLOCK)) * 1000;
""",
    "clock.go": """\
package main
import ("os"; "strconv"; "strings"; "time")
func init() {
	now = func() time.Time {
		text, _ := os.ReadFile(os.Getenv("CLOCK"))
		seconds, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return time.Unix(seconds, 0)
	}
}
""",
    "clock.php": f"""\
<?php
$_SERVER['REQUEST_TIME'] = (int) file_get_contents(getenv('CLOCK'));
require '{EXAMPLES / "receiver.php"}';
""",
}
"""Files that set a receiver's clock from outside, because the examples know nothing of tests."""

Command = Callable[[Path, int], list[str]]
"""Makes the command line of an example from its own folder and a port."""


def _node(file: str) -> Command:
    def command(folder: Path, _port: int) -> list[str]:
        (folder / "node_modules").symlink_to(node_modules())
        shutil.copy(EXAMPLES / file, folder)
        return ["node", "--import", (folder / "clock.mjs").as_uri(), str(folder / file)]

    return command


def _python(folder: Path, _port: int) -> list[str]:
    return [sys.executable, str(EXAMPLES / "receiver.py")]


def _fastapi(folder: Path, port: int) -> list[str]:
    options = ["--app-dir", str(EXAMPLES), "--port", str(port), "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", *options, "receiver_fastapi:app"]


def _go(folder: Path, _port: int) -> list[str]:
    program = folder / "receiver"
    shutil.copy(EXAMPLES / "receiver.go", folder)
    build = ["go", "build", "-o", str(program), "receiver.go", "clock.go"]
    subprocess.run(build, cwd=folder, check=True, timeout=PATIENCE_SECONDS * 4)
    return [str(program)]


def _php(folder: Path, port: int) -> list[str]:
    return ["php", "-S", f"127.0.0.1:{port}", str(folder / "clock.php")]


RECEIVERS: Mapping[str, Command] = {
    "receiver.py": _python,
    "receiver_fastapi.py": _fastapi,
    "receiver.mjs": _node("receiver.mjs"),
    "receiver_express.mjs": _node("receiver_express.mjs"),
    "receiver.go": _go,
    "receiver.php": _php,
}


def node_modules() -> Path:
    """The packages of the Node examples by their lock file; they are installed once and kept in build/."""
    lock = (EXAMPLES / "package-lock.json").read_bytes()
    project = ROOT / "build" / f"examples-{hashlib.sha256(lock).hexdigest()[:12]}"
    project.mkdir(parents=True, exist_ok=True)
    installed = project / "installed"
    with (project / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # tests may run in several processes
        if not installed.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(EXAMPLES / name, project)
            npm = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(npm, cwd=project, check=True, timeout=300)
            installed.touch()
    return project / "node_modules"


@dataclass
class Running:
    """A receiver that listens."""

    url: str
    clock: Path

    def post(self, headers: Mapping[str, str], body: bytes, *, now: int) -> httpx.Response:
        """The receiver's answer while its clock says `now`."""
        # The file is moved into place, because a receiver that looks meanwhile must not find it empty.
        self.clock.with_suffix(".next").write_text(str(now))
        self.clock.with_suffix(".next").replace(self.clock)
        with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as client:
            return client.post(self.url, content=body, headers=dict(headers))


class Example:
    """One of the receivers, which a test may start again and again; its store stays."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._clock = folder / "clock"
        self._clock.write_text("0")
        for file, text in _CLOCKS.items():
            (folder / file).write_text(text)
        self._port = free_port()
        self._command = RECEIVERS[name](folder, self._port)
        self.kept: list[str] = []
        """The ids of readings that its ended processes have printed as new."""

    def start(self, secret: str) -> "subprocess.Popen[str]":
        own = {
            "WEBHOOK_SECRET": secret,
            "PORT": str(self._port),
            "STORE": str(self._folder / "store"),
            "CLOCK": str(self._clock),
            "PYTHONPATH": str(self._folder),
        }
        return subprocess.Popen(
            self._command,
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, secret: str) -> Iterator[Running]:
        process = self.start(secret)
        try:
            self._until_it_listens(process)
            yield Running(f"http://127.0.0.1:{self._port}/", self._clock)
        finally:
            process.terminate()
            printed, errors = process.communicate(timeout=PATIENCE_SECONDS)
            print(printed, errors)  # pytest shows it when a test fails
        self.kept += _KEPT.findall(printed)
        assert "Traceback" not in errors, errors

    def _until_it_listens(self, process: "subprocess.Popen[str]") -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.01)  # another process has no event for us
        raise AssertionError(f"it does not listen: {process.communicate()}")


@dataclass(frozen=True)
class Vector:
    """One request of docs/vectors.json, and a receiver's verdict on it."""

    name: str
    why: str
    secret: str
    now: int
    headers: Mapping[str, str]
    body: str
    verdict: str
    readings: Sequence[str]


def vectors() -> list[Vector]:
    document = json.loads((ROOT / "docs" / "vectors.json").read_text("utf-8"))
    return [Vector(**one) for one in document["vectors"]]
