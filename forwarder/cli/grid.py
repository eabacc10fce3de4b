"""
A grid has rows and columns that fit the terminal. Nothing in them is ever cut.

If there is not enough room, long texts are folded over several lines, and the columns that matter least are left out
and named in a last row. Names are folded only when nothing else helps, and ids after them.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

GAP = 2
"""Blanks between two columns."""
LAST = 9
"""The rank of a column that leaves only when folded names do not help either."""
MAC_WIDTH = 12
_NARROWEST = 8

Concession: TypeAlias = Callable[[dict[int, int]], dict[int, int]]
"""Takes the least widths of the columns that stand, by index; returns fewer or smaller ones."""


@dataclass(frozen=True, slots=True)
class Column:
    """The behaviour of a column when there is not enough room for all."""

    justify: Literal["left", "right"] = "left"
    leaves: int = 0
    """The rank in which columns leave: 1 first, then 2 …, at last LAST; 0 stays."""
    folds_to: int = 0
    """The least width, in cells, of a text that may be folded; 0 for a text that stands on one line."""
    name_folds_to: int = 0
    """The least width, in cells, of a name, which is folded when nothing else helps."""
    breaks_after: str = ""
    """The letter after which a text may be folded, as after blanks."""
    style: str = ""


@dataclass(slots=True)
class Grid:
    """Rows of cells under titles: a renderable of rich, laid out for the width that it gets."""

    columns: dict[str, Column]
    has_titles: bool = True
    rows: list[tuple[Text, ...]] = field(default_factory=list)

    @property
    def row_count(self) -> int:
        return len(self.rows)

    def add_row(self, *cells: Text) -> None:
        self.rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(self.columns.values())
        layout = lay_out(columns, self._widths(), room=options.max_width)
        for line in console.render_lines(self._drawn(layout), options, pad=False):
            yield from _without_trailing_blanks(line)
            yield Segment.line()
        if left_out := [title for index, title in enumerate(self.columns) if index not in layout]:
            yield Text(_farewell(left_out), style="dim")

    def _widths(self) -> list[int]:
        titles = [len(title) if self.has_titles else 0 for title in self.columns]
        cells = [[cell.cell_len for cell in row] for row in self.rows]
        return [max(widths) for widths in zip(titles, *cells, strict=True)]

    def _drawn(self, layout: dict[int, int]) -> Table:
        table = Table(
            box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim",
            show_header=self.has_titles,
        )  # fmt: skip
        named = list(self.columns.items())
        for index, width in layout.items():
            title, column = named[index]
            table.add_column(
                title, width=width, justify=column.justify, style=column.style, overflow="fold"
            )
        for row in self.rows:
            table.add_row(*(_folded(row[i], named[i][1], width) for i, width in layout.items()))
        return table


def lay_out(columns: Sequence[Column], widths: Sequence[int], *, room: int) -> dict[int, int]:
    """
    The columns that stand, by index, each with its width, so that all of them fit into `room`.

    `widths` are those of their texts on one line.
    """
    least = {
        index: min(width, column.folds_to or width)
        for index, (column, width) in enumerate(zip(columns, widths, strict=True))
    }
    for concession in _concessions(columns):
        if _total(least.values()) <= room:
            break
        least = concession(least)
    return _narrowed({index: widths[index] for index in least}, least, room=room)


def _concessions(columns: Sequence[Column]) -> Iterator[Concession]:
    """The concessions to a lack of room, one after the other, until there is enough."""
    leaving = sorted(
        (column.leaves, index) for index, column in enumerate(columns) if column.leaves
    )
    names = {i: column.name_folds_to for i, column in enumerate(columns) if column.name_folds_to}
    yield from (partial(_without, index) for rank, index in leaving if rank != LAST)
    yield partial(_folding, dict.fromkeys(names, MAC_WIDTH))
    yield from (partial(_without, index) for rank, index in leaving if rank == LAST)
    yield partial(_folding, names)
    yield partial(_folding, dict.fromkeys(range(len(columns)), _NARROWEST))


def _without(index: int, least: dict[int, int]) -> dict[int, int]:
    return {other: width for other, width in least.items() if other != index}


def _folding(narrowest: Mapping[int, int], least: dict[int, int]) -> dict[int, int]:
    return {index: min(width, narrowest.get(index, width)) for index, width in least.items()}


def _total(widths: Collection[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _narrowed(widths: dict[int, int], least: Mapping[int, int], *, room: int) -> dict[int, int]:
    """The widths that fit. Cell by cell, the widest column that can spare it loses one."""
    for _ in range(_total(widths.values()) - room):
        sparing = [index for index, width in widths.items() if width > least[index]]
        if not sparing:
            break
        widths[max(sparing, key=widths.__getitem__)] -= 1
    return widths


def _folded(cell: Text, column: Column, width: int) -> Text:
    if not column.breaks_after or cell.cell_len <= width:
        return cell
    return Text("\n".join(folded(cell.plain, width, after=column.breaks_after)), style=cell.style)


def folded(text: str, width: int, *, after: str) -> Iterator[str]:
    """The text in lines of at most `width` letters. A line ends behind a letter of `after` if it can."""
    line = ""
    for piece in re.findall(f"[^{re.escape(after)}]*[{re.escape(after)}]*", text):
        if line and len(line) + len(piece) > width:
            yield line
            line = ""
        line += piece
    yield line


def _without_trailing_blanks(line: Sequence[Segment]) -> list[Segment]:
    segments = list(line)
    while segments and not segments[-1].text.rstrip():
        segments.pop()
    if segments:
        last = segments[-1]
        segments[-1] = Segment(last.text.rstrip(), last.style)
    return segments


def _farewell(titles: Sequence[str]) -> str:
    noun = "column" if len(titles) == 1 else "columns"
    return f"{len(titles)} {noun} left out at this width: {', '.join(titles)}"
