"""Every change by people leaves a record: who, by which way, what, and how many. The record is kept first."""

import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from forwarder.outbox import Audit, AuditRecord, OutboxAccess


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change, as far as that is known."""

    via: Literal["command", "api", "page"]
    who: str
    """The user of the system, or the means by which a request was admitted."""


@dataclass(slots=True)
class Change:
    """A change that is under way."""

    record: AuditRecord
    count: int
    """How many rows were changed; as many as were meant, until the block sets it."""


def at_the_shell() -> Actor:
    """The user who runs this process."""
    try:
        return Actor("command", pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:  # a container's user need not have a name
        return Actor("command", f"uid {os.getuid()}")


@contextmanager
def audited(
    outbox: OutboxAccess,
    actor: Actor,
    what: str,
    *,
    meant: int,
    now: float,
    endpoint: str | None = None,
) -> Iterator[Change]:
    """
    Record a change of `meant` rows; a change of none leaves no record.

    The block makes the change, and sets `count` to the rows it changed. The record of a change that fails says how
    many were meant.
    """
    record = AuditRecord(
        secrets.token_hex(8), now, actor.via, actor.who, what, endpoint, count=meant
    )
    if meant:
        outbox.operate(Audit(record))
    change = Change(record, count=meant)
    yield change
    change.record = replace(record, count=change.count)
    if change.count != meant:
        outbox.operate(Audit(change.record))
