"""What a record holds: what was measured, and when which fault was on. Needs nothing but Python."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Sample:
    """The process and its files at one moment."""

    at: float
    """Seconds since the run began."""
    rss_bytes: int
    descriptors: int
    threads: int
    log_bytes: int
    """Of the write-ahead log."""
    file_bytes: int
    """Of the outbox itself."""
    pending: int
    delivered: int
    """Since the start of the process."""
    dead: int
    """Dead letters that are kept now."""


@dataclass(frozen=True)
class Span:
    """A fault, edit or command, and while it lasted: seconds since the run began."""

    what: str
    begun: float
    ended: float


Entry: TypeAlias = Sample | Span


def read(file: Path) -> Iterator[Entry]:
    """Every entry of a record, in its order."""
    for line in file.read_text().splitlines():
        content = json.loads(line)
        yield Span(**content) if "what" in content else Sample(**content)


def samples_in(file: Path) -> list[Sample]:
    return [entry for entry in read(file) if isinstance(entry, Sample)]
