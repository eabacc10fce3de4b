"""
docs/events.csv is made from the table of variables:

    python -m forwarder.normalise.events_table > docs/events.csv
"""

import csv
import io
import sys

from forwarder.variables import Variable, variables

COLUMNS = ("in the event", "variable", "report", "live", "Home Assistant", "unit", "meaning")


def table() -> str:
    """The whole file: a row for each way in which a value reaches an event."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([COLUMNS, *map(_row, variables())])
    return lines.getvalue()


def _row(row: Variable) -> tuple[str, ...]:
    name = row.field if row.section == "network" else row.name
    names = ", ".join(name for name in (row.variable, row.alias) if name)
    unit = "" if row.kind == "timestamp" else row.unit  # the event has a text in its place
    return name, names, row.report_path, row.live_field, row.ha_field, unit, row.meaning


if __name__ == "__main__":
    sys.stdout.write(table())
