"""
An outbox moved to the other engine: whole or not at all, and accounted for.

    source, held still ─▶ row by row, each table ─▶ draft ─▶ read back and compared ─▶ finished: an outbox
                                                      └─ whatever fails, or a crash: nothing that a service would use

Memory holds some rows at a time, however many there are.
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
    """All rows of an outbox that nobody changes meanwhile."""

    def tables(self) -> dict[str, tuple[str, ...]]:
        """Each table with its columns, without what an engine keeps for itself."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """In any order."""

    def highest_numbers(self) -> tuple[int, int]:
        """The highest number that a reading, and a quarantined message, was ever given; its row may be gone."""

    def totals(self) -> list[EndpointTotals]:
        """The accounts of every endpoint, by name."""

    def deployment(self) -> str | None:
        """What was subscribed to for it last, where the outbox knows that."""

    def states(self) -> Mapping[tuple[str, str], int]:
        """How many deliveries are there by endpoint and state."""


class Draft(Contents, Protocol):
    """An outbox that is being made, which no service takes for one before it is finished."""

    def as_kept(self, row: Row) -> Row:
        """The row as this engine will read it back."""

    def take(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Put rows into a table."""

    def go_on_from(self, reading: int, quarantined: int) -> None:
        """Have the next numbers be higher than these."""

    def finish(self) -> None:
        """Make it an outbox; on disk afterwards."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy came to; source and destination agree in all of it."""

    rows: Mapping[str, int]
    """By table."""
    endpoints: Sequence[EndpointTotals]


@dataclass(slots=True)
class Fingerprint:
    """Tells whether two sets of rows are the same, in whatever order they come."""

    rows: int = 0
    digest: int = 0

    def watching(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, taken in on their way."""
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
    Bring everything into the draft, compare, and finish it.

    Raises OutboxError when draft and source differ; the draft is then not finished.
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
    """The accounts alone: texts of an endpoint's health were compared as this engine keeps them, with its table."""
    return [replace(one, health=EndpointHealth()) for one in totals]


def _shared_columns(source: Contents, draft: Draft) -> dict[str, list[str]]:
    """Of each table the columns that both know; the others are an engine's own."""
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
