"""The table of variables: the values that a whatwatt Go can send, and the name of each in an event."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Kind = Literal[
    "measurement",
    "tariff",
    "factor",
    "number",
    "hours",
    "text",
    "device",
    "timestamp",
    "utc",
    "offset",
    "local",
    "date",
    "clock",
]
"""How a value is read; `utc`, `offset` and `local` are texts of an instant, and `hours` become seconds."""

ALWAYS = frozenset({"id", "device", "measured_at", "time_source", "received_at"})
"""The fields that every event has."""
SECTIONS = frozenset({"measurements", "meter", "system", "network", "volumes", "report", "extra"})
"""The parts of an event that hold values by name; `extra` holds values that are in no table."""

_NETWORK = ("wifi", "eth", "plug")


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of variables.csv."""

    variable: str
    """Its name in a template, empty if only a shape knows it; `vol[n].bus` stands for any n."""
    alias: str
    obis: str
    name: str
    """Its name in the event, with the section before a dot: `meter.vendor`, `volumes[n].bus`."""
    unit: str
    kind: Kind
    report_path: str
    live_field: str
    ha_field: str
    wanted: str
    """Why a receiver usually wants it, empty for most."""
    meaning: str
    section: str
    """The part of the event that holds it, empty for `tariff` and its like."""
    key: str
    """Its name within that part."""

    @property
    def field(self) -> str:
        """Its name in `fields`: `active_power_import_kw`, `meter.vendor`, `network.wifi.sta.rssi`, `volumes.bus`."""
        return self.key if self.section in ("", "measurements") else f"{self.section}.{self.key}"

    @property
    def is_numeric(self) -> bool:
        """Whether devices write it without quotes."""
        return self.kind in ("measurement", "tariff", "factor", "number", "hours", "timestamp")


@dataclass(frozen=True, slots=True)
class Use:
    """A variable as one template or shape names it; `index` is the n of `vol[n]`."""

    variable: Variable
    index: int = 0

    @property
    def event_name(self) -> str:
        """Its place in the event: `meter.vendor`, `volumes[0].bus`."""
        return self.variable.name.replace("[n]", f"[{self.index}]")


@cache
def variables() -> tuple[Variable, ...]:
    """Every row of the table, in its order."""
    text = files(__package__).joinpath("variables.csv").read_text(encoding="utf-8")
    return tuple(_variable(row) for row in csv.DictReader(text.splitlines()))


def variable_named(name: str) -> Use | None:
    """The variable that a template calls `name`, by its own name or its alias; None when devices know none."""
    if name.startswith("vol["):
        return _volume_variable(name)
    variable = _by_template_name().get(name)
    return Use(variable) if variable and variable.section != "volumes" else None


def template_names() -> tuple[str, ...]:
    """Every name that a template can use; `vol[n].…` stands for any n."""
    return tuple(_by_template_name())


def _variable(row: Mapping[str, str]) -> Variable:
    if row["kind"] not in get_args(Kind):
        raise ValueError(f"variables.csv: {row['name']} is of an unknown kind, {row['kind']}")
    section, key = _place(row["name"], kind=row["kind"])
    columns: dict[str, Any] = {**row, "section": section, "key": key}
    return Variable(**columns)


def _place(name: str, *, kind: str) -> tuple[str, str]:
    if kind == "measurement":
        return "measurements", name
    head, dot, rest = name.partition(".")
    if head in _NETWORK:
        return "network", name
    if head == "volumes[n]":
        return "volumes", rest
    return (head, rest) if dot else ("", name)


@cache
def _by_template_name() -> Mapping[str, Variable]:
    rows = variables()
    named = {row.variable: row for row in rows if row.variable}
    return named | {row.alias: row for row in rows if row.alias}


def _volume_variable(name: str) -> Use | None:
    index, bracket, field = name.removeprefix("vol[").partition("]")
    variable = _by_template_name().get(f"vol[n]{field}")
    if not (bracket and variable and index.isascii() and index.isdigit() and len(index) <= 9):
        return None
    return Use(variable, int(index))
