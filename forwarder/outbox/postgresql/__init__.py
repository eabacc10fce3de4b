"""
The outbox on PostgreSQL: one database, with its own replication, instead of a file.

    engine.py      transactions and reads of the service    access.py      what commands do, beside the service
    statements.py  the hot path: put and settle             inspection.py  do rows and accounts agree
    connection.py  sessions, and the translation of errors  members.py     replicas, and which of them leads
    schema.py      tables made, brought up to date          size.py        how much is held
    copying.py     to and from the other engine             sharing_out.py which endpoints are whose
    reading_back.py  what other replicas have put           schema.sql

Statements that seldom run, and queries, are in outbox/sql.
"""

from pathlib import Path

from forwarder.errors import OutboxDamaged, OutboxIncomplete
from forwarder.outbox.postgresql.access import opened
from forwarder.outbox.postgresql.copying import drafted, held
from forwarder.outbox.postgresql.engine import PostgresEngine
from forwarder.outbox.postgresql.inspection import inspect
from forwarder.outbox.postgresql.members import DatabaseSeat, is_running, refuse_strangers
from forwarder.outbox.postgresql.schema import exists, prepare, remarks
from forwarder.settings import Database

take_seat = DatabaseSeat
open_engine = PostgresEngine


def repair(_: Database, trouble: OutboxDamaged | OutboxIncomplete) -> None:
    """Raise the trouble, because PostgreSQL repairs a damaged database, or an operator restores a backup."""
    raise trouble


def warn_of_foreign_writers(_: Database) -> None:
    """PostgreSQL itself says who may write to a database."""


def copies_aside(_: Database) -> list[Path]:
    return []


__all__ = [
    "copies_aside",
    "drafted",
    "exists",
    "held",
    "inspect",
    "is_running",
    "open_engine",
    "opened",
    "prepare",
    "refuse_strangers",
    "remarks",
    "repair",
    "take_seat",
    "warn_of_foreign_writers",
]
