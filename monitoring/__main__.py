"""`make monitoring`: writes what is made of monitoring/metrics.yaml."""

from pathlib import Path

from monitoring.documents import alert_rows, dashboard, metrics_rows, rules, with_rows
from monitoring.table import Table, read_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/operating.md"


def made(table: Table, page: str) -> dict[Path, str]:
    """What every file is to hold."""
    page = with_rows(page, "metrics", metrics_rows(table))
    return {
        PAGE: with_rows(page, "alerts", alert_rows(table)),
        ROOT / "deploy/prometheus/alerts.yml": rules(table),
        ROOT / "deploy/grafana/dashboard.json": dashboard(table),
    }


if __name__ == "__main__":
    for path, content in made(read_table(), PAGE.read_text()).items():
        path.write_text(content)
