"""Tables fit the terminal, and cut nothing."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from support.outbox_builder import BERN, OutboxBuilder, attempt
from support.shell import Operator

from forwarder.cli.grid import Column, Grid, folded

IDS = st.text("0123456789abcdef", min_size=1, max_size=36)
WORDS = st.text("abcdefgh-_.0123456789", min_size=1, max_size=70)
COLUMNS = {
    "id": Column(),
    "name": Column(name_folds_to=8),
    "first": Column(leaves=1),
    "second": Column(justify="right", leaves=2),
    "prose": Column(folds_to=10),
}


def drawn(grid: Grid, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    with console.capture() as capture:
        console.print(grid)
    return capture.get().splitlines()


def filled(*rows: tuple[str, ...]) -> Grid:
    grid = Grid(dict(COLUMNS))
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid


@given(row=st.tuples(IDS, *[WORDS] * 4), width=st.integers(60, 160))
def test_nothing_that_stands_is_cut(row: tuple[str, ...], width: int) -> None:
    """Whatever the cells and the width: no line is wider, and each column that is not named as left out is whole."""
    title, *lines = drawn(filled(row), width)

    last = lines.pop() if "left out at this width" in lines[-1] else ""
    assert all(len(line) <= width for line in (title, *lines))
    assert row[0] in lines[0]
    for name, text in zip(COLUMNS, row, strict=True):
        if name not in last.split(": ")[-1].split(", "):
            start = title.index(name) if COLUMNS[name].justify == "left" else 0
            assert "…" not in "".join(lines)
            assert start == 0 or "".join(line[start:].split("  ")[0] for line in lines) == text


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (60, None),
        (54, "1 column left out at this width: first"),
        (48, "2 columns left out at this width: first, second"),
    ],
)
def test_the_last_row_names_what_is_left_out(width: int, left_out: str | None) -> None:
    """In the order of the table; those of the lowest rank are the first to go."""
    *_, last = drawn(filled(("1" * 20, "n" * 8, "f" * 6, "s" * 6, "p" * 12)), width)

    assert (last if "left out" in last else None) == left_out


def test_no_trailing_blanks() -> None:
    """Whoever pipes a table into another program gets none."""
    lines = drawn(filled(("1", "a", "b", "c", "d" * 40), ("2", "", "", "", "")), 50)

    assert lines == [line.rstrip() for line in lines]


def test_names_fold_behind_a_dot() -> None:
    """And mid-word only where no dot helps."""
    assert list(folded("report.date_time_local", 20, after=".")) == ["report.", "date_time_local"]
    assert list(folded("a.b.c.d", 4, after=".")) == ["a.b.", "c.d"]


@pytest.mark.parametrize(
    ("columns", "name"), [(60, "acme"), (60, "archive-of-everything"), (80, "archive-of-it")]
)
@pytest.mark.parametrize("arguments", [["deliveries", "list"], ["dead-letters", "list"]])
def test_lists_keep_ids_devices_and_names(
    operator: Operator, built: OutboxBuilder, arguments: list[str], columns: int, name: str
) -> None:
    """On the most common terminals ids and MACs stand whole on their line; what is left out is said."""
    operator.environment["COLUMNS"] = str(columns)
    identity = built.delivery(name, "dead", device=BERN, attempts=(attempt(1), attempt(2)))

    title, row, *last = operator.says(*arguments).splitlines()

    assert row.split()[:3] == [identity, name[: 60 - 52] if columns == 60 else name, BERN]
    assert max(map(len, (title, row, *last))) <= columns
    assert "columns left out at this width: " in " ".join(last)


@pytest.mark.parametrize("arguments", [["deliveries", "list"], ["dead-letters", "list"]])
def test_a_pipe_gets_whole_rows(
    operator: Operator, built: OutboxBuilder, arguments: list[str]
) -> None:
    """Where there is no terminal nothing is left out, folded or padded."""
    operator.environment["COLUMNS"] = ""
    name = "an-endpoint-with-a-name-of-nearly-sixty-three-characters-1234"
    identity = built.delivery(name, "dead", device="x" * 120)

    title, row = operator.says(*arguments).splitlines()

    assert row.split()[:3] == [identity, name, "x" * 120]
    assert "attempts" in title
    assert row == row.rstrip()
