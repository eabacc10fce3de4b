"""Whatever becomes of what it tells, readings flow and it ends when it is told to."""

import asyncio
import fcntl
import os
import re
import resource
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.attack import Extent, Tried
from support.line import Line, assert_told_once_in_order
from support.receiver_policies import always
from support.service import eventually
from support.webhooks import UNAVAILABLE, Webhooks

DOOR = "logs"
LIMIT_BLOCKS, PREFILLED_BYTES = 2048, 4 << 20
"""What a file may hold (in blocks of 512 or 1,024 bytes), and what the log's file holds already."""


async def dropped(line: Line) -> float:
    answer = await line.service.ask("/metrics")
    assert answer is not None
    families = text_string_to_metric_families(answer.text)
    name = "forwarder_log_lines_dropped"
    return next(one.samples[0].value for one in families if one.name == name)


async def failing_devices(line: Line, webhooks: Webhooks, *, count: int) -> None:
    """Each of these devices has a reading whose first attempt failed, which is logged."""
    webhooks.policy = always(UNAVAILABLE)
    for device in line.fleet.devices[:count]:
        await line.publish(1, device=device)
    await webhooks.until_posts(count)


async def all_arrive(line: Line, webhooks: Webhooks) -> None:
    webhooks.policy = Webhooks.policy
    await line.publish(10)
    await webhooks.until_count(line.fleet.count)
    assert_told_once_in_order(webhooks, line.fleet.issued)


async def stop_in_good_order(line: Line) -> None:
    assert (await line.service.stop(), line.service.complaints) == (0, [])


@pytest.mark.parametrize("shell", ["exec >&-", "exec >/dev/full", "exec >&- <&- 2>&-"])
async def test_stdout_that_takes_nothing(line: Line, tried: list[Tried], shell: str) -> None:
    """Closed or full, it costs log lines, which are counted, and nothing else."""
    line.service.shell = shell
    webhooks = await line.receiver("acme")
    await line.start()
    await failing_devices(line, webhooks, count=3)
    await all_arrive(line, webhooks)
    lost = await dropped(line)
    assert lost > 0
    await stop_in_good_order(line)
    tried.append(Tried(DOOR, f"stdout: `{shell}`", 1, f"all delivered, {lost:.0f} lines dropped"))


@contextmanager
def fifo(path: Path) -> Iterator[int]:
    """A pipe of 4 KiB with a name, and its end for reading."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield reader
    finally:
        with suppress(OSError):
            os.close(reader)


async def test_reader_that_goes_away(line: Line, tmp_path: Path, tried: list[Tried]) -> None:
    """Lanes whose attempts failed while the reader of the log died go on when the endpoint recovers."""
    webhooks = await line.receiver("acme")
    with fifo(tmp_path / "log") as reader:
        line.service.shell = f"exec >{tmp_path / 'log'}"
        await line.start()
        os.close(reader)
        await failing_devices(line, webhooks, count=3)
    await all_arrive(line, webhooks)
    assert await dropped(line) > 0
    await stop_in_good_order(line)
    tried.append(Tried(DOOR, "the reader of stdout goes away", 1, "all delivered"))


async def test_reader_that_never_reads(
    line: Line, tmp_path: Path, extent: Extent, tried: list[Tried]
) -> None:
    """A full pipe stops nothing: readings flow, /healthz answers, SIGTERM ends it; what it takes later is whole."""
    count = 20_000 if extent == "full" else 200
    line.service.settings["FORWARDER_LOG_LEVEL"] = "debug"
    webhooks = await line.receiver("acme")
    with fifo(tmp_path / "log") as reader:
        line.service.shell = f"exec >{tmp_path / 'log'}"
        await line.start()
        await line.publish(count)
        await all_arrive(line, webhooks)
        health = await line.service.ask("/healthz")
        assert health is not None
        assert health.status_code == 200
        lost = await dropped(line)
        await stop_in_good_order(line)
        first, *_ = os.read(reader, 65536).decode().split("\n")
    assert first.endswith("}")
    outcome = f"all delivered, {lost:.0f} lines dropped"
    tried.append(Tried(DOOR, "a pipe of 4 KiB that nobody reads, at level debug", count, outcome))


async def test_disk_of_the_log_is_full_for_a_while(
    line: Line, tmp_path: Path, tried: list[Tried]
) -> None:
    """Deliveries go on while the log's file may not grow; once it may, lines are written, and how many were lost."""
    log = tmp_path / "forwarder.log"
    log.write_bytes(b"\n" * PREFILLED_BYTES)
    line.service.shell = f"exec >>{log}; ulimit -S -f {LIMIT_BLOCKS}"
    webhooks = await line.receiver("acme")
    await line.start()
    await failing_devices(line, webhooks, count=3)
    await all_arrive(line, webhooks)
    assert log.stat().st_size == PREFILLED_BYTES
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(line.service.pid, resource.RLIMIT_FSIZE, unlimited)
    await failing_devices(line, webhooks, count=1)

    async def has_told() -> bool:
        return '"event": "log_lines.dropped"' in log.read_text()

    await eventually(has_told, what="lines in the log")
    await all_arrive(line, webhooks)
    await stop_in_good_order(line)
    assert '"event": "service.stopped"' in log.read_text()
    tried.append(Tried(DOOR, "the disk of its file is full, and freed later", 1, "all delivered"))


