"""One table makes the docs, the rules and the dashboard, and it knows every metric that there is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.metrics import Durations, Metrics, Tally
from monitoring.__main__ import made
from monitoring.documents import dashboard, rules
from monitoring.table import read_table

TABLE = read_table()


@pytest.mark.parametrize("path", made(TABLE), ids=lambda one: one.name)
def test_committed_file_is_current(path: Path) -> None:
    """`make monitoring` brings it up to date."""
    assert path.read_text() == made(TABLE)[path]


def served() -> dict[str, tuple[str, ...]]:
    """Each metric that the program has, with its labels."""
    found = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, Durations):
            found[metric.name] = metric.label_names
        for family in metric.collect() if hasattr(metric, "describe") else ():
            total = "_total" if family.type == "counter" else ""
            own = isinstance(metric, Tally)
            found[family.name + total] = metric.label_names if own else metric._labelnames
    return {name: tuple(labels) for name, labels in found.items() if name}


def test_table_knows_every_metric_and_its_labels() -> None:
    assert {metric.name: metric.labels for metric in TABLE.metrics} == served()


def test_all_metrics_are_looked_at() -> None:
    """Those above are all that /metrics shows, so a metric that is added cannot be missed."""
    shown = re.findall(r"^# TYPE (\S+)", Metrics().text().decode(), re.MULTILINE)

    assert sorted(served()) == sorted(shown)


def names_in(text: str) -> set[str]:
    return {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"forwarder_[a-z_]+", text)
    }


def test_alerts_and_panels_look_at_metrics_that_there_are() -> None:
    known = {metric.name for metric in TABLE.metrics}
    asked = [alert.expression for alert in TABLE.alerts]
    asked += [query for panel in TABLE.panels for query in panel.queries.values()]

    assert {name for expression in asked for name in names_in(expression)} <= known


def test_dashboard_shows_every_metric() -> None:
    shown = names_in(" ".join(q for panel in TABLE.panels for q in panel.queries.values()))

    assert shown == {metric.name for metric in TABLE.metrics}


def test_alert_says_what_to_do_without_links() -> None:
    content: dict[str, Any] = yaml.safe_load(rules(TABLE))
    for rule in content["groups"][0]["rules"]:
        assert "](" not in rule["annotations"]["description"]
        assert rule["annotations"]["summary"]


def test_panels_stand_beside_and_below_each_other() -> None:
    """No two overlap, and each asks the data source that is chosen on the dashboard."""
    panels = json.loads(dashboard(TABLE))["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & taken
        assert max(x for x, _ in own) < 24
        taken |= own
        assert all(one["datasource"]["uid"] == "${source}" for one in panel.get("targets", ()))
