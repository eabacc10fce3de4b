"""
Group commit: one transaction takes all that came in while the transaction before it was under way.

              hurry, or a timer                        thread                         loop
    next ────────────────────────▶ prepare (loop) ──────────────▶ engine.apply ──────────────▶ published ─▶ next, if any
      ▲                                                               │ OutboxError
      └──────────── after a second, with what came meanwhile ◀────────┘

A transaction begins some turns of the loop after the last one. A busy loop makes the transaction larger meanwhile,
which saves work because each transaction has its price; an idle loop turns at once. A large transaction begins before
the last one is published, because the line waits for the thread then. A transaction that holds lanes begins after
that, because its lanes must know of the last one first.

Nothing overtakes a failed commit, because later changes join it behind its own.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from forwarder.clock import Clock, Timer
from forwarder.errors import OutboxDamaged, OutboxError, OutboxTaken, OutboxUnavailable
from forwarder.outbox.changes import Applied, OperationFailed
from forwarder.outbox.commit import Commit
from forwarder.outbox.engine import Engine, Look
from forwarder.outbox.thread import Worker

TURNS = 32
"""Turns of the loop between two transactions. A transaction at full load has 88 single readings with 4, 172 with 32."""
LARGE = 512
"""Messages with which a transaction begins at once."""
RETRY_SECONDS = 1.0
"""The wait after a commit that failed."""


class GroupCommit:
    """The commit thread, which gets all that comes in, one transaction after the other, until `stop`."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        prepare: Callable[[Commit], Commit],
        publish: Callable[[Commit, Applied | None], None],
        on_failed: Callable[[OutboxError], None],
        on_rest: Callable[[], None],
        on_defect: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._prepare = prepare
        self._publish = publish
        self._on_failed = on_failed
        self._on_rest = on_rest
        self._on_defect = on_defect
        self._thread = Worker("commit")
        self.next = Commit()
        """All that came in since the last commit began."""
        self._under_way: Commit | None = None
        self.is_busy = False
        """Whether a commit is under way, or the loop takes the turns after one."""
        self._is_wanted = False
        """Whether the next commit is to begin as soon as the thread is free."""
        self._is_started = False
        self._timer: asyncio.TimerHandle | None = None
        self._retry: Timer | None = None
        self.committing_since: float | None = None
        """Monotonic seconds since which a transaction is under way; None while none is."""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is to be committed, and nothing is under way."""
        return not (self.is_busy or self.next)

    @property
    def has_gone_to_write(self) -> bool:
        """Whether a pause of our own, or its end, is not on disk yet."""
        under_way = self._under_way
        return bool(self.next.changes.gone or (under_way and under_way.changes.gone))

    def start(self) -> None:
        self._is_started = True
        self.hurry()

    def stop(self) -> None:
        """Begin and publish nothing more."""
        self._is_started = False
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Block until the transaction under way is over."""
        self._thread.close()

    def within(self, seconds: float) -> None:
        """Commit what has come in after so many seconds at the latest."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.hurry()

    def hurry(self) -> None:
        """Commit what has come in as soon as the thread is free."""
        self._is_wanted = True
        # A failed commit waits for its retry, however many callers hurry.
        if self._is_started and not self.is_busy and self._retry is None:
            self._begin()

    def _begin(self) -> None:
        self._is_wanted = False
        # The loop changes `next` from here on, and leaves the commit to the thread until that has concluded.
        commit, self.next = self.next, Commit()
        commit = self._prepare(commit)
        self.is_busy = bool(commit)
        if not commit:
            self._under_way, self.committing_since = None, None
            self._on_rest()
            return
        self._under_way = commit
        if commit.writes:
            self.committing_since = self._clock.monotonic()
        self._thread.start(
            partial(self._apply, commit, self._clock.unix()),
            done=partial(self._conclude, commit),
            failed=partial(self._conclude_failed, commit),
        )

    def _apply(self, commit: Commit, now: float) -> Applied | None:
        """Look and apply, in the commit thread."""
        # The look comes first, because `apply` answers what the last look has seen.
        look = self._engine.look() if commit.is_to_look else Look()
        commit.has_foreign_change |= look.has_foreign_change
        has_work = commit.writes or look.has_arrivals
        applied = self._engine.apply(commit.changes, now=now) if has_work else None
        if commit.has_foreign_change or (applied is not None and applied.homes is not None):
            self._read_endpoints(commit)
        return applied

    def _read_endpoints(self, commit: Commit) -> None:
        """
        Read the accounts, in the commit thread.

        A failure does not fail the commit, because `apply` has succeeded and tells only once what it did.
        """
        try:
            commit.endpoints = self._engine.totals()
        except (OutboxUnavailable, OutboxDamaged):
            commit.lacks_endpoints = True

    def _conclude(self, commit: Commit, applied: Applied | None) -> None:
        if not self._is_started:
            return
        self._under_way = None
        # A large backlog gives the thread its next transaction first, and the thread works while the loop publishes.
        begins_at_once = (
            self._is_wanted and self.next.message_count >= LARGE and not self.next.holds_lanes
        )
        try:
            if begins_at_once:
                self._begin()
            self._publish(commit, applied)
        except Exception as error:  # noqa: BLE001 - the top of a callback: it ends the outbox
            self._on_defect(error)
            return
        if not begins_at_once:
            self._go_on_after(TURNS)

    def _go_on_after(self, turns: int) -> None:
        if not self._is_started:
            return
        if not self._is_wanted:
            self.is_busy, self.committing_since = False, None
            self._on_rest()
        # Turns and no timer, because turns of an idle loop take no time.
        elif turns and self.next.message_count < LARGE:
            asyncio.get_running_loop().call_soon(self._go_on_after, turns - 1)
        else:
            self._begin()

    def _conclude_failed(self, commit: Commit, error: BaseException) -> None:
        if not self._is_started:
            return
        self.is_busy, self._under_way, self.committing_since = False, None, None
        # The failed commit stands in front of all that came meanwhile, so nothing overtakes its changes.
        self.next = commit.followed_by(self.next)
        match error:
            case OperationFailed():
                # The transaction was rolled back whole: the others are made again at once, without this operation.
                self.next.fail_operation(error.index, error.error)
                self.hurry()
            case OutboxTaken():
                self._on_defect(error)
            case OutboxError():
                self._retry = self._clock.call_later(RETRY_SECONDS, self._try_again)
                self._on_failed(error)
            case _:
                self._on_defect(error)

    def _try_again(self) -> None:
        self._retry = None
        self.hurry()