async def test_what_is_too_old_is_swept_without_a_log(line: Line, tmp_path: Path) -> None:
    """The sweep settles what a paused endpoint left to grow old, though nobody takes the line that says so."""
    await line.receiver("acme", paused=True, max_age="3s")
    with fifo(tmp_path / "log") as reader:
        line.service.shell = f"exec >{tmp_path / 'log'}"
        await line.start()
        os.close(reader)
        await line.publish(3)
    await line.service.settled("acme", lambda totals: totals.dead == 3)
    await line.service.ready()
    await stop_in_good_order(line)


async def test_claimed_reading_grows_old_without_a_log(line: Line, tmp_path: Path) -> None:
    """A reading whose attempts fail is buried at its max_age, though nobody takes the lines that say so."""
    await line.receiver("acme", always(UNAVAILABLE), max_age="3s")
    line.service.shell = "exec >/dev/full"
    await line.start()
    await line.publish(3, device=line.fleet.devices[0])
    await line.service.settled("acme", lambda totals: totals.dead == 3)
    await stop_in_good_order(line)


async def test_encoding_without_arrows(line: Line, tmp_path: Path, tried: list[Tried]) -> None:
    """An edit is taken over and logged, its arrow as an escape, where stdout is latin-1."""
    log = tmp_path / "log"
    line.service.shell = f"exec >{log}"
    line.service.settings |= {"PYTHONIOENCODING": "latin-1", "FORWARDER_LOG_FORMAT": "console"}
    webhooks = await line.receiver("acme")
    await line.start()
    line.endpoints["acme"]["timeout"] = "7s"
    line.write_routes()

    async def has_told() -> bool:
        return "acme: timeout" in log.read_text("latin-1")

    await eventually(has_told, what="the edit in the log")
    assert "\\u2192" in log.read_text("latin-1")
    await all_arrive(line, webhooks)
    await stop_in_good_order(line)
    tried.append(Tried(DOOR, "an encoding that has no arrows", 1, "escaped"))


