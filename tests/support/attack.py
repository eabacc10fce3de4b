"""The record of attacks: tests note them, pytest shows them, and `make attack` writes them into docs/."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Extent: TypeAlias = Literal["short", "full"]

_START, _END = "<!-- attacks: written by make attack -->", "<!-- /attacks -->"


@dataclass(frozen=True, slots=True)
class Tried:
    """One attack that held."""

    door: str
    """The way in: `MQTT`, `HTTP port`, `receivers' answers`, `files`, `logs`, …"""
    what: str
    count: int
    """Inputs, connections or messages."""
    outcome: str
    """The conduct of the service, with the figures of this run."""


def table(tried: Sequence[Tried]) -> str:
    """The record as a Markdown table, by door."""
    rows = [
        f"{one.door} | {one.what} | {one.count:,} | {one.outcome}"
        for one in sorted(tried, key=lambda one: (one.door, one.what))
    ]
    return "\n".join(["door | tried | count | what happened", "---|---|---|---", *rows])


def by_door(tried: Sequence[Tried]) -> str:
    """The record's summary for the page: how much was tried at each door."""
    doors = sorted({one.door for one in tried})
    counts = {door: [one.count for one in tried if one.door == door] for door in doors}
    rows = [f"{door} | {len(all_of)} | {sum(all_of):,}" for door, all_of in counts.items()]
    return "\n".join(["door | attacks | inputs", "---|---|---", *rows])


def write_into(page: Path, record: Path, tried: Sequence[Tried], *, is_whole: bool) -> None:
    """
    Replace the table between the markers of the page, and the record of each attack beside it.

    An attack that this run has not tried keeps its earlier record, unless the run is whole.
    """
    earlier = [] if is_whole else recorded(record.read_text())
    all_of = [*{(one.door, one.what): one for one in [*earlier, *tried]}.values()]
    head, _, rest = page.read_text().partition(_START)
    _, _, tail = rest.partition(_END)
    page.write_text(f"{head}{_START}\n{by_door(all_of)}\n{_END}{tail}")
    record.write_text(f"# What was tried\n\nWritten by `make attack`.\n\n{table(all_of)}\n")


def recorded(text: str) -> list[Tried]:
    """The attacks of a record that `write_into` wrote."""
    cells = [line.split(" | ", 3) for line in text.splitlines() if " | " in line]
    return [
        Tried(door, what, int(count.replace(",", "")), outcome)
        for door, what, count, outcome in cells[1:]
    ]
