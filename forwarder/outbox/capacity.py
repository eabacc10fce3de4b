"""Capacity: whether the outbox has room for messages, and whether it takes writes. Used on the loop alone."""

from typing import TYPE_CHECKING

from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.outbox.commit import Commit
from forwarder.outbox.engine import Engine
from forwarder.settings import OutboxPlace
from forwarder.units import count_of

if TYPE_CHECKING:
    from collections.abc import Callable

QUARANTINE_PART = 20
"""The quarantine may take a twentieth of the outbox, unless settings say otherwise."""
MOST_QUARANTINE_BYTES = 256 << 20
"""The quarantine takes no more than this, however large the outbox is, unless settings say otherwise."""


def quarantine_share(max_bytes: int) -> int:
    """Bytes that the quarantine may take of an outbox of this size."""
    return min(max_bytes // QUARANTINE_PART, MOST_QUARANTINE_BYTES)


class Capacity:
    """
    Keeps puts back while the outbox is full, and says why no message is taken.

        takes all ─▶ full: settlements go on, puts are kept back ─▶ takes all, once a commit made room
            │
            └─────▶ unwritable: nothing is promised, nothing new is sent ─▶ takes all, once a commit succeeds
    """

    def __init__(self, engine: Engine, path: OutboxPlace) -> None:
        self._engine = engine
        self._path = path
        self._log = logger("outbox")
        self.kept = Commit()
        """The puts that wait for room, in the order in which they came."""
        self.problem: str | None = None
        """Why the outbox takes no message, as one sentence."""
        self.is_writable = True
        self._missing = 0
        self.missing: str | None = None
        """How many readings a failover of the database has lost at most, as one sentence."""
        self.is_sure: Callable[[], bool] = lambda: True
        """Whether no other replica can have taken over yet."""

    @property
    def may_send(self) -> bool:
        """Whether a new attempt may start: the outbox will be able to record what it came to."""
        return self.is_writable and self.is_sure()

    def admit(self, commit: Commit) -> Commit:
        """The part of the commit that may be made now, with the puts that were kept back before."""
        if not (commit.changes.puts or self.kept.changes.puts):
            return commit
        if self._is_full():
            self.kept = self.kept.followed_by(commit.take_puts())
        elif self.kept.changes.puts:
            # Older puts go in front of newer ones, because numbers are given in this order and lanes follow numbers.
            kept, self.kept = self.kept, Commit()
            puts = kept.followed_by(commit.take_puts()).take_puts()
            commit = commit.followed_by(puts)
        return commit

    def _is_full(self) -> bool:
        # `prepare` asks while the thread rests, so the standing is as the last commit left it.
        is_full = self._engine.standing.is_full
        if is_full and self.problem is None:
            self.problem = (
                f"the outbox {self._path} has reached FORWARDER_OUTBOX_MAX_BYTES; new messages stay with the broker"
                " until deliveries make room, dead letters are discarded, or the limit is raised"
            )
            self._log.error("outbox.filled", problem=self.problem)
        elif not is_full and self.is_writable:
            self.problem = None
        return is_full

    def failed(self, problem: OutboxError) -> None:
        """Note that a commit failed."""
        if self.is_writable:
            self._log.error("outbox.failed", problem=str(problem))
        self.is_writable = False
        self.problem = str(problem)

    def recovered(self) -> bool:
        """Note that a commit succeeded; returns whether the commit before had failed."""
        if self.is_writable:
            return False
        self._log.info("outbox.recovered")
        self.problem, self.is_writable = None, True
        self._see_missing()
        return True

    def _see_missing(self) -> None:
        """Say what is missing, because a database that comes back may be a standby without the last commits."""
        missing, before = self._engine.standing.missing, self._missing
        self._missing = missing
        if missing > before:
            self.missing = (
                f"{self._path} came back without the last of what was acknowledged,"
                f" up to {count_of(missing, 'reading')}:"
                " a failover took a standby that did not have it; see synchronous_standby_names"
            )
            self._log.error("outbox.fell_back", problem=self.missing)