class TestCommands:
    """What an operator's command prints."""

    COMMANDS = (("check",), ("status",), ("status", "--json"), ("routes", "show"), ("secret",))

    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    @pytest.mark.parametrize("shell", ["exec >&-", "exec >/dev/full"])
    async def test_nobody_takes_it(self, line: Line, command: tuple[str, ...], shell: str) -> None:
        """It ends with exit code 1 and one sentence."""
        await line.receiver("acme")
        line.write_routes()
        ended = await line.service.command(*command, shell=shell)
        assert ended.exit_code == 1
        assert ended.stderr.splitlines()[-1].startswith("forwarder: cannot write to stdout: ")
        assert "Traceback" not in ended.stderr

    @pytest.mark.parametrize("shell", ["exec 2>&-", "exec 2>/dev/full"])
    async def test_nobody_takes_its_errors(self, line: Line, shell: str) -> None:
        """The exit code says what went wrong all the same."""
        codes = [
            (await line.service.command(*arguments, shell=shell)).exit_code
            for arguments in (("secret",), ("check",), ("nonsense",), ("secret", "--nonsense"))
        ]
        assert codes == [0, 2, 2, 2]

    @pytest.mark.parametrize("encoding", ["latin-1", "ascii", "latin-1:strict"])
    async def test_its_encoding_has_no_arrows(self, line: Line, encoding: str) -> None:
        """What the encoding does not have is written as its escape."""
        line.service.settings["PYTHONIOENCODING"] = encoding
        await line.receiver("acme")
        line.write_routes()
        old = line.folder / "old.yaml"
        old.write_text(line.routes_text())
        line.endpoints["acme"]["timeout"] = "7s"
        line.write_routes()
        ended = await line.service.command("routes", "diff", str(old))
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert "timeout" in ended.stdout

    async def test_its_reader_goes_away(self, line: Line) -> None:
        """`forwarder … | head` ends quietly."""
        pipe, go = line.folder / "pipe", line.folder / "go"
        os.mkfifo(go)
        with fifo(pipe) as reader:
            shell = f"exec >{pipe}; read word <{go}"
            running = asyncio.create_task(line.service.command("schema", "settings", shell=shell))
            told = await asyncio.to_thread(go.open, "w")
            os.close(reader)
            told.close()
            ended = await running
        assert (ended.exit_code, ended.stderr) == (1, "")


class TestSignals:
    """From the first instruction on, and to the last."""

    @pytest.fixture
    async def starting(self, line: Line) -> Line:
        """A service that is still importing its modules."""
        await line.receiver("acme")
        line.write_routes()
        line.service.settings["PYTHONPROFILEIMPORTTIME"] = "1"  # which says so on stderr
        await line.service.start()

        async def imports() -> bool:
            return any(said.endswith("click.core") for said in line.service.complaints)

        await eventually(imports, what="the import of click")
        assert not line.service.events
        return line

    async def test_sighup_does_not_end_a_start(self, starting: Line) -> None:
        """Whoever asks for a look at routes.yaml too early gets it anyway."""
        starting.service.send(signal.SIGHUP)
        await starting.service.ready()
        assert await starting.service.stop() == 0

    async def test_a_shell_that_ignores_sighup_covers_the_start_of_python(self, line: Line) -> None:
        """What is ignored before Python starts stays so until the service listens to it."""
        await line.receiver("acme")
        line.write_routes()
        line.service.shell = "trap '' HUP"
        await line.service.start()
        await eventually(attends(line.service.pid), what="attention to SIGHUP")
        line.service.send(signal.SIGHUP)
        await line.service.ready()
        line.service.send(signal.SIGHUP)
        await line.service.logged("routes.unchanged")
        await stop_in_good_order(line)

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
    async def test_a_start_is_ended(
        self, starting: Line, number: signal.Signals, code: int
    ) -> None:
        """It ends at once, and says nothing."""
        assert await starting.service.stop(number) == code
        assert not [said for said in starting.service.complaints if "import time:" not in said]

    async def test_no_moment_is_a_bad_one(
        self, line: Line, extent: Extent, tried: list[Tried]
    ) -> None:
        """Told to end at any moment after its first instruction, it exits 0 without a word; SIGHUP changes nothing."""
        count = 60 if extent == "full" else 6
        await line.receiver("acme")
        line.write_routes()
        for number in range(count):
            line.service.complaints.clear()
            await line.service.start()
            await eventually(attends(line.service.pid), what="attention to SIGHUP")
            await asyncio.sleep(number / count)  # which moment it is, is what is tried
            line.service.send(signal.SIGHUP)
            await stop_in_good_order(line)
        tried.append(Tried(DOOR, "SIGHUP and SIGTERM at any moment of a start", count, "exit 0"))


def attends(pid: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return attends_to_sighup(pid)

    return look


def attends_to_sighup(pid: int) -> bool:
    """Whether a process catches or ignores it (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"^Sig(?:Ign|Cgt):\s*(\w+)", status, re.MULTILINE)
    return any(int(mask, 16) & 1 << signal.SIGHUP - 1 for mask in masks)
