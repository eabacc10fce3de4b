"""Which rows a command means, in the operator's words and in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from forwarder.reading import Device


class DeliveryId(NamedTuple):
    """A delivery's row: the number of its reading, and the row of its endpoint. People know it by its webhook id."""

    reading: int
    endpoint: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What narrows the rows down; what is None or empty does not. The instants are UNIX seconds."""

    ids: tuple[tuple[int, int], ...] = ()
    endpoint: str | None = None
    device: Device | None = None
    reason: str | None = None
    state: str | None = None
    since: float | None = None
    until: float | None = None
    limit: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return self != Selection()


class Clauses(NamedTuple):
    """The end of a query, with its parameters in order."""

    sql: str
    parameters: list[object]


def clauses(selection: Selection, columns: Mapping[str, str], *, order: str) -> Clauses:
    """
    `AND … ORDER BY … LIMIT …`: what follows the WHERE of a query.

    `columns` maps the names of `Selection` to SQL; `since` and `until` compare with its `time`, ids with its `id`.
    """
    parts: list[tuple[str, object]] = [
        (f"{columns[name]} = ?", getattr(selection, name))
        for name in ("endpoint", "device", "reason", "state")
        if getattr(selection, name) is not None
    ]
    if selection.since is not None:
        parts.append((f"{columns['time']} >= ?", selection.since))
    if selection.until is not None:
        parts.append((f"{columns['time']} < ?", selection.until))
    sql = "".join(f" AND {clause}" for clause, _ in parts)
    parameters = [value for _, value in parts]
    if selection.ids:
        sql += f" AND {columns['id']} IN (VALUES {', '.join(['(?, ?)'] * len(selection.ids))})"
        parameters += [number for key in selection.ids for number in key]
    sql += f" ORDER BY {order}"
    if selection.limit is not None:
        sql += " LIMIT ?"
        parameters.append(selection.limit)
    return Clauses(sql, parameters)
