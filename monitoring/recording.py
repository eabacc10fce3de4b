"""What /metrics said over time, as Prometheus would have it: one value of each series at each scrape."""

import gzip
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

TARGET = 'instance="forwarder:8080",job="forwarder"'
"""The labels that Prometheus gives to what it has scraped."""


@dataclass
class Recording:
    """Scrapes at a steady pace; of one that nobody answered there is nothing but `up`."""

    every_seconds: float
    scrapes: list[dict[str, float] | None] = field(default_factory=list)

    def add(self, text: str | None, *, only: Collection[str] = ()) -> None:
        """Take an answer, None when there was none; `only` are the metrics that are kept, if not all."""
        self.scrapes.append(None if text is None else dict(_samples(text, only)))

    def series(self) -> dict[str, list[float | None]]:
        names = dict.fromkeys(name for scrape in self.scrapes for name in scrape or ())
        up: list[float | None] = [0.0 if scrape is None else 1.0 for scrape in self.scrapes]
        return {
            f"up{{{TARGET}}}": up,
            **{name: [(scrape or {}).get(name) for scrape in self.scrapes] for name in names},
        }

    def input_series(self) -> list[dict[str, str]]:
        """As promtool takes it (prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules)."""
        return [
            {"series": name, "values": " ".join(_written(values))}
            for name, values in self.series().items()
        ]

    def write(self, path: Path) -> None:
        content = {"every_seconds": self.every_seconds, "series": self.series()}
        # Without a time in its head, so that equal recordings make equal files.
        path.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


def read_recording(path: Path) -> Recording:
    content = json.loads(gzip.decompress(path.read_bytes()))
    series: Mapping[str, Sequence[float | None]] = content["series"]
    recording = Recording(content["every_seconds"])
    up = series[f"up{{{TARGET}}}"]
    for at, is_up in enumerate(up):
        values = ((name, every[at]) for name, every in series.items() if not name.startswith("up{"))
        scrape = {name: value for name, value in values if value is not None}
        recording.scrapes.append(scrape if is_up else None)
    return recording


def _samples(text: str, only: Collection[str]) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not only or sample.name in only:
                labels = "".join(
                    f",{name}={json.dumps(value)}" for name, value in sample.labels.items()
                )
                yield f"{sample.name}{{{TARGET}{labels}}}", sample.value


def _written(values: Sequence[float | None]) -> Iterator[str]:
    """A series that ends is stale from then on, as it is for Prometheus once a scrape does not show it any more."""
    before: float | None = None
    for value in values:
        if value is None:
            yield "_" if before is None else "stale"
        else:
            yield f"{value:.10g}"
        before = value
