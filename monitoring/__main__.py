"""`make monitoring`: writes what is made of monitoring/metrics.yaml."""

from pathlib import Path

from monitoring.documents import dashboard, metrics_list, rules
from monitoring.table import Table, read_table

ROOT = Path(__file__).parents[1]


def made(table: Table) -> dict[Path, str]:
    """What every file is to hold."""
    return {
        ROOT / "docs/metrics.csv": metrics_list(table),
        ROOT / "deploy/prometheus/alerts.yml": rules(table),
        ROOT / "deploy/grafana/dashboard.json": dashboard(table),
    }


if __name__ == "__main__":
    for path, content in made(read_table()).items():
        path.write_text(content)
