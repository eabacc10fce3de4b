"""The place of an outbox."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database. Its URL may hold a password, so it is never shown. `str` names host and database."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        _, _, hosts = parts.netloc.rpartition("@")
        return f"postgresql://{hosts or 'localhost'}{parts.path}"


OutboxPlace: TypeAlias = Path | Database
"""A SQLite file, or a database."""


def outbox_place(url: str) -> OutboxPlace | None:
    """The place that an OUTBOX_URL names; None if it names neither a file nor a database."""
    parts = urlsplit(url)
    if parts.scheme in ("postgresql", "postgres"):
        return Database(url) if len(parts.path) > 1 else None
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        return None
    return Path(unquote(parts.path[1:]))
