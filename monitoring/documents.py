"""What is made of the table: a list of the metrics, rules for Prometheus, a dashboard for Grafana. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from figures.marks import listed
from monitoring.table import Alert, Panel, Table

_WIDTH, _HEIGHT = 12, 8
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_HEAD = "# Made by `make monitoring` from monitoring/metrics.yaml, and tried by promtool on recorded faults.\n"


def metrics_list(table: Table) -> str:
    """A CSV file with a row for each metric."""
    rows = ((one.name, ", ".join(one.labels), one.meaning) for one in table.metrics)
    return listed(("metric", "labels", "is"), rows)


def rules(table: Table) -> str:
    """The rules file of Prometheus (prometheus.io/docs/prometheus/latest/configuration/alerting_rules)."""
    content = {"groups": [{"name": "forwarder", "rules": [_rule(alert) for alert in table.alerts]}]}
    return _HEAD + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def _rule(alert: Alert) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expression}
    if alert.lasting:
        rule["for"] = alert.lasting
    annotations = {"summary": alert.means, "description": alert.then}
    return rule | {"labels": {"severity": "warning"}, "annotations": annotations}


def dashboard(table: Table) -> str:
    """A dashboard to be imported by Grafana 10 and newer; its data source is chosen on it."""
    content = {
        "title": "whatwatt forwarder",
        "uid": "whatwatt-forwarder",
        "tags": ["whatwatt"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": list(_placed(table.panels)),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _placed(panels: tuple[Panel, ...]) -> Iterator[dict[str, Any]]:
    x = y = 0
    for number, panel in enumerate(panels, 1):
        if not panel.queries:
            y, x = y + (_HEIGHT if x else 0), 0
            place = {"x": 0, "y": y, "w": 2 * _WIDTH, "h": 1}
            yield {
                "id": number,
                "type": "row",
                "title": panel.title,
                "gridPos": place,
                "panels": [],
            }
            y += 1
            continue
        place = {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT}
        yield _graph(number, panel, place)
        x, y = (0, y + _HEIGHT) if x else (_WIDTH, y)


def _graph(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "expr": query,
            "legendFormat": legend,
        }
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": targets,
    }


def queries(table: Table) -> Iterator[str]:
    """Every query of the dashboard, as Prometheus takes it: Grafana's own variables have their usual values."""
    for panel in table.panels:
        for query in panel.queries.values():
            yield re.sub(r"\$__(rate_interval|range)", "2m", query)


def names_in(table: Table) -> frozenset[str]:
    """The metrics that alerts look at."""
    return frozenset(
        name for one in table.alerts for name in re.findall(r"forwarder_\w+", one.expression)
    )
