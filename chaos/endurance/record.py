"""What was measured, when which fault was on, and the file for both."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from monitoring.documents import names_in
from monitoring.recording import Recording
from monitoring.table import read_table

METRICS_EVERY_SECONDS = 15.0


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


class Record:
    """Appends each entry to a JSONL file as it comes, so that a run that is broken off leaves one too."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._stream = file.open("w")
        self._metrics = Recording(METRICS_EVERY_SECONDS)
        self._next_metrics_at = 0.0
        self._alerted = names_in(read_table())

    def keep_metrics(self, at: float, text: str) -> None:
        """What /metrics said, as often as a Prometheus would ask: beside the record, for the tests of the alerts."""
        if at >= self._next_metrics_at:
            self._next_metrics_at = at + METRICS_EVERY_SECONDS
            self._metrics.add(text, only=self._alerted)

    def note(self, entry: Entry) -> None:
        self._stream.write(json.dumps(asdict(entry)) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
        self._metrics.write(self.file.with_name("endurance.json.gz"))


def read(file: Path) -> Iterator[Entry]:
    """Every entry of a record, in its order."""
    for line in file.read_text().splitlines():
        content = json.loads(line)
        yield Span(**content) if "what" in content else Sample(**content)


def samples_in(file: Path) -> list[Sample]:
    return [entry for entry in read(file) if isinstance(entry, Sample)]
