"""The table of metrics, alerts and panels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("metrics.yaml")


@dataclass(frozen=True)
class Metric:
    """One metric as Prometheus knows it."""

    name: str
    labels: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Alert:
    """One rule: true for how long, and what is said then."""

    name: str
    expression: str
    lasting: str
    """`5m`; empty where it fires at once."""
    means: str
    then: str


@dataclass(frozen=True)
class Panel:
    """One graph; without queries it is the title of a row."""

    title: str
    unit: str = ""
    queries: dict[str, str] = field(default_factory=dict)
    """By legend."""


@dataclass(frozen=True)
class Table:
    """Everything that the file says, in its order."""

    metrics: tuple[Metric, ...]
    alerts: tuple[Alert, ...]
    panels: tuple[Panel, ...]


def read_table(path: Path = FILE) -> Table:
    content: dict[str, list[dict[str, Any]]] = yaml.safe_load(path.read_text())
    return Table(
        tuple(
            Metric(row["name"], tuple(row.get("labels", ())), row["is"])
            for row in content["metrics"]
        ),
        tuple(
            Alert(row["alert"], row["when"], row.get("for", ""), row["means"], row["then"])
            for row in content["alerts"]
        ),
        tuple(
            Panel(row["row"]) if "row" in row else Panel(row["title"], row["unit"], row["queries"])
            for row in content["panels"]
        ),
    )
