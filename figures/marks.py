"""The places of a page that a program writes: between a mark that names the command, and one that ends it."""

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence

_WIDTH = 120


def with_text(page: str, name: str, command: str, text: str) -> str:
    """The page with this text between its marks of that name. Raises ValueError when it has none."""
    start, end = f"<!-- {name}: {command} -->\n", f"<!-- {name}: end -->"
    if page.count(start) != 1 or page.count(end) != 1:
        raise ValueError(f"the page has no place for {name}")
    before, rest = page.split(start)
    return before + start + text + end + rest.split(end)[1]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that ends with a line break, as the pages have it: no bar at either end of a line."""
    lines = [" | ".join(head), "|".join(["---"] * len(head)), *map(" | ".join, rows)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def listed(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same as a CSV file."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([head, *rows])
    return lines.getvalue()


def by_machine(entries: Iterable[tuple[str, str]]) -> str:
    """What was measured where: each machine, as `place.machine` tells it, and below it a list of the texts."""
    below: dict[str, list[str]] = {}
    for machine, told in entries:
        name, _, fsync = machine.partition(", fsync ")
        below.setdefault(name, []).append(item(f"{told}, fsync {fsync}"))
    return "\n".join(f"On {name}:\n\n{''.join(items)}" for name, items in below.items())


def item(text: str) -> str:
    """An entry of a list, wrapped as the pages are."""
    return textwrap.fill(text, _WIDTH, initial_indent="- ", subsequent_indent="  ") + "\n"
