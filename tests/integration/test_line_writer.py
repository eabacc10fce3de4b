"""Lines to a descriptor that takes them late, in part, or not at all."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import SimpleNamespace

import pytest

from forwarder import line_writer
from forwarder.line_writer import MOST_BYTES, MOST_LINES, LineWriter

LINES = [b"%d\n" % number for number in range(MOST_LINES)]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its end for reading, and that for writing."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def read_all(reader: int, *, until: bytes) -> bytes:
    taken = b""
    while not taken.endswith(until):
        taken += os.read(reader, 65536)
    return taken


def test_lines_are_written_in_order(pipe: tuple[int, int]) -> None:
    """However many there are, each is written once, as a whole, after those before it."""
    reader, writer = pipe
    taken: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=lambda: taken.put(read_all(reader, until=LINES[-1]))).start()
    lines = LineWriter(writer)
    for line in LINES:
        lines.write(line)
    assert taken.get() == b"".join(LINES)
    assert lines.dropped == 0


def test_a_clock_that_was_set_ends_no_line(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that refuses to wait, as it does where a clock was set back, costs the wait alone."""

    def refuse(_: float) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    reader, writer = pipe
    monkeypatch.setattr(line_writer, "time", SimpleNamespace(sleep=refuse))
    lines = LineWriter(writer)
    lines.write(b"said\n")
    assert read_all(reader, until=b"\n") == b"said\n"


@pytest.mark.parametrize(
    ("line", "most"),
    [
        pytest.param(b"x" * 999 + b"\n", MOST_BYTES // 1000, id="bytes"),
        pytest.param(b"x\n", MOST_LINES, id="lines"),
    ],
)
def test_what_waits_is_bounded(pipe: tuple[int, int], line: bytes, most: int) -> None:
    """While nobody reads, so many lines are kept and later ones dropped; how many is told once, after what was kept."""
    reader, writer = pipe
    told: SimpleQueue[int] = SimpleQueue()
    os.set_blocking(writer, False)  # as another program may have done that shares it
    while _fill(writer):
        pass
    lines = LineWriter(writer, on_resumed=told.put)
    for _ in range(most + 7):
        lines.write(line)
    assert lines.dropped == 7
    lines.write(line)
    lines.flush(0.01)
    assert told.empty()
    reading = Thread(target=lambda: read_all(reader, until=b"end\n"))
    reading.start()
    assert told.get() == 8
    lines.write(b"end\n")
    reading.join()
    assert told.empty()


def _fill(writer: int) -> bool:
    try:
        return bool(os.write(writer, bytes(4096)))
    except BlockingIOError:
        return False


@pytest.mark.parametrize("lost_to", ["/dev/full", "closed", "reader gone"])
def test_it_goes_on_once_lines_are_taken_again(tmp_path: Path, lost_to: str) -> None:
    """What could not be written is counted and told; the next lines are written."""
    told: SimpleQueue[int] = SimpleQueue()
    descriptor = _descriptor(lost_to)
    lines = LineWriter(descriptor, on_resumed=told.put)
    lines.write(b"one\n")
    lines.write(b"two\n")
    lines.flush(10)
    assert lines.dropped == 2
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(file, descriptor)
    lines.write(b"three\n")
    lines.flush(10)
    assert (tmp_path / "log").read_bytes() == b"three\n"
    assert told.get() == 2


def _descriptor(lost_to: str) -> int:
    if lost_to == "reader gone":
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    descriptor = os.open("/dev/full", os.O_WRONLY)
    return descriptor if lost_to == "/dev/full" else _closed(descriptor)


def _closed(descriptor: int) -> int:
    """A number so high that nothing else will be opened under it meanwhile."""
    high = 900
    os.dup2(descriptor, high)
    os.close(descriptor)
    os.close(high)
    return high


TEARS_A_LINE = """
import resource, sys
from forwarder.line_writer import LineWriter
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))
with open(sys.argv[1], "wb") as file:
    lines = LineWriter(file.fileno())
    for _ in range(3):
        lines.write(b"1234\\n" if _ else b"123\\n")
    lines.flush(10)
    assert lines.dropped == 1, lines.dropped
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    lines.write(b"next\\n")
    lines.flush(10)
"""


def test_torn_line_spoils_no_other(tmp_path: Path) -> None:
    """After a line that was written in part the next one begins on a line of its own."""
    log = tmp_path / "log"
    subprocess.run([sys.executable, "-c", TEARS_A_LINE, log], check=True, timeout=20)
    assert log.read_bytes() == b"123\n1234\n1\nnext\n"
