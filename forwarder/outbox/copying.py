"""
A copy of an outbox on the other engine: whole or not at all, and accounted for.

    source, held still ─▶ row by row, each table ─▶ draft ─▶ read back and compared ─▶ finished: an outbox
                                                      └─ a failure or a crash leaves nothing that a service would use

Some rows at a time are in memory, however many the outbox has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol, TypeAlias

from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import OutboxError
from forwarder.outbox.records import EndpointTotals

Row: TypeAlias = Sequence[Any]

_MODULUS = 1 << 128


class Contents(Protocol):
    """All rows of an outbox that no other process changes meanwhile."""

    def tables(self) -> dict[str, tuple[str, ...]]:
        """Each table with its columns, without what an engine keeps for itself."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """The table's rows, in any order."""

    def highest_numbers(self) -> tuple[int, int]:
        """The highest numbers ever given to a reading and to a quarantined message, whose rows may be gone."""

    def totals(self) -> list[EndpointTotals]:
        """The accounts of every endpoint, by name."""

    def deployment(self) -> str | None:
        """The deployment that the outbox belongs to; None where the outbox does not know."""

    def states(self) -> Mapping[tuple[str, str], int]:
        """The number of deliveries by endpoint and state."""


class Draft(Contents, Protocol):
    """An outbox that is being made; no service takes a draft for an outbox before `finish`."""

    def as_kept(self, row: Row) -> Row:
        """The row as this engine will read it back."""

    def take(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Put rows into a table."""

    def go_on_from(self, reading: int, quarantined: int) -> None:
        """Give out only numbers above these from now on."""

    def finish(self) -> None:
        """Make the draft an outbox, on disk."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A finished copy's numbers, in which source and destination agree."""

    rows: Mapping[str, int]
    """Numbers of rows, by table."""
    endpoints: Sequence[EndpointTotals]


@dataclass(slots=True)
class Fingerprint:
    """A digest of rows in whatever order: fingerprints are equal where the rows are the same, and only there."""

    rows: int = 0
    digest: int = 0

    def watching(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, and take each into the fingerprint."""
        for row in rows:
            said = repr(tuple(row)).encode(errors="surrogatepass")
            digest = blake2b(said, digest_size=16).digest()
            self.rows += 1
            self.digest = (self.digest + int.from_bytes(digest)) % _MODULUS
            yield row

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Fingerprint":
        fingerprint = cls()
        for _ in fingerprint.watching(rows):
            pass
        return fingerprint


def copy_contents(source: Contents, draft: Draft) -> Copied:
    """
    Fill the draft, compare it with the source, and finish it.

    Raises OutboxError when draft and source differ; the draft then stays unfinished.
    """
    columns = _shared_columns(source, draft)
    rows = {table: _copy_table(source, draft, table, names) for table, names in columns.items()}
    draft.go_on_from(*source.highest_numbers())
    totals = source.totals()
    if _counts(draft.totals()) != _counts(totals):
        raise _difference("the totals of its endpoints")
    if draft.states() != source.states():
        raise _difference("how many deliveries are in which state")
    draft.finish()
    return Copied(rows, totals)


def _counts(totals: Iterable[EndpointTotals]) -> list[EndpointTotals]:
    """The accounts without health, which was compared with its table, in the form in which this engine keeps it."""
    return [replace(one, health=EndpointHealth()) for one in totals]


def _shared_columns(source: Contents, draft: Draft) -> dict[str, list[str]]:
    """Each table's columns that both engines know; other columns are an engine's own."""
    known = draft.tables()
    return {
        table: [column for column in columns if column in known[table]]
        for table, columns in source.tables().items()
    }


def _copy_table(source: Contents, draft: Draft, table: str, columns: Sequence[str]) -> int:
    fingerprint = Fingerprint()
    rows = map(draft.as_kept, source.rows(table, columns))
    draft.take(table, columns, fingerprint.watching(rows))
    if Fingerprint.of(draft.rows(table, columns)) != fingerprint:
        raise _difference(f"its table {table}")
    return fingerprint.rows


def _difference(what: str) -> OutboxError:
    return OutboxError(
        f"the copy differs from the outbox in {what}, so none was kept; run `forwarder outbox check`"
    )
