"""
Standard output and error as a command needs them, whatever it was started with.

A letter that the terminal's encoding lacks is written as its escape. Output that nobody can take ends the command with
a sentence. Nothing waits for text on stderr, and no exit code depends on it.
"""

import io
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from forwarder.errors import OperationError
from forwarder.line_writer import LineWriter, wait_for_room
from forwarder.terminal import columns_of, folded, plain

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def stand_in() -> None:
    """
    Put ours in the place of stdout and stderr. Call it before anything is opened.

    A closed standard stream would leave its number to the next file that is opened, a socket or the outbox.
    """
    for descriptor in (0, 1, 2):
        _occupy(descriptor)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - a descriptor; it lives as long as we do
    sys.stdout = _text(_Output(1, "w", closefd=False), like=sys.stdout)
    sys.stderr = _text(_Errors(2, "w", closefd=False), like=sys.stderr)


def say(sentences: Iterable[str]) -> None:
    """Say on stderr what ends the command. A reader that does not read keeps us waiting for a second at most."""
    errors, width = LineWriter(2), columns_of(sys.stderr)
    for sentence in sentences:
        line = folded(f"forwarder: {plain(sentence)}", width=width, indent=2)
        errors.write(f"{line}\n".encode(sys.stderr.encoding, "backslashreplace"))
    errors.flush()


def _occupy(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        # It is opened for reading alone, so that writing there fails, as it did before.
        os.open(os.devnull, os.O_RDONLY)


def _text(raw: io.FileIO, *, like: TextIO | None) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding if like is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )


class _Output(io.FileIO):
    """Raises OperationError once, when it cannot write. Bytes left in buffers after that are of no use."""

    _has_failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        if self._has_failed:
            return memoryview(data).nbytes
        try:
            return self._write(data)
        except BrokenPipeError:
            self._has_failed = True
            raise
        except OSError as error:
            self._has_failed = True
            raise OperationError(f"cannot write to stdout: {error.strerror}") from error

    def _write(self, data: "ReadableBuffer") -> int:
        # Another program that shares stdout may have made it non-blocking. FileIO then answers None.
        while not (written := super().write(data)):
            wait_for_room(self.fileno())
        return written


class _Errors(io.FileIO):
    """Loses text that it cannot write."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes
