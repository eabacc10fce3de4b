"""
Group commit: one transaction takes all that came in while the one before it was under way.

              hurry, or a timer                        thread                         loop
    next ────────────────────────▶ prepare (loop) ──────────────▶ engine.apply ──────────────▶ published ─▶ next, if any
      ▲                                                               │ OutboxError
      └──────────── after a second, with what came meanwhile ◀────────┘

The next transaction begins some turns of the loop after the last. A busy loop makes it larger meanwhile, and a
transaction has its price whatever it holds; a loop that is not busy loses no time. A large one begins at once, before
the last is published, because then the line waits for the thread. One that holds lanes never does, because its lanes
must know of the last one first.

Nothing that came after a failed commit is committed before it.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from forwarder.clock import Clock, Timer
from forwarder.errors import OutboxError, OutboxTaken, OutboxUnavailable
from forwarder.outbox.changes import Applied, OperationFailed
from forwarder.outbox.commit import Commit
from forwarder.outbox.engine import Engine, Look
from forwarder.outbox.thread import Worker

TURNS = 32
"""Of the loop between two transactions. With 4 one held 88 single readings at full load, with 32 it holds 172."""
LARGE = 512
"""Messages with which a transaction begins at once."""
RETRY_SECONDS = 1.0
"""The wait after a commit that failed."""


class GroupCommit:
    """Has the engine commit what comes in, one transaction after the other, until `stop`."""

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
        """Whether a commit is under way, or the turns after one are."""
        self._is_wanted = False
        """Whether somebody waits for the next one."""
        self._is_started = False
        self._timer: asyncio.TimerHandle | None = None
        self._retry: Timer | None = None
        self.committing_since: float | None = None
        """Monotonic seconds since which a transaction is under way."""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is to be committed, and nothing is under way."""
        return not (self.is_busy or self.next)

    @property
    def has_gone_to_write(self) -> bool:
        """Whether a pause of our own is not on disk yet."""
        under_way = self._under_way
        return bool(self.next.changes.gone or (under_way and under_way.changes.gone))

    def start(self) -> None:
        self._is_started = True
        self.hurry()

    def stop(self) -> None:
        """Begin nothing more, and publish nothing more."""
        self._is_started = False
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Return once the transaction under way is over."""
        self._thread.close()

    def within(self, seconds: float) -> None:
        """Commit what has come in, after so long at the latest."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.hurry()

    def hurry(self) -> None:
        """Commit what has come in as soon as the thread is free."""
        self._is_wanted = True
        if self._is_started and not self.is_busy and self._retry is None:
            self._begin()

    def _begin(self) -> None:
        self._is_wanted = False
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
        """In the thread."""
        look = self._engine.look() if commit.is_to_look else Look()
        commit.has_foreign_change |= look.has_foreign_change
        has_work = commit.writes or look.has_arrivals
        applied = self._engine.apply(commit.changes, now=now) if has_work else None
        if commit.has_foreign_change or (applied is not None and applied.homes is not None):
            self._read_endpoints(commit)
        return applied

    def _read_endpoints(self, commit: Commit) -> None:
        """In the thread. A failure is no failure of the commit, because what it has applied is told only once."""
        try:
            commit.endpoints = self._engine.totals()
        except OutboxUnavailable:
            commit.lacks_endpoints = True

    def _conclude(self, commit: Commit, applied: Applied | None) -> None:
        if not self._is_started:
            return
        self._under_way = None
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
        elif turns and self.next.message_count < LARGE:
            asyncio.get_running_loop().call_soon(self._go_on_after, turns - 1)
        else:
            self._begin()

    def _conclude_failed(self, commit: Commit, error: BaseException) -> None:
        if not self._is_started:
            return
        self.is_busy, self._under_way, self.committing_since = False, None, None
        self.next = commit.followed_by(self.next)
        match error:
            case OperationFailed():
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
