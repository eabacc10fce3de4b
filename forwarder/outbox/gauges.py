"""What the outbox holds at this moment, for metrics; read over a connection of its own, from any thread."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from forwarder.outbox import reads, sqlite


@dataclass(frozen=True, slots=True)
class Gauges:
    """One look at the outbox."""

    endpoints: list[reads.EndpointTotals]
    dead_letters: dict[tuple[str, str], int]
    """By endpoint and reason."""
    quarantined: dict[str, int]
    """By reason."""
    quarantine_evicted: dict[str, int]
    """By reason, over the whole life of the outbox."""


def read_identity(path: Path) -> str:
    """Which outbox this is: a random id, made with it."""
    with sqlite.translated(path), closing(sqlite.connect(path, is_read_only=True)) as connection:
        return reads.identity(connection)


def read_gauges(path: Path) -> Gauges:
    with sqlite.translated(path), closing(sqlite.connect(path, is_read_only=True)) as connection:
        connection.execute("BEGIN")
        return Gauges(
            endpoints=reads.totals(connection),
            dead_letters=reads.dead_letters(connection),
            quarantined=reads.quarantined(connection),
            quarantine_evicted=reads.quarantine_evicted(connection),
        )
