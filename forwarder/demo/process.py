"""The demo runs the forwarder as a process of its own, and its commands, as an operator would."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from forwarder.errors import OperationError

_READY_TIMEOUT_SECONDS = 30.0
_STOP_TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.1
_SHOWN_LOG_LINES = 30
_PENDING, _DEAD = "forwarder_deliveries_pending", "forwarder_dead_letters"


class ForwarderProcess:
    """
    `forwarder run` in `folder`, with these settings and none of this process's own. Use it as an async context manager.

    Leaving the context always ends it: SIGTERM first, and SIGKILL when that takes too long. Its log is in `folder`.
    """

    def __init__(self, settings: Mapping[str, str], *, folder: Path) -> None:
        self.exit_code: int | None = None
        self._folder = folder
        self._log = folder / "forwarder.log"
        self._address = f"127.0.0.1:{_free_port()}"
        self._environment = _without_settings(os.environ) | {
            "FORWARDER_OUTBOX_URL": f"sqlite:///{folder / 'outbox.db'}",
            "FORWARDER_HTTP_LISTEN": self._address,
            "FORWARDER_LOG_FORMAT": "json",
            **settings,
        }
        self._process: Process | None = None
        self._http = httpx.AsyncClient(trust_env=False, timeout=5.0)

    async def __aenter__(self) -> "ForwarderProcess":
        with self._log.open("wb") as log:
            # A session of its own, so that Ctrl-C on the terminal reaches us alone and we end the process in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._command("run"),
                cwd=self._folder,
                env=self._environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()
        await self._http.aclose()

    async def until_ready(self) -> None:
        """Return when /readyz says 200. Raises OperationError when the process ends instead, or takes too long."""
        try:
            async with asyncio.timeout(_READY_TIMEOUT_SECONDS):
                while not await self._is_ready():  # noqa: ASYNC110 - another process has no event for us
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as slow:
            raise OperationError(
                f"the forwarder was not ready within {_READY_TIMEOUT_SECONDS:.0f} s"
            ) from slow

    async def until_ended(self) -> int:
        """The exit code of the process, once it has ended by itself."""
        return await self._running().wait()

    async def backlog(self) -> tuple[Counter[str], Counter[str]]:
        """How many deliveries wait and how many are dead, by endpoint. Raises httpx.HTTPError without an answer."""
        answer = await self._http.get(f"http://{self._address}/metrics")
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for family in text_string_to_metric_families(answer.text):
            if family.name in (_PENDING, _DEAD):
                for sample in family.samples:
                    counts[family.name][sample.labels["endpoint"]] += int(sample.value)
        return counts[_PENDING], counts[_DEAD]

    async def command(self, *arguments: str) -> str:
        """The output of `forwarder <arguments>`. Raises OperationError when the command fails."""
        process = await asyncio.create_subprocess_exec(
            *self._command(*arguments),
            cwd=self._folder,
            env=self._environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            output, errors = await process.communicate()
        finally:
            await _end(process, signal.SIGKILL, timeout_seconds=_STOP_TIMEOUT_SECONDS)
        if process.returncode:
            what, why = " ".join(arguments), errors.decode().strip().splitlines()[-1:]
            raise OperationError(f"`forwarder {what}` failed: {' '.join(why)}")
        return output.decode()

    async def stop(self) -> None:
        """End the process with SIGTERM, as a service manager does. `exit_code` is then known."""
        if self._process is not None and self.exit_code is None:
            self.exit_code = await _end(
                self._process, signal.SIGTERM, timeout_seconds=_STOP_TIMEOUT_SECONDS
            )

    def log_tail(self) -> str:
        """The newest lines of the log."""
        if not self._log.exists():
            return ""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_SHOWN_LOG_LINES:])

    async def _is_ready(self) -> bool:
        if self._running().returncode is not None:
            raise OperationError(
                f"the forwarder ended with exit code {self._running().returncode} before it was ready"
            )
        try:
            answer = await self._http.get(f"http://{self._address}/readyz")
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "forwarder", *arguments)

    def _running(self) -> Process:
        if self._process is None:
            raise OperationError("the forwarder has not been started")
        return self._process


async def _end(process: Process, how: signal.Signals, *, timeout_seconds: float) -> int:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
    try:
        return await asyncio.wait_for(process.wait(), timeout_seconds)
    except TimeoutError:
        process.kill()
        return await process.wait()


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    # The user's settings for a service of their own must not leak into the demo.
    return {name: value for name, value in environment.items() if not name.startswith("FORWARDER_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
