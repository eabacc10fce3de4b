"""
Work on its way to the commit thread.

The thread takes all that has been handed over, makes one transaction of it, and goes straight on with what has come
meanwhile: it waits for the loop no more than the loop for it. A piece of work belongs to one of the two at a time.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial, reduce

from forwarder.outbox.commit import Commit
from forwarder.outbox.work import Work
from forwarder.outbox.writer import Writer


class Handover:
    """
    Hands work to the thread in order, and tells on the loop what became of it.

    After a transaction that failed the thread does nothing more, and what was handed over comes back: nothing that came
    later is ever committed before it.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        commit_of: Callable[[Work], Commit],
        on_committed: Callable[[Commit], None],
        on_failed: Callable[[Work, BaseException], None],
        on_rest: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._commit_of = commit_of
        self._on_committed = on_committed
        self._on_failed = on_failed
        self._on_rest = on_rest
        self._given: deque[Work] = deque()
        self.is_running = False
        """Whether the thread has the writer, until it is told here that it stopped."""

    def give(self, work: Work) -> None:
        """Have it committed after all that was given before; it is the thread's from now on."""
        self._given.append(work)
        if not self.is_running:
            self._start()

    def _start(self) -> None:
        self.is_running = True
        self._writer.start(partial(self._commit_given, asyncio.get_running_loop()))

    def _commit_given(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: until nothing is left, or a transaction fails."""
        while True:
            commit = self._commit_of(self._take())
            try:
                self._writer.commit_whole(commit.apply_rows)
            except BaseException as error:  # noqa: BLE001 - it is raised on the loop
                return _tell(loop, partial(self._stop, commit, error))
            if not self._given:
                return _tell(loop, partial(self._rest, commit))
            _tell(loop, partial(self._on_committed, commit))

    def _take(self) -> Work:
        """All that has been given, as one."""
        return reduce(Work.followed_by, [self._given.popleft() for _ in range(len(self._given))])

    def _rest(self, commit: Commit) -> None:
        """On the loop: the thread had nothing more to do, unless something was given just then."""
        self.is_running = False
        if self._given:
            self._start()
        self._on_committed(commit)
        if not self.is_running:
            self._on_rest()

    def _stop(self, commit: Commit, error: BaseException) -> None:
        """On the loop: the thread has failed, and begins anew when it is given something."""
        self.is_running = False
        work = reduce(Work.followed_by, [commit.work, *self._given])
        self._given.clear()
        self._on_failed(work, error)
        self._on_rest()


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(callback)
