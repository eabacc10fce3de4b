"""Tables and JSON of operator commands: calm for people, exact for programs. Nothing in them moves a cursor."""

import json
import os
import sys
from collections.abc import Iterable

import click
from rich.console import Console
from rich.text import Text

from forwarder.cli.grid import LAST, MAC_WIDTH, Column, Grid
from forwarder.terminal import plain
from forwarder.units import count_of

_UNLIMITED = 100_000


def console() -> Console:
    """
    Standard output for people, without markup and guessed colours.

    It is as wide as the terminal, or as COLUMNS says. A pipe takes whole rows.
    """
    knows_width = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    width = None if knows_width else _UNLIMITED
    return Console(highlight=False, markup=False, emoji=False, width=width)


def cell(value: object, style: str = "") -> Text:
    """A value as a cell of a table; nothing for None."""
    return Text("" if value is None else plain(str(value)), style=style)


STAYS = Column()
NAME = Column(name_folds_to=8)
DEVICE = Column(name_folds_to=MAC_WIDTH)
PROSE = Column(folds_to=16)
LEAVES_LAST = Column(leaves=LAST)
_VALUE = Column(folds_to=len("msg_") + 32)


def leaves(rank: int) -> Column:
    """A column that is left out when there is not enough room. The lowest rank goes first."""
    return Column(leaves=rank)


def number(*, leaves: int = 0) -> Column:
    """A column that is flush right."""
    return Column(justify="right", leaves=leaves)


def table(**columns: Column) -> Grid:
    """An empty table without lines. Each column is named by its title, with `_` for a space."""
    return Grid({title.strip("_").replace("_", " "): column for title, column in columns.items()})


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line. Names without a value are left out."""
    columns = {"name": Column(folds_to=20, breaks_after=".", style="dim"), "value": _VALUE}
    grid = Grid(columns, has_titles=False)
    for name, value in pairs:
        if value is not None:
            grid.add_row(cell(name), cell(value))
    console().print(grid)


def print_listed(rows: Grid, *, count: int, what: str, plural: str = "") -> None:
    """Print a list, and how much of it is not shown."""
    if not count:
        click.echo(f"no {plural or what + 's'}")
        return
    console().print(rows)
    if rows.row_count < count:
        all_of_them = count_of(count, what, plural)
        click.echo(f"{rows.row_count:,} of {all_of_them}; --limit N or --all shows more")


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def print_json_list(values: Iterable[object]) -> None:
    """Print one JSON list as its elements come, one a line."""
    opening = "["
    for value in values:
        click.echo(f"{opening}\n  {json.dumps(value)}", nl=False)
        opening = ","
    click.echo("[]" if opening == "[" else "\n]")
