"""The files that a run leaves: its entries, and what /metrics said meanwhile."""

import json
from dataclasses import asdict
from pathlib import Path

from chaos.endurance.entries import Entry
from monitoring.documents import names_in
from monitoring.recording import Recording
from monitoring.table import read_table

METRICS_EVERY_SECONDS = 15.0


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
