"""A harness of the program as users run it: `forwarder run` in a process of its own, and commands beside it."""

import asyncio
import json
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from support.mosquitto import HOST
from support.ports import free_port

from forwarder.errors import OperationError, OutboxError
from forwarder.outbox import EndpointTotals, Overview, opened
from forwarder.settings import Database, OutboxPlace

PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.01
_LONGEST_LINE = 1 << 20

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], *, what: str) -> T:
    """The first true answer of `look`, because another process has no event for us."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await look()):  # noqa: ASYNC110 - another process has no event for us
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {PATIENCE_SECONDS:.0f} s") from None
    return found


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str


class Service:
    """
    One installation: settings, a folder, and one process at a time; a context manager that leaves no process behind.

    The processes see no settings of this one. Their output is kept over all of them.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.address = f"{HOST}:{free_port()}"
        self.folder = folder
        self.outbox = folder / "data" / "outbox.db"
        self.settings = {
            "FORWARDER_HTTP_LISTEN": self.address,
            **settings,
        }
        self.shell = ""
        """Shell code that runs before the shell becomes the process, such as `exec >&-`."""
        self.events: list[dict[str, Any]] = []
        """Log lines of all processes."""
        self.complaints: list[str] = []
        """Lines on stderr of all processes."""
        self.answers: list[str] = []
        """Bodies that the HTTP server sent to us, and the output of commands."""
        self.descriptor_limit: int | None = None
        """How many files the next process may have open; None means as many as we."""
        self._process: Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()
        self._http = httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS)

    @property
    def output(self) -> str:
        """Everything that the processes and commands have written or answered."""
        return "\n".join([*map(json.dumps, self.events), *self.complaints, *self.answers])

    @property
    def peak_memory_bytes(self) -> int:
        """The most that the present process ever had resident (VmHWM of proc_pid_status(5))."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10

    def leave_no_descriptor(self) -> None:
        """Stop the present process from opening anything more: no file, no connection."""
        assert self._process is not None
        pid = self._process.pid
        taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        # A new descriptor gets the lowest free number; descriptors above the limit stay open.
        lowest_free = next(number for number in range(len(taken) + 1) if number not in taken)
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, hard))

    async def start(self) -> None:
        """Start a process; it need not be ready yet."""
        self._process = process = await self._spawn("run", shell=self.shell)
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(self._collect(process.stdout, self._take_log_line)),
            asyncio.create_task(self._collect(process.stderr, self.complaints.append)),
        ]

    async def start_ready(self) -> None:
        await self.start()
        await self.ready()

    async def ready(self) -> dict[str, Any]:
        """The answer of /readyz, once that is 200."""
        return await self.readiness(lambda status, _: status == 200)

    async def readiness(self, condition: Callable[[int, dict[str, Any]], object]) -> dict[str, Any]:
        """The answer of /readyz, once `condition` holds of its status and its body."""

        async def look() -> dict[str, Any] | None:
            answer = await self.ask("/readyz")
            return (
                answer.json() if answer and condition(answer.status_code, answer.json()) else None
            )

        said = await eventually(look, what="the awaited answer of /readyz")
        assert said is not None
        return said

    async def ask(self, path: str) -> httpx.Response | None:
        """The answer of the HTTP server; None while there is no server."""
        assert self._process is not None
        assert self._process.returncode is None, f"it has ended: {self.complaints}"
        try:
            answer = await self._http.get(f"http://{self.address}{path}")
        except httpx.TransportError:
            return None
        self.answers.append(answer.text)
        return answer

    async def logged(self, *events: str, after: int = 0, **fields: object) -> dict[str, Any]:
        """The first such log line from number `after` on, once it has been written."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.events[after:] if _is(line, events, fields)), None)

        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            line = await self._changed.wait_for(found)
        assert line is not None
        return line

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def no_descriptor_left(self) -> Iterator[None]:
        """Stop the process from opening anything while the block runs."""
        soft, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        self.leave_no_descriptor()
        try:
            yield
        finally:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill the process, as a power cut does."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process as a service manager does; return its exit code."""
        self.send(number)
        return await self.ended()

    async def ended(self) -> int:
        """The exit code, once the process has ended and all of its output is here."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def command(self, *arguments: str, shell: str = "") -> Finished:
        """Run a command of the program beside the service, with the same settings."""
        process = await self._spawn(*arguments, shell=shell)
        async with asyncio.timeout(PATIENCE_SECONDS):
            stdout, stderr = await process.communicate()
        assert process.returncode is not None
        self.answers += [stdout.decode(), stderr.decode()]
        return Finished(process.returncode, stdout.decode(), stderr.decode())

    async def status(self) -> dict[str, Any]:
        """The answer of `forwarder status --json`."""
        finished = await self.command("status", "--json")
        assert finished.exit_code == 0, finished.stderr
        said: dict[str, Any] = json.loads(finished.stdout)
        return said

    @property
    def place(self) -> OutboxPlace:
        """The place of the outbox: its file or its database."""
        url = self.settings.get("FORWARDER_OUTBOX_URL")
        return self.outbox if url is None else Database(url)

    def totals(self, endpoint: str) -> EndpointTotals | None:
        """The accounts of an endpoint as of the last commit, read beside the running process."""
        overview = self._overview()
        every = overview.endpoints if overview else []
        return next((one for one in every if one.name == endpoint), None)

    def message_totals(self) -> dict[str, int]:
        overview = self._overview()
        return overview.messages if overview else {}

    def _overview(self) -> Overview | None:
        """The overview of the outbox; None while there is no outbox."""
        with suppress(OutboxError, OperationError), opened(self.place, is_read_only=True) as outbox:
            return outbox.overview()
        return None

    async def settled(
        self, endpoint: str, condition: Callable[[EndpointTotals], object]
    ) -> EndpointTotals:
        """The accounts of an endpoint, once `condition` holds of them."""

        async def look() -> EndpointTotals | None:
            totals = self.totals(endpoint)
            return totals if totals is not None and condition(totals) else None

        totals = await eventually(look, what=f"the awaited state of {endpoint}")
        assert totals is not None
        return totals

    async def counted(self, outcome: str, count: int) -> None:
        """Return once so many messages have had this outcome, over the life of the outbox."""

        async def look() -> bool:
            return self.message_totals().get(outcome, 0) >= count

        await eventually(look, what=f"{count} messages {outcome}")

    async def _spawn(self, *arguments: str, shell: str = "") -> Process:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FORWARDER_")}
        return await asyncio.create_subprocess_exec(
            *(("sh", "-c", f'{shell}; exec "$@"', "sh") if shell else ()),
            sys.executable,
            "-m",
            "forwarder",
            *arguments,
            cwd=self.folder,
            env=inherited | self.settings,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LONGEST_LINE,
            preexec_fn=self._limit,
        )

    def _limit(self) -> None:
        if (limit := self.descriptor_limit) is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    async def _collect(self, stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
        async for line in stream:
            async with self._changed:
                take(line.decode().rstrip())
                self._changed.notify_all()

    def _take_log_line(self, line: str) -> None:
        self.events.append(json.loads(line))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        await self._http.aclose()


def _is(line: Mapping[str, Any], events: Collection[str], fields: Mapping[str, object]) -> bool:
    return line.get("event") in events and all(line.get(k) == v for k, v in fields.items())
