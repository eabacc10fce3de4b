"""The screen is a console that nobody waits for. A slow or broken terminal does not hold up the program."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console

from forwarder.errors import OperationError
from forwarder.line_writer import LineWriter


@contextmanager
def screen(**options: Any) -> Iterator[Console]:
    """
    A rich console on stdout, with its options. Text that stdout does not take is dropped.

    Raises OperationError at its end if text was dropped, because its reader has missed something.
    """
    lines = LineWriter(sys.stdout.fileno())
    try:
        yield Console(file=cast("TextIO", _Beside(sys.stdout, lines)), **options)
    finally:
        lines.flush()
    if lines.dropped:
        raise OperationError("not all that was to be shown could be written to stdout")


class _Beside(io.TextIOBase):
    """Text for `stream`, written by a thread of its own."""

    def __init__(self, stream: TextIO, lines: LineWriter) -> None:
        self._stream = stream
        self._lines = lines

    @property
    def encoding(self) -> str:  # type: ignore[override] # an attribute there, which cannot be set
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        self._lines.write(text.encode(self.encoding, "backslashreplace"))
        return len(text)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
